//! The newest sessions of one connector of one server, by their own time.
//!
//! What sessions say of a trouble depends on which came before it and which after it, and not on when they were read:
//! a directory with rows of yesterday may be read after one with those of today.

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::certificate::Thumbprint;

/// A row older than the newest session by more than this comes from a directory that is read later. It says nothing
/// about now.
pub const LATE_SESSION: SignedDuration = SignedDuration::from_mins(10);
/// A refusal counts as over when the log shows this much time since the last one, with at least [`QUIET_SESSIONS`]
/// sessions in it: mail would have been refused again.
pub const QUIET_PERIOD: SignedDuration = SignedDuration::from_hours(6);
/// Sessions with Exchange Online that a quiet period must hold.
pub const QUIET_SESSIONS: u32 = 10;

/// As many sessions as a quiet period must hold.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Recent {
    /// Ordered by time.
    sessions: Vec<Session>,
}

/// A session in which TLS was established.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Session {
    pub(super) time: Timestamp,
    /// What it presented, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) thumbprint: Option<Thumbprint>,
}

impl Recent {
    /// A session, whenever it was.
    pub(super) fn add(&mut self, time: Timestamp, thumbprint: Option<Thumbprint>) {
        let place = self.sessions.partition_point(|it| it.time <= time);
        self.sessions.insert(place, Session { time, thumbprint });
        if self.sessions.len() > QUIET_SESSIONS as usize {
            self.sessions.remove(0);
        }
    }

    /// Those that came after this moment, oldest first; of many, the newest.
    pub(super) fn after(&self, time: Timestamp) -> &[Session] {
        let place = self.sessions.partition_point(|it| it.time <= time);
        &self.sessions[place..]
    }

    /// When a quiet period that began at this moment was over, if it is.
    pub(super) fn quiet_since(&self, time: Timestamp) -> Option<Timestamp> {
        let after = self.after(time);
        let newest = after.last()?.time;
        let is_quiet =
            after.len() >= QUIET_SESSIONS as usize && newest.duration_since(time) >= QUIET_PERIOD;
        is_quiet.then_some(newest)
    }
}

/// Whether what happened at this time is too old to say anything about now.
pub(super) fn is_late(time: Timestamp, newest: Option<Timestamp>) -> bool {
    newest.is_some_and(|newest| newest.duration_since(time) > LATE_SESSION)
}

/// Whether a refusal that is read late is no part of the trouble that stands since then: a quiet period lies between.
pub(super) fn is_apart(time: Timestamp, since: Timestamp) -> bool {
    since.duration_since(time) >= QUIET_PERIOD
}
