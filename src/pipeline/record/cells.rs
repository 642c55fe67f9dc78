//! A line → its cells.

use std::borrow::Cow;

use memchr::memchr;

/// One cell, as it stands in the line.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cell<'a> {
    /// Without the quotes around it.
    raw: &'a [u8],
    /// Whether quotes inside are doubled.
    doubled: bool,
}

impl<'a> Cell<'a> {
    /// A cell whose quotes around it are taken off, and whether those inside are doubled.
    pub fn new(raw: &'a [u8], doubled: bool) -> Self {
        Self { raw, doubled }
    }

    /// Whether quotes inside are doubled.
    pub fn is_doubled(self) -> bool {
        self.doubled
    }

    /// What the cell holds.
    #[inline]
    pub fn bytes(self) -> Cow<'a, [u8]> {
        if self.doubled {
            Cow::Owned(undoubled(self.raw))
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// The bytes as they stand, quotes inside still doubled: equal cells have equal raw bytes, and what starts with
    /// plain letters can be told by them.
    pub fn raw(self) -> &'a [u8] {
        self.raw
    }
}

#[cold]
fn undoubled(raw: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(quote) = memchr(b'"', rest) {
        plain.extend_from_slice(&rest[..=quote]);
        rest = &rest[(quote + 2).min(rest.len())..];
    }
    plain.extend_from_slice(rest);
    plain
}

/// Where the cells of a row are, behind its date.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells {
    pub(super) connector: Place,
    pub(super) session: Place,
    pub(super) sequence: Place,
    pub(super) event: Place,
    pub(super) data: Place,
    pub(super) context: Place,
}

/// Where a cell is in its line, without the quotes around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether quotes inside are doubled.
    pub(super) doubled: bool,
}

impl Place {
    pub(super) fn of(self, line: &[u8]) -> &[u8] {
        line.get(self.start..self.end).unwrap_or_default()
    }
}

impl Cells {
    /// Takes the cells from `start` on one after the other. `None`: they are fewer or more, or a quote is not closed.
    pub(super) fn one_by_one(line: &[u8], start: usize) -> Option<Self> {
        let mut rest = Rest { line, at: start };
        let connector = rest.cell()?;
        let session = rest.plain()?;
        let sequence = rest.plain()?;
        let _local_endpoint = rest.cell()?;
        let _remote_endpoint = rest.cell()?;
        let event = rest.plain()?;
        let data = rest.cell()?;
        let context = rest.last()?;
        Some(Self {
            connector,
            session,
            sequence,
            event,
            data,
            context,
        })
    }
}

/// What of a line is still to be read.
struct Rest<'a> {
    line: &'a [u8],
    at: usize,
}

impl Rest<'_> {
    fn next(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    /// Takes a cell and the comma behind it. `None`: there is no comma, or a quote is not closed.
    fn cell(&mut self) -> Option<Place> {
        if self.next() != Some(b'"') {
            return self.plain();
        }
        let cell = self.quoted()?;
        if self.next() != Some(b',') {
            return None;
        }
        self.at += 1;
        Some(cell)
    }

    /// Takes a cell that is never quoted, and the comma behind it.
    fn plain(&mut self) -> Option<Place> {
        let start = self.at;
        let end = start + memchr(b',', self.line.get(start..)?)?;
        self.at = end + 1;
        Some(Place {
            start,
            end,
            doubled: false,
        })
    }

    /// The cell that ends the line. `None`: more follows, or a quote is not closed.
    fn last(&mut self) -> Option<Place> {
        if self.next() == Some(b'"') {
            let cell = self.quoted()?;
            return (self.at == self.line.len()).then_some(cell);
        }
        let text = self.line.get(self.at..)?;
        memchr(b',', text).is_none().then_some(Place {
            start: self.at,
            end: self.line.len(),
            doubled: false,
        })
    }

    /// Takes a cell that starts with a quote, up to its closing quote.
    fn quoted(&mut self) -> Option<Place> {
        let start = self.at + 1;
        let mut doubled = false;
        let mut at = start;
        loop {
            let end = at + memchr(b'"', self.line.get(at..)?)?;
            self.at = end + 1;
            if self.next() != Some(b'"') {
                return Some(Place {
                    start,
                    end,
                    doubled,
                });
            }
            doubled = true;
            at = end + 2;
        }
    }
}
