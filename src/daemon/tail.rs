//! Following log files as they grow.
//!
//! Every source has a thread of its own, so a share that hangs holds up nobody else, nor the shutdown. A thread looks
//! at the directory every two seconds and at the files that are still written every second, or at once when something
//! wakes it; it opens, reads and closes a file within one pass, because a handle kept open would keep Exchange from
//! deleting the file. What it reads goes through a bounded channel to the one task that owns the engine.

mod file;
mod pass;
pub mod position;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use crate::config::SourceConfig;
use crate::daemon::tail::pass::Pass;

/// How often files that are still written are looked at.
pub const POLL: Duration = Duration::from_secs(1);
/// How many bytes one message carries at most.
pub const MAX_CHUNK: usize = 256 * 1024;
/// How many messages may wait for the engine, over all sources: 4 MiB.
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

/// Identifies a file for as long as the process runs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FileId(pub u64);

/// What a source's thread has to say.
#[derive(Debug)]
pub struct Message {
    /// Which source: its number in the configuration's list at the time it was started.
    pub source: u64,
    /// What.
    pub event: Event,
}

/// What a source's thread has to say.
#[derive(Debug)]
pub enum Event {
    /// The next bytes of a file.
    Bytes {
        /// Its directory.
        directory: Arc<Directory>,
        /// Which file.
        file: FileId,
        /// Its path, for messages to people.
        path: Arc<PathBuf>,
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether more was there at the last look, in this file or a later one of the directory.
        more: bool,
    },
    /// Whatever can be read of a directory has been read; said when the last [`Event::Bytes`] promised more.
    CaughtUp {
        /// Which directory.
        directory: Arc<Directory>,
    },
    /// Nothing more will come in this file: a newer one exists and it has long been still.
    Finished {
        /// Its directory.
        directory: Arc<Directory>,
        /// Which file.
        file: FileId,
    },
    /// The file was rewritten; what comes next is its start.
    Rewritten {
        /// Which file.
        file: FileId,
    },
    /// The file is gone.
    Gone {
        /// Which file.
        file: FileId,
    },
    /// All files have been looked at. Said when the outcome differs from the last one, and now and then to show that
    /// the thread is alive.
    Looked(Look),
}

/// What a look at a whole source gave.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Look {
    /// What is wrong, in words for an operator; `None`: everything could be read.
    pub trouble: Option<String>,
    /// The directories that hold logs.
    pub directories: Vec<DirectoryLook>,
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
    /// Bytes of files that were deleted before they were read, since the start.
    pub deleted_unread: u64,
}

/// Wakes a source's thread before its time, or ends it.
#[derive(Debug, Default)]
pub struct Waker {
    woken: Mutex<bool>,
    changed: Condvar,
    stopped: AtomicBool,
}

impl Waker {
    /// Something may have changed.
    pub fn wake(&self) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    /// The thread is to end when it next comes up for air.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.wake();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn wait(&self, longest: Duration) {
        let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut woken, _) = self
            .changed
            .wait_timeout_while(woken, longest, |woken| !*woken)
            .unwrap_or_else(PoisonError::into_inner);
        *woken = false;
    }
}

/// Starts to follow a source. The thread ends when it is told to, or when nobody listens any more; nobody waits for it,
/// because a share that hangs would hold it for minutes.
///
/// # Errors
/// The system's, when it cannot start a thread.
pub fn start(
    number: u64,
    source: SourceConfig,
    messages: Sender<Message>,
) -> std::io::Result<Arc<Waker>> {
    let waker = Arc::new(Waker::default());
    let own = Arc::clone(&waker);
    std::thread::Builder::new()
        .name(format!("source {number}"))
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let mut pass = Pass::new(source);
            let mut say = |event| {
                let message = Message {
                    source: number,
                    event,
                };
                !own.is_stopped() && messages.blocking_send(message).is_ok()
            };
            while pass.look(&mut say) && !own.is_stopped() {
                own.wait(POLL);
            }
        })?;
    Ok(waker)
}
