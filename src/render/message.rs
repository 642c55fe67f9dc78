//! A notice as people and other programs are told of it: the one place where text that comes from logs and exports is
//! cleaned. From here on it has no control, direction or invisible characters and is not longer than the limits below;
//! what else a receiver takes for markup is escaped by whoever makes its body.

use jiff::Timestamp;

use crate::pipeline::alert::Notice;
use crate::pipeline::shown::shown;
use crate::pipeline::shown::shown_lines;
use crate::pipeline::verdict::reason::Severity;
use crate::render::runbook;

/// So many reasons are told.
const MAX_REASONS: usize = 10;
/// Longest explanation of one reason, in characters; one that names fifty places is shorter.
const MAX_MESSAGE: usize = 3000;
/// Longest action of one reason, in characters.
const MAX_ACTION: usize = 2000;
/// Longest summary, in characters.
const MAX_SUMMARY: usize = 250;

/// What a receiver is told.
#[derive(Clone, Debug)]
pub struct Message {
    /// Identifies the alert: the same when it begins, is repeated and ends. At most 200 bytes.
    pub key: String,
    /// Identifies the message: the same on every try.
    pub id: String,
    /// Which alert.
    pub alertname: &'static str,
    /// What it says in half a sentence.
    pub headline: &'static str,
    /// The gravest of its reasons.
    pub severity: Severity,
    /// Whether the alert is over.
    pub is_resolved: bool,
    /// The send connector; empty: several, or none.
    pub connector: String,
    /// The server; empty: several, or certdrift itself.
    pub server: String,
    /// Where, for people.
    pub place: String,
    /// At how many places.
    pub places: usize,
    /// What and where, in one line.
    pub summary: String,
    /// Since when.
    pub starts_at: Timestamp,
    /// Until when; `None`: it is not over.
    pub ends_at: Option<Timestamp>,
    /// What holds, or what held. Empty in a message that says only what is needed.
    pub reasons: Vec<ReasonText>,
    /// The name of the receiver.
    pub receiver: String,
    /// Where people reach this certdrift.
    pub external_url: String,
    /// What to do at such an alert.
    pub runbook_url: String,
    /// Whether it says only what is needed, because the receiver refused the whole.
    pub is_minimal: bool,
}

/// One reason.
#[derive(Clone, Debug)]
pub struct ReasonText {
    /// Its code.
    pub code: &'static str,
    /// What was expected; may be empty.
    pub expected: String,
    /// What was observed instead; may be empty.
    pub observed: String,
    /// What is wrong, and what it does to the mail.
    pub message: String,
    /// What to do, in PowerShell; may be empty, and has lines.
    pub action: String,
}

impl Message {
    /// What a receiver is told of a notice. `external_url` is where people reach this certdrift.
    pub fn new(notice: &Notice, receiver: &str, external_url: &str, minimal: bool) -> Self {
        let headline = notice.name.headline();
        let place = match notice.places {
            1 => notice.place.to_string(),
            places => format!("{places} places"),
        };
        let end = if notice.is_resolved() { " (over)" } else { "" };
        let reasons = notice.reasons.iter().take(MAX_REASONS);
        let reasons = reasons.map(|reason| ReasonText {
            code: reason.code.as_str(),
            expected: shown(&reason.expected),
            observed: shown(&reason.observed),
            message: shown_lines(&reason.message, MAX_MESSAGE),
            action: shown_lines(&reason.action, MAX_ACTION),
        });
        Self {
            key: notice.key.clone(),
            id: notice.id.clone(),
            alertname: notice.name.as_str(),
            headline,
            severity: notice.severity,
            is_resolved: notice.is_resolved(),
            connector: shown(&notice.place.connector),
            server: shown(&notice.place.server),
            summary: format!("{}: {headline}{end}", shown_lines(&place, MAX_SUMMARY)),
            place,
            places: notice.places,
            starts_at: notice.starts_at,
            ends_at: notice.ends_at,
            reasons: if minimal {
                Vec::new()
            } else {
                reasons.collect()
            },
            receiver: receiver.to_owned(),
            external_url: external_url.to_owned(),
            runbook_url: runbook::url(external_url, notice.name),
            is_minimal: minimal,
        }
    }

    /// `firing` or `resolved`.
    pub fn status(&self) -> &'static str {
        if self.is_resolved {
            "resolved"
        } else {
            "firing"
        }
    }

    /// The texts of all reasons that have any, with something between them.
    pub fn joined(&self, text: fn(&ReasonText) -> &str, between: &str) -> String {
        let texts = self.reasons.iter().map(text);
        let texts: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
        texts.join(between)
    }

    /// The words and times that a person is shown beside the texts, each with its name.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let ends_at = self.ends_at.map(|end| end.to_string());
        let facts = [
            ("Severity", self.severity.as_str().to_owned()),
            ("Server", self.server.clone()),
            ("Connector", self.connector.clone()),
            ("Expected", self.joined(|it| &it.expected, "; ")),
            ("Observed", self.joined(|it| &it.observed, "; ")),
            ("Since", self.starts_at.to_string()),
            ("Until", ends_at.unwrap_or_default()),
        ];
        let facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
        facts.collect()
    }

    /// A sign that is seen at a glance.
    pub fn sign(&self) -> &'static str {
        match self.severity {
            _ if self.is_resolved => "✅",
            Severity::Critical => "🔴",
            Severity::Warning => "🟠",
            Severity::Information => "🔵",
        }
    }
}

/// The text in at most so many characters, whole lines if possible.
pub fn within(text: &str, most: usize) -> String {
    shown_lines(text, most)
}
