//! When the state goes to disk, and what happens when it cannot.
//!
//! What changes is gathered for a moment, so that a busy server costs two commits a second and not a thousand. Nothing
//! is shown and nothing is sent before it is on disk: a crash then takes back nothing that anybody has seen.
//!
//! A commit that fails is tried again with the same changes, for as long as it takes. Meanwhile nothing is read: the
//! changes that wait are bounded by that, and the logs keep what they have. They are not thrown away and read again,
//! because that would have to turn back the reading threads as well, and lead to the same rows.

mod pace;

use std::time::Duration;
use std::time::Instant;

use tracing::error;
use tracing::info;
use tracing::warn;

use crate::daemon::clock;
use crate::daemon::run::commits::pace::Pace;
use crate::daemon::store::Store;
use crate::daemon::store::Trouble;
use crate::pipeline::saved::Changes;

/// So many bytes of logs are read between two commits: about 80,000 rows, which are read again after a crash. They take a
/// few times as long to read as the commit takes to reach the disk; half a second's worth is read only by a program that
/// is behind.
const MAX_BYTES: usize = 16 << 20;
/// Delay before a commit that failed is tried again; doubled each time up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// So many new databases in a row may be damaged before the process gives up.
const MAX_REPLACED: usize = 3;

/// Changes on their way to disk.
pub(super) struct Commits {
    store: Store,
    staged: Changes,
    /// Bytes of logs read since the last commit.
    bytes: usize,
    /// Whether anything happened since.
    touched: bool,
    /// `None`: nothing was committed yet.
    pace: Option<Pace>,
    /// Whether somebody waits for the next commit.
    hurry: bool,
    failing: Option<Failing>,
}

struct Failing {
    retry: Instant,
    delay: Duration,
}

/// What came of a commit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// Everything is on disk.
    Done,
    /// Nothing of it is, for now.
    Failed,
    /// The database was damaged and is a new one: the whole state has to be committed.
    Replaced,
}

impl Commits {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            staged: Changes::default(),
            bytes: 0,
            touched: false,
            pace: None,
            hurry: false,
            failing: None,
        }
    }

    /// Something happened, by so many bytes of logs.
    pub(super) fn touch(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.touched = true;
    }

    /// Somebody waits for an answer: the next turn commits.
    pub(super) fn hurry(&mut self) {
        self.hurry = true;
        self.touched = true;
    }

    /// Whether so much was read that it should be committed before more is.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MAX_BYTES
    }

    /// Whether the last commit failed: then nothing may be read.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// Whether it is time to commit. `urgent`: somebody waits to be told.
    pub(super) fn is_due(&self, urgent: bool, now: Instant) -> bool {
        match (&self.failing, &self.pace) {
            (Some(failing), _) => failing.retry <= now,
            (None, Some(pace)) => urgent || self.hurry || self.is_full() || pace.next(now) <= now,
            (None, None) => true,
        }
    }

    /// How long until it is time, if something waits for it.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let at = match &self.failing {
            Some(failing) => failing.retry,
            None if self.touched => match &self.pace {
                Some(pace) if !self.hurry => pace.next(now),
                _ => now,
            },
            None => return None,
        };
        Some(at.saturating_duration_since(now))
    }

    #[cfg(test)]
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// Commits these changes and those that wait since the last failure.
    ///
    /// # Errors
    /// When the process has to end, in words for the operator.
    pub(super) fn commit(&mut self, changes: Changes, now: Instant) -> Result<Outcome, String> {
        self.staged.merge(changes);
        // Also when there is nothing to write: nobody else would notice for as long as nothing happens.
        let outcome = self.store.check_place().and_then(|()| {
            if self.staged.is_empty() {
                Ok(())
            } else {
                self.store.commit(&self.staged)
            }
        });
        match outcome {
            Ok(()) => {
                if self.failing.take().is_some() {
                    info!("the state can be written again");
                }
                self.staged = Changes::default();
                self.bytes = 0;
                self.touched = false;
                self.hurry = false;
                match &mut self.pace {
                    Some(pace) => pace.commit(now),
                    None => self.pace = Some(Pace::new(now)),
                }
                Ok(Outcome::Done)
            }
            Err(Trouble::Later(why)) => {
                self.back_off(&why, now);
                Ok(Outcome::Failed)
            }
            Err(Trouble::Damaged(why)) => {
                let replaced = self
                    .store
                    .replace(why, clock::now())
                    .map_err(|error| error.to_string())?;
                warn!(why = replaced.why, kept_as = %replaced.kept_as.display(), "the state on disk was damaged; it is written anew from memory");
                self.staged = Changes::default();
                Ok(Outcome::Replaced)
            }
            Err(Trouble::Fatal(why)) => Err(format!(
                "the state on disk cannot be trusted any more: {why}. Check the disk. After a restart certdrift goes on \
                 from the last commit that reached it, and reads the logs from there"
            )),
        }
    }

    fn back_off(&mut self, why: &str, now: Instant) {
        let delay = self
            .failing
            .as_ref()
            .map_or(MIN_BACKOFF, |failing| (failing.delay * 2).min(MAX_BACKOFF));
        error!(
            seconds = delay.as_secs(),
            "the state cannot be written: {why}. Nothing is read until it can; the logs keep what they have. Tried again"
        );
        self.failing = Some(Failing {
            retry: now + delay,
            delay,
        });
    }
}

/// Commits, and as often as the database turns out damaged and is replaced, commits the whole state into the new one.
/// The changes of the failed commit are part of that whole: none of them is lost.
///
/// # Errors
/// Those of `commit`, and when the new databases are damaged as well.
pub(super) fn until_kept(
    changes: Changes,
    mut commit: impl FnMut(Changes) -> Result<Outcome, String>,
    mut everything: impl FnMut() -> Changes,
) -> Result<Outcome, String> {
    let mut outcome = commit(changes)?;
    for _ in 0..MAX_REPLACED {
        if outcome != Outcome::Replaced {
            return Ok(outcome);
        }
        outcome = commit(everything())?;
    }
    if outcome == Outcome::Replaced {
        return Err(format!(
            "the state was written anew {MAX_REPLACED} times, and was damaged each time. Check the disk. After a restart \
             certdrift reads the logs again, as far back as first_read says"
        ));
    }
    Ok(outcome)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_new_database_that_is_damaged_as_well_gets_everything_again() {
        use std::collections::VecDeque;
        for (replaced, last) in [
            (0, Ok(Outcome::Done)),
            (1, Ok(Outcome::Done)),
            (1, Ok(Outcome::Failed)),
            (3, Ok(Outcome::Done)),
            (1, Err("dead".to_owned())),
        ] {
            let mut outcomes: VecDeque<_> = std::iter::repeat_n(Ok(Outcome::Replaced), replaced)
                .chain([last.clone()])
                .collect();
            let mut written = Vec::new();
            let commit = |changes: Changes| {
                written.push(changes);
                outcomes.pop_front().unwrap()
            };
            let outcome = until_kept(change("first", 1), commit, || change("whole", 1));
            assert_eq!(outcome, last, "{replaced}");
            assert_eq!(written.len(), replaced + 1);
            assert_eq!(written[0], change("first", 1));
            for whole in &written[1..] {
                assert_eq!(whole, &change("whole", 1));
            }
        }
        let for_ever = |_: Changes| Ok(Outcome::Replaced);
        let error = until_kept(change("first", 1), for_ever, || change("whole", 1));
        assert!(error.unwrap_err().contains("Check the disk"));
    }
    use crate::pipeline::saved::Table;

    fn change(key: &str, bytes: usize) -> Changes {
        let mut changes = Changes::default();
        changes.put(Table::Session, key, &"x".repeat(bytes));
        changes
    }

    fn open(folder: &tempfile::TempDir) -> Commits {
        Commits::new(Store::open(folder.path(), clock::now()).unwrap().store)
    }

    fn rows(folder: &tempfile::TempDir) -> usize {
        let saved = Store::open(folder.path(), clock::now()).unwrap().saved;
        saved.texts(Table::Session).count()
    }

    #[test]
    fn changes_are_gathered_for_a_moment() {
        let folder = tempfile::tempdir().unwrap();
        let mut commits = open(&folder);
        let start = clock::instant();
        let at = |millis| start + Duration::from_millis(millis);
        assert!(
            commits.is_due(false, at(0)),
            "the first change waits for nothing"
        );
        assert_eq!(commits.wait(at(0)), None);
        commits.touch(1);
        assert_eq!(commits.commit(change("a", 1), at(0)), Ok(Outcome::Done));
        assert_eq!(commits.wait(at(0)), None, "nothing waits");
        commits.touch(1);
        assert!(!commits.is_due(false, at(49)));
        assert_eq!(commits.wait(at(40)), Some(Duration::from_millis(10)));
        assert!(commits.is_due(true, at(1)), "somebody waits to be told");
        assert!(commits.is_due(false, at(50)));
        commits.touch(MAX_BYTES);
        assert!(commits.is_due(false, at(1)) && commits.is_full());
        assert_eq!(commits.commit(change("b", 1), at(1)), Ok(Outcome::Done));
        assert!(!commits.is_full() && !commits.is_due(false, at(2)));
        commits.hurry();
        assert!(commits.is_due(false, at(2)));
        assert_eq!(commits.wait(at(2)), Some(Duration::ZERO));
        drop(commits);
        assert_eq!(rows(&folder), 2);
    }

    #[test]
    fn a_commit_that_fails_is_tried_again_with_all_that_came_since() {
        let folder = tempfile::tempdir().unwrap();
        let mut commits = open(&folder);
        let mut now = clock::instant();
        commits.store.limit_pages(Some(20));
        for (number, delay) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            let changes = change(&number.to_string(), 100_000);
            assert_eq!(commits.commit(changes, now), Ok(Outcome::Failed));
            assert!(commits.is_failing());
            let delay = Duration::from_secs(delay);
            assert_eq!(commits.wait(now), Some(delay));
            assert!(!commits.is_due(true, now + delay / 2));
            now += delay;
            assert!(commits.is_due(false, now));
        }
        commits.store.limit_pages(None);
        assert_eq!(commits.commit(change("last", 1), now), Ok(Outcome::Done));
        assert!(!commits.is_failing());
        drop(commits);
        assert_eq!(rows(&folder), 9);
    }

    #[cfg(unix)]
    #[test]
    fn a_state_that_was_deleted_or_replaced_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (state, aside) = (folder.path().join("state"), folder.path().join("aside"));
        let opened = Store::open(&state, clock::now()).unwrap();
        let mut commits = Commits::new(opened.store);
        let mut now = clock::instant();
        assert_eq!(commits.commit(change("a", 1), now), Ok(Outcome::Done));
        std::fs::rename(&state, &aside).unwrap();
        let nothing = Changes::default();
        assert_eq!(commits.commit(nothing, now), Ok(Outcome::Failed));
        let why = commits.store.check_place().unwrap_err().to_string();
        assert!(why.contains("state/certdrift.db: the state directory was removed or replaced"));
        // Whoever starts there begins a state of its own.
        drop(Store::open(&state, clock::now()).unwrap());
        now += MAX_BACKOFF;
        assert_eq!(commits.commit(change("b", 1), now), Ok(Outcome::Failed));
        std::fs::remove_dir_all(&state).unwrap();
        std::fs::write(&state, "").unwrap();
        assert!(commits.store.check_place().is_err());
        // What was only moved away is as good as before once it is back.
        std::fs::remove_file(&state).unwrap();
        std::fs::rename(&aside, &state).unwrap();
        now += MAX_BACKOFF;
        assert_eq!(commits.commit(change("c", 1), now), Ok(Outcome::Done));
        drop(commits);
        let saved = Store::open(&state, clock::now()).unwrap().saved;
        assert_eq!(saved.texts(Table::Session).count(), 3);
    }

    #[test]
    fn what_cannot_be_written_at_all_ends_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let mut commits = open(&folder);
        let mut changes = change("a", 1);
        let key = std::collections::BTreeMap::from([((1, 2), 3)]);
        changes.put(Table::Alert, "a", &key);
        assert!(commits.commit(changes, clock::instant()).is_err());
        drop(commits);
        assert_eq!(rows(&folder), 0);
    }
}
