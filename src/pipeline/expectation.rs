//! What each connector is expected to present: the other half of the comparison.
//!
//! The types use Exchange's own property names (`Get-InboundConnector`, `Get-SendConnector`, `Get-AcceptedDomain`)
//! so that an admin recognises them. Where Exchange may leave a property out, the type says so: absent is unknown,
//! never false.

pub mod settings;

use std::net::Ipv4Addr;
use std::time::Duration;

use globset::GlobMatcher;
use jiff::Timestamp;

use crate::pipeline::certificate::Thumbprint;
pub use crate::pipeline::expectation::settings::ExpiryThresholds;
pub use crate::pipeline::expectation::settings::Settings;
pub use crate::pipeline::expectation::settings::Threshold;

/// Everything that is expected, one entry per `connectors:` item of the configuration, in its order.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    entries: Vec<Expectation>,
}

impl Expectations {
    /// Keeps the entries in the order given; the first whose pattern fits a connector is the one that counts.
    pub fn new(entries: Vec<Expectation>) -> Self {
        Self { entries }
    }

    /// The expectation for a send connector, or `None`: then it is shown but neither judged nor alerted on.
    pub fn for_connector(&self, connector: &str) -> Option<&Expectation> {
        self.entries
            .iter()
            .find(|entry| entry.pattern.matches(connector))
    }

    /// The entries in the order of the configuration.
    pub fn entries(&self) -> &[Expectation] {
        &self.entries
    }
}

/// A connector name of the configuration: a glob (`*`, `?`, `[…]`), compared without case.
#[derive(Clone, Debug)]
pub struct ConnectorPattern {
    typed: String,
    matcher: GlobMatcher,
}

impl ConnectorPattern {
    /// Compiles what was typed.
    ///
    /// # Errors
    /// The glob crate's own words when the pattern cannot be compiled (an unclosed `[`, say).
    pub fn new(typed: &str) -> Result<Self, String> {
        let glob = globset::GlobBuilder::new(typed)
            .case_insensitive(true)
            .build()
            .map_err(|error| error.kind().to_string())?;
        Ok(Self {
            typed: typed.to_owned(),
            matcher: glob.compile_matcher(),
        })
    }

    /// The pattern as it was typed.
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// Whether a send connector's name, as the log spells it, is meant.
    pub fn matches(&self, connector: &str) -> bool {
        self.typed.eq_ignore_ascii_case(connector) || self.matcher.is_match(connector)
    }
}

impl Eq for ConnectorPattern {}

impl PartialEq for ConnectorPattern {
    /// The same text means the same connectors.
    fn eq(&self, other: &Self) -> bool {
        self.typed == other.typed
    }
}

/// What one send connector (or all whose names fit a pattern) is expected to present.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expectation {
    /// Which send connectors are meant.
    pub pattern: ConnectorPattern,
    /// The inbound connectors of Exchange Online that may recognise the organisation.
    pub inbound_connectors: Vec<InboundConnector>,
    /// The tenant's accepted domains, lower case; `None`: unknown.
    pub accepted_domains: Option<Vec<String>>,
    /// `TlsCertificateName` of the send connector: `<I>issuer<S>subject`.
    pub tls_certificate_name: Option<String>,
    /// Pinned certificates; empty: no pins.
    pub thumbprints: Vec<Thumbprint>,
    /// Reason codes of `fragile` findings that the operator knows and accepts.
    pub accept: Vec<String>,
    /// Renewals under way.
    pub planned: Vec<PlannedRenewal>,
    /// After how long without a session the connector counts as silent; `None`: learned or not watched.
    pub silent_after: Option<Duration>,
    /// Whether the connector writes a protocol log at all (`ProtocolLoggingLevel`); `None`: unknown.
    pub protocol_logging: Option<bool>,
}

/// An inbound connector of Exchange Online (`Get-InboundConnector`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InboundConnector {
    /// `Name`.
    pub name: String,
    /// `Enabled`; a disabled connector matches nothing.
    pub enabled: bool,
    /// `ConnectorType`.
    pub connector_type: ConnectorType,
    /// `TlsSenderCertificateName`: a host, `*.domain` or `<I>issuer<S>subject`; `None`: recognised by address only.
    pub tls_sender_certificate_name: Option<String>,
    /// `SenderIPAddresses`: IPv4, single addresses or /24 to /32.
    pub sender_ip_addresses: Vec<Ipv4Range>,
    /// `CloudServicesMailEnabled`; `None`: unknown.
    pub cloud_services_mail_enabled: Option<bool>,
}

/// `ConnectorType` of an inbound connector.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConnectorType {
    /// Mail of the organisation's own servers: the only type that attributes relayed mail.
    OnPremises,
    /// Mail of a partner organisation.
    Partner,
}

/// An IPv4 address range in CIDR form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ipv4Range {
    network: Ipv4Addr,
    prefix: u8,
}

impl Ipv4Range {
    /// Reads `a.b.c.d` or `a.b.c.d/n` with n from 24 to 32, as Exchange Online accepts them.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, prefix.parse().ok()?),
            None => (text, 32),
        };
        let network = address.parse().ok()?;
        (24..=32)
            .contains(&prefix)
            .then_some(Self { network, prefix })
    }

    /// Whether the address lies in the range.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        let mask = u32::MAX << (32 - u32::from(self.prefix));
        u32::from(address) & mask == u32::from(self.network) & mask
    }
}

impl std::fmt::Display for Ipv4Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.prefix == 32 {
            write!(f, "{}", self.network)
        } else {
            write!(f, "{}/{}", self.network, self.prefix)
        }
    }
}

/// A renewal under way: inside the window the old and the new certificate are both fine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlannedRenewal {
    /// The certificate that will be presented afterwards.
    pub thumbprint: Thumbprint,
    /// Start of the window.
    pub from: Timestamp,
    /// End of the window; the change is overdue after it.
    pub until: Timestamp,
    /// A change number or other remark, shown with the finding.
    pub reason: Option<String>,
}
