//! Certificates as the protocol log describes them: rows of form A, B and C.

pub mod dn;

use std::fmt;

use jiff::Timestamp;

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
    /// The names are unknown (block cut short) or were cut at [`MAX_NAMES`].
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
