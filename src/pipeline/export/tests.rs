//! Times and arbitrary bytes. What becomes of whole files stands in `tests/cases/exports`.

use proptest::prelude::any;
use proptest::prelude::proptest;
use proptest::sample::Index;

use crate::pipeline::export::Exports;
use crate::pipeline::export::Kind;
use crate::pipeline::export::MAX_BYTES;
use crate::pipeline::export::object::time;

const SAMPLES: [(Kind, &[u8]); 4] = [
    (
        Kind::InboundConnectors,
        include_bytes!(
            "../../../tests/cases/exports/inbound_connectors/windows-powershell-single-utf16.json"
        ),
    ),
    (
        Kind::AcceptedDomains,
        include_bytes!("../../../tests/cases/exports/accepted_domains/on-the-server.json"),
    ),
    (
        Kind::SendConnectors,
        include_bytes!("../../../tests/cases/exports/send_connectors/cut-off-at-depth.json"),
    ),
    (
        Kind::Certificates,
        include_bytes!("../../../tests/cases/exports/certificates/base64.json"),
    ),
];

#[test]
fn times_are_read_as_both_powershells_write_them() {
    for (text, millis) in [
        ("/Date(1764000000000)/", Some(1_764_000_000_000)),
        ("/Date(1764000000000+0100)/", Some(1_764_000_000_000)),
        ("/Date(-5-0100)/", Some(-5)),
        ("2025-11-24T16:00:00.000Z", Some(1_764_000_000_000)),
        ("2025-11-24T17:00:00+01:00", Some(1_764_000_000_000)),
        ("2025-11-24T17:00:00", None),
        ("/Date()/", None),
        ("/Date(é)/", None),
        ("/Date(99999999999999999)/", None),
        ("/Date(1764000000000", None),
        ("", None),
    ] {
        let read = time(text).map(jiff::Timestamp::as_millisecond);
        assert_eq!(read, millis, "{text}");
    }
}

#[test]
fn a_script_can_say_when_it_ran() {
    let list = r#"[{"DomainName":"contoso.com"}]"#;
    for (marker, expected) in [
        (r#""2026-11-24T03:00:00Z""#, Some("2026-11-24T03:00:00Z")),
        (
            r#"{"value":"/Date(1764000000000)/","DateTime":"x"}"#,
            Some("2025-11-24T16:00:00Z"),
        ),
        (r#""yesterday""#, None),
        ("null", None),
        ("{}", None),
    ] {
        let text = format!(r#"{{"ExportedAt":{marker},"value":{list}}}"#);
        let mut exports = Exports::default();
        let exported_at = exports
            .take(Kind::AcceptedDomains, text.as_bytes())
            .unwrap();
        assert_eq!(
            exported_at.map(|time| time.to_string()).as_deref(),
            expected
        );
        assert_eq!(exports.accepted_domains.unwrap(), ["contoso.com"]);
    }
}

#[test]
fn a_file_that_is_too_large_is_not_even_looked_at() {
    let bytes = vec![b' '; MAX_BYTES + 1];
    let problem = Exports::default()
        .take(Kind::SendConnectors, &bytes)
        .unwrap_err();
    assert!(
        problem
            .to_string()
            .starts_with("is larger than 16777216 bytes; "),
        "{problem}"
    );
}

#[test]
fn a_list_that_is_too_long_is_not_kept() {
    for (objects, is_fine) in [(10_000, true), (10_001, false)] {
        let text = format!(
            "[{}]",
            vec![r#"{"DomainName":"contoso.com"}"#; objects].join(",")
        );
        let taken = Exports::default().take(Kind::AcceptedDomains, text.as_bytes());
        assert_eq!(taken.is_ok(), is_fine, "{objects}");
        if let Err(problem) = taken {
            assert_eq!(problem.what, "holds more than 10000 objects");
        }
    }
}

#[test]
fn a_broken_file_changes_nothing() {
    let mut exports = Exports::default();
    for (kind, sample) in SAMPLES {
        exports.take(kind, sample).unwrap();
    }
    let before = exports.clone();
    for (kind, sample) in SAMPLES {
        exports.take(kind, &sample[..sample.len() / 2]).unwrap_err();
    }
    assert_eq!(exports, before);
}

/// Whatever it is, it comes to an end, and a message stays one short line.
fn outcome(kind: Kind, bytes: &[u8]) {
    if let Err(problem) = Exports::default().take(kind, bytes) {
        let message = problem.to_string();
        assert!(message.chars().count() < 1000, "{message}");
        assert!(!message.contains(char::is_control), "{message}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>(), wide in any::<bool>()) {
        let bytes = if wide { [b"\xff\xfe", &bytes[..]].concat() } else { bytes };
        for kind in Kind::ALL {
            outcome(kind, &bytes);
        }
    }

    #[test]
    fn arbitrary_json_never_panics(text in r#"(\[|\{|\]|\}|,|:|"Name"|"value"|"RawData"|"SmartHosts"|"é"|null|1e400|-7|true| ){0,40}"#) {
        for kind in Kind::ALL {
            outcome(kind, text.as_bytes());
        }
    }

    #[test]
    fn a_damaged_export_never_panics(sample in any::<Index>(), at in any::<Index>(), length in 0..20_usize, insert in any::<[u8; 2]>()) {
        let (kind, bytes) = SAMPLES[sample.index(SAMPLES.len())];
        let mut bytes = bytes.to_vec();
        let start = at.index(bytes.len());
        let end = bytes.len().min(start + length);
        bytes.splice(start..end, insert);
        outcome(kind, &bytes);
    }
}
