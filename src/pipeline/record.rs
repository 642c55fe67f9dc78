//! Lines → rows: the nine cells of a protocol log, and its header lines.
//!
//! `date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context`
//!
//! A cell is quoted only when it holds a comma or a quote; a quote inside is doubled. Line breaks inside a cell are
//! written as the two characters `\r` and `\n`, so a row is always one line. Cells are slices of the line; nothing is
//! copied before somebody needs it.

mod cells;

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use memchr::memchr;
use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::outline::DATE_TIME;
use crate::pipeline::outline::Outline;
use crate::pipeline::outline::SESSION;
use crate::pipeline::outline::digits::decimal;
use crate::pipeline::outline::digits::hexadecimal;
use crate::pipeline::outline::digits::millis_of_minute;
use crate::pipeline::record::cells::Cells;

pub use crate::pipeline::record::cells::Cell;

/// The columns of a send protocol log, in the order in which every version writes them.
pub const FIELDS: &str = "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context";

/// One row. Nobody needs all of its cells, so each is cut out of the line when somebody asks for it.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// When, in milliseconds since 1970 (UTC).
    pub millis: i64,
    /// What kind of row this is.
    pub event: Event,
    line: &'a [u8],
    outline: Outline,
}

impl<'a> Row<'a> {
    fn of(millis: i64, line: &'a [u8], cells: &Cells) -> Result<Self, Malformed> {
        let session = <&[u8; SESSION]>::try_from(cells.session.of(line)).ok();
        let session = session.and_then(hexadecimal).ok_or(Malformed::SessionId)?;
        let sequence = decimal(cells.sequence.of(line)).ok_or(Malformed::SequenceNumber)?;
        let &[sign] = cells.event.of(line) else {
            return Err(Malformed::Event);
        };
        let event = event(sign).ok_or(Malformed::Event)?;
        let (connector, data, context) = (cells.connector, cells.data, cells.context);
        let outline = Outline {
            session,
            sequence,
            connector: connector.start,
            connector_end: connector.end,
            connector_doubled: connector.doubled,
            data: data.start,
            data_end: data.end,
            data_doubled: data.doubled,
            context: context.start,
            context_end: context.end,
            context_doubled: context.doubled,
            event: sign,
        };
        Ok(Self {
            millis,
            event,
            line,
            outline,
        })
    }

    /// Unique within one server and service.
    pub fn session(&self) -> SessionId {
        SessionId(self.outline.session)
    }

    /// Counts the rows of a session, from 0.
    pub fn sequence(&self) -> u32 {
        self.outline.sequence
    }

    /// Name of the send connector.
    pub fn connector(&self) -> Cell<'a> {
        let cells = &self.outline;
        self.cell(
            cells.connector,
            cells.connector_end,
            cells.connector_doubled,
        )
    }

    /// What was sent or received, or the value of an `*` row.
    pub fn data(&self) -> Cell<'a> {
        let cells = &self.outline;
        self.cell(cells.data, cells.data_end, cells.data_doubled)
    }

    /// What an `*` row is about.
    pub fn context(&self) -> Cell<'a> {
        let cells = &self.outline;
        self.cell(cells.context, cells.context_end, cells.context_doubled)
    }

    #[inline]
    fn cell(&self, start: usize, end: usize, doubled: bool) -> Cell<'a> {
        Cell::new(self.line.get(start..end).unwrap_or_default(), doubled)
    }

    /// When the row was written.
    pub fn time(&self) -> Timestamp {
        timestamp(self.millis)
    }
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("millis", &self.millis)
            .field("connector", &self.connector())
            .field("session", &self.session())
            .field("sequence", &self.sequence())
            .field("event", &self.event)
            .field("data", &self.data())
            .field("context", &self.context())
            .finish()
    }
}

/// Milliseconds since 1970 as a timestamp. Every date that a row can hold lies within the range.
pub fn timestamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A session id: 16 hex digits in the log.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct SessionId(pub u64);

/// The `event` column.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// `+`: connected.
    Connect,
    /// `-`: disconnected.
    Disconnect,
    /// `>`: a command was sent.
    Send,
    /// `<`: a reply was received.
    Receive,
    /// `*`: a remark of Exchange's own.
    Information,
}

/// Why a line is not a row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Malformed {
    /// Fewer or more than nine cells, or a quote that is not closed.
    Cells,
    /// `date-time` is not `yyyy-MM-ddTHH:mm:ss.fffZ`.
    DateTime,
    /// `session-id` is not 16 hex digits.
    SessionId,
    /// `sequence-number` is not a number.
    SequenceNumber,
    /// `event` is none of `+ - > < *`.
    Event,
}

/// Reads rows. It remembers the minute of the last row, because the next one mostly has the same.
#[derive(Clone, Debug)]
pub struct RowReader {
    minute: [u8; MINUTE],
    minute_millis: i64,
}

/// Length of `yyyy-MM-ddTHH:mm`.
const MINUTE: usize = 16;

impl Default for RowReader {
    fn default() -> Self {
        Self {
            minute: *b"1970-01-01T00:00",
            minute_millis: 0,
        }
    }
}

impl RowReader {
    /// Reads one line (without its line break) that is not a header line.
    ///
    /// # Errors
    /// Says which part is not as it should be. The row is to be counted and left out; the next line is read as usual.
    pub fn read<'a>(&mut self, line: &'a [u8]) -> Result<Row<'a>, Malformed> {
        let (date_time, rest) = line
            .split_first_chunk::<DATE_TIME>()
            .ok_or(Malformed::Cells)?;
        let millis = self.date_time(date_time).ok_or(Malformed::DateTime)?;
        if rest.first() != Some(&b',') {
            return Err(Malformed::DateTime);
        }
        let cells = Cells::one_by_one(line, DATE_TIME + 1).ok_or(Malformed::Cells)?;
        Row::of(millis, line, &cells)
    }

    /// The same, fast, for a line that has an outline; with or without its CR. `None`: it is none of those that nearly all
    /// rows are, and [`RowReader::read`] knows better.
    #[inline]
    pub fn outlined<'a>(&mut self, line: &'a [u8], outline: &Outline) -> Option<Row<'a>> {
        let (date_time, b",") = line
            .first_chunk::<{ DATE_TIME + 1 }>()?
            .split_first_chunk()?
        else {
            return None;
        };
        Some(Row {
            millis: self.date_time(date_time)?,
            event: event(outline.event)?,
            line,
            outline: *outline,
        })
    }

    #[inline]
    fn date_time(&mut self, text: &[u8; DATE_TIME]) -> Option<i64> {
        if text[..MINUTE] != self.minute {
            let minute = text.first_chunk::<MINUTE>()?;
            self.minute_millis = minute_start(minute)?;
            self.minute = *minute;
        }
        let (_, rest) = text.split_last_chunk()?;
        Some(self.minute_millis + i64::from(millis_of_minute(*rest)?))
    }
}

/// Milliseconds since 1970 of `yyyy-MM-ddTHH:mm`.
fn minute_start(text: &[u8; MINUTE]) -> Option<i64> {
    if text[4] != b'-' || text[7] != b'-' || text[10] != b'T' || text[13] != b':' {
        return None;
    }
    let year = i16::try_from(decimal(&text[..4])?).ok()?;
    let small =
        |from: usize| decimal(&text[from..from + 2]).and_then(|number| i8::try_from(number).ok());
    let (month, day, hour, minute) = (small(5)?, small(8)?, small(11)?, small(14)?);
    if hour > 23 || minute > 59 {
        return None;
    }
    let midnight = Date::new(year, month, day).ok()?.at(hour, minute, 0, 0);
    let instant = TimeZone::UTC.to_timestamp(midnight).ok()?;
    Some(instant.as_millisecond())
}

/// Looked up, because the processor cannot guess which of five ways a `match` goes.
fn event(sign: u8) -> Option<Event> {
    const EVENTS: [Option<Event>; 256] = {
        let mut events = [None; 256];
        events[b'+' as usize] = Some(Event::Connect);
        events[b'-' as usize] = Some(Event::Disconnect);
        events[b'>' as usize] = Some(Event::Send);
        events[b'<' as usize] = Some(Event::Receive);
        events[b'*' as usize] = Some(Event::Information);
        events
    };
    EVENTS[usize::from(sign)]
}

/// What a header line (a line that starts with `#`) says about the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Header {
    /// A protocol log of outbound sessions.
    SendLog,
    /// A log of another kind: a receive protocol log, or none that this program knows.
    OtherLog {
        /// Whether it is `SMTP Receive Protocol Log`.
        receive: bool,
    },
    /// The columns are those of [`FIELDS`].
    KnownFields,
    /// Other columns.
    UnknownFields,
    /// Anything else (`#Software`, `#Version`, `#Date`): of no consequence.
    Other,
}

/// Reads a header line. Names are compared without case: Microsoft's documents and real files differ in it.
pub fn header(line: &[u8]) -> Header {
    let Some(colon) = memchr(b':', line) else {
        return Header::Other;
    };
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.eq_ignore_ascii_case(b"#Log-type") {
        if value.eq_ignore_ascii_case(b"SMTP Send Protocol Log") {
            return Header::SendLog;
        }
        let receive = value.eq_ignore_ascii_case(b"SMTP Receive Protocol Log");
        return Header::OtherLog { receive };
    }
    if name.eq_ignore_ascii_case(b"#Fields") {
        if value.eq_ignore_ascii_case(FIELDS.as_bytes()) {
            return Header::KnownFields;
        }
        return Header::UnknownFields;
    }
    Header::Other
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
