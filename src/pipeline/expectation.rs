//! What each connector is expected to present: the other half of the comparison.
//!
//! The types use Exchange's own property names (`Get-InboundConnector`, `Get-SendConnector`, `Get-AcceptedDomain`)
//! so that an admin recognises them. Where Exchange may leave a property out, the type says so: absent is unknown,
//! never false.

pub mod combined;
pub mod settings;

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use globset::GlobMatcher;
use jiff::Timestamp;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::pipeline::certificate::Thumbprint;
use crate::pipeline::expectation::combined::Origins;
pub use crate::pipeline::expectation::settings::ExpiryThresholds;
pub use crate::pipeline::expectation::settings::Settings;
pub use crate::pipeline::expectation::settings::Threshold;
pub use crate::pipeline::export::inbound::ConnectorType;
pub use crate::pipeline::export::inbound::Ipv4Range;

/// Everything that is expected: what the configuration says, completed by what Exchange exported.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    entries: Vec<Expectation>,
    /// Positions of the entries that mean one connector only, by its name in lower case: an export may hold many.
    exact: HashMap<String, usize>,
    /// Names of the connectors that are disabled, in lower case.
    disabled: HashSet<String>,
}

impl Expectations {
    /// Keeps the entries in the order given; the first whose pattern fits a connector is the one that counts.
    pub fn new(entries: Vec<Expectation>) -> Self {
        Self {
            entries,
            ..Self::default()
        }
    }

    /// The expectation for a send connector, or `None`: then it is shown but neither judged nor alerted on.
    pub fn for_connector(&self, connector: &str) -> Option<&Expectation> {
        self.entries.get(self.position(connector)?)
    }

    /// Where that expectation stands among the [entries](Self::entries).
    pub fn position(&self, connector: &str) -> Option<usize> {
        if !self.exact.is_empty() || !self.disabled.is_empty() {
            let name = connector.to_lowercase();
            if self.disabled.contains(&name) {
                return None;
            }
            if let Some(&position) = self.exact.get(&name) {
                return Some(position);
            }
        }
        self.entries
            .iter()
            .position(|entry| entry.pattern.matches(connector))
    }

    /// The entries in their order.
    pub fn entries(&self) -> &[Expectation] {
        &self.entries
    }
}

/// Which send connectors are meant: a glob of the configuration (`*`, `?`, `[…]`), or one name of an export. Compared
/// without case.
#[derive(Clone, Debug)]
pub struct ConnectorPattern {
    typed: String,
    /// `None`: only the name itself is meant, whatever characters are in it.
    matcher: Option<GlobMatcher>,
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
            matcher: Some(glob.compile_matcher()),
        })
    }

    /// Means the connector of this name alone.
    pub fn exact(name: &str) -> Self {
        Self {
            typed: name.to_owned(),
            matcher: None,
        }
    }

    /// The connector's name, if one alone is meant.
    pub fn single_name(&self) -> Option<&str> {
        let is_single = self.is_exact() || !self.typed.contains(['*', '?', '[', '{', '\\']);
        is_single.then_some(self.typed.as_str())
    }

    /// Whether one connector alone is meant, because an export names it.
    pub fn is_exact(&self) -> bool {
        self.matcher.is_none()
    }

    /// The pattern as it was typed, or the name.
    pub fn as_str(&self) -> &str {
        &self.typed
    }

    /// Whether a send connector's name, as the log spells it, is meant.
    pub fn matches(&self, connector: &str) -> bool {
        let is_match = |matcher: &GlobMatcher| matcher.is_match(connector);
        self.typed.eq_ignore_ascii_case(connector) || self.matcher.as_ref().is_some_and(is_match)
    }
}

/// What one send connector (or all whose names fit a pattern) is expected to present.
#[derive(Clone, Debug)]
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
    /// The servers that send by the connector (`SourceTransportServers`); `None`: unknown.
    pub source_transport_servers: Option<Vec<String>>,
    /// Whether the front end makes the connections (`FrontendProxyEnabled`), and logs them under a name of its own.
    pub frontend_proxy: bool,
    /// Where the fields come from.
    pub origins: Origins,
}

impl Expectation {
    /// Whether the organisation is to be recognised by a certificate, not by its address alone.
    pub fn expects_a_certificate(&self) -> bool {
        let by_name = |it: &InboundConnector| it.tls_sender_certificate_name.is_some();
        self.inbound_connectors.iter().any(by_name) || !self.thumbprints.is_empty()
    }

    /// The same for all that lead to the same verdict on everything, here and after a restart. Where a value comes from
    /// does not change it, nor which connectors are meant besides, nor what rests on the clock alone, nor in which order
    /// things are listed: Exchange promises none.
    pub fn fingerprint(&self) -> String {
        let Self {
            pattern: _,
            inbound_connectors,
            accepted_domains,
            tls_certificate_name,
            thumbprints,
            accept,
            planned,
            silent_after: _,
            protocol_logging: _,
            source_transport_servers: _,
            frontend_proxy: _,
            origins: _,
        } = self;
        let inbound_connectors = inbound_connectors.iter().map(|connector| {
            let mut connector = connector.clone();
            let addresses = &mut connector.sender_ip_addresses;
            addresses.sort_unstable();
            addresses.dedup();
            in_json(&connector)
        });
        let planned = planned.iter().map(|renewal| PlannedRenewal {
            reason: None,
            ..renewal.clone()
        });
        let judged = Judged {
            inbound_connectors: inbound_connectors.collect(),
            accepted_domains: accepted_domains.as_ref().map(BTreeSet::from_iter),
            tls_certificate_name,
            thumbprints: thumbprints.iter().copied().collect(),
            accept: accept.iter().collect(),
            planned: planned.map(|it| in_json(&it)).collect(),
        };
        let digest = Sha256::digest(in_json(&judged));
        digest[..16].iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

fn in_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// What a verdict rests on. What is not given is left out, so that a later certdrift with more fields has the same
/// fingerprints.
#[derive(Serialize)]
struct Judged<'a> {
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    inbound_connectors: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_domains: Option<BTreeSet<&'a String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_certificate_name: &'a Option<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    thumbprints: BTreeSet<Thumbprint>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    accept: BTreeSet<&'a String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    planned: BTreeSet<String>,
}

/// An inbound connector of Exchange Online (`Get-InboundConnector`).
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct InboundConnector {
    /// `Name`.
    pub name: String,
    /// `Enabled`; a disabled connector matches nothing.
    pub enabled: bool,
    /// `ConnectorType`.
    pub connector_type: ConnectorType,
    /// `TlsSenderCertificateName`: a host, `*.domain` or `<I>issuer<S>subject`; `None`: recognised by address only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_sender_certificate_name: Option<String>,
    /// Whether `TlsSenderCertificateName` is neither configured nor exported: it may have one.
    #[serde(skip_serializing_if = "is_false")]
    pub certificate_name_unknown: bool,
    /// `SenderIPAddresses`: IPv4, single addresses or /24 to /32.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sender_ip_addresses: Vec<Ipv4Range>,
    /// `CloudServicesMailEnabled`; `None`: unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_services_mail_enabled: Option<bool>,
    /// Whether the configuration names it, and the export in force does not hold it.
    #[serde(skip_serializing_if = "is_false")]
    pub missing_from_export: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A renewal under way: inside the window the old and the new certificate are both fine.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn inbound(name: &str, addresses: &[&str]) -> InboundConnector {
        let ranges = addresses.iter().map(|it| Ipv4Range::parse(it).unwrap());
        InboundConnector {
            name: name.to_owned(),
            enabled: true,
            connector_type: ConnectorType::OnPremises,
            tls_sender_certificate_name: Some("mail.contoso.com".to_owned()),
            certificate_name_unknown: false,
            sender_ip_addresses: ranges.collect(),
            cloud_services_mail_enabled: None,
            missing_from_export: false,
        }
    }

    fn expectation() -> Expectation {
        let planned = |byte, reason: &str| PlannedRenewal {
            thumbprint: Thumbprint([byte; 20]),
            from: Timestamp::UNIX_EPOCH,
            until: Timestamp::MAX,
            reason: Some(reason.to_owned()),
        };
        Expectation {
            pattern: ConnectorPattern::exact("Outbound"),
            inbound_connectors: vec![
                inbound("one", &["203.0.113.7", "198.51.100.0/24"]),
                inbound("two", &[]),
            ],
            accepted_domains: Some(vec!["contoso.com".to_owned(), "fabrikam.com".to_owned()]),
            tls_certificate_name: None,
            thumbprints: vec![Thumbprint([1; 20]), Thumbprint([2; 20])],
            accept: vec!["self_signed".to_owned(), "servers_disagree".to_owned()],
            planned: vec![planned(3, "CHG1"), planned(4, "CHG2")],
            silent_after: None,
            protocol_logging: None,
            source_transport_servers: None,
            frontend_proxy: false,
            origins: Origins::default(),
        }
    }

    fn domains(expectation: &mut Expectation) -> &mut Vec<String> {
        expectation.accepted_domains.as_mut().unwrap()
    }

    #[test]
    fn a_fingerprint_does_not_depend_on_order_repetition_or_remarks() {
        type Change = fn(&mut Expectation);
        let changes: [(&str, Change); 9] = [
            ("domains", |it| domains(it).reverse()),
            ("a domain twice", |it| {
                domains(it).push("contoso.com".to_owned());
            }),
            ("inbound connectors", |it| it.inbound_connectors.reverse()),
            ("addresses", |it| {
                it.inbound_connectors[0].sender_ip_addresses.reverse();
            }),
            ("an address twice", |it| {
                let addresses = &mut it.inbound_connectors[0].sender_ip_addresses;
                addresses.push(addresses[0]);
            }),
            ("thumbprints", |it| it.thumbprints.reverse()),
            ("accept", |it| it.accept.reverse()),
            ("planned renewals", |it| it.planned.reverse()),
            ("a remark", |it| it.planned[0].reason = None),
        ];
        for (what, change) in changes {
            let mut other = expectation();
            change(&mut other);
            let before = expectation().fingerprint();
            assert_eq!(other.fingerprint(), before, "{what}");
        }
    }

    #[test]
    fn a_fingerprint_depends_on_all_that_is_judged() {
        type Change = fn(&mut Expectation);
        let changes: [Change; 8] = [
            |it| domains(it).push("hr.contoso.com".to_owned()),
            |it| domains(it).clear(),
            |it| it.accepted_domains = None,
            |it| it.inbound_connectors.truncate(1),
            |it| it.inbound_connectors[0].sender_ip_addresses.truncate(1),
            |it| it.thumbprints.truncate(1),
            |it| it.accept.truncate(1),
            |it| it.planned[0].until = Timestamp::UNIX_EPOCH,
        ];
        let mut known = HashSet::from([expectation().fingerprint()]);
        for (number, change) in changes.into_iter().enumerate() {
            let mut other = expectation();
            change(&mut other);
            assert!(known.insert(other.fingerprint()), "change {number}");
        }
    }
}
