//! Where lines end, and where the cells of each would be if it were a row as nearly all of them are.
//!
//! A row has a dozen signs within some 200 bytes. A search for each of them costs more to begin than to do, and it ends
//! where the processor does not expect it to. Here 64 bytes are compared at once, with the widest registers that the
//! processor has; the answer is one bit for each byte, and what is asked for is found by counting zeros. A row takes four
//! such looks, wherever its cells are and whatever is in them.
//!
//! The lines of a stretch of text are outlined together before any of them is read. What is done for a line hardly depends
//! on what is in it, so the processor does several at once. Whoever reads the row afterwards trusts nothing but the places.

pub mod digits;
mod look;

use std::sync::LazyLock;

use fearless_simd::Level;
use fearless_simd::Simd;
use fearless_simd::dispatch;

use crate::pipeline::outline::digits::hexadecimal;
use crate::pipeline::outline::digits::short_decimal;
use crate::pipeline::outline::look::byte;
use crate::pipeline::outline::look::bytes;
use crate::pipeline::outline::look::closing_quote;
use crate::pipeline::outline::look::first;
use crate::pipeline::outline::look::only_comma;
use crate::pipeline::outline::look::places;
use crate::pipeline::outline::look::without_first;

/// Length of `yyyy-MM-ddTHH:mm:ss.fffZ`.
pub const DATE_TIME: usize = 24;
/// Length of a session id.
pub const SESSION: usize = 16;
/// How many bytes are compared at once.
const BLOCK: usize = 64;
/// How many bytes are outlined at once at most. The text and its outlines stay in the processor's nearest cache until they
/// are used.
pub const STRETCH: usize = 64 * BLOCK;
/// How many lines are outlined at once at most.
const LINES: usize = 64;
/// Of how many session ids the value is remembered.
const IDS: usize = 32 * 4;
/// The shortest row that is outlined, in bytes with its CR: one that has 64 before it. A shorter one has a name that nobody
/// gives.
const MIN_ROW: usize = BLOCK + 1;

/// What the processor can do.
static LEVEL: LazyLock<Level> = LazyLock::new(Level::new);

/// A stretch and what is behind it.
type Text = [u8; STRETCH + BEHIND];
/// How much there is behind a stretch: what is looked at for a line that begins within it, be it a row or not, lies no
/// farther, so no place need be compared with the end.
const BEHIND: usize = 4 * BLOCK;

/// The lines that end within a stretch of text.
#[derive(Clone, Debug)]
pub struct Outlines {
    newlines: [usize; LINES],
    /// Where the cell begins in each line that comes next, counted from its beginning; 0: this is no row of the kind.
    rests: [usize; LINES],
    cells: [Outline; LINES],
    found: usize,
    ids: KnownIds,
}

/// What a row says before its data, and where its cells are: in bytes from its beginning, without quotes around them. Commas
/// and quotes are where they have to be; what is between them, nobody has looked at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Outline {
    /// The session id.
    pub session: u64,
    /// The sequence number.
    pub sequence: u32,
    /// Where the name of the connector begins.
    pub connector: usize,
    /// Where it ends.
    pub connector_end: usize,
    /// Where the data begin.
    pub data: usize,
    /// Where they end.
    pub data_end: usize,
    /// Where the context begins.
    pub context: usize,
    /// Where it ends.
    pub context_end: usize,
    /// The sign of the event.
    pub event: u8,
    /// Whether quotes inside the name of the connector are doubled.
    pub connector_doubled: bool,
    /// Whether those inside the data are.
    pub data_doubled: bool,
    /// Whether those inside the context are.
    pub context_doubled: bool,
}

/// Session ids read lately. The rows of a session all have the same.
#[derive(Clone, Debug)]
struct KnownIds {
    /// Each in the place that its last two digits give it.
    known: [([u8; SESSION], u64); IDS],
}

impl Default for KnownIds {
    fn default() -> Self {
        Self {
            known: [([b'0'; SESSION], 0); IDS],
        }
    }
}

impl KnownIds {
    #[inline]
    fn read(&mut self, digits: &[u8; SESSION]) -> Option<u64> {
        // The last five bits tell all digits apart, and with two of the digit before them neighbours in the order of
        // ids. Of what is no digit, it does not matter which place it gives.
        let [.., sixteens, ones] = *digits;
        let fours = sixteens.wrapping_add(sixteens >> 6);
        let place = usize::from(ones % 32) * 4 + usize::from(fours % 4);
        let known = &mut self.known[place % IDS];
        if known.0 != *digits {
            *known = (*digits, hexadecimal(digits)?);
        }
        Some(known.1)
    }
}

impl Default for Outlines {
    fn default() -> Self {
        Self {
            newlines: [0; LINES],
            rests: [0; LINES],
            cells: [Outline::default(); LINES],
            found: 0,
            ids: KnownIds::default(),
        }
    }
}

impl Outlines {
    /// Looks for the lines at the beginning of a text, which begins with a line. How much of the text was looked at; what
    /// follows the last line there is to be looked at again.
    pub fn find(&mut self, text: &[u8]) -> usize {
        if let Some(text) = text.first_chunk() {
            dispatch!(*LEVEL, simd => self.outline(simd, text, STRETCH));
            return STRETCH;
        }
        self.find_last(text)
    }

    /// The same where there is nothing to look at behind the text.
    #[cold]
    fn find_last(&mut self, text: &[u8]) -> usize {
        let text = &text[..text.len().min(STRETCH)];
        let mut padded = [0; STRETCH + BEHIND];
        padded[..text.len()].copy_from_slice(text);
        dispatch!(*LEVEL, simd => self.outline(simd, &padded, text.len()));
        text.len()
    }

    /// For each line that was found where its line break is, and where its cells would be; `None`: this may be a row of
    /// another kind, or none.
    #[inline]
    pub fn lines(&self) -> impl Iterator<Item = (usize, Option<&Outline>)> {
        let newlines = self.newlines[..self.found].iter();
        let lines = newlines.zip(&self.cells);
        lines.map(|(&newline, outline)| (newline, (outline.context > 0).then_some(outline)))
    }

    #[expect(
        clippy::inline_always,
        reason = "only what is inlined where the level is known can use its instructions"
    )]
    #[inline(always)]
    fn outline<S: Simd>(&mut self, simd: S, text: &Text, length: usize) {
        self.found = find_newlines(simd, text, length, &mut self.newlines);
        let newlines = &self.newlines[..self.found];
        let rests = &mut self.rests[..self.found];
        let cells = &mut self.cells[..self.found];
        // Three times over the lines, each time a little: what is done for several of them then fits into the part of the
        // program that a processor looks at together.
        let mut start = 0;
        for ((&end, rest), found) in newlines.iter().zip(rests.iter_mut()).zip(cells.iter_mut()) {
            *rest = connector(simd, text, Span { start, end }, found);
            start = end + 1;
        }
        start = 0;
        for ((&end, rest), found) in newlines.iter().zip(rests.iter_mut()).zip(cells.iter_mut()) {
            *rest = numbers(simd, text, Span { start, end }, *rest, &mut self.ids, found);
            start = end + 1;
        }
        start = 0;
        for ((&end, &rest), found) in newlines.iter().zip(&*rests).zip(cells) {
            found.context = 0;
            if rest > 0 {
                texts(simd, text, Span { start, end }, rest, found);
            }
            start = end + 1;
        }
    }
}

/// Writes down where the lines end, one place for each 64 bytes whether there is one or not: a branch at every one of
/// them would go the way that the processor did not expect once in a row. How many there are.
#[expect(
    clippy::inline_always,
    reason = "only what is inlined where the level is known can use its instructions"
)]
#[inline(always)]
fn find_newlines<S: Simd>(
    simd: S,
    text: &Text,
    length: usize,
    newlines: &mut [usize; LINES],
) -> usize {
    let mut found = 0;
    for start in (0..length).step_by(BLOCK) {
        let mut marks = places(simd, text, start, b'\n');
        loop {
            let Some(newline) = newlines.get_mut(found) else {
                return found;
            };
            *newline = start + first(marks);
            found += usize::from(marks != 0);
            marks = without_first(marks);
            if marks == 0 {
                break;
            }
        }
    }
    found
}

/// From the first byte of a line to behind its last one.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

/// Where the name of the connector is, which takes less than 64 bytes. What follows is the session id; 0: this is no row of
/// the kind.
#[expect(
    clippy::inline_always,
    reason = "only what is inlined where the level is known can use its instructions"
)]
#[inline(always)]
fn connector<S: Simd>(simd: S, text: &Text, line: Span, found: &mut Outline) -> usize {
    let at = line.start % STRETCH;
    let quote = usize::from(text[at + DATE_TIME + 1] == b'"');
    let sign = [b',', b'"'][quote];
    let connector = DATE_TIME + 1 + quote;
    let ends = places(simd, text, at + connector, sign);
    let connector_end = connector + first(ends);
    let session = connector_end + quote + 1;
    found.connector = connector;
    found.connector_end = connector_end;
    if line.end - line.start >= MIN_ROW && ends != 0 && text[at + session - 1] == b',' {
        session
    } else {
        0
    }
}

/// The session id, the sequence number and the event; with the addresses between, which are not quoted, less than 64 bytes
/// from the end of the session id on. What follows are the data; 0: this is no row of the kind.
#[expect(
    clippy::inline_always,
    reason = "only what is inlined where the level is known can use its instructions"
)]
#[inline(always)]
fn numbers<S: Simd>(
    simd: S,
    text: &Text,
    line: Span,
    session: usize,
    ids: &mut KnownIds,
    found: &mut Outline,
) -> usize {
    let at = (line.start + session) % STRETCH;
    // Counted from the end of the session id, where the first one is.
    let commas = places(simd, text, at + SESSION, b',');
    let behind_session = without_first(commas);
    let behind_sequence = without_first(behind_session);
    let behind_local = without_first(behind_sequence);
    let behind_remote = without_first(behind_local);
    let sequence_end = first(behind_session);
    let local_end = first(behind_sequence);
    let remote_end = first(behind_local);
    let event_end = first(behind_remote);
    let data = session + SESSION + event_end + 1;
    let sign = |place: usize| text[at + SESSION + place + 1];
    let digits = *bytes(text, at + SESSION + 1);
    if session != 0
        && commas & 1 != 0
        && sign(sequence_end) != b'"'
        && sign(local_end) != b'"'
        && event_end == remote_end + 2
        && behind_remote != 0
        && line.start + data <= line.end
        && let Some(id) = ids.read(bytes(text, at))
        && let Some(number) = short_decimal(digits, sequence_end.wrapping_sub(1))
    {
        found.session = id;
        found.sequence = number;
        found.event = sign(remote_end);
        data
    } else {
        0
    }
}

/// Where the data and the context are.
#[expect(
    clippy::inline_always,
    reason = "only what is inlined where the level is known can use its instructions"
)]
#[inline(always)]
fn texts<S: Simd>(simd: S, text: &Text, line: Span, data: usize, found: &mut Outline) {
    let Span { start, end } = line;
    let at = (start + data) % STRETCH;
    let end = end - usize::from(text[(end - 1) % STRETCH] == b'\r');
    if text[at] == b'"' || text[at + 1] == b'"' {
        quoted_texts(simd, text, start + data, Span { start, end }, found);
    } else if let Some(comma) = only_comma(simd, text, start + data, end)
        && byte(text, comma + 1) != b'"'
    {
        found.data = data;
        found.data_end = comma - start;
        found.data_doubled = false;
        found.context = comma + 1 - start;
        found.context_end = end - start;
    }
}

/// Where the data and the context are if the data are quoted, or empty and the context is quoted.
#[expect(
    clippy::inline_always,
    reason = "only what is inlined where the level is known can use its instructions"
)]
#[inline(always)]
fn quoted_texts<S: Simd>(simd: S, text: &Text, data: usize, line: Span, found: &mut Outline) {
    let Span { start, end } = line;
    let mut cells = (data, data, false);
    let mut comma = data;
    if byte(text, data) == b'"' {
        let Some((quote, doubled)) = closing_quote(simd, text, data + 1, end) else {
            return;
        };
        cells = (data + 1, quote, doubled);
        comma = quote + 1;
    }
    if byte(text, comma) != b',' {
        return;
    }
    let mut context = (comma + 1, end);
    if byte(text, comma + 1) == b'"' {
        let closing = closing_quote(simd, text, comma + 2, end);
        if closing != Some((end - 1, false)) {
            return;
        }
        context = (comma + 2, end - 1);
    } else if only_comma(simd, text, comma, end) != Some(comma) {
        return;
    }
    let (data, data_end, doubled) = cells;
    found.data = data - start;
    found.data_end = data_end - start;
    found.data_doubled = doubled;
    found.context = context.0 - start;
    found.context_end = context.1 - start;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows and what is none, of lengths around those of blocks and stretches.
    fn line() -> impl Strategy<Value = String> {
        let cell = || ("[ab\", ]{0,3}", prop_oneof![0..9usize, 30..200usize]);
        let row = (cell(), cell(), cell(), 0..4u8, 0..99_999u32);
        let row = row.prop_map(|(connector, data, context, kind, number)| {
            let cell = |(text, length): (String, usize)| {
                let cell = format!("{text}{}", "x".repeat(length));
                match kind {
                    0 => cell,
                    1 => format!("\"{}\"", cell.replace('"', "\"\"")),
                    _ => cell.replace(['"', ','], "z"),
                }
            };
            let [connector, data, context] = [connector, data, context].map(cell);
            let end = ["", "\r"][number as usize % 2];
            format!("2026-01-01T00:00:00.000Z,{connector},08DE41A5B3C2D1{number:02X},{number},10.0.0.5:25,[2001:db8::1]:25,<,{data},{context}{end}")
        });
        prop_oneof![8 => row, 1 => "[,\"a\r]{0,90}"]
    }

    /// What is found in a text, stretch by stretch.
    fn found(text: &[u8], level: Option<Level>) -> Vec<(usize, Option<Outline>)> {
        let mut outlines = Outlines::default();
        let mut all = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            let looked_at = match level {
                None => outlines.find(rest),
                Some(level) => {
                    // Never with what is behind the text in view.
                    let rest = &rest[..rest.len().min(STRETCH)];
                    let mut padded = [0; STRETCH + BEHIND];
                    padded[..rest.len()].copy_from_slice(rest);
                    dispatch!(level, simd => outlines.outline(simd, &padded, rest.len()));
                    rest.len()
                }
            };
            let lines = outlines.lines();
            all.extend(lines.map(|(newline, outline)| (at + newline, outline.copied())));
            at = match outlines.lines().last() {
                Some((newline, _)) => at + newline + 1,
                None => at + looked_at,
            };
        }
        all
    }

    proptest! {
        #[test]
        fn lines_end_where_they_end(lines in proptest::collection::vec("[,\"a\r]{0,200}", 0..200)) {
            let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
            let ends: Vec<usize> = memchr::memchr_iter(b'\n', text.as_bytes()).collect();
            let found: Vec<usize> = found(text.as_bytes(), None).into_iter().map(|(end, _)| end).collect();
            prop_assert_eq!(found, ends);
        }

        /// Whatever the processor can do, and whatever stands behind the text.
        #[test]
        fn every_level_outlines_alike(lines in proptest::collection::vec(line(), 1..60)) {
            let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
            let best = found(text.as_bytes(), None);
            prop_assert_eq!(&found(text.as_bytes(), Some(Level::new())), &best);
            prop_assert_eq!(&found(text.as_bytes(), Some(Level::baseline())), &best);
        }
    }
}
