//! How far a file was read, and how it is known again: what has to survive so that no row is lost or read twice.
//!
//! A position is plain data. It changes only together with what the bytes before it led to: whoever keeps one keeps
//! both, or neither. Nothing else of a file needs to be kept, because only whole lines are handed on.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;
use sha2::Sha256;

use crate::pipeline::file::Refusal;

/// How much of the beginning of a file tells it from others, in bytes; the first row mostly ends long before.
pub const MAX_FINGERPRINT_BYTES: usize = 4096;
/// How much before the offset is compared before reading on, in bytes.
pub const MAX_ANCHOR_BYTES: usize = 1024;

/// Identifies a file within its source, for good: also when it moves, and over restarts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct FileId(pub u64);

/// How far a file was read.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Position {
    /// The source: its path as configured.
    pub source: Arc<str>,
    /// Which file; unique within the source.
    pub file: FileId,
    /// Its directory, relative to where the search of the source starts.
    pub directory: Arc<str>,
    /// Its name in there.
    pub name: Arc<str>,
    /// Whose log it is.
    pub server: Arc<str>,
    /// How often it was rewritten.
    pub generation: u32,
    /// Its beginning; `None` as long as no row is complete, and nothing was read for as long.
    pub fingerprint: Option<Fingerprint>,
    /// Start of the first line that was not handed on; `None`: the file is older than the first reading goes back, and
    /// nobody has seen yet where it ends.
    pub offset: Option<u64>,
    /// Hash of up to [`MAX_ANCHOR_BYTES`] before the offset.
    pub anchor: Option<Hash>,
    /// Where reading starts again should the file turn out to be rewritten behind this point: it was seen to end here,
    /// or nothing but NUL bytes was behind.
    pub resume: Option<u64>,
    /// Its size when it was last looked at.
    pub size: u64,
    /// Whether nothing more is expected of it.
    pub finished: bool,
    /// Why it is not read, if so.
    pub refused: Option<Refusal>,
    /// Since when it is gone, if it is. It may come back: with the share, or under another name.
    pub vanished: Option<Timestamp>,
}

/// The beginning of a file, up to and with its first row. The lines before that are the same in many logs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Fingerprint {
    /// How many bytes it covers, at most [`MAX_FINGERPRINT_BYTES`].
    pub covered: u16,
    /// Their hash.
    pub hash: Hash,
    /// The first row, which the hash covers as well, if none begins within the bytes that are covered: NUL bytes stand
    /// there, and behind them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<Behind>,
}

/// A first row that stands behind what is looked at of a beginning.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Behind {
    /// Where it begins.
    pub at: u64,
    /// How many bytes of it are covered, at most [`MAX_FINGERPRINT_BYTES`].
    pub length: u16,
}

/// The first 128 bits of a SHA-256: the same in every version, and on every machine.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize)]
pub struct Hash(pub [u8; 16]);

impl Hash {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let full = Sha256::digest(bytes);
        let mut hash = [0; 16];
        hash.copy_from_slice(&full[..16]);
        Self(hash)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Fingerprint {
    /// Of a file that begins with these bytes, and may go on behind them. `None`: its first row is not complete yet.
    /// NUL bytes at the end are not there yet either.
    pub fn of(beginning: &[u8]) -> Option<Self> {
        let text = written(beginning);
        let text = &text[..text.len().min(MAX_FINGERPRINT_BYTES)];
        let mut end = 0;
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let start = end;
            end += line.len();
            let line = line
                .strip_prefix(b"\xEF\xBB\xBF")
                .filter(|_| start == 0)
                .unwrap_or(line);
            let is_row = !line.starts_with(b"#") && !line.trim_ascii().is_empty();
            if is_row && line.ends_with(b"\n") {
                return Some(Self::covering(&text[..end]));
            }
        }
        (text.len() == MAX_FINGERPRINT_BYTES).then(|| Self::covering(text))
    }

    /// Of exactly these bytes, or as many of them as a fingerprint covers.
    pub fn covering(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(MAX_FINGERPRINT_BYTES)];
        Self {
            covered: u16::try_from(bytes.len()).unwrap_or(u16::MAX),
            hash: Hash::of(bytes),
            behind: None,
        }
    }

    /// How many bytes it covers in all.
    pub fn length(self) -> usize {
        usize::from(self.covered) + self.behind.map_or(0, |row| usize::from(row.length))
    }

    /// How many of those a file of this size holds.
    pub fn length_in(self, size: u64) -> usize {
        let within = |at: u64, length: u16| {
            let rest = size.saturating_sub(at).min(u64::from(length));
            usize::try_from(rest).unwrap_or(usize::MAX)
        };
        within(0, self.covered) + self.behind.map_or(0, |row| within(row.at, row.length))
    }

    /// Where it ends in the file.
    pub fn end(self) -> u64 {
        let behind = self.behind.map(|row| row.at + u64::from(row.length));
        behind.unwrap_or(u64::from(self.covered))
    }
}

/// What is written of these bytes: all but the NUL bytes at their end.
pub(super) fn written(bytes: &[u8]) -> &[u8] {
    let last = bytes.iter().rposition(|&byte| byte != 0);
    &bytes[..last.map_or(0, |last| last + 1)]
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_ends_with_the_first_row() {
        for (text, covered) in [
            (&b""[..], None),
            (b"#Software: x\r\n#Date: y\r\n", None),
            (b"#Software: x\r\n\r\nhalf a row", None),
            (b"#Software: x\r\n\r\nrow\r\nanother", Some(21)),
            (b"\xEF\xBB\xBF#x\nrow\n", Some(10)),
            (b"\xEF\xBB\xBFrow\n#x\n", Some(7)),
            (b"row\n\0\0\0\0", Some(4)),
            (b"\0\0\0\0", None),
        ] {
            let found = Fingerprint::of(text).map(|fingerprint| fingerprint.covered);
            assert_eq!(found, covered, "{}", String::from_utf8_lossy(text));
        }
        let long = vec![b'x'; MAX_FINGERPRINT_BYTES];
        assert_eq!(Fingerprint::of(&long[1..]), None);
        assert_eq!(Fingerprint::of(&long).unwrap().covered, 4096);
        assert_eq!(
            Fingerprint::of(&vec![0; MAX_FINGERPRINT_BYTES]),
            None,
            "space that is not written yet is nobody's beginning"
        );
    }

    #[test]
    fn a_hash_is_the_same_in_every_version() {
        assert_eq!(
            format!("{:?}", Hash::of(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223"
        );
    }

    #[test]
    fn a_position_survives_being_written_down() {
        let position = Position {
            source: Arc::from("/srv/{server}/SmtpSend"),
            file: FileId(7),
            directory: Arc::from("EX01/SmtpSend"),
            name: Arc::from("SEND2026010100-1.LOG"),
            server: Arc::from("EX01"),
            generation: 1,
            fingerprint: Some(Fingerprint::covering(b"row\n")),
            offset: Some(4),
            anchor: Some(Hash::of(b"row\n")),
            resume: None,
            size: 9,
            finished: false,
            refused: Some(Refusal::Utf16),
            vanished: Some(Timestamp::UNIX_EPOCH),
        };
        let behind = Some(Behind {
            at: 9_000,
            length: 3,
        });
        let fingerprint = Fingerprint::covering(b"row\n");
        let odd = Position {
            fingerprint: Some(Fingerprint {
                behind,
                ..fingerprint
            }),
            ..position.clone()
        };
        for position in [position, odd] {
            let written = serde_json::to_string(&position).unwrap();
            assert_eq!(
                serde_json::from_str::<Position>(&written).unwrap(),
                position
            );
        }
    }

    #[test]
    fn a_fingerprint_covers_its_first_row_wherever_it_is() {
        let plain = Fingerprint::covering(b"row\n");
        assert_eq!((plain.length(), plain.end()), (4, 4));
        let odd = Fingerprint {
            behind: Some(Behind { at: 9, length: 3 }),
            ..plain
        };
        assert_eq!((odd.length(), odd.end()), (7, 12));
        let lengths = [0, 2, 4, 9, 10, 12, 99].map(|size| odd.length_in(size));
        assert_eq!(lengths, [0, 2, 4, 4, 5, 7, 7]);
    }
}
