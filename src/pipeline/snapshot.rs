//! The state of everything at one moment, as plain data: what metrics, pages and JSON are made from.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::Timestamp;

use crate::pipeline::alert::Firing;
use crate::pipeline::expectation::PlannedRenewal;
use crate::pipeline::file::Refusal;
use crate::pipeline::file::Tally;
use crate::pipeline::inventory::Inventory;
use crate::pipeline::ledger::ConnectorLedger;
use crate::pipeline::ledger::Ledger;
use crate::pipeline::outbox::ReceiverStatus;
use crate::pipeline::record;
use crate::pipeline::session::Place;
use crate::pipeline::session::Stream;
use crate::pipeline::verdict::Verdict;
use crate::pipeline::verdict::reason::Reason;

/// Fewer lines that are no rows say nothing about what a file is: a crash leaves one.
const MIN_MALFORMED_ROWS: u64 = 5;

/// The whole state at one moment. It is never changed; a new one takes its place.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The moment.
    pub at: Timestamp,
    /// What was observed; shared, because it is large and changes seldom.
    pub ledger: Arc<Ledger>,
    /// The certificates that are known apart from the log.
    pub inventory: Arc<Inventory>,
    /// Every connector, ordered by server and connector.
    pub judged: Vec<Judged>,
    /// What is expected, one entry per inbound connector of the configuration.
    pub expected: Vec<ExpectedConnector>,
    /// Alerts that are firing.
    pub alerts: Vec<Firing>,
    /// Sessions let go because too many were live at once.
    pub evicted_sessions: u64,
    /// The receivers, in the order of the configuration.
    pub receivers: Vec<ReceiverStatus>,
}

/// Everything that a reader of the running daemon can see. It is never changed; a new one takes its place.
#[derive(Clone, Debug)]
pub struct State {
    /// What the pipeline knows.
    pub snapshot: Snapshot,
    /// How the reading goes.
    pub sources: Vec<SourceStatus>,
    /// Whether every source has been read up to its end once, or is known to be unreadable.
    pub ready: bool,
    /// Whether the last attempt to write the state to disk succeeded. Nothing is read while it does not.
    pub writable: bool,
    /// How the files are that say what is expected.
    pub expectation: ExpectationStatus,
    /// Whether the configuration could be read.
    pub reload: ReloadStatus,
    /// What the configuration in force means, completed by the exports, without secrets: the text of `check-config`.
    pub configuration: Arc<str>,
    /// When the daemon started.
    pub started_at: Timestamp,
    /// When a damaged state was last replaced; `None`: never.
    pub recovered_at: Option<Timestamp>,
    /// The certificate that the web server itself presents; `None`: it speaks plain HTTP.
    pub web_certificate: Option<Validity>,
}

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// The first second.
    pub not_before: Timestamp,
    /// The last second.
    pub not_after: Timestamp,
}

impl Validity {
    /// Whether a tenth of the lifetime is left, or less: whatever renews certificates should have done so long before.
    pub fn nears_its_end(self, now: Timestamp) -> bool {
        let lifetime = self.not_after.duration_since(self.not_before);
        self.not_after.duration_since(now) <= lifetime / 10
    }
}

/// How the files are in which Exchange says what is expected and what stands ready.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ExpectationStatus {
    /// Every export of the configuration, and the certificate files with which something is wrong.
    pub exports: Vec<ExportStatus>,
}

/// How one of these files is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExportStatus {
    /// Which export, as the configuration calls it, or `inventory`.
    pub name: &'static str,
    /// The file.
    pub file: PathBuf,
    /// When the content in force was exported; `None`: nothing is in force, or nobody knows.
    pub exported_at: Option<Timestamp>,
    /// What is wrong with the file as it is now, with the way out; whatever was in force before still is.
    pub problem: Option<String>,
    /// Since when it is wrong.
    pub since: Option<Timestamp>,
}

/// What became of the last attempt to read the configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReloadStatus {
    /// Whether it succeeded.
    pub successful: bool,
    /// When one last succeeded.
    pub succeeded_at: Timestamp,
}

/// The confirmed verdict on one connector of one server. A connector of which nothing is expected is `unknown`, and
/// nobody is ever called because of it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Which connector.
    pub place: Place,
    /// Whether the configuration expects something of it.
    pub expected: bool,
    /// The confirmed verdict.
    pub verdict: Verdict,
    /// The reasons that hold.
    pub reasons: Vec<Reason>,
    /// For how long it may be silent; `None`: not learned yet.
    pub silent_after: Option<SignedDuration>,
    /// Renewals that the configuration plans for it.
    pub planned: Vec<PlannedRenewal>,
}

/// An inbound connector that some send connectors are expected to match.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExpectedConnector {
    /// Name or pattern of the send connector.
    pub connector: String,
    /// Name of the inbound connector.
    pub inbound_connector: String,
    /// `TlsSenderCertificateName`, empty when it is recognised by address only.
    pub tls_sender_certificate_name: String,
}

/// How the reading of one source goes on one server.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// The path as configured.
    pub source: String,
    /// The server whose logs these are; empty as long as none was found.
    pub server: Arc<str>,
    /// Whether the last look at the directory and its files succeeded.
    pub up: bool,
    /// What is wrong, if it did not, in words for an operator.
    pub trouble: Option<String>,
    /// Directories that hold log files.
    pub directories: usize,
    /// Log files known; refused ones are not among them.
    pub files: usize,
    /// Files that are no send protocol logs.
    pub refused_files: usize,
    /// Some of them, and why.
    pub refused: Vec<(PathBuf, Refusal)>,
    /// What was read.
    pub tally: Tally,
    /// Bytes there but not yet read.
    pub lag_bytes: u64,
    /// Time of the newest row.
    pub last_row: Option<Timestamp>,
    /// Rows dropped as already seen.
    pub duplicate_rows: u64,
    /// Jumps in sequence numbers.
    pub sequence_gaps: u64,
    /// Bytes of lines over the limit.
    pub long_line_bytes: u64,
    /// Bytes of files that were deleted before they were read.
    pub deleted_unread_bytes: u64,
    /// Bytes of files that were rewritten before they were read.
    pub rewritten_unread_bytes: u64,
}

impl SourceStatus {
    /// A source of which nothing has been read yet.
    pub fn new(source: String, server: Arc<str>) -> Self {
        Self {
            source,
            server,
            up: true,
            trouble: None,
            directories: 0,
            files: 0,
            refused_files: 0,
            refused: Vec::new(),
            tally: Tally::default(),
            lag_bytes: 0,
            last_row: None,
            duplicate_rows: 0,
            sequence_gaps: 0,
            long_line_bytes: 0,
            deleted_unread_bytes: 0,
            rewritten_unread_bytes: 0,
        }
    }

    /// Bytes that could not be read, for whatever reason.
    pub fn lost_bytes(&self) -> u64 {
        self.tally.lost_bytes
            + self.long_line_bytes
            + self.deleted_unread_bytes
            + self.rewritten_unread_bytes
    }

    /// What is wrong when there is something to read, and not one row in it: all files are refused, or no line is a row.
    pub fn without_rows(&self) -> Option<String> {
        if self.tally.rows > 0 {
            return None;
        }
        let whose = if self.server.is_empty() {
            &self.source
        } else {
            &*self.server
        };
        if self.tally.malformed_rows >= MIN_MALFORMED_ROWS {
            return Some(format!(
                "{whose}: none of {} lines is a row of a send protocol log. Are the files compressed, or something else? Certdrift \
                 reads them as Exchange writes them",
                self.tally.malformed_rows
            ));
        }
        let (file, refusal) = self.refused.first().filter(|_| self.files == 0)?;
        let file = file.display();
        Some(format!(
            "{whose}: no file is a send protocol log. {file}: {refusal}"
        ))
    }

    /// Adds what the sessions of one of its directories say of its rows.
    pub fn add_stream(&mut self, stream: &Stream) {
        self.duplicate_rows += stream.duplicate_rows;
        self.sequence_gaps += stream.sequence_gaps;
        let last_row = stream.last_millis.map(record::timestamp);
        self.last_row = self.last_row.max(last_row);
    }
}

impl Snapshot {
    /// The ledger of every connector, ordered by server and connector.
    pub fn connectors(&self) -> impl Iterator<Item = (&Place, &ConnectorLedger)> {
        self.ledger.connectors()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_a_lifetime_is_near_its_end_however_long_it_is() {
        let at = |days: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * days);
        for (lifetime, now, expected) in [
            (90, 80, false),
            (90, 81, true),
            (90, 91, true),
            (10, 8, false),
            (10, 9, true),
            (3650, 3284, false),
            (3650, 3285, true),
        ] {
            let validity = Validity {
                not_before: at(0),
                not_after: at(lifetime),
            };
            let near = validity.nears_its_end(at(now));
            assert_eq!(near, expected, "day {now} of {lifetime}");
        }
    }
}
