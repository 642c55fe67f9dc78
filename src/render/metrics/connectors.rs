//! What is observed and judged of each connector.

use std::collections::BTreeMap;

use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::dn::DistinguishedName;
use crate::pipeline::inventory::Inventory;
use crate::pipeline::ledger::ConnectorLedger;
use crate::pipeline::ledger::Presented;
use crate::pipeline::reply::ReplyClass;
use crate::pipeline::session::Handshake;
use crate::pipeline::session::Place;
use crate::pipeline::shown::shown;
use crate::pipeline::shown::shown_without_addresses;
use crate::pipeline::snapshot::Snapshot;
use crate::pipeline::tls::KNOWN_ERRORS;
use crate::pipeline::verdict::Verdict;
use crate::render::metrics::families::Families;

impl Families {
    pub(super) fn connector(
        &mut self,
        place: &Place,
        entry: &ConnectorLedger,
        inventory: &Inventory,
    ) {
        let (server, connector) = (shown(&place.server), shown(&place.connector));
        let at: [(&str, &str); 2] = [("server", &server), ("connector", &connector)];
        if let Some(sessions) = entry.sessions {
            self.counter(
                "sessions_total",
                "Distinct SMTP sessions, failed connects included.",
                &at,
                sessions.count,
            );
            self.time(
                "last_session_timestamp_seconds",
                "Time of the newest row of a session.",
                &at,
                Some(sessions.last_seen),
            );
        }
        let without = entry.without_certificate.map_or(0, |span| span.count);
        self.counter(
            "sessions_without_certificate_total",
            "STARTTLS sessions secured without a client certificate.",
            &at,
            without,
        );
        self.counter(
            "presented_certificate_changes_total",
            "How often another certificate was presented than before.",
            &at,
            entry.certificate_changes,
        );
        for (protocol, sessions) in &entry.tls {
            self.counter(
                "tls_sessions_total",
                "Sessions by negotiated TLS protocol.",
                &[at[0], at[1], ("protocol", protocol.as_str())],
                *sessions,
            );
        }
        for (error, count) in closed_errors(entry) {
            self.counter(
                "tls_failures_total",
                "Failed TLS negotiations by Exchange's word for the cause.",
                &[at[0], at[1], ("error", error)],
                count,
            );
        }
        for class in ReplyClass::ALL {
            let count = entry.refusals_by_class.get(&class).copied().unwrap_or(0);
            self.counter(
                "rejected_replies_total",
                "4xx and 5xx replies by what they mean for the connector.",
                &[at[0], at[1], ("class", class.as_str())],
                count,
            );
        }
        if let Some(address) = entry.current_egress() {
            self.gauge(
                "egress_address_info",
                "The public address that Exchange Online saw last.",
                &[at[0], at[1], ("address", &address.to_string())],
                1.0,
            );
        }
        if let Some(presented) = entry.current(Some(Handshake::StartTls)) {
            self.certificate(at, presented, inventory);
        }
    }

    fn certificate(&mut self, at: [(&str, &str); 2], presented: &Presented, inventory: &Inventory) {
        let certificate = inventory.completed(&presented.certificate);
        let thumbprint = certificate
            .thumbprint
            .map(|it| it.to_string())
            .unwrap_or_default();
        let subject = shown_without_addresses(&certificate.common_name().unwrap_or_default());
        let issuer = shown_without_addresses(&issuer_common_name(certificate).unwrap_or_default());
        let serial = certificate.serial.as_deref().unwrap_or_default();
        self.gauge(
            "presented_certificate_info",
            "The client certificate presented last.",
            &[
                at[0],
                at[1],
                ("thumbprint", &thumbprint),
                ("subject_cn", &subject),
                ("issuer_cn", &issuer),
                ("serial", serial),
            ],
            1.0,
        );
        let span = presented.span;
        for (name, help, time) in [
            (
                "not_after",
                "End of validity of the certificate presented last; exact to 14 hours only, unless the inventory holds it.",
                certificate.not_after,
            ),
            (
                "not_before",
                "Start of validity of the certificate presented last; exact to 14 hours only, unless the inventory holds it.",
                certificate.not_before,
            ),
            (
                "first_seen",
                "When the certificate presented last was first seen.",
                Some(span.first_seen),
            ),
            (
                "last_seen",
                "When the certificate presented last was last seen.",
                Some(span.last_seen),
            ),
        ] {
            self.time(
                &format!("presented_certificate_{name}_timestamp_seconds"),
                help,
                &at,
                time,
            );
        }
    }

    pub(super) fn verdicts(&mut self, snapshot: &Snapshot) {
        for judged in &snapshot.judged {
            let (server, connector) = (shown(&judged.place.server), shown(&judged.place.connector));
            let at: [(&str, &str); 2] = [("server", &server), ("connector", &connector)];
            for verdict in Verdict::ALL {
                let holds = f64::from(u8::from(judged.verdict == verdict));
                self.gauge(
                    "connector_verdict",
                    "1 for the confirmed verdict on the connector, 0 for the others.",
                    &[at[0], at[1], ("verdict", verdict.as_str())],
                    holds,
                );
            }
            if let Some(limit) = judged.silent_after {
                self.gauge(
                    "connector_silent_after_seconds",
                    "For how long the connector may be silent, as configured or learned.",
                    &at,
                    limit.as_secs_f64(),
                );
            }
            for reason in &judged.reasons {
                self.gauge(
                    "connector_reason",
                    "1 for every reason that holds.",
                    &[
                        at[0],
                        at[1],
                        ("reason", reason.code.as_str()),
                        ("severity", reason.severity.as_str()),
                    ],
                    1.0,
                );
            }
        }
    }

    /// The certificates that stand ready. One that lies on several servers is one series.
    pub(super) fn inventory(&mut self, inventory: &Inventory) {
        let mut last = None;
        for known in inventory.certificates() {
            let certificate = &known.certificate;
            if last == Some(certificate.thumbprint) {
                continue;
            }
            last = Some(certificate.thumbprint);
            let thumbprint = certificate.thumbprint.map(|it| it.to_string());
            let subject = shown_without_addresses(&certificate.common_name().unwrap_or_default());
            self.time(
                "inventory_certificate_not_after_timestamp_seconds",
                "End of validity of a certificate that is known apart from the log.",
                &[
                    ("thumbprint", &thumbprint.unwrap_or_default()),
                    ("subject_cn", &subject),
                ],
                certificate.not_after,
            );
        }
    }

    pub(super) fn expected(&mut self, snapshot: &Snapshot) {
        for expected in &snapshot.expected {
            let name = shown_without_addresses(&expected.tls_sender_certificate_name);
            let labels = [
                ("connector", expected.connector.as_str()),
                ("inbound_connector", expected.inbound_connector.as_str()),
                ("tls_sender_certificate_name", &name),
            ];
            self.gauge(
                "expected_connector_info",
                "An inbound connector that a send connector is expected to match.",
                &labels,
                1.0,
            );
        }
    }
}

/// Failures by a word of the closed list, everything else as `other`: a log must not invent label values.
fn closed_errors(entry: &ConnectorLedger) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for (error, count) in &entry.tls_failures {
        let known = KNOWN_ERRORS.iter().find(|known| *known == error);
        *counts.entry(*known.unwrap_or(&"other")).or_default() += count;
    }
    counts
}

fn issuer_common_name(certificate: &Certificate) -> Option<String> {
    let issuer = DistinguishedName::parse(certificate.issuer.as_deref()?)?;
    issuer.common_name().map(str::to_owned)
}
