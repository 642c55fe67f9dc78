//! The lock of the state's directory: who uses it, and how new its database must be at least.
//!
//! The newest commits are in the database's write-ahead log only. If that is deleted, or a file system loses it, `SQLite`
//! sees an older database with which nothing seems to be wrong. So each commit has a number, and once it is on disk the
//! lock file says that it was made. The note is written after the commit and never waits for the disk: a loss of power
//! can leave an older note than the database deserves, but never a newer one.

use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::path::Path;

use crate::daemon::store::folder::private;

/// The size of a lock file in bytes: a process number, a commit's number, a newline. It never changes, so that one write
/// replaces it all, and nothing that was cut off passes for a number. Earlier versions wrote a process number alone.
const LOCK_BYTES: usize = 32;

/// A lock that is ours for as long as this lives.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    noted: u64,
}

/// Why there is no lock.
pub(super) enum LockError {
    /// The system says no.
    System(io::Error),
    /// Another process has it, with this number if it could be read.
    Held(Option<String>),
}

/// What a lock file says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Note {
    process: Option<u32>,
    commit: Option<u64>,
}

impl Lock {
    pub(super) fn take(path: &Path) -> Result<Self, LockError> {
        let mut file = private(OpenOptions::new().read(true).write(true).create(true))
            .open(path)
            .map_err(LockError::System)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let process = Note::read(&mut file).process;
                return Err(LockError::Held(process.map(|number| number.to_string())));
            }
            Err(TryLockError::Error(error)) => return Err(LockError::System(error)),
        }
        let noted = Note::read(&mut file).commit.unwrap_or_default();
        let mut lock = Self { file, noted };
        lock.note(noted);
        // What is left of a longer text.
        let _ = lock.file.set_len(LOCK_BYTES as u64);
        Ok(lock)
    }

    /// The newest commit that is known to have been made; 0: none is.
    pub(super) fn noted(&self) -> u64 {
        self.noted
    }

    /// This commit is on disk. If that cannot be written down, an older note stands, which is true as well.
    pub(super) fn note(&mut self, commit: u64) {
        self.noted = commit;
        let text = format!("{:>10} {commit:>20}\n", std::process::id());
        let _ = self
            .file
            .rewind()
            .and_then(|()| self.file.write_all(text.as_bytes()));
    }
}

impl Note {
    /// What cannot be understood says nothing.
    fn read(file: &mut File) -> Self {
        let mut text = String::new();
        let read = file
            .rewind()
            .and_then(|()| file.take(LOCK_BYTES as u64 + 1).read_to_string(&mut text));
        match read {
            Ok(_) => Self::parse(&text).unwrap_or_default(),
            Err(_) => Self::default(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let note = Self {
            process: Some(words.next()?.parse().ok()?),
            commit: match words.next() {
                Some(number) if text.len() == LOCK_BYTES && text.ends_with('\n') => {
                    Some(number.parse().ok()?)
                }
                Some(_) => return None,
                None => None,
            },
        };
        words.next().is_none().then_some(note)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn note(process: u32, commit: Option<u64>) -> Note {
        Note {
            process: Some(process),
            commit,
        }
    }

    #[test]
    fn a_note_is_whole_or_says_nothing() {
        for (text, expected) in [
            ("      4711                 1234\n", note(4711, Some(1234))),
            (
                "4294967295 18446744073709551615\n",
                note(u32::MAX, Some(u64::MAX)),
            ),
            ("4711\n", note(4711, None)),
            ("      4711                 123", Note::default()),
            ("      4711                 1234", Note::default()),
            ("      4711                 1234\n\n", Note::default()),
            ("      4711 1234 5               \n", Note::default()),
            ("4711 1234\n", Note::default()),
            ("rm -rf /\n", Note::default()),
            (&"\0".repeat(LOCK_BYTES), Note::default()),
            ("", Note::default()),
        ] {
            assert_eq!(Note::parse(text).unwrap_or_default(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_note_outlives_its_process_and_other_texts_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        for (before, noted) in [
            ("4711\n", 0),
            (
                "a text that somebody wrote, and it is longer than a note\n",
                0,
            ),
            ("      4711                 1234\n", 1234),
        ] {
            std::fs::write(&path, before).unwrap();
            let mut lock = Lock::take(&path).ok().unwrap();
            assert_eq!(lock.noted(), noted, "{before}");
            lock.note(noted + 1);
            drop(lock);
            assert_eq!(std::fs::metadata(&path).unwrap().len(), LOCK_BYTES as u64);
            assert_eq!(Lock::take(&path).ok().unwrap().noted(), noted + 1);
        }
    }
}
