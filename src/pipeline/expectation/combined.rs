//! The configuration and the exports, put together: a field that the configuration gives wins, and what it leaves out
//! comes from the export.
//!
//! `TlsCertificateName` belongs to one send connector, while an entry of the configuration may mean several. So each
//! exported send connector that an entry means gets an expectation of its own, before the entry's. A send connector
//! that no entry means is judged, too, if its export shows that it carries the organisation's mail to Exchange Online.

use std::time::Duration;

use crate::pipeline::certificate::Thumbprint;
use crate::pipeline::expectation::ConnectorPattern;
use crate::pipeline::expectation::Expectation;
use crate::pipeline::expectation::Expectations;
use crate::pipeline::expectation::InboundConnector;
use crate::pipeline::expectation::PlannedRenewal;
use crate::pipeline::export::Exports;
use crate::pipeline::export::inbound::ConnectorType;
use crate::pipeline::export::inbound::InboundProperties;
use crate::pipeline::export::send::SendConnector;

/// An item of `connectors:`. `None`: not given there, so an export may say it.
#[derive(Clone, Debug)]
pub struct Configured {
    /// Which send connectors are meant.
    pub pattern: ConnectorPattern,
    /// The inbound connectors that are expected, and what is given of each.
    pub inbound_connectors: Option<Vec<InboundProperties>>,
    /// The tenant's accepted domains, lower case.
    pub accepted_domains: Option<Vec<String>>,
    /// `TlsCertificateName` of the send connector.
    pub tls_certificate_name: Option<String>,
    /// Pinned certificates; empty: no pins.
    pub thumbprints: Vec<Thumbprint>,
    /// Reason codes of `fragile` findings that the operator accepts.
    pub accept: Vec<String>,
    /// Renewals under way.
    pub planned: Vec<PlannedRenewal>,
    /// After how long without a session the connector counts as silent.
    pub silent_after: Option<Duration>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// The configuration file.
    Configuration,
    /// An export.
    Export,
}

/// Where the fields of an [`Expectation`] come from; `None`: the value is unknown.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Origins {
    /// Of the inbound connectors, in the same order; empty where nobody noted it.
    pub inbound_connectors: Vec<InboundOrigins>,
    /// Of the accepted domains.
    pub accepted_domains: Option<Origin>,
    /// Of the send connector's `TlsCertificateName`.
    pub tls_certificate_name: Option<Origin>,
}

/// Where the fields of an [`InboundConnector`] come from; `None`: nobody gave the value, so the usual one is assumed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InboundOrigins {
    /// Who says that this connector is expected.
    pub connector: Origin,
    /// Of `Enabled`.
    pub enabled: Option<Origin>,
    /// Of `ConnectorType`.
    pub connector_type: Option<Origin>,
    /// Of `TlsSenderCertificateName`.
    pub tls_sender_certificate_name: Option<Origin>,
    /// Of `SenderIPAddresses`.
    pub sender_ip_addresses: Option<Origin>,
    /// Of `CloudServicesMailEnabled`.
    pub cloud_services_mail_enabled: Option<Origin>,
}

impl Configured {
    /// Nothing is given but which connectors are meant.
    pub fn blank(pattern: ConnectorPattern) -> Self {
        Self {
            pattern,
            inbound_connectors: None,
            accepted_domains: None,
            tls_certificate_name: None,
            thumbprints: Vec::new(),
            accept: Vec::new(),
            planned: Vec::new(),
            silent_after: None,
        }
    }
}

impl Expectations {
    /// Completes what is configured by what is exported.
    ///
    /// A send connector whose export says that it is disabled is not judged: whatever is expected of it, no mail takes
    /// that way.
    pub fn combine(configured: &[Configured], exports: &Exports) -> Self {
        let mut all = Self::default();
        let mut left: Vec<&SendConnector> = Vec::new();
        for connector in exports.send_connectors.iter().flatten() {
            if connector.enabled == Some(false) {
                all.disabled.insert(connector.name.to_lowercase());
            } else {
                left.push(connector);
            }
        }
        for entry in configured {
            let (meant, others) = left
                .into_iter()
                .partition(|connector| entry.pattern.matches(&connector.name));
            left = others;
            all.add_entry(entry, &meant, exports);
        }
        for connector in left.into_iter().filter(|connector| connector.is_hybrid()) {
            let entry = Configured::blank(ConnectorPattern::exact(&connector.name));
            all.add_exact(&entry, connector, exports);
        }
        all
    }

    fn add_entry(&mut self, entry: &Configured, meant: &[&SendConnector], exports: &Exports) {
        // An entry that spells a connector's name is that connector's own already.
        let is_own = |connector: &&&SendConnector| {
            let name = entry.pattern.as_str();
            name.to_lowercase() == connector.name.to_lowercase()
        };
        for connector in meant.iter().filter(|connector| !is_own(connector)) {
            self.add_exact(entry, connector, exports);
        }
        let own = meant.iter().find(is_own).copied();
        self.entries.push(expectation(entry, own, exports));
    }

    /// The first connector of a name counts.
    fn add_exact(&mut self, entry: &Configured, connector: &SendConnector, exports: &Exports) {
        let position = self.entries.len();
        let known = self.exact.entry(connector.name.to_lowercase());
        if *known.or_insert(position) == position {
            let mut expectation = expectation(entry, Some(connector), exports);
            expectation.pattern = ConnectorPattern::exact(&connector.name);
            self.entries.push(expectation);
        }
    }
}

fn expectation(
    entry: &Configured,
    connector: Option<&SendConnector>,
    exports: &Exports,
) -> Expectation {
    let (accepted_domains, accepted_domains_from) = pick(
        entry.accepted_domains.as_ref(),
        exports.accepted_domains.as_ref(),
    );
    let exported = connector.and_then(|connector| connector.tls_certificate_name.as_ref());
    let (tls_certificate_name, tls_certificate_name_from) =
        pick(entry.tls_certificate_name.as_ref(), exported);
    let (inbound_connectors, inbound_origins) = inbound_connectors(entry, exports);
    Expectation {
        pattern: entry.pattern.clone(),
        inbound_connectors,
        accepted_domains,
        tls_certificate_name,
        thumbprints: entry.thumbprints.clone(),
        accept: entry.accept.clone(),
        planned: entry.planned.clone(),
        silent_after: entry.silent_after,
        protocol_logging: connector.and_then(|connector| connector.protocol_logging),
        source_transport_servers: connector
            .and_then(|connector| connector.source_transport_servers.clone()),
        frontend_proxy: connector
            .is_some_and(|connector| connector.frontend_proxy_enabled == Some(true)),
        origins: Origins {
            inbound_connectors: inbound_origins,
            accepted_domains: accepted_domains_from,
            tls_certificate_name: tls_certificate_name_from,
        },
    }
}

/// The connectors that the configuration names; where it names none, all that are exported.
fn inbound_connectors(
    entry: &Configured,
    exports: &Exports,
) -> (Vec<InboundConnector>, Vec<InboundOrigins>) {
    let is_exported = exports.inbound_connectors.is_some();
    let exported = exports.inbound_connectors.as_deref().unwrap_or_default();
    let Some(configured) = &entry.inbound_connectors else {
        return exported
            .iter()
            .map(|exported| inbound_connector(None, Some(exported)))
            .unzip();
    };
    configured
        .iter()
        .map(|configured| {
            let name = configured.name.to_lowercase();
            let exported = exported
                .iter()
                .find(|exported| exported.name.to_lowercase() == name);
            let (mut inbound, origins) = inbound_connector(Some(configured), exported);
            inbound.missing_from_export = is_exported && exported.is_none();
            (inbound, origins)
        })
        .unzip()
}

/// At least one of the two is given.
fn inbound_connector(
    configured: Option<&InboundProperties>,
    exported: Option<&InboundProperties>,
) -> (InboundConnector, InboundOrigins) {
    let (name, connector) = pick(configured.map(|it| &it.name), exported.map(|it| &it.name));
    let (enabled, enabled_from) = pick(
        configured.and_then(|it| it.enabled.as_ref()),
        exported.and_then(|it| it.enabled.as_ref()),
    );
    let (connector_type, connector_type_from) = pick(
        configured.and_then(|it| it.connector_type.as_ref()),
        exported.and_then(|it| it.connector_type.as_ref()),
    );
    let (certificate, certificate_from) = pick(
        configured.and_then(|it| it.tls_sender_certificate_name.as_ref()),
        exported.and_then(|it| it.tls_sender_certificate_name.as_ref()),
    );
    let (addresses, addresses_from) = pick(
        configured.and_then(|it| it.sender_ip_addresses.as_ref()),
        exported.and_then(|it| it.sender_ip_addresses.as_ref()),
    );
    let (cloud_services, cloud_services_from) = pick(
        configured.and_then(|it| it.cloud_services_mail_enabled.as_ref()),
        exported.and_then(|it| it.cloud_services_mail_enabled.as_ref()),
    );
    let is_left_out = exported.is_some_and(|it| it.certificate_name_unknown);
    let inbound = InboundConnector {
        name: name.unwrap_or_default(),
        enabled: enabled.unwrap_or(true),
        connector_type: connector_type.unwrap_or(ConnectorType::OnPremises),
        certificate_name_unknown: certificate.is_none() && is_left_out,
        tls_sender_certificate_name: certificate,
        sender_ip_addresses: addresses.unwrap_or_default(),
        cloud_services_mail_enabled: cloud_services,
        missing_from_export: false,
    };
    let origins = InboundOrigins {
        connector: connector.unwrap_or(Origin::Export),
        enabled: enabled_from,
        connector_type: connector_type_from,
        tls_sender_certificate_name: certificate_from,
        sender_ip_addresses: addresses_from,
        cloud_services_mail_enabled: cloud_services_from,
    };
    (inbound, origins)
}

fn pick<T: Clone>(configured: Option<&T>, exported: Option<&T>) -> (Option<T>, Option<Origin>) {
    match (configured, exported) {
        (Some(value), _) => (Some(value.clone()), Some(Origin::Configuration)),
        (None, Some(value)) => (Some(value.clone()), Some(Origin::Export)),
        (None, None) => (None, None),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
