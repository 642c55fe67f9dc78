//! Distinguished names, in the two notations that admins meet.
//!
//! Exchange prints names as Windows does (`CertNameToStr` with `CERT_X500_NAME_STR`): `, ` between RDNs, `S=` for the
//! state, `E=` for the mail address, `OID.1.2.3=` for types without a name, quotes around values that hold special
//! characters, a quote inside them doubled, and **no escapes**: a backslash stands for itself. Other tools print RFC
//! 4514: escapes by backslash, `ST=`, no blank after the comma. Both put the most specific RDN first.
//!
//! A name is compared as a parsed list, never as text.

mod attribute_type;

use std::borrow::Cow;

use crate::pipeline::certificate::dn::attribute_type::{COMMON_NAME, attribute_type, is_type_byte};

/// Longest name that is parsed, in bytes. Names of public CAs stay below 600.
pub const MAX_NAME_BYTES: usize = 2048;

/// Most attributes of one name, counted over all its RDNs. A certificate for a web server has about ten.
pub const MAX_ATTRIBUTES: usize = 64;

/// A parsed distinguished name: RDNs in the order of the text, each a set of attributes.
///
/// Equality is that of X.520 `caseIgnoreMatch`: without case, with blanks around a value dropped and runs of blanks
/// taken as one; synonyms of an attribute type are the same type; the order of RDNs counts, the order inside a
/// multi-valued RDN does not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DistinguishedName {
    rdns: Vec<Vec<Attribute>>,
}

/// One attribute of an RDN; it is compared by type and folded value only.
#[derive(Clone, Debug)]
struct Attribute {
    /// Dotted OID, or the name in upper case when its OID is not known here.
    kind: Cow<'static, str>,
    /// As written, without quotes and escapes.
    value: String,
    /// Lower case, runs of blanks taken as one.
    folded: String,
}

impl Attribute {
    fn key(&self) -> (&str, &str) {
        (&self.kind, &self.folded)
    }
}

impl Eq for Attribute {}

impl PartialEq for Attribute {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl DistinguishedName {
    /// Reads Windows' notation or RFC 4514; `None` when the text is neither, is empty or is beyond a limit.
    ///
    /// The two differ in what a backslash means. It is a plain character, as Windows writes it, if the text can be
    /// read that way and has a blank after each separator; otherwise it is an escape. Only `CN=a\2Cb`, a single RDN with
    /// an escape where no comma gives the notation away, could mean either; it is read as Windows'.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains('\\') {
            Self::read(text, Backslash::Literal).or_else(|| Self::read(text, Backslash::Escape))
        } else {
            Self::read(text, Backslash::Absent)
        }
    }

    fn read(text: &str, backslash: Backslash) -> Option<Self> {
        let mut rdns: Vec<Vec<Attribute>> = Vec::new();
        for_each_attribute(text, backslash, |joined, kind, value| {
            let attribute = Attribute {
                kind,
                folded: fold(&value),
                value: value.into_owned(),
            };
            match rdns.last_mut() {
                Some(rdn) if joined => rdn.push(attribute),
                _ => rdns.push(vec![attribute]),
            }
        })?;
        for rdn in &mut rdns {
            rdn.sort_by(|a, b| a.key().cmp(&b.key()));
        }
        Some(Self { rdns })
    }

    /// Whether both name the same, also when one was printed from the other end: some tools print the most specific
    /// RDN first, others last. Partly reordered names differ.
    pub fn same_name(&self, other: &Self) -> bool {
        self == other || self.rdns.iter().eq(other.rdns.iter().rev())
    }

    /// The most specific common name: the first one of the text, since both notations start at that end.
    pub fn common_name(&self) -> Option<&str> {
        self.rdns
            .iter()
            .flatten()
            .find(|attribute| attribute.kind == COMMON_NAME)
            .map(|attribute| attribute.value.as_str())
    }
}

/// Splits `<I>issuer<S>subject`, the form of `TlsCertificateName` and `TlsSenderCertificateName`, into issuer, if
/// given, and subject. Tags in any case; `None` when the text is not of this form.
pub fn issuer_subject(text: &str) -> Option<(Option<&str>, &str)> {
    let text = text.trim();
    let (issuer, subject) = match strip_tag(text, b'I') {
        Some(tagged) => {
            let at = find_subject_tag(tagged)?;
            (
                Some(tagged[..at].trim()),
                strip_tag(&tagged[at..], b'S')?.trim(),
            )
        }
        None => (None, strip_tag(text, b'S')?.trim()),
    };
    (!subject.is_empty() && issuer != Some("")).then_some((issuer, subject))
}

fn strip_tag(text: &str, letter: u8) -> Option<&str> {
    match text.as_bytes() {
        [b'<', tag, b'>', ..] if tag.eq_ignore_ascii_case(&letter) => Some(&text[3..]),
        _ => None,
    }
}

/// Where `<S>` begins; inside quotes it is part of a value.
fn find_subject_tag(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.bytes().enumerate().position(|(at, byte)| {
        quoted ^= byte == b'"';
        byte == b'<' && !quoted && strip_tag(&text[at..], b'S').is_some()
    })
}

/// What [`cut`] found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut<'a> {
    /// Subject and issuer.
    One(&'a str, &'a str),
    /// No place where a second name could begin, or what stands on a side of it is not a name.
    None,
    /// More than one place; choosing would be guessing.
    Several,
}

/// Cuts `<subject> <issuer>`, Windows' notation both, where the second begins: at a blank outside quotes that is
/// followed by `attribute=` and not preceded by `,`, `;` or `+`.
///
/// Windows quotes a value that holds `=`, so its names have exactly one such place. A printer that does not quote it
/// can add places, which gives [`Cut::Several`], but cannot hide the true one. An empty subject leaves the text
/// beginning with the blank, and is found.
pub fn cut(text: &str) -> Cut<'_> {
    let bytes = text.as_bytes();
    let mut place = None;
    let mut quoted = false;
    for (at, byte) in bytes.iter().enumerate() {
        quoted ^= *byte == b'"';
        if *byte == b' '
            && !quoted
            && starts_attribute(&bytes[at + 1..])
            && !ends_with_separator(&bytes[..at])
            && place.replace(at).is_some()
        {
            return Cut::Several;
        }
    }
    match place.map(|at| (text[..at].trim_end(), text[at + 1..].trim_end())) {
        Some((subject, issuer))
            if (subject.is_empty() || is_windows_name(subject)) && is_windows_name(issuer) =>
        {
            Cut::One(subject, issuer)
        }
        _ => Cut::None,
    }
}

fn starts_attribute(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes
            .iter()
            .find(|byte| !is_type_byte(**byte))
            .is_some_and(|byte| *byte == b'=')
}

fn ends_with_separator(bytes: &[u8]) -> bool {
    matches!(bytes.trim_ascii_end().last(), Some(b',' | b';' | b'+'))
}

fn is_windows_name(text: &str) -> bool {
    let backslash = if text.contains('\\') {
        Backslash::Literal
    } else {
        Backslash::Absent
    };
    for_each_attribute(text, backslash, |_, _, _| ()).is_some()
}

/// The common name that `<subject> <issuer>` begins with, where the two could not be told apart.
///
/// Only when its end is beyond doubt: it is quoted, or runs to a separator or the end of the text without anything
/// inside that could be the beginning of the issuer. A text that does not begin with a common name has `None`: any
/// later one may be the issuer's.
pub fn leading_common_name(text: &str) -> Option<Cow<'_, str>> {
    let (kind, rest) = text.split_once('=')?;
    if attribute_type(kind)? != COMMON_NAME {
        return None;
    }
    let value = if let Some(quoted) = rest.strip_prefix('"') {
        let (value, after) = quoted_value(quoted, Backslash::Literal)?;
        let ends = after.is_empty() || after.starts_with(|c| c == ' ' || is_separator(c));
        ends.then_some(value)?
    } else {
        let (value, _) = raw_value(rest, Backslash::Literal)?;
        let mut blanks = value.match_indices(' ');
        if blanks.any(|(at, _)| starts_attribute(&value.as_bytes()[at + 1..])) {
            return None;
        }
        value
    };
    (value.len() <= MAX_NAME_BYTES).then_some(value)
}

/// What a backslash means in a text.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Backslash {
    /// There is none, so nothing depends on it.
    Absent,
    /// Itself, as in Windows' notation; then each separator must have a blank behind it, as Windows writes it.
    Literal,
    /// An escape, as in RFC 4514.
    Escape,
}

/// Hands over each attribute with whether it belongs to the RDN before it; `None` when the text is not a name.
fn for_each_attribute<'a>(
    text: &'a str,
    backslash: Backslash,
    mut keep: impl FnMut(bool, Cow<'static, str>, Cow<'a, str>),
) -> Option<()> {
    if text.len() > MAX_NAME_BYTES {
        return None;
    }
    let mut rest = text.trim();
    let mut joined = false;
    for _ in 0..MAX_ATTRIBUTES {
        let (kind, value, after) = next_attribute(rest, backslash)?;
        keep(joined, kind, value);
        let Some(separator) = after.bytes().next() else {
            return Some(());
        };
        joined = separator == b'+';
        rest = &after[1..];
        if backslash == Backslash::Literal && !rest.starts_with(' ') {
            return None;
        }
        rest = rest.trim_start();
    }
    None
}

/// Type, value and what follows: nothing, or a text that begins with a separator.
fn next_attribute(
    text: &str,
    backslash: Backslash,
) -> Option<(Cow<'static, str>, Cow<'_, str>, &str)> {
    let (kind, rest) = text.split_once('=')?;
    let kind = attribute_type(kind.trim())?;
    let rest = rest.trim_start();
    let (value, after) = match rest.strip_prefix('"') {
        Some(quoted) => quoted_value(quoted, backslash)?,
        None => raw_value(rest, backslash)?,
    };
    let after = after.trim_start();
    (after.is_empty() || after.starts_with(is_separator)).then_some((kind, value, after))
}

fn is_separator(c: char) -> bool {
    matches!(c, ',' | ';' | '+')
}

/// A value up to its closing quote; `text` begins behind the opening one.
fn quoted_value(text: &str, backslash: Backslash) -> Option<(Cow<'_, str>, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut plain = true;
    loop {
        match bytes.get(at)? {
            b'"' if bytes.get(at + 1) == Some(&b'"') => {
                plain = false;
                at += 2;
            }
            b'"' => break,
            b'\\' if backslash == Backslash::Escape => {
                plain = false;
                at += 2;
            }
            _ => at += 1,
        }
    }
    let value = &text[..at];
    let value = match backslash {
        _ if plain => Cow::Borrowed(value),
        Backslash::Escape => Cow::Owned(unescape(value)),
        Backslash::Absent | Backslash::Literal => Cow::Owned(value.replace("\"\"", "\"")),
    };
    Some((value, &text[at + 1..]))
}

/// A value up to the next separator. A quote inside would have made Windows quote the whole, so it is refused.
fn raw_value(text: &str, backslash: Backslash) -> Option<(Cow<'_, str>, &str)> {
    let bytes = text.as_bytes();
    let mut end = 0;
    let mut escaped_to = 0;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b',' | b';' | b'+' => break,
            b'"' => return None,
            b'\\' if backslash == Backslash::Escape => {
                end = next_char(text, end + 1)?;
                escaped_to = end;
            }
            _ => end += 1,
        }
    }
    // A blank at the end is the value's own only if it was escaped.
    let value = &text[..escaped_to.max(text[..end].trim_end().len())];
    let value = if escaped_to > 0 {
        Cow::Owned(unescape(value))
    } else {
        hex_string(value).map_or(Cow::Borrowed(value), Cow::Owned)
    };
    Some((value, &text[end..]))
}

/// The index behind the character at `at`; `None` when the text ends there.
fn next_char(text: &str, at: usize) -> Option<usize> {
    let c = text.get(at..)?.chars().next()?;
    Some(at + c.len_utf8())
}

/// RFC 4514, section 2.4: a backslash before a character, or before the two hex digits of a byte.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if *byte != b'\\' {
            plain.push(*byte);
            at += 1;
        } else if let Some(value) = bytes.get(at + 1..at + 3).and_then(hex_byte) {
            plain.push(value);
            at += 3;
        } else {
            plain.extend(bytes.get(at + 1));
            at += 2;
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// `#` and the BER encoding in hex, as RFC 4514 prints types without a name. A character string is decoded, so that it
/// equals its readable form; `None`: anything else stays as it is written.
fn hex_string(text: &str) -> Option<String> {
    const UTF8: u8 = 0x0C;
    const PRINTABLE: u8 = 0x13;
    const IA5: u8 = 0x16;
    let digits = text.strip_prefix('#')?.as_bytes();
    if digits.len() % 2 != 0 {
        return None;
    }
    let bytes = digits
        .chunks_exact(2)
        .map(hex_byte)
        .collect::<Option<Vec<u8>>>()?;
    match bytes.as_slice() {
        [UTF8 | PRINTABLE | IA5, length, value @ ..]
            if *length < 0x80 && usize::from(*length) == value.len() =>
        {
            String::from_utf8(value.to_vec()).ok()
        }
        _ => None,
    }
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else { return None };
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    Some(digit(*high)? << 4 | digit(*low)?)
}

fn fold(value: &str) -> String {
    let mut folded = String::with_capacity(value.len());
    for word in value.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        if word.is_ascii() {
            let start = folded.len();
            folded.push_str(word);
            folded[start..].make_ascii_lowercase();
        } else {
            folded.extend(word.chars().flat_map(char::to_lowercase));
        }
    }
    folded
}

#[cfg(test)]
mod tests;
