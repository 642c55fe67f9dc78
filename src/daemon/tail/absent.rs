//! Files that are gone, as far as they must be known again: a share comes back after weeks, a file under another name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::SignedDuration;
use jiff::Timestamp;

use crate::daemon::source::LogName;
use crate::daemon::tail::file::Followed;
use crate::daemon::tail::position::FileId;
use crate::daemon::tail::position::Fingerprint;
use crate::daemon::tail::position::Hash;
use crate::pipeline::file::Refusal;

/// How long they are known.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How many of one server are known: more than the 750 files that Exchange keeps by default, so that all of a folder may
/// go and come back. Beyond, the oldest by name is forgotten first; should it come back, it is taken for a file that was
/// read ([`Absent::is_forgotten`]).
pub(super) const MAX_ABSENT: usize = 1_000;

/// Files that are gone, by the server whose logs they were.
#[derive(Debug, Default)]
pub(super) struct Absent(BTreeMap<Arc<str>, BTreeMap<Key, Gone>>);

/// Oldest first.
type Key = (LogName, FileId);

/// What is left of a file: much less than while it is followed.
#[derive(Debug)]
struct Gone {
    file_name: Arc<str>,
    generation: u32,
    fingerprint: Option<Fingerprint>,
    offset: Option<u64>,
    anchor: Option<Hash>,
    size: u64,
    finished: bool,
    refused: Option<Refusal>,
    since: Option<Timestamp>,
}

impl Absent {
    /// A file is gone. The one that is forgotten for it, if one is.
    pub(super) fn add(&mut self, server: &Arc<str>, file: Followed) -> Option<FileId> {
        let of_server = self.0.entry(Arc::clone(server)).or_default();
        let key = (file.name, file.id);
        let gone = Gone {
            file_name: file.file_name,
            generation: file.generation,
            fingerprint: file.fingerprint,
            offset: file.offset,
            anchor: file.anchor,
            size: file.size,
            finished: file.finished,
            refused: file.refused,
            since: file.vanished,
        };
        of_server.insert(key, gone);
        if of_server.len() <= MAX_ABSENT {
            return None;
        }
        of_server.pop_first().map(|((_, id), _)| id)
    }

    /// The file of a server that begins so.
    pub(super) fn find(
        &self,
        server: &Arc<str>,
        fingerprint: Fingerprint,
        now: Instant,
    ) -> Option<Followed> {
        let mut of_server = self.0.get(server)?.iter();
        let ((_, id), gone) = of_server.find(|(_, gone)| gone.fingerprint == Some(fingerprint))?;
        Some(gone.followed(*id, now))
    }

    /// It is back.
    pub(super) fn remove(&mut self, server: &Arc<str>, file: &Followed) {
        if let Some(of_server) = self.0.get_mut(server) {
            of_server.remove(&(file.name, file.id));
        }
    }

    /// Whether a file of this name is older than all that are known, of so many that some were forgotten. Most likely it
    /// is one of those, back from a backup, and was read.
    pub(super) fn is_forgotten(&self, server: &str, name: LogName) -> bool {
        let Some(of_server) = self.0.get(server).filter(|it| it.len() >= MAX_ABSENT) else {
            return false;
        };
        let oldest = of_server.first_key_value().map(|((name, _), _)| *name);
        name != LogName::Other && oldest.is_some_and(|oldest| name < oldest)
    }

    /// Forgets what has been gone for too long, and says what that was.
    pub(super) fn forget_old(&mut self, now: Timestamp) -> Vec<FileId> {
        let mut forgotten = Vec::new();
        for of_server in self.0.values_mut() {
            of_server.retain(|(_, id), gone| {
                let is_kept = gone
                    .since
                    .is_none_or(|since| now.duration_since(since) < KEPT);
                if !is_kept {
                    forgotten.push(*id);
                }
                is_kept
            });
        }
        self.0.retain(|_, of_server| !of_server.is_empty());
        forgotten
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }
}

impl Gone {
    fn followed(&self, id: FileId, now: Instant) -> Followed {
        let mut file = Followed::new(id, &self.file_name, self.offset, now);
        file.generation = self.generation;
        file.fingerprint = self.fingerprint;
        file.anchor = self.anchor;
        file.size = self.size;
        file.current = self.size;
        file.seen = self.offset.unwrap_or_default();
        file.finished = self.finished;
        file.refused = self.refused;
        file.vanished = self.since;
        file.announced = true;
        file.fresh = false;
        file.verified = self.fingerprint.is_none();
        file
    }
}
