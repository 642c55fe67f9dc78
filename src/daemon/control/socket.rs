//! The socket: of the Unix domain, in the directory of the state, for its owner only.

use std::fs;
use std::fs::File;
use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as BlockingListener;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::warn;

use crate::daemon::control::NotAsked;
use crate::daemon::control::Question;
use crate::daemon::control::SOCKET;
use crate::pipeline::outbox::wish::Reply;
use crate::pipeline::outbox::wish::Wish;

/// The longest path of a socket, in bytes: `sun_path` of Linux holds 108, of macOS 104, with the NUL at the end.
const MAX_PATH_BYTES: usize = 103;
/// The longest wish, in bytes: a thousand numbers.
const MAX_WISH_BYTES: u64 = 64 * 1024;
/// The longest answer, in bytes: some tens of thousands of messages.
const MAX_REPLY_BYTES: u64 = 64 * 1024 * 1024;
/// Clients that are served at once; others wait.
const MAX_CLIENTS: usize = 16;
/// How long a client may take to say its wish, or to take the answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the daemon may take to answer: it may be writing to a slow disk.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Delay after a connection that could not be accepted: out of file descriptors, most likely.
const ACCEPT_DELAY: Duration = Duration::from_secs(1);

/// The socket as long as it is offered.
#[derive(Debug)]
pub(super) struct Offered {
    place: Place,
    _task: JoinSet<()>,
}

impl Drop for Offered {
    fn drop(&mut self) {
        // The lock of the directory is still held, so this is nobody else's.
        let _ = fs::remove_file(self.place.path());
    }
}

/// Where a socket is, in a path that is short enough.
#[derive(Debug)]
struct Place {
    folder: PathBuf,
    /// Keeps `/proc/self/fd/N` meaning the directory.
    _handle: Option<File>,
}

impl Place {
    /// A path that is too long for a socket goes through a handle of the directory.
    fn of(folder: &Path) -> io::Result<Self> {
        // A new name is a little longer.
        let length = folder.join(SOCKET).as_os_str().as_bytes().len() + NEW.len();
        if length <= MAX_PATH_BYTES {
            return Ok(Self {
                folder: folder.to_owned(),
                _handle: None,
            });
        }
        let handle = File::open(folder)?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
        if !short.try_exists().unwrap_or(false) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "the path is too long for a socket ({length} bytes, {MAX_PATH_BYTES} are possible); give a shorter one with --storage.path"
                ),
            ));
        }
        Ok(Self {
            folder: short,
            _handle: Some(handle),
        })
    }

    fn path(&self) -> PathBuf {
        self.folder.join(SOCKET)
    }
}

/// The ending of a socket that is not ready yet.
const NEW: &str = ".new";

/// Offers the socket. One that a killed process left behind is replaced.
pub(super) fn offer(folder: &Path, questions: mpsc::Sender<Question>) -> io::Result<Offered> {
    let place = Place::of(folder)?;
    let path = place.path();
    let new = place.folder.join(format!("{SOCKET}{NEW}"));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = BlockingListener::bind(&new)?;
    // Under its own name only when nobody else may use it.
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    fs::rename(&new, &path)?;
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let mut task = JoinSet::new();
    task.spawn(serve(listener, questions));
    Ok(Offered { place, _task: task })
}

async fn serve(listener: UnixListener, questions: mpsc::Sender<Question>) {
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let questions = questions.clone();
                clients.spawn(async move {
                    if let Err(error) = attend(stream, questions).await {
                        warn!(%error, "a client of the control socket was not served");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "the control socket cannot accept a connection");
                tokio::time::sleep(ACCEPT_DELAY).await;
            }
        }
    }
}

/// Serves one client: its wish, and the answer.
async fn attend(mut stream: UnixStream, questions: mpsc::Sender<Question>) -> io::Result<()> {
    let wish = in_time(read_wish(&mut stream)).await?;
    let reply = match wish {
        // Whoever only looks whether somebody listens.
        None => return Ok(()),
        Some(Err(why)) => Reply::Refused(why),
        Some(Ok(wish)) => {
            let (answer, answered) = oneshot::channel();
            let stopping = || Reply::Refused("certdrift is stopping".to_owned());
            match questions.send(Question { wish, answer }).await {
                Ok(()) => answered.await.unwrap_or_else(|_| stopping()),
                Err(_) => stopping(),
            }
        }
    };
    let mut text = serde_json::to_vec(&reply)?;
    text.push(b'\n');
    in_time(stream.write_all(&text)).await
}

async fn read_wish(stream: &mut UnixStream) -> io::Result<Option<Result<Wish, String>>> {
    let mut line = Vec::new();
    let limited = tokio::io::BufReader::new(stream).take(MAX_WISH_BYTES);
    let mut limited = limited;
    limited.read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        let why = format!("a wish is one line of at most {MAX_WISH_BYTES} bytes");
        return Ok(Some(Err(why)));
    }
    let wish = serde_json::from_slice(&line);
    Ok(Some(wish.map_err(|_| {
        "this is no wish that this certdrift knows; are both of the same version?".to_owned()
    })))
}

async fn in_time<T>(doing: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    tokio::time::timeout(CLIENT_TIMEOUT, doing)
        .await
        .map_err(late)?
}

/// Asks the daemon, if one listens.
pub(super) fn ask(folder: &Path, wish: &Wish) -> Result<Reply, NotAsked> {
    let place = Place::of(folder).map_err(|error| NotAsked::Nobody(error.to_string()))?;
    let stream = BlockingStream::connect(place.path()).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => NotAsked::Denied(error),
        _ => NotAsked::Nobody(format!("{SOCKET}: {error}")),
    })?;
    let no_answer = |error: io::Error| {
        NotAsked::NoAnswer(match error.kind() {
            // What a socket says when its time is over.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                format!("not within {} s", ANSWER_TIMEOUT.as_secs())
            }
            _ => error.to_string(),
        })
    };
    exchange(stream, wish).map_err(no_answer)
}

fn exchange(mut stream: BlockingStream, wish: &Wish) -> io::Result<Reply> {
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let mut text = serde_json::to_vec(wish)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut line = Vec::new();
    BufReader::new(stream)
        .take(MAX_REPLY_BYTES)
        .read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        let why = "the answer broke off";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
    }
    Ok(serde_json::from_slice(&line)?)
}
