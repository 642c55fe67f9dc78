//! Certificates as the protocol log describes them: rows of form A, B and C.
//!
//! Exchange 2013 and before write a block of rows, one value each (form A). Later versions write one row, without dates
//! (B) or with them (C):
//!
//! ```text
//!  <subject> <issuer> <serial> <thumbprint> [<not before> <not after>] <dns;dns>
//! ```
//!
//! The parts are joined by blanks and distinguished names are full of blanks, so the row is read from its fixed points:
//! the thumbprint (40 hex digits) and the dates behind it. The form is told by what stands there, never by the version
//! in the file's header, which lies.

pub mod dn;
pub mod known;
pub mod label;

use std::fmt;

use jiff::Timestamp;

use crate::pipeline::certificate::dn::Cut;
use crate::pipeline::certificate::dn::DistinguishedName;
use crate::pipeline::certificate::dn::MAX_NAME_BYTES;

/// How many bytes of DNS names are kept of one certificate. Public certificates hold some hundred names at most; what
/// is cut off is flagged, and nothing is concluded from its absence.
pub const MAX_NAMES_BYTES: usize = 32 * 1024;

/// The longest serial number that is kept, in hex digits (RFC 5280 allows 20 bytes; real ones exceed it).
const MAX_SERIAL_DIGITS: usize = 128;

/// A certificate as the log (or, later, the inventory) describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    /// SHA-1 thumbprint; `None` only when the log was cut before it.
    pub thumbprint: Option<Thumbprint>,
    /// Subject DN as logged. When subject and issuer could not be told apart, both, as logged.
    pub subject: String,
    /// Issuer DN as logged; `None` when it was cut off or could not be told from the subject.
    pub issuer: Option<String>,
    /// Serial number, upper-case hex of even length.
    pub serial: Option<String>,
    /// DNS names of the subject alternative names, lower case, in the order of the log.
    pub names: Vec<String>,
    /// Start of validity. When [`Self::validity_from`] is `Log`, exact to ±14 h only.
    pub not_before: Option<Timestamp>,
    /// End of validity, as exact as [`Self::not_before`].
    pub not_after: Option<Timestamp>,
    /// Where the dates come from; `None`: there are none.
    pub validity_from: Option<ValiditySource>,
    /// What of the certificate could not be read.
    pub gaps: Gaps,
}

/// Where a certificate's dates come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ValiditySource {
    /// The log row: Exchange writes local time with a `Z`, so the date is exact to ±14 h only.
    Log,
    /// The certificate itself: exact.
    Inventory,
}

/// What of a certificate could not be read; a verdict must not rest on what is missing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Gaps {
    /// Subject and issuer could not be told apart.
    pub dn_uncut: bool,
    /// The names are unknown (block cut short) or were cut at [`MAX_NAMES_BYTES`].
    pub names_incomplete: bool,
}

/// SHA-1 thumbprint of a certificate, the identity that Exchange itself uses.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Thumbprint(pub [u8; 20]);

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Thumbprint {
    /// Reads 40 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 40 {
            return None;
        }
        let mut bytes = [0; 20];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = u8::try_from(digit(digits[0])? << 4 | digit(digits[1])?).ok()?;
        }
        Some(Self(bytes))
    }
}

impl Certificate {
    /// The subject's most specific common name.
    pub fn common_name(&self) -> Option<String> {
        if self.gaps.dn_uncut {
            return dn::leading_common_name(&self.subject).map(std::borrow::Cow::into_owned);
        }
        let subject = DistinguishedName::parse(&self.subject)?;
        subject.common_name().map(str::to_owned)
    }

    /// The names by which a peer can recognise the certificate: its common name, if that is a DNS name, and its
    /// alternative names; lower case, A-labels, without trailing dot, each once.
    pub fn presented_names(&self) -> Vec<String> {
        let common_name = self.common_name();
        let mut names: Vec<String> = Vec::new();
        for name in common_name.iter().chain(&self.names) {
            if let Some(name) = dns_name(name)
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        names
    }

    /// Whether the log broke off before the certificate was told in full.
    pub fn is_cut_short(&self) -> bool {
        self.thumbprint.is_none()
            || self.serial.is_none()
            || self.gaps.names_incomplete
            || (self.issuer.is_none() && !self.gaps.dn_uncut)
    }

    /// About how many bytes it takes in memory.
    pub fn weight(&self) -> usize {
        let names: usize = self.names.iter().map(|name| name.len() + 24).sum();
        let issuer = self.issuer.as_ref().map_or(0, String::len);
        std::mem::size_of::<Self>() + self.subject.len() + issuer + names
    }
}

/// A name as DNS compares it; `None` for what is no DNS name (a common name can be anything).
fn dns_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let (star, host) = match name.strip_prefix("*.") {
        Some(host) => ("*.", host),
        None => ("", name),
    };
    let ascii = idna::domain_to_ascii(host).ok()?;
    let sound = ascii.len() <= 253
        && ascii.contains('.')
        && ascii.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        });
    sound.then(|| format!("{star}{ascii}"))
}

/// The values of a form A block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Field {
    Subject,
    Issuer,
    Serial,
    Thumbprint,
    Names,
}

/// Which value a form A row holds, by its `context`.
pub(crate) fn field(context: &[u8]) -> Option<Field> {
    match context {
        b"Certificate subject" => Some(Field::Subject),
        b"Certificate issuer name" => Some(Field::Issuer),
        b"Certificate serial number" => Some(Field::Serial),
        b"Certificate thumbprint" => Some(Field::Thumbprint),
        b"Certificate alternate names" => Some(Field::Names),
        _ => None,
    }
}

/// A form A block while its rows come in.
#[derive(Clone, Debug)]
pub struct Block {
    found: Certificate,
}

/// What a row did to a block.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BlockStep {
    /// It was taken, and more may follow.
    Continues,
    /// It was the last one.
    Complete(Certificate),
    /// It does not belong to the block.
    NotPart,
}

impl Block {
    /// An empty block.
    pub fn start() -> Self {
        Self {
            found: Certificate {
                thumbprint: None,
                subject: String::new(),
                issuer: None,
                serial: None,
                names: Vec::new(),
                not_before: None,
                not_after: None,
                validity_from: None,
                gaps: Gaps {
                    dn_uncut: false,
                    names_incomplete: true,
                },
            },
        }
    }

    /// Takes one row.
    pub fn row(&mut self, context: &[u8], data: &[u8]) -> BlockStep {
        let Some(field) = field(context) else {
            return BlockStep::NotPart;
        };
        let text = String::from_utf8_lossy(data);
        let text = text.trim();
        match field {
            Field::Subject => capped(text).clone_into(&mut self.found.subject),
            Field::Issuer => self.found.issuer = Some(capped(text).to_owned()),
            Field::Serial => self.found.serial = serial(text),
            Field::Thumbprint => self.found.thumbprint = Thumbprint::parse(text),
            Field::Names => {
                let (names, incomplete) = dns_names(text);
                self.found.names = names;
                self.found.gaps.names_incomplete = incomplete;
                return BlockStep::Complete(self.found.clone());
            }
        }
        BlockStep::Continues
    }

    /// The block was cut short: what is there, flagged as incomplete.
    pub fn finish(self) -> Certificate {
        self.found
    }
}

/// Reads a row of form B or C. It always gives a certificate: one was offered, whatever of it can be read. A row
/// without a recognisable thumbprint gives one that nothing is concluded from.
pub fn parse_row(data: &[u8]) -> Certificate {
    let text = String::from_utf8_lossy(data);
    let text = text.trim();
    let Some(anchor) = anchor(text) else {
        return Certificate {
            subject: capped(text).to_owned(),
            gaps: Gaps {
                dn_uncut: true,
                names_incomplete: true,
            },
            ..Block::start().finish()
        };
    };
    let left = text[..anchor.thumbprint.0].trim_end();
    let (distinguished_names, serial) = match left.rsplit_once(' ') {
        Some((names, digits)) => match serial(digits) {
            Some(serial) => (names.trim_end(), Some(serial)),
            None => (left, None),
        },
        None => (left, None),
    };
    let (subject, issuer) = match dn::cut(distinguished_names) {
        Cut::One(subject, issuer) => (subject, Some(issuer)),
        Cut::None | Cut::Several => (distinguished_names, None),
    };
    let (names, names_incomplete) = dns_names(anchor.names);
    Certificate {
        thumbprint: Thumbprint::parse(&text[anchor.thumbprint.0..anchor.thumbprint.1]),
        subject: capped(subject).to_owned(),
        issuer: issuer.map(|issuer| capped(issuer).to_owned()),
        serial,
        names,
        not_before: anchor.not_before,
        not_after: anchor.not_after,
        validity_from: anchor.not_after.map(|_| ValiditySource::Log),
        gaps: Gaps {
            dn_uncut: issuer.is_none(),
            names_incomplete,
        },
    }
}

/// The fixed points of a form B or C row.
struct Anchor<'a> {
    /// Start and end of the thumbprint.
    thumbprint: (usize, usize),
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    names: &'a str,
}

/// Finds the thumbprint. In form C it is the one with two dates behind it. In form B it is the last word or the last
/// but one (the names are one word, and may be missing). A serial number of 20 bytes looks the same and stands in front
/// of it, so of two neighbours the second one is the thumbprint.
fn anchor(text: &str) -> Option<Anchor<'_>> {
    let words: Vec<(usize, &str)> = words(text).collect();
    let is_thumbprint = |index: &usize| Thumbprint::parse(words[*index].1).is_some();
    let at = |index: usize| {
        let (start, word) = words[index];
        (start, start + word.len())
    };
    let dated = (0..words.len().saturating_sub(2)).rev().find_map(|index| {
        is_thumbprint(&index).then_some(())?;
        let not_before = date(words[index + 1].1)?;
        let not_after = date(words[index + 2].1)?;
        Some(Anchor {
            thumbprint: at(index),
            not_before: Some(not_before),
            not_after: Some(not_after),
            names: words
                .get(index + 3)
                .map_or("", |(start, _)| &text[*start..]),
        })
    });
    dated.or_else(|| {
        let index = (0..words.len()).rev().find(is_thumbprint)?;
        Some(Anchor {
            thumbprint: at(index),
            not_before: None,
            not_after: None,
            names: words
                .get(index + 1)
                .map_or("", |(start, _)| &text[*start..]),
        })
    })
}

/// The words between blanks, with their offsets.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut offset = 0;
    text.split(' ').filter_map(move |word| {
        let start = offset;
        offset += word.len() + 1;
        (!word.is_empty()).then_some((start, word))
    })
}

/// `2023-08-12T10:39:24.000Z`, with or without fraction and `Z`.
fn date(word: &str) -> Option<Timestamp> {
    let plain = word.strip_suffix('Z').unwrap_or(word);
    if plain.len() < 19 || plain.as_bytes()[10] != b'T' {
        return None;
    }
    let civil: jiff::civil::DateTime = plain.parse().ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(civil).ok()
}

fn serial(text: &str) -> Option<String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let sound =
        digits && text.len().is_multiple_of(2) && (2..=MAX_SERIAL_DIGITS).contains(&text.len());
    sound.then(|| text.to_ascii_uppercase())
}

/// Splits `dns;dns`. Whether names were left out because they are too many.
fn dns_names(text: &str) -> (Vec<String>, bool) {
    let mut names = Vec::new();
    let mut bytes = 0;
    for name in text
        .split(';')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        bytes += name.len();
        if bytes > MAX_NAMES_BYTES {
            return (names, true);
        }
        names.push(name.to_lowercase());
    }
    (names, false)
}

/// A distinguished name cut at its limit; what is cut there no longer parses, and so is never compared.
fn capped(text: &str) -> &str {
    let mut end = text.len().min(MAX_NAME_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const THUMBPRINT: &str = "0F1E2D3C4B5A69788796A5B4C3D2E1F00F1E2D3C";

    fn subject_issuer(certificate: &Certificate) -> (&str, Option<&str>) {
        (&certificate.subject, certificate.issuer.as_deref())
    }

    #[test]
    fn form_c_has_dates() {
        let row = format!(
            " CN=mail.contoso.com, O=\"Contoso, Ltd\", C=US CN=DigiCert TLS RSA SHA256 2020 CA1, O=DigiCert Inc, C=US 0A1B {THUMBPRINT} 2023-08-12T10:39:24.000Z 2024-09-12T10:39:23.000Z mail.contoso.com;*.Contoso.com;"
        );
        let found = parse_row(row.as_bytes());
        assert_eq!(
            subject_issuer(&found),
            (
                "CN=mail.contoso.com, O=\"Contoso, Ltd\", C=US",
                Some("CN=DigiCert TLS RSA SHA256 2020 CA1, O=DigiCert Inc, C=US")
            )
        );
        assert_eq!(found.serial.as_deref(), Some("0A1B"));
        assert_eq!(found.thumbprint.unwrap().to_string(), THUMBPRINT);
        assert_eq!(found.not_after.unwrap().to_string(), "2024-09-12T10:39:23Z");
        assert_eq!(found.validity_from, Some(ValiditySource::Log));
        assert_eq!(found.names, ["mail.contoso.com", "*.contoso.com"]);
        assert!(!found.is_cut_short());
    }

    #[test]
    fn form_b_has_none_and_its_names_may_be_missing() {
        for (names, expected) in [(" mail.contoso.com", 1), ("", 0), (" ", 0)] {
            let row = format!(" CN=mail.contoso.com CN=CA 0A1B {THUMBPRINT}{names}");
            let found = parse_row(row.as_bytes());
            assert_eq!(
                subject_issuer(&found),
                ("CN=mail.contoso.com", Some("CN=CA"))
            );
            assert_eq!(found.names.len(), expected);
            assert_eq!((found.not_before, found.validity_from), (None, None));
        }
    }

    #[test]
    fn a_serial_of_twenty_bytes_is_no_thumbprint() {
        let serial = "00112233445566778899AABBCCDDEEFF00112233";
        for tail in [
            "",
            " mail.contoso.com",
            " 2026-01-01T00:00:00Z 2026-04-01T00:00:00 mail.contoso.com",
        ] {
            let row = format!(" CN=a.example CN=CA {serial} {THUMBPRINT}{tail}");
            let found = parse_row(row.as_bytes());
            assert_eq!(found.serial.as_deref(), Some(serial));
            assert_eq!(found.thumbprint.unwrap().to_string(), THUMBPRINT);
        }
    }

    #[test]
    fn hex_inside_a_name_is_no_thumbprint() {
        let row = format!(
            " CN=00112233445566778899AABBCCDDEEFF00112233 x, O=b CN=CA 0A {THUMBPRINT} 2026-01-01T00:00:00.000Z 2026-04-01T00:00:00.000Z a.example"
        );
        assert_eq!(
            parse_row(row.as_bytes()).thumbprint.unwrap().to_string(),
            THUMBPRINT
        );
    }

    #[test]
    fn what_cannot_be_cut_is_kept_whole_and_flagged() {
        let found = parse_row(format!(" CN=only one name 0A1B {THUMBPRINT} a.example").as_bytes());
        assert_eq!(subject_issuer(&found), ("CN=only one name", None));
        assert!(found.gaps.dn_uncut && !found.is_cut_short());
        let found = parse_row(b" CN=a CN=b 0A1B");
        assert!(found.thumbprint.is_none() && found.is_cut_short());
    }

    #[test]
    fn a_block_is_complete_with_its_names() {
        let mut block = Block::start();
        for (context, data) in [
            ("Certificate subject", "CN=mail.contoso.com"),
            ("Certificate issuer name", "CN=CA"),
            ("Certificate serial number", "0a1b"),
            ("Certificate thumbprint", THUMBPRINT),
        ] {
            assert_eq!(
                block.row(context.as_bytes(), data.as_bytes()),
                BlockStep::Continues
            );
        }
        assert!(block.clone().finish().gaps.names_incomplete);
        assert_eq!(block.row(b"Remote certificate", b""), BlockStep::NotPart);
        let last = block.row(b"Certificate alternate names", b"a.example;b.example");
        let found = match last {
            BlockStep::Complete(found) => Some(found),
            BlockStep::Continues | BlockStep::NotPart => None,
        }
        .unwrap();
        assert_eq!(found.names, ["a.example", "b.example"]);
        assert_eq!(found.serial.as_deref(), Some("0A1B"));
        assert!(!found.is_cut_short());
    }

    #[test]
    fn presented_names_are_compared_as_dns_does() {
        let mut certificate = Block::start().finish();
        certificate.subject = "CN=Mail.Contoso.com., O=x".to_owned();
        certificate.names = ["mail.contoso.com", "*.bücher.example", "no name", "single"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(
            certificate.presented_names(),
            ["mail.contoso.com", "*.xn--bcher-kva.example"]
        );
    }

    proptest! {
        #[test]
        fn no_row_makes_it_panic(data in "[ -~]{0,200}", raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            for row in [data.as_bytes(), &raw] {
                let found = parse_row(row);
                let _ = (found.presented_names(), found.common_name(), label::label(row));
            }
            let _ = parse_row(format!("{data} {THUMBPRINT} {data}").as_bytes());
        }
    }
}
