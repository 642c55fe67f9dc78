//! One row of a table: what is expected, what is presented, and what to make of it.

use std::net::IpAddr;
use std::sync::Arc;

use certdrift::pipeline::certificate::{Certificate, Gaps, Thumbprint, ValiditySource};
use certdrift::pipeline::expectation::combined::Origins;
use certdrift::pipeline::expectation::{
    ConnectorPattern, ConnectorType, Expectation, InboundConnector, Ipv4Range, PlannedRenewal,
};
use certdrift::pipeline::session::Presentation;
use certdrift::pipeline::verdict::{Evidence, Judgement, judge};
use jiff::Timestamp;
use serde::Deserialize;

/// The send connector of every case.
pub(super) const CONNECTOR: &str = "Outbound to Office 365";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Case {
    pub(super) rule: Option<String>,
    /// What the row is there to show; for the reader.
    #[serde(rename = "why")]
    pub(super) _why: Option<String>,
    /// One enabled `OnPremises` connector with this value.
    pub(super) value: Option<String>,
    pub(super) connectors: Vec<Connector>,
    pub(super) accepted_domains: Option<Vec<String>>,
    pub(super) tls_certificate_name: Option<String>,
    pub(super) pins: Vec<String>,
    pub(super) planned: Vec<Planned>,
    pub(super) accept: Vec<String>,
    pub(super) presented: Presented,
    pub(super) names: Vec<String>,
    pub(super) subject: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) thumbprint: Option<String>,
    pub(super) not_before: Option<String>,
    pub(super) not_after: Option<String>,
    pub(super) dates: Option<Dates>,
    pub(super) gaps: Vec<Gap>,
    pub(super) egress: Option<IpAddr>,
    pub(super) rejected: Option<String>,
    pub(super) verdict: String,
    pub(super) reasons: Vec<String>,
    pub(super) severities: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Connector {
    pub(super) name: Option<String>,
    pub(super) value: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    pub(super) enabled: bool,
    pub(super) addresses: Vec<String>,
    pub(super) cross_premises: Option<bool>,
}

impl Default for Connector {
    fn default() -> Self {
        Self {
            name: None,
            value: None,
            kind: Kind::OnPremises,
            enabled: true,
            addresses: Vec::new(),
            cross_premises: None,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum Kind {
    OnPremises,
    Partner,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Planned {
    thumbprint: String,
    from: String,
    until: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Presented {
    #[default]
    Certificate,
    None,
    Unknown,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Dates {
    Log,
    Inventory,
}

/// What the log does not show of the certificate.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Gap {
    Names,
    Issuer,
    Dn,
    Thumbprint,
}

impl Case {
    /// The judgement on 2026-06-01 at noon.
    pub(super) fn judge(&self) -> Judgement {
        let presentation = self.presentation();
        let evidence = Evidence {
            presentation: presentation.as_ref(),
            egress: self.egress,
            rejected: self.rejected.as_deref(),
        };
        let now = time("2026-06-01T12:00:00Z");
        judge(CONNECTOR, &evidence, &self.expectation(), now)
    }

    fn presentation(&self) -> Option<Presentation> {
        match self.presented {
            Presented::Unknown => None,
            Presented::None => Some(Presentation::NoCertificate),
            Presented::Certificate => Some(Presentation::Certificate(Arc::new(self.certificate()))),
        }
    }

    fn certificate(&self) -> Certificate {
        let has_gap = |gap| self.gaps.contains(&gap);
        let default = |text: &Option<String>, default: &str| {
            text.clone().unwrap_or_else(|| default.to_owned())
        };
        let issuer = default(&self.issuer, "CN=Contoso CA");
        Certificate {
            thumbprint: (!has_gap(Gap::Thumbprint))
                .then(|| thumbprint(&default(&self.thumbprint, "aa"))),
            subject: default(&self.subject, "CN=Contoso Mail"),
            issuer: (!has_gap(Gap::Issuer) && !has_gap(Gap::Dn)).then_some(issuer),
            serial: Some("01".to_owned()),
            names: self.names.clone(),
            not_before: self.not_before.as_deref().map(time),
            not_after: self.not_after.as_deref().map(time),
            validity_from: self.dates.map(|dates| match dates {
                Dates::Log => ValiditySource::Log,
                Dates::Inventory => ValiditySource::Inventory,
            }),
            gaps: Gaps {
                dn_uncut: has_gap(Gap::Dn),
                names_incomplete: has_gap(Gap::Names),
            },
        }
    }

    fn expectation(&self) -> Expectation {
        let single = self.value.iter().map(|value| Connector {
            value: Some(value.clone()),
            ..Connector::default()
        });
        let connectors = single.chain(self.connectors.iter().cloned());
        Expectation {
            pattern: ConnectorPattern::new(CONNECTOR).unwrap(),
            inbound_connectors: connectors.enumerate().map(inbound_connector).collect(),
            accepted_domains: self.accepted_domains.clone(),
            tls_certificate_name: self.tls_certificate_name.clone(),
            thumbprints: self.pins.iter().map(|pin| thumbprint(pin)).collect(),
            accept: self.accept.clone(),
            planned: self.planned.iter().map(planned_renewal).collect(),
            silent_after: None,
            protocol_logging: None,
            origins: Origins::default(),
        }
    }
}

fn inbound_connector((index, connector): (usize, Connector)) -> InboundConnector {
    let default = || format!("Inbound {}", index + 1);
    let ranges = connector.addresses.iter();
    InboundConnector {
        name: connector.name.unwrap_or_else(default),
        enabled: connector.enabled,
        connector_type: match connector.kind {
            Kind::OnPremises => ConnectorType::OnPremises,
            Kind::Partner => ConnectorType::Partner,
        },
        tls_sender_certificate_name: connector.value,
        sender_ip_addresses: ranges
            .map(|range| Ipv4Range::parse(range).unwrap())
            .collect(),
        cloud_services_mail_enabled: connector.cross_premises,
    }
}

fn planned_renewal(planned: &Planned) -> PlannedRenewal {
    PlannedRenewal {
        thumbprint: thumbprint(&planned.thumbprint),
        from: time(&planned.from),
        until: time(&planned.until),
        reason: None,
    }
}

/// A thumbprint of one byte, repeated.
fn thumbprint(byte: &str) -> Thumbprint {
    Thumbprint([u8::from_str_radix(byte, 16).unwrap(); 20])
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}
