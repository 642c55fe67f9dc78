//! A line → its cells, from the left.

use std::borrow::Cow;

use memchr::memchr;

use crate::pipeline::marks::BLOCK;
use crate::pipeline::marks::marks;
use crate::pipeline::marks::marks_of_short;

/// One cell, as it stands in the line.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cell<'a> {
    /// Without the quotes around it.
    raw: &'a [u8],
    /// Whether quotes inside are doubled.
    doubled: bool,
}

impl<'a> Cell<'a> {
    /// What the cell holds.
    pub fn bytes(self) -> Cow<'a, [u8]> {
        if !self.doubled {
            return Cow::Borrowed(self.raw);
        }
        let mut plain = Vec::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some(quote) = memchr(b'"', rest) {
            plain.extend_from_slice(&rest[..=quote]);
            rest = &rest[(quote + 2).min(rest.len())..];
        }
        plain.extend_from_slice(rest);
        Cow::Owned(plain)
    }

    /// The bytes as they stand, quotes inside still doubled: equal cells have equal raw bytes, and what starts with
    /// plain letters can be told by them.
    pub fn raw(self) -> &'a [u8] {
        self.raw
    }
}

/// Takes cells off a line.
///
/// The small functions here are always inlined: they run nine times a row, and only then is what they share kept in
/// registers.
#[derive(Debug)]
pub(super) struct Cells<'a> {
    line: &'a [u8],
    /// Where the next cell begins.
    next: usize,
    commas: Ahead<b','>,
}

/// The places of a byte in a line, found a block at a time and ahead of their use.
#[derive(Clone, Copy, Debug)]
struct Ahead<const WANTED: u8> {
    /// Where the block begins.
    from: usize,
    /// Everything before it has been looked at.
    to: usize,
    /// The places in the block, without those that were passed.
    marks: u64,
}

impl<const WANTED: u8> Ahead<WANTED> {
    /// Looks at the block from `from` on. The last one of a line reaches back, so that it is a whole one as well.
    #[inline(always)]
    fn look(line: &[u8], from: usize) -> Self {
        let start = from.min(line.len().saturating_sub(BLOCK));
        let rest = &line[start..];
        let marks = match rest.first_chunk() {
            Some(block) => marks(block, WANTED),
            None => marks_of_short(rest, WANTED),
        };
        let passed = from - start;
        let is_past = passed >= BLOCK;
        Self {
            from: start,
            to: from.max(start + BLOCK),
            marks: if is_past {
                0
            } else {
                marks >> passed << passed
            },
        }
    }

    /// Where the next one stands, which is passed by this.
    #[inline(always)]
    fn next(&mut self, line: &[u8]) -> Option<usize> {
        if self.marks == 0 && !self.go_on(line) {
            return None;
        }
        let place = self.from + self.marks.trailing_zeros() as usize;
        self.marks &= self.marks - 1;
        Some(place)
    }

    /// Looks further until there is one. Whether there is.
    #[inline(never)]
    fn go_on(&mut self, line: &[u8]) -> bool {
        while self.marks == 0 && self.to < line.len() {
            *self = Self::look(line, self.to);
        }
        self.marks != 0
    }
}

impl<'a> Cells<'a> {
    /// The cells of a line from `next` on.
    #[inline(always)]
    pub(super) fn new(line: &'a [u8], next: usize) -> Self {
        let commas = Ahead::look(line, next);
        Self { line, next, commas }
    }

    /// Takes a cell and the comma behind it. `None`: there is no comma, or a quote is not closed.
    #[inline(always)]
    pub(super) fn cell(&mut self) -> Option<Cell<'a>> {
        if self.line.get(self.next) == Some(&b'"') {
            let (cell, end) = quoted(self.line, self.next)?;
            if self.line.get(end) != Some(&b',') {
                return None;
            }
            *self = Self::new(self.line, end + 1);
            return Some(cell);
        }
        let raw = self.plain()?;
        Some(Cell {
            raw,
            doubled: false,
        })
    }

    /// Takes a cell that is never quoted, and the comma behind it.
    #[inline(always)]
    pub(super) fn plain(&mut self) -> Option<&'a [u8]> {
        let comma = self.commas.next(self.line)?;
        let raw = self.line.get(self.next..comma)?;
        self.next = comma + 1;
        Some(raw)
    }

    /// Takes a cell of so many bytes and the comma behind it. What follows is looked at anew, so that one look shows
    /// all of the short cells in the middle of a row.
    #[inline(always)]
    pub(super) fn of_length<const LENGTH: usize>(&mut self) -> Option<&'a [u8; LENGTH]> {
        let (cell, rest) = self.line.get(self.next..)?.split_first_chunk()?;
        if rest.first() != Some(&b',') {
            return None;
        }
        *self = Self::new(self.line, self.next + LENGTH + 1);
        Some(cell)
    }

    /// Takes the cell that ends the line. `None`: more follows, or a quote is not closed.
    #[inline(always)]
    pub(super) fn last(mut self) -> Option<Cell<'a>> {
        if self.line.get(self.next) == Some(&b'"') {
            let (cell, end) = quoted(self.line, self.next)?;
            return (end == self.line.len()).then_some(cell);
        }
        // Most rows have nothing there.
        if self.next < self.line.len() && self.commas.next(self.line).is_some() {
            return None;
        }
        let raw = self.line.get(self.next..)?;
        Some(Cell {
            raw,
            doubled: false,
        })
    }
}

/// The cell that starts with the quote at `start`, and where it ends, its closing quote included.
fn quoted(line: &[u8], start: usize) -> Option<(Cell<'_>, usize)> {
    let mut quotes = Ahead::<b'"'>::look(line, start + 1);
    let mut doubled = false;
    loop {
        let quote = quotes.next(line)?;
        if line.get(quote + 1) != Some(&b'"') {
            let raw = line.get(start + 1..quote)?;
            return Some((Cell { raw, doubled }, quote + 1));
        }
        doubled = true;
        quotes.next(line)?;
    }
}
