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
use crate::pipeline::outline::look::only_comma;
use crate::pipeline::outline::look::places;

/// Length of `yyyy-MM-ddTHH:mm:ss.fffZ`.
pub const DATE_TIME: u32 = 24;
/// Length of a session id.
pub const SESSION: u32 = 16;
/// How many bytes are compared at once.
const BLOCK: u32 = 64;
/// How many bytes are outlined at once at most. The text and its outlines stay in the processor's nearest cache until they
/// are used.
pub const STRETCH: u32 = 64 * BLOCK;
/// How many lines are outlined at once at most.
const LINES: usize = 64;
/// Of how many session ids the value is remembered.
const IDS: usize = 64;
/// The shortest row that is outlined, in bytes with its CR: one that has 64 before it. A shorter one has a name that nobody
/// gives.
const MIN_ROW: u32 = BLOCK + 1;

/// What the processor can do.
static LEVEL: LazyLock<Level> = LazyLock::new(Level::new);

/// A stretch and what is behind it, so that there are 64 bytes to look at from every place.
type Text = [u8; (STRETCH + BLOCK) as usize];

/// The lines that end within a stretch of text.
#[derive(Clone, Debug)]
pub struct Outlines {
    newlines: [u32; LINES],
    lines: [Unread; LINES],
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
    pub connector: u32,
    /// Where it ends.
    pub connector_end: u32,
    /// Where the data begin.
    pub data: u32,
    /// Where they end.
    pub data_end: u32,
    /// Where the context begins.
    pub context: u32,
    /// Where it ends.
    pub context_end: u32,
    /// The sign of the event.
    pub event: u8,
    /// Whether quotes inside the data are doubled.
    pub doubled: bool,
}

/// Session ids read lately. The rows of a session all have the same.
#[derive(Clone, Debug)]
struct KnownIds {
    /// Each in the place that its last two digits give it.
    known: [([u8; SESSION as usize], u64); IDS],
}

impl Default for KnownIds {
    fn default() -> Self {
        Self {
            known: [([b'0'; SESSION as usize], 0); IDS],
        }
    }
}

impl KnownIds {
    #[inline]
    fn read(&mut self, digits: &[u8; SESSION as usize]) -> Option<u64> {
        // Of what is no digit, it does not matter which place it gives.
        let value = |digit: u8| usize::from((digit & 0xF) + 9 * (digit >> 6));
        let [.., sixteens, ones] = *digits;
        let known = &mut self.known[(value(sixteens) * 16 + value(ones)) % IDS];
        if known.0 != *digits {
            *known = (*digits, hexadecimal(digits)?);
        }
        Some(known.1)
    }
}

/// A line that is being outlined.
#[derive(Clone, Copy, Debug)]
struct Unread {
    start: u32,
    /// Where the cell begins that comes next; 0: this is no row of the kind.
    rest: u32,
}

impl Default for Outlines {
    fn default() -> Self {
        Self {
            newlines: [0; LINES],
            lines: [Unread { start: 0, rest: 0 }; LINES],
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
            return STRETCH as usize;
        }
        self.find_last(text)
    }

    /// The same where there is nothing to look at behind the text.
    #[cold]
    fn find_last(&mut self, text: &[u8]) -> usize {
        let text = &text[..text.len().min(STRETCH as usize)];
        let mut padded = [0; (STRETCH + BLOCK) as usize];
        padded[..text.len()].copy_from_slice(text);
        let length = u32::try_from(text.len()).unwrap_or(STRETCH);
        dispatch!(*LEVEL, simd => self.outline(simd, &padded, length));
        text.len()
    }

    /// For each line that was found where its line break is, and where its cells would be; `None`: this may be a row of
    /// another kind, or none.
    #[inline]
    pub fn lines(&self) -> impl Iterator<Item = (usize, Option<&Outline>)> {
        let newlines = self.newlines[..self.found].iter();
        let lines = newlines.zip(&self.cells);
        lines.map(|(&newline, outline)| {
            let outline = (outline.context > 0).then_some(outline);
            (newline as usize, outline)
        })
    }

    #[expect(
        clippy::inline_always,
        reason = "only what is inlined where the level is known can use its instructions"
    )]
    #[inline(always)]
    fn outline<S: Simd>(&mut self, simd: S, text: &Text, length: u32) {
        self.found = find_newlines(simd, text, length, &mut self.newlines);
        let lines = &mut self.lines[..self.found];
        let newlines = &self.newlines[..self.found];
        let cells = &mut self.cells[..self.found];
        // Three times over the lines, each time a little: what is done for several of them then fits into the part of the
        // program that a processor looks at together.
        let mut start = 0;
        for ((line, &newline), found) in lines.iter_mut().zip(newlines).zip(cells.iter_mut()) {
            *line = Unread { start, rest: 0 };
            found.context = 0;
            connector(simd, text, line, newline, found);
            start = newline + 1;
        }
        for ((line, &newline), found) in lines.iter_mut().zip(newlines).zip(cells.iter_mut()) {
            numbers(simd, text, &mut self.ids, line, newline, found);
        }
        for ((line, &newline), found) in lines.iter().zip(newlines).zip(cells) {
            texts(simd, text, *line, newline, found);
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
fn find_newlines<S: Simd>(simd: S, text: &Text, length: u32, newlines: &mut [u32; LINES]) -> usize {
    let mut found = 0;
    for start in (0..length).step_by(BLOCK as usize) {
        let mut marks = places(simd, text, start, b'\n');
        loop {
            let Some(newline) = newlines.get_mut(found) else {
                return found;
            };
            *newline = start + marks.trailing_zeros();
            found += usize::from(marks != 0);
            marks &= marks.wrapping_sub(1);
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
    start: u32,
    end: u32,
}

/// Where the name of the connector is, which takes less than 64 bytes.
#[expect(
    clippy::inline_always,
    reason = "only what is inlined where the level is known can use its instructions"
)]
#[inline(always)]
fn connector<S: Simd>(simd: S, text: &Text, line: &mut Unread, end: u32, found: &mut Outline) {
    let start = line.start;
    let cell = start + DATE_TIME + 1;
    let quote = u8::from(byte(text, cell) == b'"');
    let connector = cell + u32::from(quote);
    let sign = b',' - quote * (b',' - b'"');
    let ends = places(simd, text, connector, sign);
    let connector_end = connector + ends.trailing_zeros();
    let session = connector_end + u32::from(quote) + 1;
    found.connector = connector - start;
    found.connector_end = connector_end - start;
    if end - start >= MIN_ROW && (ends != 0) & (byte(text, session - 1) == b',') {
        line.rest = session;
    }
}

/// The session id, the sequence number and the event. With the addresses between, which are not quoted, they take less than
/// 64 bytes behind the session id.
#[expect(
    clippy::inline_always,
    reason = "only what is inlined where the level is known can use its instructions"
)]
#[expect(
    clippy::needless_bitwise_bool,
    reason = "one question at the end instead of one at each step"
)]
#[inline(always)]
fn numbers<S: Simd>(
    simd: S,
    text: &Text,
    ids: &mut KnownIds,
    line: &mut Unread,
    end: u32,
    found: &mut Outline,
) {
    let session = std::mem::take(&mut line.rest);
    let session_end = session + SESSION;
    let sequence = session_end + 1;
    let mut commas = places(simd, text, sequence, b',');
    let mut next = || {
        let place = sequence + commas.trailing_zeros();
        commas &= commas.wrapping_sub(1);
        place
    };
    // The place of one that is not there is 64 bytes on.
    let [sequence_end, local_end, remote_end, event_end] = [next(), next(), next(), next()];
    let is_row = (session != 0)
        & (byte(text, session_end) == b',')
        & (byte(text, sequence_end + 1) != b'"')
        & (byte(text, local_end + 1) != b'"')
        & (event_end == remote_end + 2)
        & (byte(text, event_end) == b',')
        & (event_end < end);
    let id = ids.read(bytes(text, session));
    let number = short_decimal(*bytes(text, sequence_end - 4), sequence_end - sequence);
    if let (true, Some(id), Some(number)) = (is_row, id, number) {
        found.session = id;
        found.sequence = number;
        found.event = byte(text, remote_end + 1);
        line.rest = event_end + 1;
    }
}

/// Where the data and the context are.
#[expect(
    clippy::inline_always,
    reason = "only what is inlined where the level is known can use its instructions"
)]
#[inline(always)]
fn texts<S: Simd>(simd: S, text: &Text, line: Unread, newline: u32, found: &mut Outline) {
    let Unread { start, rest: data } = line;
    if data == 0 {
        return;
    }
    let line = Span {
        start,
        end: newline - u32::from(byte(text, newline - 1) == b'\r'),
    };
    if byte(text, data) == b'"' || byte(text, data + 1) == b'"' {
        quoted_texts(simd, text, data, line, found);
    } else if let Some(comma) = only_comma(simd, text, data, line.end)
        && byte(text, comma + 1) != b'"'
    {
        found.data = data - start;
        found.data_end = comma - start;
        found.doubled = false;
        found.context = comma + 1 - start;
        found.context_end = line.end - start;
    }
}

/// Where the data and the context are if the data are quoted, or empty and the context is quoted.
#[expect(
    clippy::inline_always,
    reason = "only what is inlined where the level is known can use its instructions"
)]
#[inline(always)]
fn quoted_texts<S: Simd>(simd: S, text: &Text, data: u32, line: Span, found: &mut Outline) {
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
    found.doubled = doubled;
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
                    let rest = &rest[..rest.len().min(STRETCH as usize)];
                    let mut padded = [0; (STRETCH + BLOCK) as usize];
                    padded[..rest.len()].copy_from_slice(rest);
                    let length = u32::try_from(rest.len()).unwrap_or(STRETCH);
                    dispatch!(level, simd => outlines.outline(simd, &padded, length));
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
