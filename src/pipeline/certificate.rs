//! Certificates as the protocol log describes them: rows of form A, B and C.
//!
//! Exchange 2013 and before write a block of rows, one value each (form A, [`block`]). Later versions write one row,
//! without dates (B) or with them (C), which [`row`] takes apart. The form is told row by row, never by the version in
//! the file's header, which lies.

pub mod block;
pub mod dn;
pub mod known;
pub mod label;
pub mod row;

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error as _;

use crate::pipeline::certificate::dn::DistinguishedName;
use crate::pipeline::certificate::dn::MAX_NAME_BYTES;

/// How many bytes of DNS names are kept of one certificate. Public certificates hold some hundred names at most; what
/// is cut off is flagged, and nothing is concluded from its absence.
pub const MAX_NAMES_BYTES: usize = 32 * 1024;

/// How many DNS names are kept of one certificate, so that a row of empty-looking names costs no memory either.
pub const MAX_NAMES: usize = 2048;

/// The longest serial number that is kept, in hex digits (RFC 5280 allows 20 bytes; real ones exceed it).
const MAX_SERIAL_DIGITS: usize = 128;

/// A certificate as the log (or, later, the inventory) describes it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
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
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ValiditySource {
    /// The log row: Exchange writes local time with a `Z`, so the date is exact to ±14 h only.
    Log,
    /// The certificate itself: exact.
    Inventory,
}

/// What of a certificate could not be read; a verdict must not rest on what is missing.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Gaps {
    /// Subject and issuer could not be told apart, or were cut at [`MAX_NAME_BYTES`].
    pub dn_uncut: bool,
    /// The names are unknown (block cut short), or were cut at [`MAX_NAMES_BYTES`] or [`MAX_NAMES`].
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

impl Serialize for Thumbprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Thumbprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("a thumbprint has 40 hex digits"))
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
    /// The subject's most specific common name. Where subject and issuer could not be told apart, only one that the
    /// text begins with and whose end is beyond doubt; in a row that broke off, no end is.
    pub fn common_name(&self) -> Option<String> {
        if self.gaps.dn_uncut {
            self.thumbprint?;
            return dn::leading_common_name(&self.subject).map(std::borrow::Cow::into_owned);
        }
        let subject = DistinguishedName::parse(&self.subject)?;
        subject.common_name().map(str::to_owned)
    }

    /// The names by which a peer can recognise the certificate: its common name, if that is a DNS name, and its
    /// alternative names; lower case, A-labels, without trailing dot, each once.
    pub fn presented_names(&self) -> Vec<String> {
        self.presented_names_with(self.common_name().as_deref())
    }

    /// The same, where the common name is known already.
    pub(super) fn presented_names_with(&self, common_name: Option<&str>) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let alternative = self.names.iter().map(String::as_str);
        for name in common_name.into_iter().chain(alternative) {
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
pub fn dns_name(name: &str) -> Option<String> {
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

/// Upper-case hex of even length; a zero that was left out in front is put back.
fn serial(text: &str) -> Option<String> {
    let sound = (1..=MAX_SERIAL_DIGITS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    sound.then(|| {
        let mut serial = String::with_capacity(text.len() + 1);
        if !text.len().is_multiple_of(2) {
            serial.push('0');
        }
        serial.push_str(text);
        serial.make_ascii_uppercase();
        serial
    })
}

/// Splits `dns;dns`. Whether names were left out: because they are too many, or because something else stands among
/// them. (Dates in a form that is not known, say; then the last word may be a name all the same.)
fn dns_names(text: &str) -> (Vec<String>, bool) {
    let mut names = Vec::new();
    let mut bytes = 0;
    let mut foreign = false;
    for part in text.split(';').map(str::trim) {
        let name = match part.rsplit_once(' ') {
            Some((_, last)) => {
                foreign = true;
                if last.contains('.') { last } else { "" }
            }
            None => part,
        };
        if name.is_empty() {
            continue;
        }
        bytes += name.len();
        if bytes > MAX_NAMES_BYTES || names.len() == MAX_NAMES {
            return (names, true);
        }
        names.push(name.to_lowercase());
    }
    (names, foreign)
}

/// A distinguished name cut at its limit. What was cut may parse all the same, so it must be flagged.
fn capped(text: &str) -> &str {
    let mut end = text.len().min(MAX_NAME_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests;
