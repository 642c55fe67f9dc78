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
    let quoted_connector = |row: &str| row.replace("Outbound to Office 365", "\"Relay, Berlin\"");
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
