//! Following log files as they grow.
//!
//! Every source has a thread of its own, so a share that hangs holds up nobody else, nor the shutdown. A thread looks
//! at the directory every two seconds and at the files that are still written every second, or at once when something
//! wakes it; it opens, reads and closes a file within one pass, because a handle kept open would keep Exchange from
//! deleting the file. A file that is as it was is not even opened, where the system says so reliably. What it reads goes
//! through a bounded channel to the one task that owns the engine.

mod absent;
mod beginning;
mod copies;
mod disk;
mod file;
mod folder;
mod identity;
mod listing;
mod pass;
pub mod places;
pub mod position;
mod pulse;
mod reading;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::mpsc::Sender;

use crate::config::PathPattern;
use crate::config::SourceConfig;
use crate::daemon::clock;
use crate::daemon::tail::disk::LocalDisk;
use crate::daemon::tail::pass::Pass;
use crate::daemon::tail::places::Places;
use crate::daemon::tail::position::FileId;
use crate::daemon::tail::position::Position;
use crate::daemon::tail::pulse::Pulse;

/// How often files that are still written are looked at: all threads at the same moments, for hundreds of them that each
/// wake the machine at another one cost half as much again.
pub const POLL: Duration = Duration::from_secs(1);
/// The shortest time between two looks: a busy server appends hundreds of times a second, and each look is at all files
/// that are still written. Short enough for a row to be counted within 0.2 s.
const PAUSE: Duration = Duration::from_millis(100);
/// How many messages may wait for the engine, over all sources: 4 MiB, and more only where a line is longer than what
/// is read at once.
pub const MAX_MESSAGES: usize = 16;
/// A thread only reads and lists; it needs little stack.
const STACK_BYTES: usize = 256 * 1024;

/// A directory of one server.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Directory {
    /// Where it is.
    pub path: PathBuf,
    /// Whose logs these are.
    pub server: Arc<str>,
}

/// What a source's thread has to say.
#[derive(Debug)]
pub struct Message {
    /// Which source: its number in the configuration's list at the time it was started.
    pub source: u64,
    /// What.
    pub event: Event,
}

/// What a source's thread has to say. A position in it is the one after it: what the event leads to and the position
/// are kept together, or neither.
#[derive(Debug)]
pub enum Event {
    /// The next whole lines of a file.
    Bytes {
        /// Its directory.
        directory: Arc<Directory>,
        /// The lines, with their newlines.
        bytes: Vec<u8>,
        /// Whether more was there at the last look, in this file or a later one of the directory.
        more: bool,
        /// Behind them.
        position: Position,
    },
    /// Something that cannot be read any more, or never could.
    Lost {
        /// Its directory.
        directory: Arc<Directory>,
        /// What, and why.
        loss: Loss,
        /// Behind it.
        position: Position,
    },
    /// Nothing more will come in this file: a newer one exists and it has long been still.
    Finished {
        /// Its directory.
        directory: Arc<Directory>,
        /// Its last row, if it has no newline.
        bytes: Vec<u8>,
        /// Behind that.
        position: Position,
    },
    /// A file changed, but not by growing.
    Changed {
        /// Its directory.
        directory: Arc<Directory>,
        /// How.
        change: Change,
        /// From now on.
        position: Position,
    },
    /// The first look ever at this source: these files are older than the first reading goes back.
    PassedOver {
        /// Where reading them would begin is looked up later.
        positions: Vec<Position>,
    },
    /// Nothing needs to be known of this file any more.
    Forgotten {
        /// Which file.
        file: FileId,
    },
    /// Whatever can be read of a directory has been read; said when the last [`Event::Bytes`] promised more.
    CaughtUp {
        /// Which directory.
        directory: Arc<Directory>,
    },
    /// A look takes long, but the file system answers.
    Alive,
    /// All files have been looked at. Said when the outcome differs from the last one, and now and then to show that
    /// the thread is alive.
    Looked {
        /// What it gave.
        look: Look,
        /// When it began.
        began: Moment,
    },
}

/// When a look is taken.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For intervals.
    pub instant: Instant,
    /// For what is written down, and for the dates in names.
    pub wall: Timestamp,
}

/// Bytes that are lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Loss {
    /// Where they begin in the file.
    pub from: u64,
    /// How many.
    pub bytes: u64,
    /// Why.
    pub reason: LossReason,
}

/// Why bytes are lost.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LossReason {
    /// A crash left NUL bytes, and the beginning of a row before them.
    Nul,
    /// A line over the limit. No row is that long.
    LongLine,
    /// The file was deleted before it was read.
    Deleted,
    /// The file was rewritten before it was read.
    Rewritten,
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// It is older than the first reading goes back; the position says where it ends.
    PassedOver,
    /// It is somewhere else now, or has another name.
    Moved,
    /// It was gone and is back, here or somewhere else.
    Returned {
        /// Bytes that were said to be lost and are not.
        found: u64,
    },
    /// It ends before the offset. Should it grow again, what it then holds tells whether that was read before.
    Cut,
    /// It was rewritten behind the position.
    Rewritten,
    /// It is gone.
    Vanished,
}

impl Event {
    /// How many bytes of logs it carries.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Bytes { bytes, .. } | Self::Finished { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }
}

/// What a look at a whole source gave.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Look {
    /// What is wrong with the source as a whole, in words for an operator.
    pub trouble: Option<String>,
    /// The directories that hold logs.
    pub directories: Vec<DirectoryLook>,
}

impl Look {
    /// All that is wrong; nothing: everything could be read.
    pub fn troubles(&self) -> impl Iterator<Item = &str> {
        let of_directories = self
            .directories
            .iter()
            .filter_map(|it| it.trouble.as_deref());
        self.trouble.as_deref().into_iter().chain(of_directories)
    }

    /// What is wrong with the source as a whole, or else with a directory of this server.
    pub fn trouble_of(&self, server: &str) -> Option<&str> {
        let own = || {
            let of = |it: &&DirectoryLook| *it.directory.server == *server && it.trouble.is_some();
            self.directories.iter().find(of)?.trouble.as_deref()
        };
        self.trouble.as_deref().or_else(own)
    }
}

/// What a look at one directory gave.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DirectoryLook {
    /// Which directory.
    pub directory: Arc<Directory>,
    /// Its log files.
    pub files: usize,
    /// Bytes that are there but not yet read.
    pub unread: u64,
    /// What is wrong with it or one of its files, in words for an operator; `None`: everything could be read.
    pub trouble: Option<String>,
}

/// Wakes a source's thread before its time, or ends it.
#[derive(Debug, Default)]
pub struct Waker {
    woken: Mutex<Option<Hint>>,
    changed: Condvar,
    stopped: AtomicBool,
}

/// What may have happened.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Hint {
    /// Something was written.
    Written,
    /// A file or directory was made.
    Made,
}

impl Waker {
    /// Something may have changed.
    pub fn wake(&self, hint: Hint) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        *woken = (*woken).max(Some(hint));
        self.changed.notify_one();
    }

    /// The thread is to end when it next comes up for air.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.wake(Hint::Written);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Waits for a hint. What comes within the shortest time is answered at its end, all of it at once; only an end is
    /// not waited with. A thread that nobody wakes sleeps through: hundreds of them do.
    fn wait(&self, shortest: Duration, longest: Duration) -> Option<Hint> {
        let began = clock::instant();
        let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let (woken, _) = self
            .changed
            .wait_timeout_while(woken, longest, |woken| woken.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        let (mut woken, _) = self
            .changed
            .wait_timeout_while(woken, shortest.saturating_sub(began.elapsed()), |_| {
                !self.is_stopped()
            })
            .unwrap_or_else(PoisonError::into_inner);
        woken.take()
    }
}

/// How the positions of a source name it.
pub fn source_key(source: &SourceConfig) -> Arc<str> {
    Arc::from(source.path.as_path().to_string_lossy())
}

/// Starts to follow a source, from where its saved positions say; but not what one of the `earlier` sources reads, nor
/// what `places` say is read under another path. The thread ends when it is told to, or when nobody listens any more;
/// nobody waits for it, because a share that hangs would hold it for minutes.
///
/// # Errors
/// The system's, when it cannot start a thread.
pub fn start(
    number: u64,
    source: SourceConfig,
    earlier: Vec<PathPattern>,
    saved: Vec<Position>,
    places: Arc<Places>,
    messages: Sender<Message>,
) -> std::io::Result<Arc<Waker>> {
    let waker = Arc::new(Waker::default());
    let own = Arc::clone(&waker);
    let present = || Moment {
        instant: clock::instant(),
        wall: clock::now(),
    };
    std::thread::Builder::new()
        .name(format!("source {number}"))
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let say = |event| {
                let message = Message {
                    source: number,
                    event,
                };
                !own.is_stopped() && messages.blocking_send(message).is_ok()
            };
            // Whether somebody listens, the next event tells.
            let beat = || {
                let _ = say(Event::Alive);
            };
            let disk = Pulse::new(LocalDisk, clock::instant, beat);
            let mut pass = Pass::new(disk, source, earlier, saved, present());
            pass.share(number, places);
            let mut hint = None;
            loop {
                pass.disk.rest();
                if !pass.look(present(), hint, &mut |event| say(event)) || own.is_stopped() {
                    break;
                }
                let longest = if pass.waits {
                    PAUSE
                } else {
                    clock::until_next(POLL)
                };
                hint = own.wait(PAUSE, longest);
            }
        })?;
    Ok(waker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_that_follow_fast_are_answered_together() {
        let waker = Waker::default();
        let (pause, poll) = (Duration::from_millis(50), Duration::from_secs(60));
        waker.wake(Hint::Made);
        waker.wake(Hint::Written);
        let began = clock::instant();
        assert_eq!(waker.wait(pause, poll), Some(Hint::Made));
        assert!(began.elapsed() >= pause);
        assert_eq!(waker.wait(pause, pause), None, "both were answered");
    }

    #[test]
    fn an_end_is_not_waited_with() {
        let waker = Waker::default();
        waker.stop();
        let began = clock::instant();
        let poll = Duration::from_secs(60);
        waker.wait(poll, poll);
        assert!(began.elapsed() < poll);
    }
}
