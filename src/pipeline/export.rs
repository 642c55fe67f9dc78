//! What Exchange itself says of its connectors, domains and certificates: the output of its cmdlets as JSON files.
//!
//! Such files are written by scripts of all ages: by Windows PowerShell 5.1 in UTF-16 or with a byte order mark, with
//! enumerations as numbers and dates as `/Date(…)/`; by PowerShell 7 in UTF-8; by a session on the server itself, where
//! a domain is an object, or by a remote one, where it is a text. All of that is read. What is not read is guessed work:
//! a property that an export leaves out, or that `ConvertTo-Json` cut off at its `-Depth`, is unknown, never false, and
//! a file that is no such export, or only half of one, is refused as a whole, because a part of it would make a verdict
//! out of a copying mistake. Properties that nobody asks for are ignored.

pub mod certificates;
mod document;
mod domains;
pub mod inbound;
mod object;
pub mod send;

use std::fmt;

use jiff::Timestamp;

use crate::pipeline::export::certificates::RawCertificate;
use crate::pipeline::export::document::Document;
use crate::pipeline::export::inbound::InboundProperties;
use crate::pipeline::export::object::Object;
use crate::pipeline::export::object::Wrong;
use crate::pipeline::export::send::SendConnector;

/// Largest export, in bytes: some thousand certificates with all their properties.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most objects of one export.
pub const MAX_OBJECTS: usize = 10_000;
/// Most connectors of one export: each send connector is compared with each inbound connector.
pub const MAX_CONNECTORS: usize = 500;

/// Everything that is exported; `None`: not exported, or not readable yet.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Exports {
    /// `Get-InboundConnector` of Exchange Online; never empty.
    pub inbound_connectors: Option<Vec<InboundProperties>>,
    /// `Get-AcceptedDomain`: lower case, A-labels, in the order of the export; never empty.
    pub accepted_domains: Option<Vec<String>>,
    /// `Get-SendConnector`; empty where Exchange has none.
    pub send_connectors: Option<Vec<SendConnector>>,
    /// `Get-ExchangeCertificate`.
    pub certificates: Option<Vec<RawCertificate>>,
}

/// Which export.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// `Get-InboundConnector`.
    InboundConnectors,
    /// `Get-AcceptedDomain`.
    AcceptedDomains,
    /// `Get-SendConnector`.
    SendConnectors,
    /// `Get-ExchangeCertificate`.
    Certificates,
}

impl Kind {
    /// All of them, in the order of the configuration.
    pub const ALL: [Self; 4] = [
        Self::InboundConnectors,
        Self::AcceptedDomains,
        Self::SendConnectors,
        Self::Certificates,
    ];

    /// The name that configuration and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InboundConnectors => "inbound_connectors",
            Self::AcceptedDomains => "accepted_domains",
            Self::SendConnectors => "send_connectors",
            Self::Certificates => "certificates",
        }
    }

    /// The cmdlet that writes it.
    pub fn cmdlet(self) -> &'static str {
        match self {
            Self::InboundConnectors => "Get-InboundConnector",
            Self::AcceptedDomains => "Get-AcceptedDomain",
            Self::SendConnectors => "Get-SendConnector",
            Self::Certificates => "Get-ExchangeCertificate",
        }
    }

    fn max_objects(self) -> usize {
        match self {
            Self::InboundConnectors | Self::SendConnectors => MAX_CONNECTORS,
            Self::AcceptedDomains | Self::Certificates => MAX_OBJECTS,
        }
    }
}

impl Exports {
    /// Reads one export and takes its content over. When it was exported, if the file says so itself.
    ///
    /// # Errors
    /// What is wrong with the file; then nothing has changed. It may be half-written, so try again when it changes.
    pub fn take(&mut self, kind: Kind, bytes: &[u8]) -> Result<Option<Timestamp>, Problem> {
        let document = Document::read(bytes, kind)?;
        match kind {
            Kind::InboundConnectors => {
                let connectors = document.all(inbound::read)?;
                self.inbound_connectors = Some(some(connectors, kind)?);
            }
            Kind::AcceptedDomains => {
                let domains = document.all(domains::read)?;
                self.accepted_domains = Some(domains::distinct(some(domains, kind)?));
            }
            Kind::SendConnectors => self.send_connectors = Some(document.all(send::read)?),
            Kind::Certificates => {
                let certificates = document.all(certificates::read)?;
                self.certificates = Some(certificates::useful(certificates)?);
            }
        }
        Ok(document.exported_at)
    }

    /// Gives up what one export said, because it is no longer wanted.
    pub fn forget(&mut self, kind: Kind) {
        match kind {
            Kind::InboundConnectors => self.inbound_connectors = None,
            Kind::AcceptedDomains => self.accepted_domains = None,
            Kind::SendConnectors => self.send_connectors = None,
            Kind::Certificates => self.certificates = None,
        }
    }
}

/// No tenant with hybrid mail is without connectors or domains, but an export that failed is.
fn some<T>(objects: Vec<T>, kind: Kind) -> Result<Vec<T>, Problem> {
    if objects.is_empty() {
        let remedy = format!(
            "{} gave nothing; is the session connected to the right organisation, with the rights to see it?",
            kind.cmdlet()
        );
        return Err(Problem::of_file("holds no object", remedy));
    }
    Ok(objects)
}

/// What is wrong with an export: `line 3, column 5: object 2 ("Inbound"): Enabled is …; remedy`. The file's name goes in
/// front. Values are made fit to be shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// Line and column in characters, from 1; `None`: the file as a whole.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Problem {
    fn of_file(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            place: None,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
