//! One file that is followed: how far it was read, and what its size says.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::daemon::source::LogName;
use crate::daemon::tail::FileId;
use crate::daemon::tail::MAX_CHUNK;

/// A file smaller than what was read of it is believed to be rewritten after this many looks …
const REWRITE_LOOKS: u32 = 3;
/// … over at least this long: sizes on network shares lag behind.
const REWRITE_TIME: Duration = Duration::from_secs(10);
/// A file with a newer one beside it is finished when its size stays the same for this long.
const FINISHED_AFTER: Duration = Duration::from_secs(120);
/// Delay before a file that could not be read is opened again; doubled each time up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// One file that is followed.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) id: FileId,
    pub(super) name: LogName,
    pub(super) path: Arc<PathBuf>,
    /// How far it was read, in bytes.
    pub(super) offset: u64,
    /// Its size at the last look.
    pub(super) size: u64,
    /// Whether nothing more is expected of it.
    pub(super) finished: bool,
    grown: Instant,
    shrunk: Option<(u32, Instant)>,
    retry: Option<Retry>,
}

/// A file that could not be read: when it is tried again, after which delay, and what was wrong.
#[derive(Debug)]
struct Retry {
    at: Instant,
    delay: Duration,
    trouble: String,
}

/// What a look at a file's size says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// Nothing new.
    Same,
    /// There are bytes to read.
    Grown,
    /// It was rewritten from its start.
    Rewritten,
    /// Nothing more is expected.
    Finished,
}

impl Followed {
    pub(super) fn new(id: FileId, name: LogName, path: PathBuf, now: Instant) -> Self {
        Self {
            id,
            name,
            path: Arc::new(path),
            offset: 0,
            size: 0,
            finished: false,
            grown: now,
            shrunk: None,
            retry: None,
        }
    }

    /// Whether it is time to look at it.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.retry.as_ref().is_none_or(|retry| retry.at <= now)
    }

    /// Looks at the size. `newer`: a later file stands beside it.
    pub(super) fn assess(&mut self, size: u64, newer: bool, now: Instant) -> Standing {
        if size < self.offset {
            let (looks, since) = self
                .shrunk
                .map_or((1, now), |(looks, since)| (looks + 1, since));
            self.shrunk = Some((looks, since));
            if looks >= REWRITE_LOOKS && now.duration_since(since) >= REWRITE_TIME {
                self.shrunk = None;
                self.offset = 0;
                self.size = size;
                self.finished = false;
                self.grown = now;
                return Standing::Rewritten;
            }
            return Standing::Same;
        }
        self.shrunk = None;
        if size != self.size {
            self.size = size;
            self.grown = now;
            self.finished = false;
        }
        if size > self.offset && !self.finished {
            return Standing::Grown;
        }
        self.finish_if_still(newer, now)
    }

    /// Whether the file counts as finished from now on.
    pub(super) fn finish_if_still(&mut self, newer: bool, now: Instant) -> Standing {
        if newer && !self.finished && now.duration_since(self.grown) >= FINISHED_AFTER {
            self.finished = true;
            return Standing::Finished;
        }
        Standing::Same
    }

    /// The file could not be read: leaves it alone for a while, longer each time.
    pub(super) fn back_off(&mut self, trouble: String, now: Instant) {
        let delay = self
            .retry
            .as_ref()
            .map_or(MIN_BACKOFF, |retry| (retry.delay * 2).min(MAX_BACKOFF));
        self.retry = Some(Retry {
            at: now + delay,
            delay,
            trouble,
        });
    }

    /// The file could be read.
    pub(super) fn recover(&mut self) {
        self.retry = None;
    }

    /// What was wrong at the last try; it stays so until one succeeds.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.retry.as_ref().map(|retry| retry.trouble.as_str())
    }

    /// Reads what is between the offset and the size, in chunks, for as long as `take` wants more. NUL bytes at the end
    /// are space that is not written yet: they are not taken, and will be read again.
    pub(super) fn read(
        &mut self,
        file: &mut File,
        mut take: impl FnMut(Vec<u8>, u64) -> bool,
    ) -> io::Result<bool> {
        file.seek(SeekFrom::Start(self.offset))?;
        let mut nuls = 0;
        while self.offset + nuls < self.size {
            let wanted = (self.size - self.offset - nuls).min(MAX_CHUNK as u64);
            let mut chunk = Vec::new();
            file.by_ref().take(wanted).read_to_end(&mut chunk)?;
            if chunk.is_empty() {
                break;
            }
            let text = chunk
                .iter()
                .rposition(|&byte| byte != 0)
                .map_or(0, |last| last + 1);
            let tail = (chunk.len() - text) as u64;
            if text == 0 {
                nuls += tail;
                continue;
            }
            chunk.truncate(text);
            while nuls > 0 {
                let run = nuls.min(MAX_CHUNK as u64);
                nuls -= run;
                self.offset += run;
                let zeros = vec![0; usize::try_from(run).unwrap_or(MAX_CHUNK)];
                if !take(zeros, self.size - self.offset) {
                    return Ok(false);
                }
            }
            self.offset += text as u64;
            nuls = tail;
            if !take(chunk, self.size - self.offset - nuls) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::daemon::clock;

    fn followed() -> (Followed, Instant) {
        let now = clock::instant();
        (
            Followed::new(FileId(1), LogName::Other, PathBuf::from("x"), now),
            now,
        )
    }

    #[test]
    fn a_smaller_size_is_only_a_suspicion() {
        let (mut file, now) = followed();
        file.offset = 100;
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(file.assess(50, false, at(0)), Standing::Same);
        assert_eq!(file.assess(50, false, at(1)), Standing::Same);
        assert_eq!(
            file.assess(50, false, at(2)),
            Standing::Same,
            "three looks, but too soon"
        );
        assert_eq!(
            file.assess(100, false, at(3)),
            Standing::Same,
            "the size was stale"
        );
        assert_eq!((file.offset, file.shrunk), (100, None));
        for second in [4, 9] {
            assert_eq!(file.assess(50, false, at(second)), Standing::Same);
        }
        assert_eq!(file.assess(50, false, at(14)), Standing::Rewritten);
        assert_eq!(file.offset, 0);
    }

    #[test]
    fn a_still_file_with_a_newer_one_is_finished_once() {
        let (mut file, now) = followed();
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(file.assess(10, true, at(0)), Standing::Grown);
        file.offset = 10;
        assert_eq!(file.assess(10, true, at(119)), Standing::Same);
        assert_eq!(
            file.assess(10, false, at(121)),
            Standing::Same,
            "no newer file yet"
        );
        assert_eq!(file.assess(10, true, at(121)), Standing::Finished);
        assert_eq!(file.assess(10, true, at(300)), Standing::Same);
        assert_eq!(
            file.assess(12, true, at(301)),
            Standing::Grown,
            "it grew after all"
        );
    }

    #[test]
    fn nuls_at_the_end_are_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("SEND2026010100-1.LOG");
        let (mut file, _) = followed();
        let mut seen = Vec::new();
        for (content, expected) in [
            (b"one\n\0\0\0\0".to_vec(), b"one\n".to_vec()),
            (b"one\ntwo\n".to_vec(), b"one\ntwo\n".to_vec()),
            (
                [b"one\ntwo\n", &vec![0; MAX_CHUNK * 2][..], b"x\n"].concat(),
                [b"one\ntwo\n", &vec![0; MAX_CHUNK * 2][..], b"x\n"].concat(),
            ),
        ] {
            std::fs::write(&path, &content).unwrap();
            file.size = content.len() as u64;
            let mut opened = File::open(&path).unwrap();
            assert!(
                file.read(&mut opened, |bytes, _| {
                    seen.extend(bytes);
                    true
                })
                .unwrap()
            );
            assert_eq!(seen.len(), expected.len());
            assert!(seen == expected);
            assert_eq!(file.offset, expected.len() as u64);
        }
    }

    #[test]
    fn an_unreadable_file_is_left_alone_for_longer_each_time() {
        let (mut file, now) = followed();
        file.back_off(String::new(), now);
        assert!(!file.is_due(now) && file.is_due(now + MIN_BACKOFF));
        for _ in 0..10 {
            file.assess(10, false, now);
            file.back_off(String::new(), now);
        }
        assert!(file.is_due(now + MAX_BACKOFF) && !file.is_due(now + MAX_BACKOFF / 2));
    }

    #[test]
    fn trouble_lasts_until_a_try_succeeds() {
        let (mut file, now) = followed();
        file.back_off("unreadable".to_owned(), now);
        file.assess(10, false, now + MIN_BACKOFF);
        assert_eq!(file.trouble(), Some("unreadable"));
        file.recover();
        assert_eq!(file.trouble(), None);
        assert!(file.is_due(now));
    }
}
