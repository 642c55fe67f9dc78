//! One file that is read again when it changes.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use jiff::Timestamp;
use sha2::Digest as _;
use sha2::Sha256;

use crate::daemon::expected::copies::Copies;
use crate::daemon::expected::copies::Copy;
use crate::daemon::source;
use crate::pipeline::snapshot::ExportStatus;

/// Every so many looks a file is read although its size and time are the same: some shares keep both from the client
/// for a while, and tools can set a time back.
const READ_ANYWAY: u32 = 30;

/// A file, and what became of its last content.
#[derive(Debug)]
pub(super) struct Followed {
    path: PathBuf,
    max_bytes: usize,
    looks: u32,
    stamp: Option<Stamp>,
    last: Option<Last>,
    /// When the content in force was made; `None`: none ever was in force, or nobody knows.
    made_at: Option<Timestamp>,
    is_known: bool,
    /// Whether what is known comes from a copy, and the file itself was not read yet.
    is_copied: bool,
    trouble: Option<Trouble>,
}

/// What the system says of a file without its content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
}

/// The last content that was read.
#[derive(Debug)]
struct Last {
    hash: [u8; 32],
    /// When it says that it was made, or what is wrong with it.
    outcome: Result<Option<Timestamp>, String>,
}

/// What is wrong.
#[derive(Debug)]
struct Trouble {
    message: String,
    since: Timestamp,
    /// Whether it is told: a second look has found it, too, or nothing was known before, or only a copy.
    is_told: bool,
}

impl Followed {
    pub(super) fn new(path: PathBuf, max_bytes: usize) -> Self {
        Self {
            path,
            max_bytes,
            looks: 0,
            stamp: None,
            last: None,
            made_at: None,
            is_known: false,
            is_copied: false,
            trouble: None,
        }
    }

    /// Takes a copy of what was in force before the start, as long as nothing better is known.
    pub(super) fn restore(
        &mut self,
        copy: &Copy,
        now: Timestamp,
        take: impl FnOnce(&[u8]) -> Result<Option<Timestamp>, String>,
    ) {
        self.stamp = Some(Stamp {
            bytes: copy.bytes.len() as u64,
            modified: copy.modified,
        });
        self.content(&copy.bytes, now, take);
        self.stamp = None;
        self.is_copied = self.is_known;
        // What a newer version of this program does not understand any more is as good as none.
        self.trouble = None;
    }

    /// Nobody could look at it in time.
    pub(super) fn unanswered(&mut self, now: Timestamp) {
        self.say(
            "nobody could look at it yet. Does the share hang?".to_owned(),
            now,
        );
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the file, and gives a new content to `take`, which says when it was made or what is wrong with it. What is in
    /// force is copied. Whether a new content is in force.
    pub(super) fn look(
        &mut self,
        now: Timestamp,
        copies: &mut Copies,
        take: impl FnOnce(&[u8]) -> Result<Option<Timestamp>, String>,
    ) -> bool {
        self.looks = self.looks.wrapping_add(1);
        let known = self
            .stamp
            .filter(|_| !self.looks.is_multiple_of(READ_ANYWAY));
        match read(&self.path, self.max_bytes, known) {
            Ok(None) => {
                if let Some(trouble) = &mut self.trouble {
                    trouble.is_told = true;
                }
                false
            }
            Ok(Some((stamp, bytes))) => {
                self.stamp = Some(stamp);
                let is_new = self.content(&bytes, now, take);
                if self.trouble.is_none() && (is_new || self.is_copied) {
                    self.is_copied = false;
                    let modified = stamp.modified;
                    copies.keep(&self.path, Copy { modified, bytes });
                }
                is_new
            }
            Err(error) => {
                self.stamp = None;
                self.say(source::remedy(&error), now);
                false
            }
        }
    }

    fn content(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
        take: impl FnOnce(&[u8]) -> Result<Option<Timestamp>, String>,
    ) -> bool {
        let hash: [u8; 32] = Sha256::digest(bytes).into();
        let is_new = self.last.as_ref().is_none_or(|last| last.hash != hash);
        let last = match self.last.take() {
            Some(last) if !is_new => last,
            _ => Last {
                hash,
                outcome: take(bytes),
            },
        };
        match &last.outcome {
            // The same content in a new file was exported anew.
            Ok(made_at) => {
                let modified = self.stamp.and_then(|stamp| stamp.modified);
                let modified = modified.and_then(|time| Timestamp::try_from(time).ok());
                self.made_at = made_at.or(modified);
                self.is_known = true;
                self.trouble = None;
            }
            Err(message) => self.say(message.clone(), now),
        }
        let is_in_force = is_new && last.outcome.is_ok();
        self.last = Some(last);
        is_in_force
    }

    fn say(&mut self, message: String, now: Timestamp) {
        let earlier = self.trouble.take();
        self.trouble = Some(Trouble {
            message,
            since: earlier.as_ref().map_or(now, |trouble| trouble.since),
            is_told: earlier.is_some() || !self.is_known || self.is_copied,
        });
    }

    pub(super) fn status(&self, name: &'static str) -> ExportStatus {
        let trouble = self.trouble.as_ref().filter(|trouble| trouble.is_told);
        ExportStatus {
            name,
            file: self.path.clone(),
            exported_at: self.made_at,
            problem: trouble.map(|trouble| trouble.message.clone()),
            since: trouble.map(|trouble| trouble.since),
        }
    }
}

/// The content of a file; `None` if it is as it was at the last look. One byte more than allowed is read, so that
/// whoever takes it sees that it is too large.
fn read(path: &Path, max: usize, known: Option<Stamp>) -> io::Result<Option<(Stamp, Vec<u8>)>> {
    // Asked before it is opened: opening a pipe would wait for somebody who writes.
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let stamp = Stamp {
        bytes: metadata.len(),
        modified: metadata.modified().ok(),
    };
    if known == Some(stamp) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(Some((stamp, bytes)))
}
