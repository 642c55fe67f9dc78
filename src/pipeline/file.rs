//! One log file as it is read: lines and header lines become rows, and a file that is no send protocol log is refused.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::lines::Line;
use crate::pipeline::lines::Lines;
use crate::pipeline::lines::Reader;
use crate::pipeline::outline::Outline;
use crate::pipeline::record;
use crate::pipeline::record::Header;
use crate::pipeline::record::Row;
use crate::pipeline::record::RowReader;

/// How far one log file has been read, and what it turned out to be.
#[derive(Clone, Debug, Default)]
pub struct LogFile {
    lines: Lines,
    content: Content,
}

/// What is known of a file apart from its unfinished line.
#[derive(Clone, Debug, Default)]
struct Content {
    rows: RowReader,
    tally: Tally,
    refused: Option<Refusal>,
    begun: bool,
}

/// The content while lines come in.
struct Reading<'a, F> {
    content: &'a mut Content,
    each: F,
}

/// Counts of what a file held. Header lines, blank lines and an unfinished last row are in none of them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Tally {
    /// Bytes fed, headers included.
    pub bytes: u64,
    /// Well-formed rows.
    pub rows: u64,
    /// Lines that are no rows: malformed, too long, or cut by damage.
    pub malformed_rows: u64,
    /// Bytes dropped because a crash left NUL bytes in the file.
    pub lost_bytes: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.rows += other.rows;
        self.malformed_rows += other.malformed_rows;
        self.lost_bytes += other.lost_bytes;
    }
}

impl std::ops::Sub for Tally {
    type Output = Self;

    /// What was added since an earlier tally of the same file.
    fn sub(self, earlier: Self) -> Self {
        Self {
            bytes: self.bytes - earlier.bytes,
            rows: self.rows - earlier.rows,
            malformed_rows: self.malformed_rows - earlier.malformed_rows,
            lost_bytes: self.lost_bytes - earlier.lost_bytes,
        }
    }
}

/// Why a file is not read.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Refusal {
    /// `#Log-type` says SMTP Receive Protocol Log.
    ReceiveLog,
    /// `#Log-type` names another kind of log.
    OtherLog,
    /// `#Fields` lists other columns than those of a send protocol log.
    UnknownFields,
    /// The file is UTF-16; Exchange writes UTF-8.
    Utf16,
    /// The file begins as gzip or zip does.
    Compressed,
}

impl Refusal {
    /// The word for it in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReceiveLog => "receive_log",
            Self::OtherLog => "other_log",
            Self::UnknownFields => "unknown_fields",
            Self::Utf16 => "utf16",
            Self::Compressed => "compressed",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReceiveLog => {
                "this is an SMTP receive protocol log; it says nothing about the certificate that the server presents. \
                 Give the SmtpSend folder instead of SmtpReceive"
            }
            Self::OtherLog => {
                "its #Log-type header names another kind of log. Give the send protocol logs (SmtpSend folder)"
            }
            Self::UnknownFields => {
                "its #Fields header lists other columns than a send protocol log has. Was the file edited or exported \
                 by another tool? Give the file as Exchange wrote it"
            }
            Self::Utf16 => {
                "the file is UTF-16, but Exchange writes UTF-8: a tool has converted it. Copy the original file \
                 instead (Windows PowerShell's `>` and Out-File convert)"
            }
            Self::Compressed => "the file is compressed (gzip or zip). Unpack it, and give what was in it",
        })
    }
}

impl LogFile {
    /// A file of which everything before an offset, the start of a line, was read before.
    pub fn from(offset: u64, refused: Option<Refusal>) -> Self {
        Self {
            lines: Lines::from(offset),
            content: Content {
                refused,
                begun: offset > 0,
                ..Content::default()
            },
        }
    }

    /// Hands every row that `chunk` completes to `each`. A refused file hands out nothing more.
    pub fn feed(&mut self, chunk: &[u8], each: impl FnMut(&Row<'_>)) {
        self.content.tally.bytes += chunk.len() as u64;
        if self.content.refused.is_some() {
            return;
        }
        let content = &mut self.content;
        self.lines.feed(chunk, Reading { content, each });
    }

    /// Takes the unfinished last line for a whole one if it parses, because nothing will be added to the file any
    /// more. Whether it was a row.
    pub fn take_unfinished(&mut self, mut each: impl FnMut(&Row<'_>)) -> bool {
        let text = self.lines.unfinished();
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if self.content.refused.is_some() || text.is_empty() || text[0] == b'#' {
            return false;
        }
        let Ok(row) = self.content.rows.read(text) else {
            return false;
        };
        self.content.tally.rows += 1;
        each(&row);
        true
    }

    /// Why the file is not read, if so.
    pub fn refused(&self) -> Option<Refusal> {
        self.content.refused
    }

    /// What the file held so far.
    pub fn tally(&self) -> Tally {
        self.content.tally
    }

    /// Offset of the first byte that no row or header line handed out so far contains.
    pub fn unfinished_from(&self) -> u64 {
        self.lines.unfinished_from()
    }
}

impl<F: FnMut(&Row<'_>)> Reader for Reading<'_, F> {
    #[inline]
    fn row(&mut self, line: &[u8], outline: &Outline) -> bool {
        if self.content.refused.is_some() {
            return false;
        }
        // Only a reference is taken: a row is too large to be moved once in a row.
        let Some(row) = &self.content.rows.outlined(line, outline) else {
            return false;
        };
        self.content.tally.rows += 1;
        (self.each)(row);
        true
    }

    #[cold]
    fn line(&mut self, line: Line<'_>) {
        let content = &mut *self.content;
        if content.refused.is_some() {
            return;
        }
        let first = !std::mem::replace(&mut content.begun, true);
        match line {
            Line::Text(text) if first && is_utf16(text) => content.refused = Some(Refusal::Utf16),
            Line::Text(text) if first && is_compressed(text) => {
                content.refused = Some(Refusal::Compressed);
            }
            Line::Text([]) => {}
            Line::Text(text @ [b'#', ..]) => content.header(text),
            Line::Text(text) => match content.rows.read(text) {
                Ok(row) => {
                    content.tally.rows += 1;
                    (self.each)(&row);
                }
                Err(_) => content.tally.malformed_rows += 1,
            },
            Line::TooLong => content.tally.malformed_rows += 1,
            Line::Damaged { bytes } => {
                content.tally.malformed_rows += 1;
                content.tally.lost_bytes += bytes;
            }
        }
    }
}

impl Content {
    fn header(&mut self, line: &[u8]) {
        self.refused = match record::header(line) {
            Header::OtherLog { receive: true } => Some(Refusal::ReceiveLog),
            Header::OtherLog { receive: false } => Some(Refusal::OtherLog),
            Header::UnknownFields => Some(Refusal::UnknownFields),
            Header::SendLog | Header::KnownFields | Header::Other => None,
        };
    }
}

/// A UTF-16 file starts with a byte order mark of its own, or with an ASCII letter and a NUL in either order.
fn is_utf16(first_line: &[u8]) -> bool {
    matches!(
        first_line,
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [b'#', 0, ..] | [0, b'#', ..]
    )
}

/// The signatures of gzip (RFC 1952, 2.3.1) and of the first file in a zip archive.
fn is_compressed(first_line: &[u8]) -> bool {
    first_line.starts_with(b"\x1F\x8B") || first_line.starts_with(b"PK\x03\x04")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROW: &[u8] =
        b"2026-01-01T00:00:01.000Z,c,08DE41A5B3C2D100,0,,,*,,attempting to connect\r\n";

    fn read(text: &[u8]) -> LogFile {
        let mut file = LogFile::default();
        file.feed(text, |_| {});
        file
    }

    #[test]
    fn rows_headers_and_blank_lines_are_told_apart() {
        let text = [
            b"\xEF\xBB\xBF#Software: x\r\n\r\n",
            ROW,
            b"#Date: y\r\nno row\r\n",
            ROW,
            &ROW[..20],
        ]
        .concat();
        let tally = read(&text).tally();
        assert_eq!((tally.rows, tally.malformed_rows), (2, 1));
        assert_eq!(tally.bytes, text.len() as u64);
    }

    #[test]
    fn other_files_are_refused() {
        for (head, why) in [
            (
                &b"#Log-type: SMTP Receive Protocol Log\r\n"[..],
                Refusal::ReceiveLog,
            ),
            (b"#Log-type: Message Tracking Log\r\n", Refusal::OtherLog),
            (b"#Fields: a,b\r\n", Refusal::UnknownFields),
            (b"\xFF\xFE#\0S\0\r\0\n\0", Refusal::Utf16),
            (b"#\0S\0\r\0\n\0", Refusal::Utf16),
            (b"\x1F\x8B\x08\0\0\0\0\0\0\x03\xB5\n", Refusal::Compressed),
            (b"PK\x03\x04\x14\0\0\0\x08\0\n", Refusal::Compressed),
        ] {
            let file = read(&[head, ROW].concat());
            assert_eq!(file.refused(), Some(why));
            assert_eq!(file.tally().rows, 0);
        }
    }

    #[test]
    fn an_unfinished_row_can_be_taken_when_it_is_whole() {
        let mut whole = read(ROW.trim_ascii_end());
        assert!(whole.take_unfinished(|_| {}));
        assert_eq!(whole.tally().rows, 1);
        let mut half = read(&ROW[..40]);
        assert!(!half.take_unfinished(|_| {}));
    }

    /// A row, or nearly one.
    fn row() -> impl Strategy<Value = String> {
        let cell = || ("[ab\",]{0,3}", prop_oneof![0..9usize, 30..200usize], 0..4u8);
        let cell = move || {
            cell().prop_map(|(text, length, kind)| {
                let cell = format!("{text}{}", "x".repeat(length));
                match kind {
                    0 => cell,
                    1 => format!("\"{}\"", cell.replace('"', "\"\"")),
                    _ => cell.replace(['"', ','], "y"),
                }
            })
        };
        let id = "08DE41A5B3C2D1[0-9A-Fa-g]{2}";
        let number = prop_oneof![8 => "[0-9]{1,6}", 1 => "[0-9x]{0,3}"];
        let event = prop_oneof![8 => "[-+<>*]", 1 => "[a<\"]{0,2}"];
        let end = prop_oneof![4 => Just("\r\n"), 1 => Just("\n")];
        let address = prop_oneof![4 => "[0-9.:]{0,20}", 1 => "[0-9.:\"]{0,40}"];
        (cell(), id, number, address, event, cell(), cell(), end).prop_map(
            |(connector, id, number, address, event, data, context, end)| {
                format!("2026-01-01T00:00:01.000Z,{connector},{id},{number},{address},{address},{event},{data},{context}{end}")
            },
        )
    }

    proptest! {
        /// Wherever a row stands and whatever stands around it, it is read as it is by itself.
        #[test]
        fn rows_are_read_as_each_by_itself(rows in proptest::collection::vec(row(), 0..60), cut in 1..9_000usize) {
            let text = rows.concat();
            let mut found = Vec::new();
            let mut file = LogFile::default();
            for chunk in text.as_bytes().chunks(cut) {
                file.feed(chunk, |row| found.push(format!("{row:?}")));
            }
            let mut reader = RowReader::default();
            let lines = rows.iter().map(|row| row.trim_end_matches('\n'));
            let lines = lines.map(|line| line.strip_suffix('\r').unwrap_or(line));
            let read = lines.filter_map(|line| reader.read(line.as_bytes()).ok().map(|row| format!("{row:?}")));
            let expected: Vec<_> = read.collect();
            prop_assert_eq!(found, expected);
        }
    }
}
