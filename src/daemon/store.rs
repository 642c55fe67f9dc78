//! The state on disk: everything that must outlive the process, in one `SQLite` database.
//!
//! Offsets, live sessions, what the servers showed, alerts, messages that wait: a row each, and every change to any of
//! them goes through [`Store::commit`], one transaction at a time. So at any instant the database holds a moment that
//! certdrift was in: what was read and what came of it, never one without the other. A shutdown is no different from a
//! crash, and reading goes on behind the last row that counted.
//!
//! One process owns the directory, by a lock. A database that turns out damaged is moved aside, never deleted, and what
//! can be known again is read from the logs; one that a newer certdrift wrote is left alone.

mod database;
mod folder;
mod lock;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::Connection;

use crate::daemon::store::database::Fault;
use crate::daemon::store::database::SCHEMA;
use crate::daemon::store::database::beside;
use crate::daemon::store::folder::FileNumber;
use crate::daemon::store::folder::Folder;
pub use crate::daemon::store::folder::FolderError;
use crate::pipeline::saved::Changes;
use crate::pipeline::saved::Saved;
use crate::pipeline::saved::Table;

/// How many damaged databases are kept for whoever wants to know what happened.
const MAX_DAMAGED: usize = 3;
/// The key of the time at which a damaged state was last replaced.
const RECOVERED_AT: &str = "recovered_at";

/// The state on disk.
#[derive(Debug)]
pub struct Store {
    // Closed before the folder is given back.
    connection: Connection,
    folder: Folder,
    /// Which file is open.
    file: FileNumber,
    /// How many commits were made, over all processes.
    commits: u64,
}

/// A store that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// What it holds.
    pub saved: Saved,
    /// What was wrong with the one before it, which was moved aside.
    pub replaced: Option<Replaced>,
}

/// A damaged database that was moved aside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replaced {
    /// What was wrong with it.
    pub why: String,
    /// Where it is now.
    pub kept_as: PathBuf,
}

/// Why there is no store.
#[derive(Debug)]
pub enum StoreError {
    /// The directory cannot be used.
    Folder(FolderError),
    /// Another program has opened the database.
    Held {
        /// The database.
        path: PathBuf,
    },
    /// A newer certdrift wrote it.
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema.
        schema: i64,
    },
    /// It can be neither used nor replaced.
    Unusable {
        /// The database.
        path: PathBuf,
        /// `SQLite`'s or the system's words.
        why: String,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(error) => error.fmt(f),
            Self::Held { path } => write!(
                f,
                "{}: another program has this database open. End it (sqlite3?) and start certdrift again",
                path.display()
            ),
            Self::Newer { path, schema } => write!(
                f,
                "{}: a newer certdrift wrote this state (schema {schema}; this one knows {SCHEMA}). It was not touched. \
                 Run the newer certdrift, or give this one a directory of its own with --storage.path",
                path.display()
            ),
            Self::Unusable { path, why } => write!(
                f,
                "{}: {why}. Is the disk full, or failing? The logs can be read again: if nothing else helps, move the \
                 file away and start certdrift again",
                path.display()
            ),
        }
    }
}

/// Why a commit failed. Nothing of it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// The disk is full, or does not answer: the same changes may be committed later.
    Later(String),
    /// The database is damaged: [`Store::replace`] it, then commit the whole state.
    Damaged(String),
    /// What is on disk cannot be known any more. Exit; the next start finds out.
    Fatal(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later(why) | Self::Damaged(why) | Self::Fatal(why) => f.write_str(why),
        }
    }
}

impl Store {
    /// Opens the state in a directory, or begins one.
    ///
    /// # Errors
    /// When the directory cannot be used, or the database neither used nor replaced; the message says what to do.
    pub fn open(path: &Path, now: Timestamp) -> Result<Opened, StoreError> {
        Self::open_on(path, now, folder::file_system)
    }

    /// Whether there is a state in this directory.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn exists(path: &Path) -> io::Result<bool> {
        Folder::holds_database(path)
    }

    /// Opens the state of a daemon that does not run. One that is damaged is left for the daemon to find.
    ///
    /// # Errors
    /// As [`Self::open`], and when the database is damaged.
    pub fn open_existing(path: &Path) -> Result<Opened, StoreError> {
        let folder = Folder::take(path, folder::file_system).map_err(StoreError::Folder)?;
        match found(&folder) {
            Ok(found) => Ok(found.opened(folder, None)),
            Err(fault) => Err(unusable(&folder.database(), fault)),
        }
    }

    fn open_on(
        path: &Path,
        now: Timestamp,
        file_system: impl Fn(&Path) -> Option<String>,
    ) -> Result<Opened, StoreError> {
        let folder = Folder::take(path, file_system).map_err(StoreError::Folder)?;
        let path = folder.database();
        let fault = |fault| unusable(&path, fault);
        if !path.try_exists().map_err(|error| fault(error.into()))? {
            let replaced = interrupted(&path).map_err(|error| fault(error.into()))?;
            let first = replaced
                .as_ref()
                .map_or_else(Changes::default, |_| recovered(now));
            let found = begin(&folder, first, folder.noted()).map_err(fault)?;
            return Ok(found.opened(folder, replaced));
        }
        match found(&folder) {
            Ok(found) => Ok(found.opened(folder, None)),
            Err(Fault::Damaged(why)) => {
                let (found, replaced) =
                    replace(&folder, why, folder.noted(), now).map_err(fault)?;
                Ok(found.opened(folder, Some(replaced)))
            }
            Err(other) => Err(fault(other)),
        }
    }

    /// Makes sure that what is written can be found again: a file that was deleted or replaced while it is open takes
    /// every commit, and loses them all when the process ends.
    ///
    /// # Errors
    /// When another file, or none, is where the open database was.
    pub fn check_place(&self) -> Result<(), Trouble> {
        if self.folder.still_has(self.file) {
            return Ok(());
        }
        Err(Trouble::Later(format!(
            "{}: the state directory was removed or replaced under the running program; restart certdrift: it reads the \
             logs again, as far back as first_read says",
            self.folder.database().display()
        )))
    }

    /// Writes all changes, or none.
    ///
    /// # Errors
    /// Says what to do: try again later, replace the database, or exit.
    pub fn commit(&mut self, changes: &Changes) -> Result<(), Trouble> {
        if let Some(fault) = changes.fault() {
            return Err(Trouble::Fatal(fault.to_owned()));
        }
        let number = self.commits + 1;
        database::commit(&mut self.connection, changes, number).map_err(|fault| match fault {
            Fault::Later(why) | Fault::Held(why) => Trouble::Later(why),
            Fault::Damaged(why) => Trouble::Damaged(why),
            Fault::Fatal(why) => Trouble::Fatal(why),
            Fault::Newer(schema) => Trouble::Fatal(format!("schema {schema}")),
        })?;
        self.commits = number;
        self.folder.note(number);
        Ok(())
    }

    /// Moves the database aside, because what it holds is of no use, and begins another one. It is empty but for the
    /// time of this.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn replace(&mut self, why: String, now: Timestamp) -> Result<Replaced, StoreError> {
        let path = self.folder.database();
        let fault = |fault| unusable(&path, fault);
        // A database that is closed under another name would take the new one's log with it.
        let nothing = Connection::open_in_memory().map_err(|error| fault(error.into()))?;
        drop(std::mem::replace(&mut self.connection, nothing));
        let (found, replaced) = replace(&self.folder, why, self.commits, now).map_err(fault)?;
        self.connection = found.connection;
        self.file = found.file;
        Ok(replaced)
    }
}

/// When a damaged state was last replaced, as the state itself says.
pub fn recovered_at(saved: &Saved) -> Option<Timestamp> {
    saved.row(Table::Whole, RECOVERED_AT).ok().flatten()
}

/// A database that was opened, and what it holds.
struct Found {
    connection: Connection,
    file: FileNumber,
    saved: Saved,
    commits: u64,
}

impl Found {
    fn opened(self, folder: Folder, replaced: Option<Replaced>) -> Opened {
        Opened {
            store: Store {
                connection: self.connection,
                folder,
                file: self.file,
                commits: self.commits,
            },
            saved: self.saved,
            replaced,
        }
    }
}

/// Opens the database that is there. One that is older than it was counts as damaged, although nothing else may be wrong
/// with it: a checkpoint that was cut short leaves parts of two moments, and no sum tells.
fn found(folder: &Folder) -> Result<Found, Fault> {
    let connection = database::open(&folder.database())?;
    let file = folder.database_file()?;
    let (saved, commits) = database::load(&connection)?;
    let noted = folder.noted();
    if commits < noted {
        return Err(Fault::Damaged(format!(
            "it ends with commit {commits}, but commit {noted} was made: its log (-wal) was deleted, or the disk lost it, \
             or an older copy was put in its place"
        )));
    }
    Ok(Found {
        connection,
        file,
        saved,
        commits,
    })
}

/// Begins a database that takes the place of one to which so many commits were made.
fn begin(folder: &Folder, first: Changes, commits: u64) -> Result<Found, Fault> {
    database::create(&folder.database(), first, commits, || folder.sync())?;
    found(folder)
}

fn replace(
    folder: &Folder,
    why: String,
    commits: u64,
    now: Timestamp,
) -> Result<(Found, Replaced), Fault> {
    let kept_as = move_aside(&folder.database(), now)?;
    let found = begin(folder, recovered(now), commits)?;
    Ok((found, Replaced { why, kept_as }))
}

/// What a database that takes the place of a damaged one says from its first moment on.
fn recovered(now: Timestamp) -> Changes {
    let mut changes = Changes::default();
    changes.put(Table::Whole, RECOVERED_AT, &now);
    changes
}

/// Where there is no database, but a damaged one lies aside: a crash or a full disk came between the two.
fn interrupted(path: &Path) -> io::Result<Option<Replaced>> {
    let newest = moved_aside(path)?.into_iter().max();
    Ok(newest.map(|kept_as| Replaced {
        why: "it was damaged, and certdrift ended before there was another one".to_owned(),
        kept_as,
    }))
}

/// Renames a database and its log, and removes the oldest of those that were renamed before.
fn move_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let mut to = beside(path, &format!(".damaged-{stamp}"));
    for number in 2.. {
        if !to.try_exists()? {
            break;
        }
        to = beside(path, &format!(".damaged-{stamp}.{number}"));
    }
    // First itself: without its log it would be an older state that nothing seems to be wrong with.
    fs::rename(path, &to)?;
    for log in ["-wal", "-journal"] {
        match fs::rename(beside(path, log), beside(&to, log)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut damaged = moved_aside(path)?;
    damaged.sort();
    damaged.truncate(damaged.len().saturating_sub(MAX_DAMAGED));
    for oldest in damaged {
        // Room is better than nothing, but not worth a failed start.
        for ending in ["", "-wal", "-journal"] {
            let _ = fs::remove_file(beside(&oldest, ending));
        }
    }
    Ok(to)
}

/// The damaged databases beside this one, without their logs.
fn moved_aside(path: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let prefix = beside(path, ".damaged-");
    let prefix = prefix.as_os_str().as_encoded_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.as_os_str().as_encoded_bytes();
        if name.starts_with(prefix) && !name.ends_with(b"-wal") && !name.ends_with(b"-journal") {
            found.push(path);
        }
    }
    Ok(found)
}

fn unusable(path: &Path, fault: Fault) -> StoreError {
    let path = path.to_owned();
    match fault {
        Fault::Held(_) => StoreError::Held { path },
        Fault::Newer(schema) => StoreError::Newer { path, schema },
        Fault::Later(why) | Fault::Damaged(why) | Fault::Fatal(why) => {
            StoreError::Unusable { path, why }
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Later(error.to_string())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
mod tests;
