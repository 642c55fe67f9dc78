//! How certdrift itself is doing: what it reads, and whom it calls.

use jiff::Timestamp;
use serde::Serialize;

use crate::pipeline::outbox::ReceiverStatus;
use crate::pipeline::shown::shown;
use crate::pipeline::snapshot::ExportStatus;
use crate::pipeline::snapshot::SourceStatus;
use crate::pipeline::snapshot::State;
use crate::render::status::Counts;
use crate::render::status::MAX_LISTED;
use crate::render::status::MAX_SOURCES;

/// The logs of one server.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    /// The path as configured.
    pub source: String,
    /// The server; empty as long as none was found.
    pub server: String,
    /// Whether the last look at the directory and its files succeeded.
    pub up: bool,
    /// What is wrong, and what to do; `null`: nothing.
    pub trouble: Option<String>,
    /// Directories that hold log files.
    pub directories: usize,
    /// Log files known.
    pub files: usize,
    /// Files that are not read, because they are no send protocol logs.
    pub refused_files: usize,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes there but not yet read.
    pub lag_bytes: u64,
    /// Bytes that could not be read, for whatever reason.
    pub lost_bytes: u64,
    /// Well-formed rows.
    pub rows: u64,
    /// Lines that are none.
    pub malformed_rows: u64,
    /// Rows dropped as already seen.
    pub duplicate_rows: u64,
    /// Jumps in the sequence numbers of sessions: rows that the log lost.
    pub sequence_gaps: u64,
    /// Time of the newest row.
    pub last_row: Option<Timestamp>,
}

/// A file that says what is expected, or what stands ready.
#[derive(Clone, Debug, Serialize)]
pub struct Export {
    /// Which export, as the configuration calls it, or `inventory`.
    pub name: &'static str,
    /// The file.
    pub file: String,
    /// When the content in force was exported; `null`: nothing is in force, or nobody knows.
    pub exported_at: Option<Timestamp>,
    /// What is wrong with it, and what to do; `null`: nothing.
    pub problem: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// Somebody who is called.
#[derive(Clone, Debug, Serialize)]
pub struct Receiver {
    /// The name.
    pub name: String,
    /// The kind: `webhook`.
    pub integration: &'static str,
    /// Messages that wait.
    pub waiting: usize,
    /// When the oldest of them was decided.
    pub oldest_waiting: Option<Timestamp>,
    /// When the last message was taken.
    pub last_success: Option<Timestamp>,
    /// Messages taken.
    pub delivered: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Messages given up: refused, too old, or no room.
    pub given_up: u64,
    /// Dead letters that are kept.
    pub dead_letters: usize,
    /// Whether it said that it is gone, so that nothing is sent until the configuration is read again.
    pub off: bool,
}

pub(super) fn count(state: &State, counts: &mut Counts) {
    counts.sources = state.sources.len();
    let is_down = |source: &&SourceStatus| !source.up || source.trouble.is_some();
    counts.sources_down = state.sources.iter().filter(is_down).count();
    counts.receivers = state.snapshot.receivers.len();
    for receiver in &state.snapshot.receivers {
        counts.waiting += receiver.waiting;
        counts.dead_letters += receiver.dead;
    }
}

pub(super) fn sources(state: &State) -> Vec<Source> {
    let mut sources: Vec<&SourceStatus> = state.sources.iter().collect();
    // Stable: otherwise in the order of the configuration.
    sources.sort_by_key(|source| (source.up && source.trouble.is_none(), source.lag_bytes == 0));
    sources.truncate(MAX_SOURCES);
    sources.into_iter().map(source).collect()
}

fn source(status: &SourceStatus) -> Source {
    Source {
        source: shown(&status.source),
        server: shown(&status.server),
        up: status.up,
        trouble: status.trouble.as_deref().map(shown),
        directories: status.directories,
        files: status.files,
        refused_files: status.refused_files,
        read_bytes: status.tally.bytes,
        lag_bytes: status.lag_bytes,
        lost_bytes: status.lost_bytes(),
        rows: status.tally.rows,
        malformed_rows: status.tally.malformed_rows,
        duplicate_rows: status.duplicate_rows,
        sequence_gaps: status.sequence_gaps,
        last_row: status.last_row,
    }
}

pub(super) fn exports(state: &State) -> Vec<Export> {
    let exports = state.expectation.exports.iter().take(MAX_LISTED);
    exports.map(export).collect()
}

fn export(status: &ExportStatus) -> Export {
    Export {
        name: status.name,
        file: shown(&status.file.display().to_string()),
        exported_at: status.exported_at,
        problem: status.problem.as_deref().map(shown),
        since: status.since,
    }
}

pub(super) fn receivers(state: &State) -> Vec<Receiver> {
    let receivers = state.snapshot.receivers.iter().take(MAX_LISTED);
    receivers.map(receiver).collect()
}

fn receiver(status: &ReceiverStatus) -> Receiver {
    Receiver {
        name: shown(&status.name),
        integration: status.integration,
        waiting: status.waiting,
        oldest_waiting: status.oldest_waiting,
        last_success: status.last_success,
        delivered: status.delivered,
        failed: status.failed.values().sum(),
        given_up: status.given_up,
        dead_letters: status.dead,
        off: status.off,
    }
}
