//! Lines → rows: the nine cells of a protocol log, and its header lines.
//!
//! `date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context`
//!
//! A cell is quoted only when it holds a comma or a quote; a quote inside is doubled. Line breaks inside a cell are
//! written as the two characters `\r` and `\n`, so a row is always one line. Cells are slices of the line; nothing is
//! copied before somebody needs it.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use memchr::memchr;
use serde::Deserialize;
use serde::Serialize;

/// The columns of a send protocol log, in the order in which every version writes them.
pub const FIELDS: &str = "date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context";

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// When, in milliseconds since 1970 (UTC).
    pub millis: i64,
    /// Name of the send connector.
    pub connector: Cell<'a>,
    /// Unique within one server and service.
    pub session: SessionId,
    /// Counts the rows of a session, from 0.
    pub sequence: u32,
    /// What kind of row this is.
    pub event: Event,
    /// What was sent or received, or the value of an `*` row.
    pub data: Cell<'a>,
    /// What an `*` row is about.
    pub context: Cell<'a>,
}

impl Row<'_> {
    /// When the row was written.
    pub fn time(&self) -> Timestamp {
        timestamp(self.millis)
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
/// Length of `yyyy-MM-ddTHH:mm:ss.fffZ`.
const DATE_TIME: usize = 24;

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
        let rest = rest.strip_prefix(b",").ok_or(Malformed::DateTime)?;
        let (connector, rest) = cell(rest)?;
        let (session, rest) = session_id(rest)?;
        let (sequence, rest) = sequence_number(rest)?;
        let (_local_endpoint, rest) = cell(rest)?;
        let (_remote_endpoint, rest) = cell(rest)?;
        let (event, rest) = event(rest)?;
        let (data, rest) = cell(rest)?;
        let context = last_cell(rest)?;
        Ok(Row {
            millis,
            connector,
            session,
            sequence,
            event,
            data,
            context,
        })
    }

    fn date_time(&mut self, text: &[u8; DATE_TIME]) -> Option<i64> {
        if text[..MINUTE] != self.minute {
            let minute = text.first_chunk::<MINUTE>()?;
            self.minute_millis = minute_start(minute)?;
            self.minute = *minute;
        }
        if text[MINUTE] != b':' || text[19] != b'.' || text[23] != b'Z' {
            return None;
        }
        let seconds = number(&text[17..19])?;
        let fraction = number(&text[20..23])?;
        (seconds < 60).then(|| self.minute_millis + i64::from(seconds) * 1000 + i64::from(fraction))
    }
}

/// Milliseconds since 1970 of `yyyy-MM-ddTHH:mm`.
fn minute_start(text: &[u8; MINUTE]) -> Option<i64> {
    if text[4] != b'-' || text[7] != b'-' || text[10] != b'T' || text[13] != b':' {
        return None;
    }
    let year = i16::try_from(number(&text[..4])?).ok()?;
    let small =
        |from: usize| number(&text[from..from + 2]).and_then(|number| i8::try_from(number).ok());
    let (month, day, hour, minute) = (small(5)?, small(8)?, small(11)?, small(14)?);
    if hour > 23 || minute > 59 {
        return None;
    }
    let midnight = Date::new(year, month, day).ok()?.at(hour, minute, 0, 0);
    let instant = TimeZone::UTC.to_timestamp(midnight).ok()?;
    Some(instant.as_millisecond())
}

/// The value of a few decimal digits, and nothing but digits.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, &digit| {
        digit
            .is_ascii_digit()
            .then(|| value * 10 + u32::from(digit - b'0'))
    })
}

/// Takes one cell and the comma behind it.
fn cell(rest: &[u8]) -> Result<(Cell<'_>, &[u8]), Malformed> {
    if rest.first() == Some(&b'"') {
        let (cell, rest) = quoted(rest)?;
        let rest = rest.strip_prefix(b",").ok_or(Malformed::Cells)?;
        return Ok((cell, rest));
    }
    let comma = memchr(b',', rest).ok_or(Malformed::Cells)?;
    let cell = Cell {
        raw: &rest[..comma],
        doubled: false,
    };
    Ok((cell, &rest[comma + 1..]))
}

/// Takes the ninth cell: nothing may follow it.
fn last_cell(rest: &[u8]) -> Result<Cell<'_>, Malformed> {
    if rest.first() == Some(&b'"') {
        return match quoted(rest)? {
            (cell, []) => Ok(cell),
            _ => Err(Malformed::Cells),
        };
    }
    match memchr(b',', rest) {
        None => Ok(Cell {
            raw: rest,
            doubled: false,
        }),
        Some(_) => Err(Malformed::Cells),
    }
}

/// Takes a cell that starts with a quote, up to and with its closing quote.
fn quoted(rest: &[u8]) -> Result<(Cell<'_>, &[u8]), Malformed> {
    let mut end = 1;
    let mut doubled = false;
    loop {
        end += memchr(b'"', &rest[end..]).ok_or(Malformed::Cells)?;
        if rest.get(end + 1) != Some(&b'"') {
            break;
        }
        doubled = true;
        end += 2;
    }
    let cell = Cell {
        raw: &rest[1..end],
        doubled,
    };
    Ok((cell, &rest[end + 1..]))
}

fn session_id(rest: &[u8]) -> Result<(SessionId, &[u8]), Malformed> {
    let (digits, rest) = rest.split_first_chunk::<16>().ok_or(Malformed::SessionId)?;
    let mut id = 0;
    for &digit in digits {
        let value = char::from(digit).to_digit(16).ok_or(Malformed::SessionId)?;
        id = id << 4 | u64::from(value);
    }
    let rest = rest.strip_prefix(b",").ok_or(Malformed::SessionId)?;
    Ok((SessionId(id), rest))
}

fn sequence_number(rest: &[u8]) -> Result<(u32, &[u8]), Malformed> {
    let mut value: u32 = 0;
    for (length, &byte) in rest.iter().enumerate() {
        if byte == b',' && length > 0 {
            return Ok((value, &rest[length + 1..]));
        }
        if !byte.is_ascii_digit() {
            break;
        }
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u32::from(byte - b'0')))
            .ok_or(Malformed::SequenceNumber)?;
    }
    Err(Malformed::SequenceNumber)
}

fn event(rest: &[u8]) -> Result<(Event, &[u8]), Malformed> {
    let [sign, b',', rest @ ..] = rest else {
        return Err(Malformed::Event);
    };
    let event = match sign {
        b'+' => Event::Connect,
        b'-' => Event::Disconnect,
        b'>' => Event::Send,
        b'<' => Event::Receive,
        b'*' => Event::Information,
        _ => return Err(Malformed::Event),
    };
    Ok((event, rest))
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROW: &str = "2026-01-31T23:59:59.987Z,Outbound to Office 365,08DE41A5B3C2D100,12,10.0.0.5:25001,52.101.73.6:25,<,250 2.1.0 Sender OK,";

    fn read(line: &str) -> Result<Row<'_>, Malformed> {
        RowReader::default().read(line.as_bytes())
    }

    #[test]
    fn a_row_has_its_cells() {
        let row = read(ROW).unwrap();
        assert_eq!(row.time().to_string(), "2026-01-31T23:59:59.987Z");
        assert_eq!(row.connector.bytes().as_ref(), b"Outbound to Office 365");
        assert_eq!(row.session, SessionId(0x08DE_41A5_B3C2_D100));
        assert_eq!((row.sequence, row.event), (12, Event::Receive));
        assert_eq!(row.data.bytes().as_ref(), b"250 2.1.0 Sender OK");
        assert_eq!(row.context.bytes().as_ref(), b"");
    }

    #[test]
    fn quoted_cells_are_opened() {
        let line = ROW
            .replace("Outbound to Office 365", r#""Relay, ""cloud"" """"#)
            .replace("250 2.1.0 Sender OK,", r#""a,b","""""#);
        let row = read(&line).unwrap();
        assert_eq!(row.connector.bytes().as_ref(), br#"Relay, "cloud" ""#);
        assert_eq!(row.data.bytes().as_ref(), b"a,b");
        assert_eq!(row.context.bytes().as_ref(), b"\"");
    }

    #[test]
    fn what_is_no_row_says_why() {
        for (from, to, why) in [
            ("2026-01-31", "2026-02-30", Malformed::DateTime),
            ("T23:", "T24:", Malformed::DateTime),
            (":59:59", ":59:60", Malformed::DateTime),
            (":59:59", ":60:59", Malformed::DateTime),
            (".987Z", ".987 ", Malformed::DateTime),
            ("2026-01", "2O26-01", Malformed::DateTime),
            ("08DE41A5B3C2D100", "08DE41A5B3C2D10", Malformed::SessionId),
            ("08DE41A5B3C2D100", "08DE41A5B3C2D1OO", Malformed::SessionId),
            (",12,", ",,", Malformed::SequenceNumber),
            (",12,", ",4294967296,", Malformed::SequenceNumber),
            (",12,", ",-1,", Malformed::SequenceNumber),
            (",<,", ",=,", Malformed::Event),
            (",<,", ",<<,", Malformed::Event),
            ("Sender OK,", "Sender OK", Malformed::Cells),
            ("Sender OK,", "Sender, OK,", Malformed::Cells),
            ("250 2.1.0", "\"250 2.1.0", Malformed::Cells),
            ("250 2.1.0", "\"250\" 2.1.0", Malformed::Cells),
        ] {
            let line = ROW.replace(from, to);
            assert_ne!(line, ROW, "{from}");
            assert_eq!(read(&line).unwrap_err(), why, "{line}");
        }
        assert_eq!(read("").unwrap_err(), Malformed::Cells);
    }

    #[test]
    fn the_minute_is_remembered_but_never_believed() {
        let mut reader = RowReader::default();
        for time in [
            "2026-01-31T23:59:59.987Z",
            "2026-01-31T23:59:00.000Z",
            "2026-02-01T00:00:00.001Z",
            "2026-01-31T23:59:01.000Z",
        ] {
            let line = ROW.replace("2026-01-31T23:59:59.987Z", time);
            let row = reader.read(line.as_bytes()).unwrap();
            assert_eq!(row.time(), time.parse::<Timestamp>().unwrap());
        }
        let broken = ROW.replace("2026-01-31T23:59", "2026-13-31T23:59");
        assert!(reader.read(broken.as_bytes()).is_err());
        assert!(reader.read(broken.as_bytes()).is_err());
    }

    #[test]
    fn headers_are_told_without_case() {
        assert_eq!(
            header(b"#Log-Type: SMTP Send Protocol Log"),
            Header::SendLog
        );
        assert_eq!(
            header(b"#log-type: smtp receive protocol log "),
            Header::OtherLog { receive: true }
        );
        assert_eq!(
            header(b"#Log-type: Message Tracking Log"),
            Header::OtherLog { receive: false }
        );
        let fields = format!("#Fields: {}", FIELDS.to_uppercase());
        assert_eq!(header(fields.as_bytes()), Header::KnownFields);
        assert_eq!(header(b"#Fields: date-time,event"), Header::UnknownFields);
        assert_eq!(header(b"#Date: 2026-01-01T00:00:00.000Z"), Header::Other);
        assert_eq!(header(b"#"), Header::Other);
    }

    /// As Exchange writes a cell.
    fn written(cell: &str) -> String {
        if cell.contains([',', '"']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.to_owned()
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(connector in "[ -~é]{0,12}", data in "[ -~\u{0}\u{7f}ß]{0,30}", context in "[ ,\"a\\\\]{0,8}") {
            let line = format!(
                "2026-01-01T00:00:00.000Z,{},08DE41A5B3C2D100,0,,,*,{},{}",
                written(&connector), written(&data), written(&context)
            );
            let row = read(&line).unwrap();
            let (found_connector, found_data) = (row.connector.bytes(), row.data.bytes());
            prop_assert_eq!(found_connector.as_ref(), connector.as_bytes());
            prop_assert_eq!(found_data.as_ref(), data.as_bytes());
            let found_context = row.context.bytes();
            prop_assert_eq!(found_context.as_ref(), context.as_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic(line in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..ROW.len(), byte: u8) {
            let _ = RowReader::default().read(&line);
            let mut near = ROW.as_bytes().to_vec();
            near[cut] = byte;
            let _ = RowReader::default().read(&near);
        }
    }
}
