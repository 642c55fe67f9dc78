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
    /// A cell without quotes inside.
    fn plain(raw: &'a [u8]) -> Self {
        Self::new(raw, false)
    }

    /// A cell whose quotes around it are taken off.
    pub(super) fn new(raw: &'a [u8], doubled: bool) -> Self {
        Self { raw, doubled }
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

/// The cells of a row behind its date, as they stand in the line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells<'a> {
    pub(super) connector: Cell<'a>,
    pub(super) session: &'a [u8],
    pub(super) sequence: &'a [u8],
    pub(super) event: &'a [u8],
    pub(super) data: Cell<'a>,
    pub(super) context: Cell<'a>,
}

impl<'a> Cells<'a> {
    /// Takes the cells from `start` on one after the other. `None`: they are fewer or more, or a quote is not closed.
    pub(super) fn one_by_one(line: &'a [u8], start: usize) -> Option<Self> {
        let mut rest = line.get(start..)?;
        let connector = cell(&mut rest)?;
        let session = plain(&mut rest)?;
        let sequence = plain(&mut rest)?;
        let _local_endpoint = cell(&mut rest)?;
        let _remote_endpoint = cell(&mut rest)?;
        let event = plain(&mut rest)?;
        let data = cell(&mut rest)?;
        let context = last(rest)?;
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

/// Takes a cell and the comma behind it off a line. `None`: there is no comma, or a quote is not closed.
fn cell<'a>(line: &mut &'a [u8]) -> Option<Cell<'a>> {
    if line.first() != Some(&b'"') {
        return plain(line).map(Cell::plain);
    }
    let (cell, rest) = quoted(line)?;
    *line = rest.strip_prefix(b",")?;
    Some(cell)
}

/// Takes a cell that is never quoted, and the comma behind it.
fn plain<'a>(line: &mut &'a [u8]) -> Option<&'a [u8]> {
    let comma = memchr(b',', line)?;
    let raw = &line[..comma];
    *line = &line[comma + 1..];
    Some(raw)
}

/// The cell that ends the line. `None`: more follows, or a quote is not closed.
fn last(line: &[u8]) -> Option<Cell<'_>> {
    if line.first() == Some(&b'"') {
        let (cell, rest) = quoted(line)?;
        return rest.is_empty().then_some(cell);
    }
    memchr(b',', line).is_none().then(|| Cell::plain(line))
}

/// The cell that starts with a quote, and what follows behind its closing quote.
fn quoted(line: &[u8]) -> Option<(Cell<'_>, &[u8])> {
    let inside = line.get(1..)?;
    let mut doubled = false;
    let mut at = 0;
    loop {
        let quote = at + memchr(b'"', inside.get(at..)?)?;
        if inside.get(quote + 1) != Some(&b'"') {
            let raw = &inside[..quote];
            return Some((Cell { raw, doubled }, &inside[quote + 1..]));
        }
        doubled = true;
        at = quote + 2;
    }
}
