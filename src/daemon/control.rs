//! Wishes of `certdrift notify list`, `replay` and `drop`, which another process asks for.
//!
//! The state belongs to one process. So whoever wants to see or change the messages asks the running daemon, over a
//! socket in the directory of the state that only its owner may use; while none runs, he opens the state himself. Which
//! of the two it is, the lock of the directory tells, and nothing else.
//!
//! One wish is one connection: a line of JSON each way, both bounded in length and in time.

#[cfg(unix)]
mod socket;

use std::fmt;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::daemon::clock;
use crate::daemon::store::FolderError;
use crate::daemon::store::Store;
use crate::daemon::store::StoreError;
use crate::pipeline::outbox::Outbox;
use crate::pipeline::outbox::wish::Reply;
use crate::pipeline::outbox::wish::Wish;
use crate::pipeline::saved::Changes;
use crate::pipeline::saved::Written;

/// A wish, and whoever waits for the answer.
#[derive(Debug)]
pub struct Question {
    /// What is asked for.
    pub wish: Wish,
    answer: oneshot::Sender<Reply>,
}

impl Question {
    /// Answers. Whoever asked may have gone meanwhile.
    pub fn answer(self, reply: Reply) {
        let _ = self.answer.send(reply);
    }
}

/// The daemon's side: takes wishes for as long as it lives.
#[derive(Debug)]
pub struct Control {
    #[cfg(unix)]
    _socket: Option<socket::Offered>,
}

impl Control {
    /// Takes wishes of the owner of this directory, whose lock the caller holds. Without the socket everything else
    /// goes on.
    pub fn offer(folder: &Path, questions: mpsc::Sender<Question>) -> Self {
        #[cfg(unix)]
        {
            let offered = socket::offer(folder, questions);
            if let Err(error) = &offered {
                tracing::warn!(
                    "`certdrift notify list`, `replay` and `drop` will not work while this runs: {}: {error}",
                    folder.join(SOCKET).display()
                );
            }
            Self {
                _socket: offered.ok(),
            }
        }
        #[cfg(not(unix))]
        {
            let _ = (folder, questions);
            Self {}
        }
    }
}

/// The socket within the directory of the state.
#[cfg(unix)]
const SOCKET: &str = "certdrift.sock";

/// Why a wish could not be asked for.
#[derive(Debug)]
pub enum ControlError {
    /// There is no state in this directory.
    NoState(PathBuf),
    /// The system says no.
    System {
        /// The directory, or a file in it.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// The daemon runs, but does not answer.
    NoAnswer {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        why: String,
    },
    /// The state cannot be opened or written.
    Store(String),
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoState(path) => write!(
                f,
                "{}: there is no state of certdrift here. Give the directory that the daemon uses with --storage.path",
                path.display()
            ),
            Self::System { path, error } if error.kind() == io::ErrorKind::PermissionDenied => {
                write!(
                    f,
                    "{}: {error}. Only root and the account that certdrift runs as may ask for this; try `sudo certdrift notify …`",
                    path.display()
                )
            }
            Self::System { path, error } => write!(f, "{}: {error}", path.display()),
            Self::NoAnswer { path, why } => write!(
                f,
                "{}: certdrift runs on this state, but does not answer: {why}. Try again in a moment; its log says what keeps it",
                path.display()
            ),
            Self::Store(why) => f.write_str(why),
        }
    }
}

/// Has a wish granted: by the daemon that runs on this directory, or by itself if none does.
///
/// # Errors
/// Why it could not be asked for, in words for whoever asks.
pub fn ask(folder: &Path, wish: &Wish) -> Result<Reply, ControlError> {
    let system = |error| ControlError::System {
        path: folder.to_owned(),
        error,
    };
    if !Store::exists(folder).map_err(system)? {
        return Err(ControlError::NoState(folder.to_owned()));
    }
    let not_asked = match ask_daemon(folder, wish) {
        Ok(reply) => return Ok(reply),
        Err(error) => error,
    };
    match &not_asked {
        NotAsked::Nobody(_) => {}
        NotAsked::Denied(error) => {
            let error = io::Error::new(error.kind(), error.to_string());
            return Err(system(error));
        }
        NotAsked::NoAnswer(why) => {
            return Err(ControlError::NoAnswer {
                path: folder.to_owned(),
                why: why.clone(),
            });
        }
    }
    grant_stopped(folder, wish, &not_asked)
}

/// Why the daemon was not asked, or did not answer.
enum NotAsked {
    /// Nobody listens.
    Nobody(String),
    /// The socket belongs to somebody else.
    Denied(io::Error),
    /// Somebody listens, and says nothing that makes sense.
    NoAnswer(String),
}

#[cfg(unix)]
fn ask_daemon(folder: &Path, wish: &Wish) -> Result<Reply, NotAsked> {
    socket::ask(folder, wish)
}

#[cfg(not(unix))]
fn ask_daemon(_: &Path, _: &Wish) -> Result<Reply, NotAsked> {
    let why = "on this system it can be asked only while it is stopped";
    Err(NotAsked::Nobody(why.to_owned()))
}

/// Opens the state that nobody uses, and does it there.
fn grant_stopped(folder: &Path, wish: &Wish, not_asked: &NotAsked) -> Result<Reply, ControlError> {
    let now = clock::now();
    let opened = match Store::open_existing(folder) {
        Ok(opened) => opened,
        Err(StoreError::Folder(FolderError::InUse { path, .. })) => {
            let why = match not_asked {
                NotAsked::Nobody(why) | NotAsked::NoAnswer(why) => why.clone(),
                NotAsked::Denied(error) => error.to_string(),
            };
            return Err(ControlError::NoAnswer { path, why });
        }
        Err(StoreError::Folder(FolderError::System { path, error })) => {
            return Err(ControlError::System { path, error });
        }
        Err(error) => return Err(ControlError::Store(error.to_string())),
    };
    let mut store = opened.store;
    let unreadable = |why: String| {
        ControlError::Store(format!(
            "{}: {why}. The state is damaged; certdrift sets it aside at its next start",
            folder.display()
        ))
    };
    let mut outbox =
        Outbox::restore(&opened.saved).map_err(|error| unreadable(error.to_string()))?;
    let reply = outbox.grant(wish, now);
    if let Reply::Done { .. } = reply {
        let mut changes = Changes::default();
        outbox.take_changes(&mut Written::of(&opened.saved), &mut changes);
        store
            .commit(&changes)
            .map_err(|trouble| ControlError::Store(format!("{}: {trouble}", folder.display())))?;
    }
    Ok(reply)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
mod tests;
