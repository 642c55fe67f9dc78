//! `certdrift check --format=json`: a contract. Keys are added, never changed or taken away.

use jiff::Timestamp;
use serde::Serialize;

use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::ValiditySource;
use crate::pipeline::inventory::Inventory;
use crate::pipeline::ledger::Presented;
use crate::pipeline::ledger::Span;
use crate::pipeline::session::Handshake;
use crate::pipeline::session::Place;
use crate::pipeline::snapshot::Judged;
use crate::render::report::Report;

#[derive(Serialize)]
struct Document<'a> {
    files: usize,
    bytes: u64,
    rows: u64,
    malformed_rows: u64,
    lost_bytes: u64,
    sessions: u64,
    first_row: Option<String>,
    last_row: Option<String>,
    presented: Vec<PresentedEntry<'a>>,
    unattributed: Vec<Unattributed<'a>>,
    without_certificate: Vec<SessionCount<'a>>,
    egress: Vec<Egress<'a>>,
    replies: Vec<ReplyEntry<'a>>,
    tls: Vec<Tls<'a>>,
    tls_failures: Vec<TlsFailure<'a>>,
    masked_banners: Vec<SessionCount<'a>>,
    verdicts: Vec<VerdictEntry<'a>>,
    refused: Vec<RefusedFile>,
}

#[derive(Serialize)]
struct PresentedEntry<'a> {
    server: &'a str,
    connector: &'a str,
    exchange_online: bool,
    handshake: &'static str,
    thumbprint: Option<String>,
    subject: Option<&'a str>,
    issuer: Option<&'a str>,
    serial: Option<&'a str>,
    names: &'a [String],
    not_before: Option<String>,
    not_after: Option<String>,
    validity_from: Option<&'static str>,
    sessions: u64,
    first_seen: String,
    last_seen: String,
    current: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    incomplete: bool,
}

#[derive(Serialize)]
struct Unattributed<'a> {
    server: &'a str,
    connector: &'a str,
    thumbprint: Option<String>,
    sessions: u64,
    first_seen: String,
    last_seen: String,
}

#[derive(Serialize)]
struct SessionCount<'a> {
    server: &'a str,
    connector: &'a str,
    sessions: u64,
    first_seen: String,
    last_seen: String,
}

#[derive(Serialize)]
struct Egress<'a> {
    server: &'a str,
    connector: &'a str,
    address: String,
    sessions: u64,
    first_seen: String,
    last_seen: String,
}

#[derive(Serialize)]
struct ReplyEntry<'a> {
    server: &'a str,
    connector: &'a str,
    class: &'static str,
    code: String,
    enhanced: Option<String>,
    text: &'a str,
    count: u64,
    first_seen: String,
    last_seen: String,
}

#[derive(Serialize)]
struct Tls<'a> {
    server: &'a str,
    connector: &'a str,
    protocol: &'static str,
    sessions: u64,
}

#[derive(Serialize)]
struct TlsFailure<'a> {
    server: &'a str,
    connector: &'a str,
    error: &'a str,
    count: u64,
}

#[derive(Serialize)]
struct VerdictEntry<'a> {
    server: &'a str,
    connector: &'a str,
    verdict: &'static str,
    reasons: Vec<ReasonEntry<'a>>,
}

#[derive(Serialize)]
struct ReasonEntry<'a> {
    code: &'static str,
    severity: &'static str,
    expected: &'a str,
    observed: &'a str,
    message: &'a str,
    action: &'a str,
}

#[derive(Serialize)]
struct RefusedFile {
    file: String,
    reason: &'static str,
}

/// The document, indented, with a line break at its end.
pub fn check(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(&document(report)).unwrap_or_default();
    text.push('\n');
    text
}

fn document(report: &Report) -> Document<'_> {
    let judged = if report.judged {
        report.snapshot.judged.as_slice()
    } else {
        &[]
    };
    let mut document = Document {
        files: report.files,
        bytes: report.tally.bytes,
        rows: report.tally.rows,
        malformed_rows: report.tally.malformed_rows,
        lost_bytes: report.tally.lost_bytes,
        sessions: report.sessions(),
        first_row: report.first_row.map(row_time),
        last_row: report.last_row.map(row_time),
        presented: Vec::new(),
        unattributed: Vec::new(),
        without_certificate: Vec::new(),
        egress: Vec::new(),
        replies: Vec::new(),
        tls: Vec::new(),
        tls_failures: Vec::new(),
        masked_banners: Vec::new(),
        verdicts: judged.iter().map(verdict).collect(),
        refused: report
            .refused
            .iter()
            .map(|(file, refusal)| RefusedFile {
                file: file.display().to_string(),
                reason: refusal.as_str(),
            })
            .collect(),
    };
    // Connectors come ordered by server and connector, so ordering each one's entries by time orders the whole list.
    for (place, entry) in report.snapshot.connectors() {
        document.add_certificates(place, entry, &report.snapshot.inventory);
        document.add_dialogue(place, entry);
    }
    document
}

impl<'a> Document<'a> {
    fn add_certificates(
        &mut self,
        place: &'a Place,
        entry: &'a crate::pipeline::ledger::ConnectorLedger,
        inventory: &'a Inventory,
    ) {
        let mut presented: Vec<&Presented> = entry.presented.iter().collect();
        presented.sort_by_key(|presented| (presented.span.first_seen, presented.handshake));
        for presented in presented {
            match presented.handshake {
                Some(handshake) => {
                    let current = entry
                        .current(presented.handshake)
                        .is_some_and(|current| std::ptr::eq(current, presented));
                    let certificate = inventory.completed(&presented.certificate);
                    let how = (handshake, current);
                    self.presented
                        .push(entry_of(place, presented, certificate, how));
                }
                None => self.unattributed.push(Unattributed {
                    server: &place.server,
                    connector: &place.connector,
                    thumbprint: presented.certificate.thumbprint.map(|it| it.to_string()),
                    sessions: presented.span.count,
                    first_seen: row_time(presented.span.first_seen),
                    last_seen: row_time(presented.span.last_seen),
                }),
            }
        }
        self.without_certificate
            .extend(entry.without_certificate.map(|span| sessions(place, span)));
        self.masked_banners
            .extend(entry.masked_banners.map(|span| sessions(place, span)));
    }

    fn add_dialogue(
        &mut self,
        place: &'a Place,
        entry: &'a crate::pipeline::ledger::ConnectorLedger,
    ) {
        let (server, connector) = (&*place.server, &*place.connector);
        let mut egress: Vec<_> = entry.egress.iter().collect();
        egress.sort_by_key(|(address, span)| (span.first_seen, *address));
        self.egress
            .extend(egress.into_iter().map(|(address, span)| Egress {
                server,
                connector,
                address: address.to_string(),
                sessions: span.count,
                first_seen: row_time(span.first_seen),
                last_seen: row_time(span.last_seen),
            }));
        let mut refusals: Vec<_> = entry.refusals.iter().collect();
        refusals.sort_by_key(|refusal| refusal.span.first_seen);
        self.replies
            .extend(refusals.into_iter().map(|refusal| ReplyEntry {
                server,
                connector,
                class: refusal.class.as_str(),
                code: refusal.code.to_string(),
                enhanced: refusal.enhanced.map(|enhanced| enhanced.to_string()),
                text: &refusal.text,
                count: refusal.span.count,
                first_seen: row_time(refusal.span.first_seen),
                last_seen: row_time(refusal.span.last_seen),
            }));
        self.tls
            .extend(entry.tls.iter().map(|(protocol, &sessions)| Tls {
                server,
                connector,
                protocol: protocol.as_str(),
                sessions,
            }));
        self.tls_failures
            .extend(entry.tls_failures.iter().map(|(error, &count)| TlsFailure {
                server,
                connector,
                error,
                count,
            }));
    }
}

fn entry_of<'a>(
    place: &'a Place,
    presented: &'a Presented,
    certificate: &'a Certificate,
    (handshake, current): (Handshake, bool),
) -> PresentedEntry<'a> {
    PresentedEntry {
        server: &place.server,
        connector: &place.connector,
        exchange_online: presented.exchange_online,
        handshake: handshake.as_str(),
        thumbprint: certificate.thumbprint.map(|it| it.to_string()),
        subject: Some(certificate.subject.as_str()).filter(|subject| !subject.is_empty()),
        issuer: certificate.issuer.as_deref(),
        serial: certificate.serial.as_deref(),
        names: &certificate.names,
        not_before: certificate.not_before.map(certificate_time),
        not_after: certificate.not_after.map(certificate_time),
        validity_from: certificate.validity_from.map(|source| match source {
            ValiditySource::Log => "log",
            ValiditySource::Inventory => "inventory",
        }),
        sessions: presented.span.count,
        first_seen: row_time(presented.span.first_seen),
        last_seen: row_time(presented.span.last_seen),
        current,
        incomplete: certificate.is_cut_short() || certificate.gaps.dn_uncut,
    }
}

fn sessions(place: &Place, span: Span) -> SessionCount<'_> {
    SessionCount {
        server: &place.server,
        connector: &place.connector,
        sessions: span.count,
        first_seen: row_time(span.first_seen),
        last_seen: row_time(span.last_seen),
    }
}

fn verdict(judged: &Judged) -> VerdictEntry<'_> {
    VerdictEntry {
        server: &judged.place.server,
        connector: &judged.place.connector,
        verdict: judged.verdict.as_str(),
        reasons: judged
            .reasons
            .iter()
            .map(|reason| ReasonEntry {
                code: reason.code.as_str(),
                severity: reason.severity.as_str(),
                expected: &reason.expected,
                observed: &reason.observed,
                message: &reason.message,
                action: &reason.action,
            })
            .collect(),
    }
}

/// Rows have milliseconds.
fn row_time(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// Certificates have whole seconds.
fn certificate_time(time: Timestamp) -> String {
    format!("{time:.0}")
}
