//! One row of a table: what is expected, what is presented, and what to make of it.

use std::net::IpAddr;
use std::sync::Arc;

use certdrift::pipeline::certificate::{Certificate, Gaps, Thumbprint, ValiditySource};
use certdrift::pipeline::expectation::combined::Origins;
use certdrift::pipeline::expectation::{
    ConnectorPattern, ConnectorType, Expectation, InboundConnector, Ipv4Range, PlannedRenewal,
    Settings, Threshold,
};
use certdrift::pipeline::inventory::{ExtendedKeyUsage, Inventory, InventoryCertificate};
use certdrift::pipeline::session::Presentation;
use certdrift::pipeline::verdict::{Before, Bench, Evidence, Judgement, judge};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// The server of every case.
pub(super) const SERVER: &str = "EX01";
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
    /// Whether all that was rejected had the null sender.
    #[serde(default)]
    pub(super) only_null_sender: bool,
    /// Certificates that are known apart from the log.
    pub(super) inventory: Vec<Known>,
    /// What was presented before.
    pub(super) before: Option<Past>,
    /// Limits of `alerts.expiry`, warning and critical: `33%` or `21d`.
    pub(super) expiry: Option<[String; 2]>,
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
    /// Its export leaves `TlsSenderCertificateName` out.
    pub(super) name_unknown: bool,
    /// The export does not hold it.
    pub(super) missing: bool,
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
            name_unknown: false,
            missing: false,
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

/// A certificate of the inventory.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Known {
    thumbprint: Option<String>,
    names: Vec<String>,
    subject: Option<String>,
    issuer: Option<String>,
    not_before: String,
    not_after: String,
    /// `none`, `server`, `client` or `both`; without it there is no extension.
    eku: Option<String>,
    server: Option<String>,
}

impl Known {
    fn read(&self) -> InventoryCertificate {
        let or = |text: &Option<String>, default: &str| text.clone().unwrap_or(default.to_owned());
        let certificate = Certificate {
            thumbprint: Some(thumbprint(&or(&self.thumbprint, "bb"))),
            subject: or(&self.subject, "CN=Contoso Mail"),
            issuer: Some(or(&self.issuer, "CN=Contoso CA")),
            serial: Some("02".to_owned()),
            names: self.names.clone(),
            not_before: Some(time(&self.not_before)),
            not_after: Some(time(&self.not_after)),
            validity_from: Some(ValiditySource::Inventory),
            gaps: Gaps::default(),
        };
        InventoryCertificate {
            certificate: Arc::new(certificate),
            sha256: [0; 32],
            extended_key_usage: self.eku.as_deref().map(|usage| ExtendedKeyUsage {
                server_auth: matches!(usage, "server" | "both"),
                client_auth: matches!(usage, "client" | "both"),
            }),
            key_algorithm: String::new(),
            signature_algorithm: String::new(),
            server: self.server.as_deref().map(Arc::from),
            origin: Arc::from("inventory"),
        }
    }
}

/// The certificate before.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Past {
    thumbprint: String,
    #[serde(default)]
    issuer: Option<String>,
    until: String,
}

impl Past {
    fn certificate(&self) -> Certificate {
        let case = Case {
            thumbprint: Some(self.thumbprint.clone()),
            issuer: self.issuer.clone(),
            ..Case::default()
        };
        case.certificate()
    }
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
        let before = self
            .before
            .as_ref()
            .map(|it| (it.certificate(), time(&it.until)));
        let evidence = Evidence {
            presentation: presentation.as_ref(),
            before: before.as_ref().map(|(certificate, until)| Before {
                certificate,
                until: *until,
            }),
            egress: self.egress,
            rejected: self.rejected.as_deref(),
            only_null_sender: self.only_null_sender,
        };
        let bench = Bench {
            server: SERVER,
            connector: CONNECTOR,
            expectation: &self.expectation(),
            inventory: &Inventory::new(self.inventory.iter().map(Known::read).collect()),
            settings: &self.settings(),
            now: time("2026-06-01T12:00:00Z"),
        };
        judge(&evidence, &bench)
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        let threshold = |text: &String| match text.split_at(text.len() - 1) {
            (percent, "%") => Threshold::Share {
                percent: percent.parse().unwrap(),
            },
            (days, _) => Threshold::Left(SignedDuration::from_hours(
                24 * days.parse::<i64>().unwrap(),
            )),
        };
        if let Some([warning, critical]) = &self.expiry {
            settings.expiry.warning = threshold(warning);
            settings.expiry.critical = threshold(critical);
        }
        settings
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
            source_transport_servers: None,
            frontend_proxy: false,
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
        certificate_name_unknown: connector.name_unknown,
        missing_from_export: connector.missing,
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
