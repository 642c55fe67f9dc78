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
        let Outline {
            connector,
            connector_end,
            connector_doubled,
            ..
        } = self.outline;
        self.cell(connector, connector_end, connector_doubled)
    }

    /// What was sent or received, or the value of an `*` row.
    pub fn data(&self) -> Cell<'a> {
        let Outline {
            data,
            data_end,
            data_doubled,
            ..
        } = self.outline;
        self.cell(data, data_end, data_doubled)
    }

    /// What an `*` row is about.
    pub fn context(&self) -> Cell<'a> {
        let Outline {
            context,
            context_end,
            context_doubled,
            ..
        } = self.outline;
        self.cell(context, context_end, context_doubled)
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pipeline::outline::Outlines;

    const ROW: &str = "2026-01-31T23:59:59.987Z,Outbound to Office 365,08DE41A5B3C2D100,12,10.0.0.5:25001,52.101.73.6:25,<,250 2.1.0 Sender OK,";

    fn read(line: &str) -> Result<Row<'_>, Malformed> {
        read_bytes(line.as_bytes())
    }

    /// With an outline, and without; both must give the same. What stands behind the line must not matter.
    fn read_bytes(line: &[u8]) -> Result<Row<'_>, Malformed> {
        let slowly = RowReader::default().read(line);
        let mut outlines = Outlines::default();
        for behind in [&b"\n"[..], b"\r\n,,,,<,,", b"\n\"\",\"a\",*"] {
            outlines.find(&[line, behind].concat());
            let outline = outlines.lines().next().and_then(|(_, outline)| outline);
            let row = outline.and_then(|outline| RowReader::default().outlined(line, outline));
            if let Some(row) = row {
                assert_eq!(format!("Ok({row:?})"), format!("{slowly:?}"), "{line:?}");
            }
        }
        slowly
    }

    #[test]
    fn a_row_has_its_cells() {
        let row = read(ROW).unwrap();
        assert_eq!(row.time().to_string(), "2026-01-31T23:59:59.987Z");
        assert_eq!(row.connector().bytes().as_ref(), b"Outbound to Office 365");
        assert_eq!(row.session(), SessionId(0x08DE_41A5_B3C2_D100));
        assert_eq!((row.sequence(), row.event), (12, Event::Receive));
        assert_eq!(row.data().bytes().as_ref(), b"250 2.1.0 Sender OK");
        assert_eq!(row.context().bytes().as_ref(), b"");
    }

    /// Whatever Exchange writes all day is read by its outline; what is not would only be slow, and nobody would notice.
    #[test]
    fn rows_as_they_nearly_all_are_have_an_outline() {
        let reply = |text: &str| ROW.replace("250 2.1.0 Sender OK,", text);
        let information = |text: &str| reply(text).replace(",<,", ",*,");
        let quoted_connector =
            |row: &str| row.replace("Outbound to Office 365", "\"Relay, Berlin\"");
        let long = "x".repeat(300);
        for row in [
            ROW.to_owned(),
            ROW.replace("10.0.0.5:25001", ""),
            ROW.replace(
                "10.0.0.5:25001,52.101.73.6:25",
                "[2001:db8::5]:25001,[2001:db8::6]:25",
            ),
            reply(&format!("250 {long},")),
            reply("\"220 x ready at Thu, 1 Jan 2026\","),
            reply(&format!("\"250 {long}, {long}\",")),
            information(",attempting to connect"),
            information("SendRoutingHeaders,Set Session Permissions"),
            information(",\"TLS protocol SP_PROT_TLS1_2_CLIENT negotiation succeeded, with MAC\""),
            information("\" CN=a, O=\"\"Contoso, Inc.\"\"\",Sending certificate Subject"),
            information(&format!("\"{long}, {long}\",Sending certificate {long}")),
        ] {
            for row in [quoted_connector(&row), row] {
                let mut outlines = Outlines::default();
                outlines.find(format!("{row}\r\n").as_bytes());
                let outline = outlines.lines().next().and_then(|(_, outline)| outline);
                let read_by = |outline| RowReader::default().outlined(row.as_bytes(), outline);
                assert!(outline.and_then(read_by).is_some(), "{row}");
                read(&row).unwrap();
            }
        }
    }

    /// The cells before the data are looked for within 64 bytes; what lies on their border must not be guessed.
    #[test]
    fn an_event_is_one_sign_wherever_it_stands() {
        for length in 0..80 {
            let address = "9".repeat(length);
            for (event, found) in [
                ("<", Ok(Event::Receive)),
                ("<<", Err(Malformed::Event)),
                ("<x", Err(Malformed::Event)),
            ] {
                let row = ROW.replace("10.0.0.5:25001", &address);
                let row = row.replace(",<,", &format!(",{event},"));
                assert_eq!(read(&row).map(|row| row.event), found, "{row}");
                let short = row.replace("250 2.1.0 Sender OK,", "\"a\"");
                assert_eq!(read(&short).unwrap_err(), Malformed::Cells, "{short}");
            }
        }
    }

    #[test]
    fn session_ids_are_of_digits_and_nothing_else() {
        let end = ROW.find("08DE").unwrap() + SESSION;
        for place in end - SESSION..end {
            for byte in 0..=u8::MAX {
                let mut line = ROW.as_bytes().to_vec();
                line[place] = byte;
                let is_digit = byte.is_ascii_hexdigit();
                assert_eq!(read_bytes(&line).is_ok(), is_digit, "{byte} at {place}");
            }
        }
    }

    #[test]
    fn a_comma_too_many_is_told_as_such_wherever_it_is() {
        for (at, _) in ROW.char_indices().skip(DATE_TIME) {
            let (before, behind) = ROW.split_at(at);
            for behind in [behind, &behind[1..]] {
                let line = format!("{before},{behind}");
                if line != ROW {
                    assert_eq!(read(&line).unwrap_err(), Malformed::Cells, "{line}");
                }
            }
        }
    }

    #[test]
    fn quoted_cells_are_opened() {
        let line = ROW
            .replace("Outbound to Office 365", r#""Relay, ""cloud"" """"#)
            .replace("250 2.1.0 Sender OK,", r#""a,b","""""#);
        let row = read(&line).unwrap();
        assert_eq!(row.connector().bytes().as_ref(), br#"Relay, "cloud" ""#);
        assert_eq!(row.data().bytes().as_ref(), b"a,b");
        assert_eq!(row.context().bytes().as_ref(), b"\"");
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

    /// Cells as Exchange writes them and as it does not, of lengths around that of the blocks that are looked at.
    fn odd_cell() -> impl Strategy<Value = String> {
        let filler = prop_oneof![Just(0), 0..9usize, 40..140usize];
        ("[a\" ,]{0,4}", filler, "[a\" ,]{0,4}", 0..4u8).prop_map(|(start, length, end, kind)| {
            let cell = format!("{start}{}{end}", "x".repeat(length));
            match kind {
                0 => cell,
                1 => cell.replace([',', '"'], "y"),
                _ => written(&cell),
            }
        })
    }

    /// Cells without their quotes, read byte by byte.
    fn plainest_cells(line: &[u8]) -> Option<Vec<&[u8]>> {
        let mut cells = Vec::new();
        let mut at = 0;
        loop {
            let is_quoted = line.get(at) == Some(&b'"');
            let start = at + usize::from(is_quoted);
            let mut end = start;
            while end < line.len() {
                match (is_quoted, line[end], line.get(end + 1)) {
                    (true, b'"', Some(b'"')) => end += 1,
                    (false, b',', _) | (true, b'"', _) => break,
                    _ => {}
                }
                end += 1;
            }
            at = end + usize::from(is_quoted);
            if at > line.len() {
                return None;
            }
            cells.push(&line[start..end]);
            match line.get(at) {
                None => return Some(cells),
                Some(b',') => at += 1,
                Some(_) => return None,
            }
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
            let (found_connector, found_data) = (row.connector().bytes(), row.data().bytes());
            prop_assert_eq!(found_connector.as_ref(), connector.as_bytes());
            prop_assert_eq!(found_data.as_ref(), data.as_bytes());
            let found_context = row.context().bytes();
            prop_assert_eq!(found_context.as_ref(), context.as_bytes());
        }

        #[test]
        fn cells_are_those_of_the_plainest_reading(cells in proptest::collection::vec(odd_cell(), 7..=10), end in "[,\"x]{0,2}") {
            let [connector, local, remote, data, context, rest @ ..] = cells.as_slice() else {
                return Ok(());
            };
            let more: String = rest[2..].iter().flat_map(|cell| [",", cell]).collect();
            let line = format!(
                "2026-01-01T00:00:00.000Z,{connector},08DE41A5B3C2D100,7,{local},{remote},*,{data},{context}{more}{end}"
            );
            let found = read(&line).ok().map(|row| [row.connector(), row.data(), row.context()].map(Cell::raw));
            let plainest = plainest_cells(line.as_bytes()).and_then(|cells| {
                let [_, connector, session, sequence, _, _, event, data, context] = cells[..] else {
                    return None;
                };
                let is_row = session == b"08DE41A5B3C2D100" && sequence == b"7" && event == b"*";
                is_row.then_some([connector, data, context])
            });
            prop_assert_eq!(found, plainest, "{}", line);
        }

        #[test]
        fn no_bytes_make_it_panic(line in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..ROW.len(), byte: u8) {
            let _ = read_bytes(&line);
            let mut near = ROW.as_bytes().to_vec();
            near[cut] = byte;
            let _ = read_bytes(&near);
        }
    }
}
