//! State → what the status page shows, as one document: `/api/v1/status` is its JSON, the page at `/` its HTML.
//!
//! Both come from the same data, so neither knows more than the other. `deploy/api.md` documents every key; keys may be
//! added, and never change their meaning. Times are RFC 3339 in UTC, durations seconds, sizes bytes.
//!
//! Texts from logs and exports are without control and direction characters here and cut at
//! [`crate::pipeline::shown::MAX_SHOWN`]; they are still hostile, and the page escapes them. Every list has a limit, and
//! says how many there are in all.

mod connectors;
mod operation;

use std::cmp::Reverse;

use jiff::Timestamp;
use serde::Serialize;

use crate::pipeline::alert::Firing;
use crate::pipeline::ledger::history;
use crate::pipeline::shown::shown;
use crate::pipeline::shown::shown_without_addresses;
use crate::pipeline::snapshot::State;
use crate::pipeline::verdict::reason::Severity;
use crate::render::runbook;

pub use crate::render::status::connectors::Certificate;
pub use crate::render::status::connectors::Connector;
pub use crate::render::status::connectors::History;
pub use crate::render::status::connectors::Planned;
pub use crate::render::status::connectors::Spell;
pub use crate::render::status::operation::Export;
pub use crate::render::status::operation::Receiver;
pub use crate::render::status::operation::Source;

/// So many connectors of servers are on one page.
pub const CONNECTORS_PER_PAGE: usize = 30;
/// So many alerts are listed, gravest and newest first.
pub const MAX_ALERTS: usize = 100;
/// So many sources are listed, those with troubles first.
pub const MAX_SOURCES: usize = 300;
/// So many exports, inbound connectors and receivers are listed.
pub const MAX_LISTED: usize = 300;
/// So many bytes of the configuration's summary are shown.
pub const MAX_SUMMARY_BYTES: usize = 64 * 1024;

/// What of everything is asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Selection {
    /// Only this server; `None`: all.
    pub server: Option<String>,
    /// Which page of the connectors, from 1 on; beyond the last it is the last.
    pub page: usize,
}

/// The whole document.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The moment that it describes.
    pub at: Timestamp,
    /// Whether every source has been read up to its end, and the state can be written.
    pub ready: bool,
    /// The program.
    pub certdrift: Program,
    /// What it was told.
    pub configuration: Configuration,
    /// How many there are of what, over all servers and pages.
    pub counts: Counts,
    /// Alerts that are firing, gravest first, then newest first; at most [`MAX_ALERTS`].
    pub alerts: Vec<Alert>,
    /// What was selected of the connectors.
    pub selection: Selected,
    /// One page of the connectors, those with problems first.
    pub connectors: Vec<Connector>,
    /// The inbound connectors that should recognise them; at most [`MAX_LISTED`].
    pub expected: Vec<Expected>,
    /// Where logs are read; at most [`MAX_SOURCES`], troubles first.
    pub sources: Vec<Source>,
    /// The files that say what is expected, and certificate files with which something is wrong; at most [`MAX_LISTED`].
    pub exports: Vec<Export>,
    /// Who is called, in the order of the configuration; at most [`MAX_LISTED`].
    pub receivers: Vec<Receiver>,
}

/// The program.
#[derive(Clone, Debug, Serialize)]
pub struct Program {
    /// Its version.
    pub version: &'static str,
    /// When it started.
    pub started_at: Timestamp,
    /// When a damaged state was last set aside; `null`: never.
    pub state_recovered_at: Option<Timestamp>,
    /// Whether the last attempt to write the state to disk succeeded. Nothing is read while it does not.
    pub state_writable: bool,
    /// Sessions let go because too many were live at once.
    pub evicted_sessions: u64,
    /// The certificate that the web server itself presents; `null`: it speaks plain HTTP.
    pub web_certificate: Option<WebCertificate>,
}

/// The certificate that the web server itself presents.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct WebCertificate {
    /// The first second of its validity.
    pub not_before: Timestamp,
    /// The last one.
    pub not_after: Timestamp,
}

/// What it was told.
#[derive(Clone, Debug, Serialize)]
pub struct Configuration {
    /// Whether the last attempt to read it succeeded.
    pub last_reload_successful: bool,
    /// When one last did.
    pub last_reload_success: Timestamp,
    /// What it means, without secrets, as `certdrift check-config` says it; at most [`MAX_SUMMARY_BYTES`].
    pub summary: String,
}

/// How many there are of what.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// Alerts that are firing.
    pub alerts: usize,
    /// Those that are critical.
    pub critical: usize,
    /// Those that warn.
    pub warning: usize,
    /// Those that inform.
    pub information: usize,
    /// Connectors of servers that are judged, by verdict.
    pub mismatch: usize,
    /// As before.
    pub unknown: usize,
    /// As before.
    pub fragile: usize,
    /// As before.
    #[serde(rename = "match")]
    pub matching: usize,
    /// Connectors of servers of which nothing is expected.
    pub not_judged: usize,
    /// Sources.
    pub sources: usize,
    /// Sources with which something is wrong.
    pub sources_down: usize,
    /// Receivers.
    pub receivers: usize,
    /// Messages that wait, over all receivers.
    pub waiting: usize,
    /// Dead letters, over all receivers.
    pub dead_letters: usize,
}

/// An alert that is firing.
#[derive(Clone, Debug, Serialize)]
pub struct Alert {
    /// Its name.
    pub alertname: &'static str,
    /// The gravest of its reasons.
    pub severity: &'static str,
    /// The server; empty when it is about several, or about certdrift.
    pub server: String,
    /// The send connector; empty when it is about none.
    pub connector: String,
    /// Since when, by the log's own time.
    pub since: Timestamp,
    /// What it says, in half a sentence.
    pub summary: &'static str,
    /// Its runbook, relative to this certdrift's address.
    pub runbook: String,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// Why something is as it is.
#[derive(Clone, Debug, Serialize)]
pub struct Reason {
    /// Its code.
    pub code: &'static str,
    /// How urgent it is.
    pub severity: &'static str,
    /// What was expected; only what differs.
    pub expected: String,
    /// What was observed instead.
    pub observed: String,
    /// What is wrong, and what it does to the mail.
    pub message: String,
    /// The next command; empty: none.
    pub action: String,
}

/// What was selected of the connectors.
#[derive(Clone, Debug, Serialize)]
pub struct Selected {
    /// Only this server; `null`: all.
    pub server: Option<String>,
    /// This page, from 1 on.
    pub page: usize,
    /// How many pages there are, at least 1.
    pub pages: usize,
    /// How many connectors of servers are on them.
    pub connectors: usize,
}

/// An inbound connector that should recognise a send connector.
#[derive(Clone, Debug, Serialize)]
pub struct Expected {
    /// Name or pattern of the send connector.
    pub connector: String,
    /// Name of the inbound connector.
    pub inbound_connector: String,
    /// `TlsSenderCertificateName`; empty: it goes by addresses.
    pub tls_sender_certificate_name: String,
}

/// The document for a state.
pub fn status(state: &State, selection: &Selection) -> Status {
    let ranked = connectors::ranked(&state.snapshot, selection);
    let pages = ranked.len().div_ceil(CONNECTORS_PER_PAGE).max(1);
    let page = selection.page.clamp(1, pages);
    let first = (page - 1) * CONNECTORS_PER_PAGE;
    let listed = ranked.iter().skip(first).take(CONNECTORS_PER_PAGE);
    Status {
        at: state.snapshot.at,
        ready: state.ready,
        certdrift: Program {
            version: env!("CARGO_PKG_VERSION"),
            started_at: state.started_at,
            state_recovered_at: state.recovered_at,
            state_writable: state.writable,
            evicted_sessions: state.snapshot.evicted_sessions,
            web_certificate: state.web_certificate.map(|validity| WebCertificate {
                not_before: validity.not_before,
                not_after: validity.not_after,
            }),
        },
        configuration: Configuration {
            last_reload_successful: state.reload.successful,
            last_reload_success: state.reload.succeeded_at,
            summary: cut(&state.configuration),
        },
        counts: Counts::of(state),
        alerts: alerts(state, selection),
        selection: Selected {
            server: selection.server.clone(),
            page,
            pages,
            connectors: ranked.len(),
        },
        connectors: listed
            .map(|judged| connectors::connector(judged, &state.snapshot))
            .collect(),
        expected: expected(state),
        sources: operation::sources(state),
        exports: operation::exports(state),
        receivers: operation::receivers(state),
    }
}

/// The document as JSON, with a line break at its end.
pub fn json(status: &Status) -> String {
    let mut text = serde_json::to_string(status).unwrap_or_default();
    text.push('\n');
    text
}

/// Since when history is shown.
pub fn history_since(at: Timestamp) -> Timestamp {
    at.checked_sub(history::SHOWN).unwrap_or(Timestamp::MIN)
}

impl Counts {
    fn of(state: &State) -> Self {
        let mut counts = Self {
            alerts: state.snapshot.alerts.len(),
            ..Self::default()
        };
        for alert in &state.snapshot.alerts {
            match alert.severity {
                Severity::Critical => counts.critical += 1,
                Severity::Warning => counts.warning += 1,
                Severity::Information => counts.information += 1,
            }
        }
        connectors::count(&state.snapshot, &mut counts);
        operation::count(state, &mut counts);
        counts
    }
}

fn alerts(state: &State, selection: &Selection) -> Vec<Alert> {
    let is_meant = |alert: &&Firing| match &selection.server {
        Some(server) => shown(&alert.place.server) == *server,
        None => true,
    };
    let mut firing: Vec<&Firing> = state.snapshot.alerts.iter().filter(is_meant).collect();
    firing.sort_by_key(|alert| (Reverse(alert.severity), Reverse(alert.since)));
    firing.truncate(MAX_ALERTS);
    firing.into_iter().map(alert).collect()
}

fn alert(firing: &Firing) -> Alert {
    Alert {
        alertname: firing.name.as_str(),
        severity: firing.severity.as_str(),
        server: shown(&firing.place.server),
        connector: shown(&firing.place.connector),
        since: firing.since,
        summary: firing.name.headline(),
        runbook: runbook::url("", firing.name)
            .trim_start_matches('/')
            .to_owned(),
        reasons: firing.reasons.iter().map(reason).collect(),
    }
}

fn reason(reason: &crate::pipeline::verdict::reason::Reason) -> Reason {
    Reason {
        code: reason.code.as_str(),
        severity: reason.severity.as_str(),
        expected: reason.expected.clone(),
        observed: reason.observed.clone(),
        message: reason.message.clone(),
        action: reason.action.clone(),
    }
}

fn expected(state: &State) -> Vec<Expected> {
    let expected = state.snapshot.expected.iter().take(MAX_LISTED);
    expected
        .map(|expected| Expected {
            connector: shown(&expected.connector),
            inbound_connector: shown(&expected.inbound_connector),
            tls_sender_certificate_name: shown_without_addresses(
                &expected.tls_sender_certificate_name,
            ),
        })
        .collect()
}

/// At most [`MAX_SUMMARY_BYTES`], whole lines.
fn cut(summary: &str) -> String {
    if summary.len() <= MAX_SUMMARY_BYTES {
        return summary.to_owned();
    }
    let mut length = 0;
    let lines = summary.split_inclusive('\n').take_while(|line| {
        length += line.len();
        length <= MAX_SUMMARY_BYTES
    });
    let lines: String = lines.collect();
    format!("{lines}(and more)\n")
}
