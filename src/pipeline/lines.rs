//! Bytes → lines, whatever way the bytes arrive.
//!
//! Exchange appends through a buffer, so a read can end anywhere: inside a row, between CR and LF, in the middle of a
//! UTF-8 sequence. [`Lines`] gives the same lines for every way of cutting the same text. Complete lines are handed out
//! as slices of the caller's own buffer; only the piece of a line that straddles two reads is copied.
//!
//! NUL bytes need care, because three things write them. A peer's reply may hold one: that is data. A file system may
//! show space that the writer has reserved but not filled: those NULs stand at the end and will turn into text, so
//! they wait. A crash leaves a long run of them that never will: when text follows such a run, the piece of a row in
//! front of it and the run itself are lost, and said to be lost.

use memchr::memchr;

use crate::pipeline::outline::Outline;
use crate::pipeline::outline::Outlines;

/// The longest line that is kept, in bytes. Exchange copies at most 32 KiB of a server's answer into a row; what is
/// longer than this is not a protocol log row, and is skipped to its newline and counted.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// A run of at least this many NUL bytes with text behind it is the trace of a crash, not data. It equals the sector
/// size, the smallest piece that a file system leaves unwritten.
pub const MIN_NUL_DAMAGE_BYTES: u64 = 512;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// What stands between two newlines.
#[derive(Clone, Copy, Debug)]
pub enum Line<'a> {
    /// A complete line without its CR and LF, and without the byte order mark of a file.
    Text(&'a [u8]),
    /// A line of more than [`MAX_LINE_BYTES`] came to its end.
    TooLong,
    /// The beginning of a row and a run of NUL bytes behind it were dropped; `bytes` counts both.
    Damaged {
        /// Bytes dropped.
        bytes: u64,
    },
}

/// Who takes lines.
pub trait Reader {
    /// Takes a line.
    fn line(&mut self, line: Line<'_>);

    /// Takes a line by its outline: one that is like nearly all rows and does not straddle two reads, still with its CR.
    /// If it does not, it is handed the line as any other.
    #[inline]
    fn row(&mut self, _line: &[u8], _outline: &Outline) -> bool {
        false
    }
}

impl<F: FnMut(Line<'_>)> Reader for F {
    fn line(&mut self, line: Line<'_>) {
        self(line);
    }
}

/// Cuts one file into lines. Feed it the file's bytes from the start, in order, in pieces of any size.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// The unfinished line, as far as it is known to be text.
    carry: Vec<u8>,
    /// NUL bytes behind `carry`: data, damage, or space not yet written; what follows will tell.
    nuls: u64,
    /// Bytes of an unfinished line that is already too long to be kept.
    overlong: u64,
    /// Bytes fed so far.
    fed: u64,
    /// Whether the first line has been handed out.
    begun: bool,
}

impl Lines {
    /// Lines of a file of which everything before an offset, the start of a line, was read before.
    pub fn from(offset: u64) -> Self {
        Self {
            fed: offset,
            begun: offset > 0,
            ..Self::default()
        }
    }

    /// Hands every line that `chunk` completes to the reader, in order.
    pub fn feed(&mut self, chunk: &[u8], mut reader: impl Reader) {
        self.fed += chunk.len() as u64;
        let mut outlines = Outlines::default();
        let mut rest = chunk;
        while !rest.is_empty() {
            let taken = if self.is_inside_line() || !self.begun {
                self.end_of_line(rest, &mut reader)
            } else {
                self.whole_lines(rest, &mut outlines, &mut reader)
            };
            rest = &rest[taken..];
        }
    }

    /// Goes on with the unfinished line, up to its end if the text has it. How much of the text was taken.
    fn end_of_line(&mut self, text: &[u8], reader: &mut dyn Reader) -> usize {
        let Some(newline) = memchr(b'\n', text) else {
            self.extend(text, reader);
            return text.len();
        };
        self.extend(&text[..newline], reader);
        self.finish(reader);
        newline + 1
    }

    /// Takes the lines that end within the next stretch of the text, or the stretch as the beginning of a line. How
    /// much of the text was taken.
    #[inline]
    fn whole_lines(
        &mut self,
        text: &[u8],
        outlines: &mut Outlines,
        reader: &mut impl Reader,
    ) -> usize {
        let stretch = &text[..outlines.find(text)];
        let mut taken = 0;
        for (newline, outline) in outlines.lines() {
            self.whole(&stretch[taken..newline], outline, reader);
            taken = newline + 1;
        }
        if taken == 0 {
            self.extend(stretch, reader);
            return stretch.len();
        }
        taken
    }

    /// Offset of the first byte that is not yet part of a line handed out: where reading has to start again after a
    /// restart.
    pub fn unfinished_from(&self) -> u64 {
        self.fed - self.carry.len() as u64 - self.nuls - self.overlong
    }

    /// The unfinished last line, without NUL bytes at its end; empty when there is none, or when it is too long.
    pub fn unfinished(&self) -> &[u8] {
        &self.carry
    }

    fn is_inside_line(&self) -> bool {
        !self.carry.is_empty() || self.nuls > 0 || self.overlong > 0
    }

    /// A line that lies in one piece within the caller's buffer. Only a long one can hold a long run of NUL bytes.
    #[inline]
    fn whole(&mut self, line: &[u8], outline: Option<&Outline>, reader: &mut impl Reader) {
        if line.len() as u64 >= MIN_NUL_DAMAGE_BYTES && memchr(0, line).is_some() {
            self.extend(line, reader);
            self.finish(reader);
        } else if !outline.is_some_and(|outline| reader.row(line, outline)) {
            reader.line(Line::Text(without_cr(line)));
        }
    }

    /// Adds a piece without newline to the unfinished line.
    fn extend(&mut self, mut piece: &[u8], reader: &mut dyn Reader) {
        while !piece.is_empty() {
            let nuls = piece.iter().take_while(|&&byte| byte == 0).count();
            self.nuls += nuls as u64;
            piece = &piece[nuls..];
            if piece.is_empty() {
                return;
            }
            self.settle_nuls(reader);
            let text = memchr(0, piece).unwrap_or(piece.len());
            self.append(&piece[..text]);
            piece = &piece[text..];
        }
    }

    /// Something other than NUL follows: now the NUL bytes seen last are either data or damage.
    fn settle_nuls(&mut self, reader: &mut dyn Reader) {
        let nuls = std::mem::take(&mut self.nuls);
        if nuls >= MIN_NUL_DAMAGE_BYTES {
            let bytes = self.carry.len() as u64 + self.overlong + nuls;
            self.carry.clear();
            self.overlong = 0;
            reader.line(Line::Damaged { bytes });
        } else {
            for _ in 0..nuls {
                self.append(&[0]);
            }
        }
    }

    fn append(&mut self, text: &[u8]) {
        if self.overlong > 0 || self.carry.len() + text.len() > MAX_LINE_BYTES {
            self.overlong += (self.carry.len() + text.len()) as u64;
            self.carry = Vec::new();
        } else {
            self.carry.extend_from_slice(text);
        }
    }

    fn finish(&mut self, reader: &mut dyn Reader) {
        self.settle_nuls(reader);
        if std::mem::take(&mut self.overlong) > 0 {
            reader.line(Line::TooLong);
            return;
        }
        let mut line = std::mem::take(&mut self.carry);
        reader.line(Line::Text(self.begin(without_cr(&line))));
        line.clear();
        self.carry = line;
    }

    /// Takes the byte order mark off the first line of the file.
    fn begin<'a>(&mut self, line: &'a [u8]) -> &'a [u8] {
        if self.begun {
            return line;
        }
        self.begun = true;
        line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a chunking of the text gives, with texts owned.
    fn lines_of(chunks: &[&[u8]]) -> (Vec<String>, u64) {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for chunk in chunks {
            lines.feed(chunk, |line: Line<'_>| {
                found.push(match line {
                    Line::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    Line::TooLong => "<too long>".to_owned(),
                    Line::Damaged { bytes } => format!("<damaged {bytes}>"),
                });
            });
        }
        (found, lines.unfinished_from())
    }

    fn samples() -> Vec<Vec<u8>> {
        let nuls = vec![0; 600];
        vec![
            b"\xEF\xBB\xBF#Software: x\r\nrow one\r\nrow two\nhalf".to_vec(),
            b"\r\n\r\n\n\r\r\n\xEF\xBB\xBFnot a mark here\n".to_vec(),
            [b"half a r", &nuls[..], b"whole row\r\nnext\r\n"].concat(),
            [b"ends in nuls\r\nhalf", &nuls[..]].concat(),
            [b"a\0\0b,", &nuls[..511], b"c\r\n", &nuls[..512], b"\r\nx\n"].concat(),
        ]
    }

    #[test]
    fn every_cut_gives_the_same_lines() {
        for sample in samples() {
            let whole = lines_of(&[&sample]);
            for cut in 0..=sample.len() {
                assert_eq!(
                    lines_of(&[&sample[..cut], &sample[cut..]]),
                    whole,
                    "cut at {cut}"
                );
            }
            let bytes: Vec<&[u8]> = sample.chunks(1).collect();
            assert_eq!(lines_of(&bytes), whole, "byte by byte");
        }
    }

    #[test]
    fn the_mark_goes_only_from_the_start_and_the_half_line_waits() {
        let (lines, offset) = lines_of(&[&samples()[0]]);
        assert_eq!(lines, ["#Software: x", "row one", "row two"]);
        assert_eq!(offset, samples()[0].len() as u64 - 4);
        let (lines, _) = lines_of(&[&samples()[1]]);
        assert_eq!(lines, ["", "", "", "\r", "\u{FEFF}not a mark here"]);
    }

    #[test]
    fn a_long_nul_run_with_text_behind_it_is_damage() {
        let (lines, _) = lines_of(&[&samples()[2]]);
        assert_eq!(lines, ["<damaged 608>", "whole row", "next"]);
    }

    #[test]
    fn nuls_at_the_end_wait() {
        let (lines, offset) = lines_of(&[&samples()[3]]);
        assert_eq!(lines, ["ends in nuls"]);
        assert_eq!(offset, 14);
    }

    #[test]
    fn a_short_nul_run_is_data() {
        let (lines, _) = lines_of(&[&samples()[4]]);
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0].len(), 5 + 511 + 1);
        assert_eq!(lines[1..], ["<damaged 512>", "", "x"]);
    }

    #[test]
    fn a_line_over_the_limit_is_skipped_to_its_newline() {
        let longest = vec![b'x'; MAX_LINE_BYTES];
        let text = [&longest[..], b"\nok\n", &longest[..], b"y\nafter\n"].concat();
        let whole = lines_of(&[&text]);
        assert_eq!(whole.0[1..], ["ok", "<too long>", "after"]);
        assert_eq!(whole.0[0].len(), MAX_LINE_BYTES);
        let pieces: Vec<&[u8]> = text.chunks(65_537).collect();
        assert_eq!(lines_of(&pieces), whole);
    }

    #[test]
    fn an_unfinished_overlong_line_keeps_no_bytes() {
        let mut lines = Lines::default();
        for _ in 0..40 {
            lines.feed(&vec![b'x'; 1 << 16], |_: Line<'_>| {});
        }
        assert_eq!(lines.unfinished(), b"");
        assert_eq!(lines.unfinished_from(), 0);
    }
}
