use std::path::Path;
use std::path::PathBuf;

use super::*;

impl Store {
    /// As if the disk were full beyond so many pages.
    pub(crate) fn limit_pages(&self, pages: Option<u32>) {
        let pages = pages.unwrap_or(1_000_000);
        self.connection
            .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
            .unwrap();
    }
}

const NOW: &str = "2026-11-24T03:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn open(folder: &Path) -> Opened {
    Store::open_on(folder, now(), |_| None).unwrap()
}

fn refusal(folder: &Path) -> String {
    let outcome = Store::open_on(folder, now(), |_| None);
    outcome.unwrap_err().to_string()
}

fn database(folder: &Path) -> PathBuf {
    folder.join("certdrift.db")
}

/// Rows enough for some pages, small and large ones.
fn rows(version: u32) -> Changes {
    let mut changes = Changes::default();
    for number in 0..200 {
        changes.put(
            Table::Session,
            format!("1/{number:04}"),
            &(number * version),
        );
    }
    for number in 0..9 {
        let text = format!("{number}").repeat(1000 * number);
        changes.put(Table::Ledger, format!("{number}"), &text);
    }
    changes
}

/// A state that holds some rows and was closed.
fn filled(folder: &Path) -> Saved {
    let mut store = open(folder).store;
    store.commit(&rows(1)).unwrap();
    drop(store);
    open(folder).saved
}

#[test]
fn what_is_committed_is_there_again_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).store;
    let mut expected = open_saved_alone();
    for version in 1..5 {
        let mut changes = rows(version);
        changes.remove(Table::Session, format!("1/{version:04}"));
        store.commit(&changes).unwrap();
        expected.apply(&changes);
        drop(store);
        let opened = open(folder.path());
        assert_eq!(opened.saved, expected);
        assert_eq!(opened.replaced, None);
        store = opened.store;
    }
}

/// What a state holds that nothing was written to.
fn open_saved_alone() -> Saved {
    open(tempfile::tempdir().unwrap().path()).saved
}

#[test]
fn a_kill_leaves_the_last_commit() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).store;
    store.commit(&rows(1)).unwrap();
    // What a process leaves behind that is killed between two commits, or within one.
    let killed = tempfile::tempdir().unwrap();
    let copy = |name: &str| std::fs::copy(folder.path().join(name), killed.path().join(name));
    copy("certdrift.db").unwrap();
    copy("certdrift.db-wal").unwrap();
    copy("certdrift.lock").unwrap();
    let noted = std::fs::read(killed.path().join("certdrift.lock")).unwrap();
    let half = std::fs::read(folder.path().join("certdrift.db-wal")).unwrap();
    let committed = open(killed.path()).saved;
    store.commit(&rows(2)).unwrap();
    let whole = std::fs::read(folder.path().join("certdrift.db-wal")).unwrap();
    assert!(whole.len() > half.len());
    for length in (half.len()..whole.len()).step_by(997) {
        let killed = tempfile::tempdir().unwrap();
        std::fs::copy(database(folder.path()), database(killed.path())).unwrap();
        std::fs::write(killed.path().join("certdrift.db-wal"), &whole[..length]).unwrap();
        std::fs::write(killed.path().join("certdrift.lock"), &noted).unwrap();
        let opened = open(killed.path());
        assert_eq!(opened.saved, committed, "{length} bytes of the log");
        assert_eq!(opened.replaced, None);
    }
}

#[test]
fn a_log_that_is_lost_is_noticed() {
    type Lose = fn(&Path, &[u8]);
    let ways: [(&str, Lose); 4] = [
        ("deleted", |log, _| std::fs::remove_file(log).unwrap()),
        ("emptied", |log, _| std::fs::write(log, "").unwrap()),
        ("zeroed", |log, whole| {
            std::fs::write(log, vec![0; whole.len()]).unwrap();
        }),
        ("without its last commit", |log, whole| {
            std::fs::write(log, &whole[..whole.len() - 5000]).unwrap();
        }),
    ];
    for (how, lose) in ways {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path()).store;
        store.commit(&rows(1)).unwrap();
        store.commit(&rows(2)).unwrap();
        let killed = tempfile::tempdir().unwrap();
        for name in ["certdrift.db", "certdrift.db-wal", "certdrift.lock"] {
            std::fs::copy(folder.path().join(name), killed.path().join(name)).unwrap();
        }
        let log = killed.path().join("certdrift.db-wal");
        lose(&log, &std::fs::read(&log).unwrap());
        let error = Store::open_existing(killed.path()).unwrap_err().to_string();
        assert!(error.contains("but commit 2 was made"), "{how}: {error}");
        let mut opened = open(killed.path());
        let why = opened.replaced.unwrap().why;
        assert!(why.contains("but commit 2 was made"), "{how}: {why}");
        assert_eq!(recovered_at(&opened.saved), Some(now()), "{how}");
        assert_eq!(opened.saved.texts(Table::Session).count(), 0, "{how}");
        // It is told once, and the numbers go on.
        opened.store.commit(&rows(3)).unwrap();
        assert_eq!(opened.store.folder.noted(), 3);
        drop(opened.store);
        assert_eq!(open(killed.path()).replaced, None, "{how}");
    }
}

#[test]
fn a_note_is_never_newer_than_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).store;
    store.commit(&rows(1)).unwrap();
    assert_eq!(store.folder.noted(), 1);
    store.limit_pages(Some(1));
    let mut more = Changes::default();
    more.put(Table::Session, "large", &"x".repeat(1 << 20));
    assert!(store.commit(&more).is_err());
    assert_eq!(store.folder.noted(), 1, "nothing of it is on disk");
    store.limit_pages(None);
    store.replace("spoilt".to_owned(), now()).unwrap();
    assert_eq!((store.folder.noted(), store.commits), (1, 1));
    drop(store);
    let opened = open(folder.path());
    assert_eq!((opened.replaced, opened.store.commits), (None, 1));
    drop(opened.store);
    // Whoever moves the database away begins anew, and that is no damage.
    std::fs::remove_file(database(folder.path())).unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.to_str().unwrap().contains("damaged") {
            std::fs::remove_file(path).unwrap();
        }
    }
    assert_eq!(open(folder.path()).replaced, None);
    assert_eq!(open(folder.path()).replaced, None);
}

#[test]
fn another_process_and_another_program_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).store;
    assert!(refusal(folder.path()).contains("another certdrift (process "));
    drop(store);
    let other = Connection::open(database(folder.path())).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert!(refusal(folder.path()).contains("another program has this database open"));
    drop(other);
    assert!(open(folder.path()).saved != Saved::default());
}

#[test]
fn a_network_file_system_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = Store::open_on(folder.path(), now(), |_| Some("nfs4".to_owned()));
    let message = outcome.unwrap_err().to_string();
    assert!(message.contains("network file system (nfs4)") && message.contains("--storage.path"));
}

#[test]
fn a_newer_state_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).store;
    let mut changes = Changes::default();
    changes.put(Table::Whole, "schema", &(SCHEMA + 1));
    store.commit(&changes).unwrap();
    let connection = &store.connection;
    connection
        .pragma_update(None, "user_version", SCHEMA + 1)
        .unwrap();
    drop(store);
    let before = std::fs::read(database(folder.path())).unwrap();
    let message = refusal(folder.path());
    assert!(
        message.contains("a newer certdrift wrote this state (schema 2; this one knows 1)"),
        "{message}"
    );
    assert_eq!(std::fs::read(database(folder.path())).unwrap(), before);
}

#[test]
fn a_damaged_database_is_moved_aside() {
    type Spoil = fn(&mut Vec<u8>);
    let spoil: [(&str, Spoil); 6] = [
        ("empty", Vec::clear),
        ("zeroed", |bytes| bytes.fill(0)),
        ("cut", |bytes| bytes.truncate(bytes.len() / 2)),
        ("cut within the header", |bytes| bytes.truncate(70)),
        ("not a database", |bytes| *bytes = b"hello".repeat(2000)),
        ("a page of another file", |bytes| {
            bytes[8192..12288].fill(0x55);
        }),
    ];
    for (how, spoil) in spoil {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path());
        let mut bytes = std::fs::read(database(folder.path())).unwrap();
        spoil(&mut bytes);
        std::fs::write(database(folder.path()), &bytes).unwrap();
        let opened = open(folder.path());
        let replaced = opened
            .replaced
            .unwrap_or_else(|| panic!("{how}: not noticed"));
        let name = replaced.kept_as.file_name().unwrap().to_owned();
        assert_eq!(name, "certdrift.db.damaged-20261124T030000Z", "{how}");
        assert!(
            std::fs::read(&replaced.kept_as).unwrap() == bytes,
            "{how}: kept as it is"
        );
        assert_eq!(recovered_at(&opened.saved), Some(now()), "{how}");
        assert_eq!(opened.saved.texts(Table::Session).count(), 0, "{how}");
        drop(opened.store);
        let again = open(folder.path());
        assert_eq!(
            (again.replaced, recovered_at(&again.saved)),
            (None, Some(now()))
        );
    }
}

#[test]
fn a_replacement_that_was_interrupted_is_told_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path());
    let damaged = beside(&database(folder.path()), ".damaged-20260101T000000Z");
    fs::rename(database(folder.path()), &damaged).unwrap();
    let opened = open(folder.path());
    assert_eq!(opened.replaced.unwrap().kept_as, damaged);
    assert_eq!(recovered_at(&opened.saved), Some(now()));
    drop(opened.store);
    let opened = open(folder.path());
    assert_eq!(opened.replaced, None, "it is told once");
    assert_eq!(recovered_at(&opened.saved), Some(now()));
}

#[test]
fn a_flipped_bit_is_noticed_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let saved = filled(folder.path());
    let bytes = std::fs::read(database(folder.path())).unwrap();
    let mut noticed = 0;
    // An odd step meets every kind of byte: headers, pointers, keys, values, sums, free space.
    for at in (0..bytes.len()).step_by(307) {
        let spoilt = tempfile::tempdir().unwrap();
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        std::fs::write(database(spoilt.path()), &bytes).unwrap();
        match Store::open_on(spoilt.path(), now(), |_| None) {
            Ok(opened) if opened.replaced.is_some() => noticed += 1,
            Ok(opened) => assert_eq!(opened.saved, saved, "byte {at}"),
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
    assert!(noticed > 50, "{noticed}");
}

#[test]
fn at_most_three_damaged_databases_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    for hour in 1..=5 {
        std::fs::write(database(folder.path()), "spoilt").unwrap();
        std::fs::write(folder.path().join("certdrift.db-wal"), "spoilt").unwrap();
        let now = format!("2026-11-24T0{hour}:00:00Z").parse().unwrap();
        for _ in 0..=usize::from(hour == 5) {
            let mut store = Store::open_on(folder.path(), now, |_| None).unwrap().store;
            if hour == 5 {
                store.replace("again".to_owned(), now).unwrap();
            }
        }
    }
    let mut left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("damaged"))
        .collect();
    left.sort();
    let expected = [
        "certdrift.db.damaged-20261124T050000Z",
        "certdrift.db.damaged-20261124T050000Z-wal",
        "certdrift.db.damaged-20261124T050000Z.2",
        "certdrift.db.damaged-20261124T050000Z.3",
    ];
    assert_eq!(left, expected);
}

#[test]
fn a_full_disk_leaves_what_was_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).store;
    store.commit(&rows(1)).unwrap();
    let pages: i64 = store
        .connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    store.limit_pages(Some(u32::try_from(pages).unwrap()));
    let mut more = rows(2);
    for number in 0..1000 {
        more.put(Table::Session, format!("2/{number:04}"), &"x".repeat(100));
    }
    for _ in 0..50 {
        assert!(matches!(store.commit(&more), Err(Trouble::Later(why)) if why.contains("full")));
    }
    let (before, _) = database::load(&store.connection).unwrap();
    let mut expected = open_saved_alone();
    expected.apply(&rows(1));
    assert_eq!(before, expected);
    store.limit_pages(None);
    store.commit(&more).unwrap();
    expected.apply(&more);
    drop(store);
    assert_eq!(open(folder.path()).saved, expected);
}

#[test]
fn a_database_that_goes_bad_under_way_is_replaced_by_the_whole_state() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).store;
    store.commit(&rows(1)).unwrap();
    store
        .connection
        .execute_batch("DROP TABLE session")
        .unwrap();
    let outcome = store.commit(&rows(2));
    assert!(
        matches!(&outcome, Err(Trouble::Damaged(why)) if why.contains("no such table: session")),
        "{outcome:?}"
    );
    let replaced = store.replace("gone".to_owned(), now()).unwrap();
    assert!(replaced.kept_as.exists());
    store.commit(&rows(2)).unwrap();
    drop(store);
    let mut expected = open_saved_alone();
    expected.apply(&rows(2));
    let mut recovered = Changes::default();
    recovered.put(Table::Whole, RECOVERED_AT, &now());
    expected.apply(&recovered);
    assert_eq!(open(folder.path()).saved, expected);
}

#[test]
fn a_database_with_other_tables_is_moved_aside() {
    for (how, statement) in [
        ("a table less", "DROP TABLE message"),
        ("a table of the first look less", "DROP TABLE whole"),
        (
            "a column less",
            "ALTER TABLE session RENAME COLUMN sum TO crc",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(folder.path()).store;
        store.commit(&rows(1)).unwrap();
        store.connection.execute_batch(statement).unwrap();
        drop(store);
        let opened = open(folder.path());
        assert!(opened.replaced.is_some(), "{how}");
        assert_eq!(recovered_at(&opened.saved), Some(now()), "{how}");
    }
}

#[test]
fn the_log_does_not_grow_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).store;
    let mut longest = 0;
    for version in 0..300 {
        store.commit(&rows(version)).unwrap();
        let log = std::fs::metadata(folder.path().join("certdrift.db-wal")).unwrap();
        longest = longest.max(log.len());
    }
    assert!((1 << 20..8 << 20).contains(&longest), "{longest} bytes");
}

#[test]
fn faults_are_told_apart() {
    use rusqlite::ffi;
    for (code, fault) in [
        (ffi::SQLITE_FULL, "Later"),
        (ffi::SQLITE_IOERR_WRITE, "Later"),
        (ffi::SQLITE_READONLY, "Later"),
        (ffi::SQLITE_CANTOPEN, "Later"),
        (ffi::SQLITE_IOERR_FSYNC, "Fatal"),
        (ffi::SQLITE_IOERR_DIR_FSYNC, "Fatal"),
        (ffi::SQLITE_CORRUPT, "Damaged"),
        (ffi::SQLITE_NOTADB, "Damaged"),
        (ffi::SQLITE_ERROR, "Damaged"),
        (ffi::SQLITE_CONSTRAINT_DATATYPE, "Damaged"),
        (ffi::SQLITE_MISMATCH, "Damaged"),
        (ffi::SQLITE_NOMEM, "Later"),
        (ffi::SQLITE_BUSY, "Held"),
    ] {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        let found = format!("{:?}", Fault::from(error));
        assert!(found.starts_with(fault), "{code}: {found}");
    }
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_database() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path()).store;
    store.commit(&rows(1)).unwrap();
    for name in ["certdrift.db", "certdrift.db-wal", "certdrift.lock"] {
        let metadata = std::fs::metadata(folder.path().join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
}
