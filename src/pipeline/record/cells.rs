//! A line → its cells.

use std::borrow::Cow;

use memchr::memchr;

use crate::pipeline::marks::Signs;

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
        let doubled = false;
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

/// Length of a session id.
pub(super) const SESSION: usize = 16;

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

    /// The same from the places of commas and quotes, for rows as nearly all of them are: the name of the connector
    /// takes less than 64 bytes, and so do the four cells behind the session id together, which are not quoted. `None`:
    /// this may be another row, or none.
    ///
    /// What is behind the line has marks, too. So every place is looked up in the line, and leads nowhere if it is not
    /// in it.
    #[inline]
    pub(super) fn at_signs(line: &'a [u8], start: usize, signs: Signs<'_>) -> Option<Self> {
        let (connector, connector_end) = if line.get(start) == Some(&b'"') {
            quoted_at(line, start, signs)?
        } else {
            let end = start + signs.commas(start).trailing_zeros() as usize;
            (Cell::plain(line.get(start..end)?), end)
        };
        let session_end = connector_end + 1 + SESSION;
        let session = line.get(connector_end + 1..session_end)?;
        if line[connector_end] != b',' || line.get(session_end) != Some(&b',') {
            return None;
        }

        let start = session_end + 1;
        let mut commas = signs.commas(start);
        let mut next = || {
            let place = commas.trailing_zeros() as usize;
            commas &= commas.wrapping_sub(1);
            start + place
        };
        let [sequence_end, local_end, remote_end] = [next(), next(), next()];
        // Where there are fewer than four commas, this is 64 bytes on: whether there is one is looked at below.
        let event_end = next();
        let event = line.get(remote_end + 1..event_end)?;
        let sequence = &line[start..sequence_end];
        if line[sequence_end + 1] == b'"' || line[local_end + 1] == b'"' {
            return None;
        }

        let start = event_end + 1;
        let (data, data_end) = if line.get(start)? == &b'"' {
            quoted_at(line, start, signs)?
        } else {
            let end = signs.comma(start, line.len())?;
            (Cell::plain(line.get(start..end)?), end)
        };
        if line[event_end] != b',' || line.get(data_end) != Some(&b',') {
            return None;
        }
        Some(Self {
            connector,
            session,
            sequence,
            event,
            data,
            context: last_at(line, data_end + 1, signs)?,
        })
    }
}

/// The cell whose opening quote is at `start`, and the place behind its closing quote.
#[inline]
fn quoted_at<'a>(line: &'a [u8], start: usize, signs: Signs<'_>) -> Option<(Cell<'a>, usize)> {
    let mut doubled = false;
    let mut at = start + 1;
    loop {
        let quote = signs.quote(at, line.len())?;
        if line.get(quote + 1) != Some(&b'"') {
            let raw = line.get(start + 1..quote)?;
            return Some((Cell { raw, doubled }, quote + 1));
        }
        doubled = true;
        at = quote + 2;
    }
}

/// The cell from `start` to the end of the line. `None`: more follows, or a quote is not closed.
#[inline]
fn last_at<'a>(line: &'a [u8], start: usize, signs: Signs<'_>) -> Option<Cell<'a>> {
    // Most rows have nothing there.
    if start == line.len() {
        return Some(Cell::plain(&[]));
    }
    if line.get(start)? == &b'"' {
        let (cell, end) = quoted_at(line, start, signs)?;
        return (end == line.len()).then_some(cell);
    }
    let comma = signs.comma(start, line.len());
    let is_last = comma.is_none_or(|comma| comma >= line.len());
    is_last.then(|| Cell::plain(&line[start..]))
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
