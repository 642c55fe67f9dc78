//! What one reading of log files gave: the data behind every format of `certdrift check`.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::pipeline::file;
use crate::pipeline::file::Tally;
use crate::pipeline::ledger::Refusal;
use crate::pipeline::reply::ReplyClass;
use crate::pipeline::session::Place;
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
    pub refused: Vec<(PathBuf, file::Refusal)>,
    /// What could not be read of the logs, in words for an operator; refused files are in it only where a server has no others.
    pub unread: Vec<String>,
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

/// That there are lines, but none of them is a row, if so.
pub fn no_rows(tally: Tally) -> Option<String> {
    let lines = match tally.malformed_rows {
        1 => "the only line is no row".to_owned(),
        count => format!("none of {count} lines is a row"),
    };
    let is_none = tally.rows == 0 && tally.malformed_rows > 0;
    is_none.then(|| format!("{lines} of a send protocol log. Give the files as Exchange writes them, in its SmtpSend folder"))
}

/// Exit code when nothing can be said. Usage, configuration and I/O errors of `check` and `preflight` are this, too: a typo in a
/// monitoring command must not page.
pub const UNKNOWN: u8 = 3;

/// What a command finds out, in one word, from good to bad.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Outcome {
    /// Everything that is judged matches; for `check` without a configuration, at least one session was read.
    Match,
    /// Mail flows, but on something that may give way.
    Warning,
    /// Nothing can be said: no session, no verdict, or an input that cannot be read.
    Unknown,
    /// Exchange Online does not recognise what some connector presents, or would; or mail fails for another reason that
    /// is critical.
    Critical,
}

impl Outcome {
    /// What verdicts come to, with the severity of the gravest reason beside them. The worst decides; that nothing is known
    /// of one connector does not hide another's mismatch, nor that the mail of another fails.
    pub fn of(verdicts: impl Iterator<Item = Verdict>, gravest: Option<Severity>) -> Self {
        match (verdicts.max(), gravest) {
            (Some(Verdict::Mismatch), _) | (Some(_), Some(Severity::Critical)) => Self::Critical,
            (Some(Verdict::Unknown) | None, _) => Self::Unknown,
            (Some(Verdict::Fragile), _) | (_, Some(Severity::Warning)) => Self::Warning,
            (Some(Verdict::Match), _) => Self::Match,
        }
    }

    /// The exit code of `check` and `preflight`. It is that of a monitoring plugin, where 2 calls people.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Match => 0,
            Self::Warning => 1,
            Self::Unknown => UNKNOWN,
            Self::Critical => 2,
        }
    }
}

impl Report {
    /// What it comes to. What was read counts although something else could not be, but that everything is well nobody can say
    /// then.
    pub fn outcome(&self) -> Outcome {
        let read = self.outcome_of_read();
        if self.unread.is_empty() {
            return read;
        }
        read.max(Outcome::Unknown)
    }

    fn outcome_of_read(&self) -> Outcome {
        if self.sessions() == 0 {
            return Outcome::Unknown;
        }
        if !self.judged {
            return Outcome::Match;
        }
        let reasons = self.expected().flat_map(|judged| &judged.reasons);
        let gravest = reasons.map(|reason| reason.severity).max();
        Outcome::of(self.expected().map(|judged| judged.verdict), gravest)
    }

    /// The replies by which Exchange Online refused to relay, over all connectors, each with its connector.
    pub fn denials(&self) -> impl Iterator<Item = (&Place, &Refusal)> {
        let connectors = self.snapshot.connectors();
        let refusals =
            connectors.flat_map(|(place, entry)| entry.refusals.iter().map(move |it| (place, it)));
        refusals.filter(|(_, refusal)| refusal.class == ReplyClass::Attribution)
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
