//! The database: how it is opened, what its tables look like, and what an error of it means.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::OpenFlags;
use rusqlite::ffi;
use sha2::Digest;
use sha2::Sha256;

use crate::daemon::store::folder::private;
use crate::pipeline::saved::Changes;
use crate::pipeline::saved::Saved;
use crate::pipeline::saved::Table;

/// The version of the tables and of what their rows hold. A later one is raised by whoever changes either in a way that
/// `#[serde(default)]` does not cover, and gets a step in [`migrate`].
pub(super) const SCHEMA: i64 = 1;
/// The key of how many commits were made. It is the store's own, and none of what was saved.
const COMMITS: &str = "commits";
/// Marks the file as certdrift's: `cdri`.
const APPLICATION: i64 = 0x6364_7269;
/// The write-ahead log is moved into the database when it holds this many pages: 4 MiB.
const CHECKPOINT_PAGES: i64 = 1024;
/// `SQLite` answers a failed fsync with one of these. The kernel may have dropped the pages, so trying again proves
/// nothing (`PostgreSQL` learned it in 2018, "fsyncgate").
const FAILED_SYNC: [i32; 3] = [
    ffi::SQLITE_IOERR_FSYNC,
    ffi::SQLITE_IOERR_DIR_FSYNC,
    ffi::SQLITE_IOERR_CORRUPTFS,
];

/// What an error of the database means for whoever uses it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// The disk is full, or does not answer: the same may succeed later.
    Later(String),
    /// The file does not hold what it should.
    Damaged(String),
    /// Another program holds it.
    Held(String),
    /// A newer certdrift wrote it, with this schema.
    Newer(i64),
    /// Nothing can be trusted any more.
    Fatal(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error {
            rusqlite::Error::SqliteFailure(ffi::Error { extended_code, .. }, _)
                if FAILED_SYNC.contains(&extended_code) =>
            {
                Self::Fatal(text)
            }
            rusqlite::Error::SqliteFailure(
                ffi::Error {
                    code,
                    extended_code,
                },
                _,
            ) => match code {
                // Every statement is fixed, and fits the tables as they should be: what does not fit are other tables,
                // or fewer.
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch => Self::Damaged(text),
                _ if extended_code & 0xff == ffi::SQLITE_ERROR => Self::Damaged(text),
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Held(text),
                _ => Self::Later(text),
            },
            // A value of another type than the tables have, or text that is no UTF-8.
            _ => Self::Damaged(text),
        }
    }
}

/// Makes a database under its final name that holds `first` and nothing else, or none. It takes the place of one to
/// which so many commits were made.
pub(super) fn create(
    path: &Path,
    mut first: Changes,
    commits: u64,
    sync: impl Fn() -> io::Result<()>,
) -> Result<(), Fault> {
    let later = |error: io::Error| Fault::Later(error.to_string());
    let new = path.with_extension("db.new");
    // What a crash left behind. Above all a log that belongs to another database must not meet this one.
    for rest in [
        &new,
        &beside(&new, "-journal"),
        &beside(path, "-wal"),
        &beside(path, "-shm"),
    ] {
        match std::fs::remove_file(rest) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(later(error)),
            _ => {}
        }
    }
    private(OpenOptions::new().write(true).create_new(true))
        .open(&new)
        .map_err(later)?;
    let mut connection = connect(&new)?;
    let transaction = connection.transaction()?;
    for table in Table::ALL {
        transaction.execute_batch(&format!(
            "CREATE TABLE {} (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID",
            table.as_str()
        ))?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    first.put(Table::Whole, "schema", &SCHEMA);
    first.put(Table::Whole, COMMITS, &commits);
    write(&transaction, &first)?;
    transaction.commit()?;
    connection
        .close()
        .map_err(|(_, error)| Fault::from(error))?;
    std::fs::rename(&new, path).map_err(later)?;
    sync().map_err(later)
}

/// Opens the database and makes sure that it is ours, whole, and of this version.
pub(super) fn open(path: &Path) -> Result<Connection, Fault> {
    recognise(path)?;
    let mut connection = connect(path)?;
    configure(&connection)?;
    let number = |name: &str| -> Result<i64, Fault> {
        Ok(connection.pragma_query_value(None, name, |row| row.get(0))?)
    };
    let schema = number("user_version")?;
    // Both say it, so one flipped bit does not make a database newer.
    let mut whole = Saved::default();
    load_table(&connection, Table::Whole, &mut whole)?;
    let said: Option<i64> = whole
        .row(Table::Whole, "schema")
        .map_err(|error| Fault::Damaged(error.to_string()))?;
    if said != Some(schema) {
        return Err(Fault::Damaged(
            "it does not know its own version".to_owned(),
        ));
    }
    if schema > SCHEMA {
        return Err(Fault::Newer(schema));
    }
    let verdict: String = connection.pragma_query_value(None, "quick_check", |row| row.get(0))?;
    if verdict != "ok" {
        return Err(Fault::Damaged(verdict));
    }
    migrate(&mut connection, schema)?;
    Ok(connection)
}

/// Looks at the first bytes of the file (`SQLite` file format, 1.3). `SQLite` takes an empty file for a new database, and
/// would write to it.
fn recognise(path: &Path) -> Result<(), Fault> {
    let mut header = [0; 72];
    let read = File::open(path)?.read(&mut header)?;
    let application = APPLICATION.to_be_bytes();
    let is_ours = header.starts_with(b"SQLite format 3\0") && header.ends_with(&application[4..]);
    if read < header.len() || !is_ours {
        let why = "it is not certdrift's state, or not any more";
        return Err(Fault::Damaged(why.to_owned()));
    }
    Ok(())
}

fn connect(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(path, flags)?)
}

/// EXCLUSIVE comes first: then WAL needs no shared memory, and the database opens on a full disk, too.
fn configure(connection: &Connection) -> Result<(), Fault> {
    connection.busy_timeout(std::time::Duration::ZERO)?;
    for (name, value) in [
        ("trusted_schema", "OFF"),
        ("cell_size_check", "ON"),
        ("locking_mode", "EXCLUSIVE"),
        ("journal_mode", "WAL"),
        ("synchronous", "FULL"),
        // A checkpoint that SQLite does by itself keeps its errors to itself.
        ("wal_autocheckpoint", "0"),
    ] {
        connection
            .pragma_update_and_check(None, name, value, |_| Ok(()))
            .or_else(ignore_silence)?;
    }
    let text = |name: &str| -> rusqlite::Result<String> {
        connection.pragma_query_value(None, name, |row| {
            row.get_ref(0).map(|value| match value {
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                other => String::from_utf8_lossy(other.as_bytes().unwrap_or_default()).into_owned(),
            })
        })
    };
    for (name, wanted) in [
        ("locking_mode", "exclusive"),
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("wal_autocheckpoint", "0"),
    ] {
        let found = text(name)?;
        if found != wanted {
            return Err(Fault::Fatal(format!(
                "SQLite has {name}={found} where {wanted} is needed"
            )));
        }
    }
    Ok(())
}

/// Some pragmas answer with a row, and some with nothing.
fn ignore_silence(error: rusqlite::Error) -> rusqlite::Result<()> {
    match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        error => Err(error),
    }
}

/// Brings an older database up to [`SCHEMA`], step by step in one transaction. There is no older one yet.
fn migrate(_connection: &mut Connection, from: i64) -> Result<(), Fault> {
    if from == SCHEMA {
        return Ok(());
    }
    Err(Fault::Damaged(format!(
        "no certdrift ever wrote schema {from}"
    )))
}

/// Every row, and how many commits were made.
pub(super) fn load(connection: &Connection) -> Result<(Saved, u64), Fault> {
    let mut saved = Saved::default();
    for table in Table::ALL {
        load_table(connection, table, &mut saved)?;
    }
    let commits = saved
        .row(Table::Whole, COMMITS)
        .map_err(|error| Fault::Damaged(error.to_string()))?;
    let mut own = Changes::default();
    own.remove(Table::Whole, COMMITS);
    saved.apply(&own);
    Ok((saved, commits.unwrap_or_default()))
}

fn load_table(connection: &Connection, table: Table, saved: &mut Saved) -> Result<(), Fault> {
    let name = table.as_str();
    let mut statement = connection.prepare(&format!("SELECT key, value, sum FROM {name}"))?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let (key, value): (String, String) = (row.get(0)?, row.get(1)?);
        if row.get::<_, i64>(2)? != sum(table, &key, &value) {
            return Err(Fault::Damaged(format!("a row of {name} was altered")));
        }
        saved.insert(table, key, value);
    }
    Ok(())
}

/// Writes all changes, or none. It is this commit by number.
pub(super) fn commit(
    connection: &mut Connection,
    changes: &Changes,
    number: u64,
) -> Result<(), Fault> {
    let mut own = Changes::default();
    own.put(Table::Whole, COMMITS, &number);
    let transaction = connection.transaction()?;
    write(&transaction, changes)?;
    write(&transaction, &own)?;
    transaction.commit()?;
    checkpoint(connection)
}

fn write(connection: &Connection, changes: &Changes) -> rusqlite::Result<()> {
    let mut prepared = None;
    for (table, key, value) in changes.rows() {
        // Changes come ordered by table.
        let statements = match prepared.take() {
            Some((of, statements)) if of == table => statements,
            _ => {
                let name = table.as_str();
                (
                    connection.prepare(&format!("REPLACE INTO {name} VALUES (?, ?, ?)"))?,
                    connection.prepare(&format!("DELETE FROM {name} WHERE key = ?"))?,
                )
            }
        };
        let (_, (put, remove)) = prepared.insert((table, statements));
        match value {
            Some(value) => put.execute((key, value, sum(table, key, value)))?,
            None => remove.execute((key,))?,
        };
    }
    Ok(())
}

/// Moves the write-ahead log into the database when it has grown. What is committed stays committed if that fails, and
/// the next commit tries again; only a failed fsync must not be passed over.
fn checkpoint(connection: &Connection) -> Result<(), Fault> {
    let pages: i64 = connection.query_row("PRAGMA wal_checkpoint(NOOP)", (), |row| row.get(1))?;
    if pages < CHECKPOINT_PAGES {
        return Ok(());
    }
    match connection
        .query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(()))
        .map_err(Fault::from)
    {
        Err(Fault::Later(_)) => Ok(()),
        outcome => outcome,
    }
}

/// Tells a row that was altered behind certdrift's back: the first 64 bits of a hash of all that it holds. `SQLite` itself
/// notices damage to the structure of its pages only, not to a digit within them.
fn sum(table: Table, key: &str, value: &str) -> i64 {
    let mut hash = Sha256::new();
    for part in [table.as_str(), key, value] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    digest
        .first_chunk()
        .map_or(0, |bytes| i64::from_le_bytes(*bytes))
}

/// The path with something behind its name.
pub(super) fn beside(path: &Path, ending: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
