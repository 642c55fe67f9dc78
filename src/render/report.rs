//! What one reading of log files gave: the data behind every format of `certdrift check`.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::pipeline::file::Refusal;
use crate::pipeline::file::Tally;
use crate::pipeline::snapshot::Judged;
use crate::pipeline::snapshot::Snapshot;
use crate::pipeline::snapshot::SourceStatus;
use crate::pipeline::verdict::Verdict;
use crate::pipeline::verdict::reason::Severity;

/// What one reading of log files gave.
#[derive(Clone, Debug)]
pub struct Report {
    /// Files read; refused ones are not among them.
    pub files: usize,
    /// Files that are no send protocol logs, and why.
    pub refused: Vec<(PathBuf, Refusal)>,
    /// What the files held.
    pub tally: Tally,
    /// The same by source and server, ordered by both.
    pub sources: Vec<SourceStatus>,
    /// Time of the earliest row.
    pub first_row: Option<Timestamp>,
    /// Time of the latest row.
    pub last_row: Option<Timestamp>,
    /// What was observed and judged.
    pub snapshot: Snapshot,
    /// Whether there was a configuration to judge by.
    pub judged: bool,
}

/// Exit code when nothing can be said. Usage, configuration and I/O errors of `check` and `preflight` are this, too: a typo in a
/// monitoring command must not page.
pub const UNKNOWN: u8 = 3;

/// What a command finds out, in one word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Everything that is judged matches; for `check` without a configuration, at least one session was read.
    Match,
    /// Mail flows, but on something that may give way.
    Warning,
    /// Exchange Online does not recognise what some connector presents, or would.
    Mismatch,
    /// Nothing can be said: no session, no verdict, or an input that cannot be read.
    Unknown,
}

impl Outcome {
    /// What verdicts come to, and whether anything warns beside them. The gravest decides; that nothing is known of one
    /// does not hide another's mismatch.
    pub fn of(verdicts: impl Iterator<Item = Verdict>, warns: bool) -> Self {
        match verdicts.max() {
            Some(Verdict::Mismatch) => Self::Mismatch,
            Some(Verdict::Unknown) | None => Self::Unknown,
            Some(Verdict::Fragile) => Self::Warning,
            Some(Verdict::Match) if warns => Self::Warning,
            Some(Verdict::Match) => Self::Match,
        }
    }

    /// The exit code of `check` and `preflight`. It is that of a monitoring plugin, so nothing but a mismatch may be 2.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Match => 0,
            Self::Warning => 1,
            Self::Mismatch => 2,
            Self::Unknown => UNKNOWN,
        }
    }
}

impl Report {
    /// What it comes to.
    pub fn outcome(&self) -> Outcome {
        if self.sessions() == 0 {
            return Outcome::Unknown;
        }
        if !self.judged {
            return Outcome::Match;
        }
        let warns = self
            .expected()
            .flat_map(|judged| &judged.reasons)
            .any(|reason| reason.severity >= Severity::Warning);
        Outcome::of(self.expected().map(|judged| judged.verdict), warns)
    }

    /// The connectors of which the configuration expects something, ordered by server and connector.
    pub fn expected(&self) -> impl Iterator<Item = &Judged> {
        self.snapshot
            .judged
            .iter()
            .filter(|judged| self.judged && judged.expected)
    }

    /// Distinct sessions, over all connectors.
    pub fn sessions(&self) -> u64 {
        self.snapshot
            .connectors()
            .filter_map(|(_, entry)| Some(entry.sessions?.count))
            .sum()
    }
}
