//! What one reading of log files gave: the data behind every format of `certdrift check`.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::pipeline::file::Refusal;
use crate::pipeline::file::Tally;
use crate::pipeline::snapshot::Snapshot;

/// What one reading of log files gave.
#[derive(Clone, Debug)]
pub struct Report {
    /// Files read; refused ones are not among them.
    pub files: usize,
    /// Files that are no send protocol logs, and why.
    pub refused: Vec<(PathBuf, Refusal)>,
    /// What the files held.
    pub tally: Tally,
    /// Time of the earliest row.
    pub first_row: Option<Timestamp>,
    /// Time of the latest row.
    pub last_row: Option<Timestamp>,
    /// What was observed and judged.
    pub snapshot: Snapshot,
    /// Whether there was a configuration to judge by.
    pub judged: bool,
}

impl Report {
    /// Distinct sessions, over all connectors.
    pub fn sessions(&self) -> u64 {
        self.snapshot
            .connectors()
            .filter_map(|(_, entry)| Some(entry.sessions?.count))
            .sum()
    }
}
