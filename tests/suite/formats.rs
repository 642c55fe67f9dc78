//! `check --format=nagios` and `--format=prometheus` on the golden cases.
//!
//! A case may hold `expected.nagios` and `expected.prom`, what is printed to the letter; the version stands there as
//! `{version}`. With `CERTDRIFT_BLESS=1` the real output of those that differ is printed. Every case must follow the
//! grammar of both formats and end with the exit code that belongs to its JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::cases;

/// What a monitoring system sees.
struct Answer {
    output: String,
    errors: String,
    exit_code: i32,
}

#[test]
fn golden_outputs_are_printed_to_the_letter() {
    let mut report = String::new();
    let mut compared = 0;
    for case in cases::cases() {
        for (format, file) in [
            ("nagios", "expected.nagios"),
            ("prometheus", "expected.prom"),
        ] {
            if !case.join(file).exists() {
                continue;
            }
            compared += 1;
            let wanted = cases::read(&case.join(file));
            let wanted = wanted.replace("{version}", env!("CARGO_PKG_VERSION"));
            let answer = check(&case, format);
            if answer.output != wanted {
                let differing = answer.output.lines().find(|line| !wanted.contains(*line));
                let _ = writeln!(report, "{}: {differing:?}", case.join(file).display());
                if std::env::var_os("CERTDRIFT_BLESS").is_some() {
                    report += &answer.output;
                }
            }
        }
    }
    assert!(compared >= 8, "{compared} golden outputs found");
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn every_case_is_one_plugin_line_with_the_right_exit_code() {
    for case in cases::cases() {
        let name = case.display();
        let answer = check(&case, "nagios");
        let expected = cases::expected(&case);
        let wanted = match cases::exit_code(&expected) {
            0 if is_denied_and_not_judged(&expected) => 1,
            code => code,
        };
        assert_eq!(answer.exit_code, wanted, "{name}");
        let (status, text, numbers) = taken_apart(&answer.output);
        assert_eq!(exit_code_of(status), answer.exit_code, "{name}");
        assert!(!text.is_empty(), "{name}");
        let rows = ["rows", "malformed_rows"].map(|label| number(&numbers, label));
        let wanted = ["rows", "malformed_rows"].map(|key| expected[key].as_i64());
        assert_eq!(rows, wanted, "{name}");
        if expected["verdicts"].as_array().is_none_or(Vec::is_empty) {
            let wanted = expected["sessions"].as_i64();
            assert_eq!(number(&numbers, "sessions"), wanted, "{name}");
            let denied = count(&expected["replies"], "count", |reply| {
                reply["class"] == "attribution"
            });
            assert_eq!(
                number(&numbers, "attribution_rejects"),
                Some(denied),
                "{name}"
            );
            let without = count(&expected["without_certificate"], "sessions", |_| true);
            assert_eq!(
                number(&numbers, "without_certificate"),
                Some(without),
                "{name}"
            );
        }
    }
}

/// Without a configuration nothing is judged; a plugin must not say that all is well when relaying was refused.
fn is_denied_and_not_judged(expected: &Value) -> bool {
    let denied = count(&expected["replies"], "count", |reply| {
        reply["class"] == "attribution"
    });
    denied > 0 && expected["verdicts"].as_array().is_none_or(Vec::is_empty)
}

#[test]
fn every_case_is_clean_exposition_text() {
    for case in cases::cases() {
        let name = case.display();
        let answer = check(&case, "prometheus");
        let expected = cases::expected(&case);
        assert_eq!(answer.exit_code, cases::exit_code(&expected), "{name}");
        let mut sessions = 0.0;
        for line in answer.output.lines().filter(|line| !line.starts_with("# ")) {
            assert!(line.starts_with("certdrift_"), "{name}: {line}");
            // Behind the labels stands the value and no time.
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let value: f64 = value.parse().expect("a number");
            assert!(series.ends_with('}') || !series.contains(' '), "{line}");
            if series.starts_with("certdrift_sessions_total{") {
                sessions += value;
            }
        }
        assert_eq!(Some(sessions), expected["sessions"].as_f64(), "{name}");
        let judged = !expected["verdicts"].as_array().is_none_or(Vec::is_empty);
        for family in [
            "connector_verdict{",
            "connector_reason{",
            "expected_connector_info{",
        ] {
            let there = answer.output.contains(&format!("\ncertdrift_{family}"));
            assert_eq!(there, judged, "{name}: {family}");
        }
    }
}

/// The worst of several is named, the others are counted, and a connector to somebody else counts nowhere.
#[test]
fn the_worst_connector_is_named_and_the_others_are_counted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let arguments = [
        "check",
        "--format=nagios",
        "--config.file=config/quickstart.yml",
        "--at=2026-11-23T11:00:00Z",
    ];
    let answer = run(root, &arguments);
    let (status, text, numbers) = taken_apart(&answer.output);
    assert_eq!((status, answer.exit_code), ("CRITICAL", 2));
    assert!(
        text.starts_with("EX02, Outbound to Office 365: mismatch ("),
        "{text}"
    );
    assert!(text.ends_with(" Others: 1 match"), "{text}");
    assert_eq!(number(&numbers, "sessions"), Some(67));
    assert_eq!(number(&numbers, "attribution_rejects"), Some(5));

    let case = root.join("tests/cases/verdict-of-a-named-connector-only");
    let answer = check(&case, "nagios");
    let (_, _, numbers) = taken_apart(&answer.output);
    assert_eq!(cases::expected(&case)["sessions"], 4);
    assert_eq!(number(&numbers, "sessions"), Some(3));
}

/// Nothing is judged, but `OK` would be taken for an answer. Whoever asks for JSON asks what was read, and judges himself.
#[test]
fn without_a_configuration_a_refusal_to_relay_warns() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let answer = run(root, &["check", "--format=nagios", "tests/quickstart"]);
    let (status, text, numbers) = taken_apart(&answer.output);
    assert_eq!((status, answer.exit_code), ("WARNING", 1));
    assert_eq!(
        text,
        "Exchange Online refused to relay: 5 replies, the last one at 2026-11-23 10:44 UTC of EX02, Outbound to Office \
         365: 550 5.7.64 TenantAttribution; Relay Access Denied. No configuration was given, so whether it still does is \
         not judged; --config.file gives one"
    );
    assert_eq!(number(&numbers, "attribution_rejects"), Some(5));
    for format in ["text", "json", "prometheus"] {
        let format = format!("--format={format}");
        assert_eq!(
            run(root, &["check", &format, "tests/quickstart"]).exit_code,
            0
        );
    }
}

#[test]
fn what_cannot_be_checked_is_unknown_in_one_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (arguments, says) in [
        (
            &["check", "--format=nagios", "--config.file"][..],
            "a value is required",
        ),
        (
            &["check", "--format", "nagios", "--fromat=json", "."],
            "--fromat",
        ),
        (
            &["check", "--format=nagios", "--at=yesterday", "."],
            "'yesterday'",
        ),
        (&["chek", "--format=nagios", "."], "'chek'"),
        (
            &["check", "--format=nagios", "no/such/folder"],
            "no/such/folder: does not exist",
        ),
        (&["check", "--format=nagios", "src"], "holds no log file"),
        (
            &[
                "check",
                "--format=nagios",
                "--config.file=tests/config/several.yml",
            ],
            "several.yml:",
        ),
    ] {
        let answer = run(root, arguments);
        assert_eq!(answer.exit_code, 3, "{arguments:?}");
        let (status, text, numbers) = taken_apart(&answer.output);
        assert_eq!((status, numbers.len()), ("UNKNOWN", 0), "{arguments:?}");
        assert!(text.contains(says), "{arguments:?}: {text}");
        assert!(!answer.errors.is_empty(), "{arguments:?}");
    }
    // Another format says nothing on standard output, so that no half a file takes the place of a whole one.
    for format in ["json", "text", "prometheus"] {
        let answer = run(root, &["check", "--format", format, "no/such/folder"]);
        assert_eq!(
            (answer.output.as_str(), answer.exit_code),
            ("", 3),
            "{format}"
        );
    }
}

#[test]
fn where_no_session_is_every_format_for_people_says_why() {
    let junk = |lines: usize| b"\x7FELF\x01\n".repeat(lines);
    let gzip = [b"\x1F\x8B\x08\0\0\0\0\0\0\x03\n".to_vec(), junk(20)].concat();
    let zip = [b"PK\x03\x04\x14\0\n".to_vec(), junk(20)].concat();
    for (bytes, says) in [
        (Vec::new(), "Is protocol logging on? Set-SendConnector"),
        (
            junk(1),
            "the only line is no row of a send protocol log. Give the files",
        ),
        (
            junk(3),
            "none of 3 lines is a row of a send protocol log. Give the files",
        ),
        (
            junk(20),
            "none of 20 lines is a row of a send protocol log. Are the files compressed",
        ),
        (gzip, "is compressed (gzip or zip). Unpack it"),
        (zip, "is compressed (gzip or zip). Unpack it"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("SEND2026112308-1.LOG"), &bytes).unwrap();
        for format in ["text", "nagios"] {
            let answer = run(folder.path(), &["check", "--format", format, "."]);
            assert_eq!(answer.exit_code, 3, "{format}");
            let count = answer.output.matches(says).count();
            assert_eq!(count, 1, "{format}, {says}: {}", answer.output);
        }
        let answer = run(folder.path(), &["check", "--format=json", "."]);
        let is_refused = answer.output.contains("\"compressed\"");
        assert_eq!(is_refused, says.contains("gzip"), "{}", answer.output);
    }
}

/// Status, text and performance data of a plugin's line.
fn taken_apart(output: &str) -> (&str, &str, Vec<(&str, &str)>) {
    let line = output.strip_suffix('\n').expect("a line break at the end");
    assert!(!line.contains(['\n', '\r']), "{line:?}");
    assert!(output.len() <= 1023, "{} bytes: {line}", output.len());
    let (status, rest) = line.split_once(" - ").expect("a status");
    let (text, numbers) = rest.split_once(" | ").unwrap_or((rest, ""));
    assert!(!numbers.contains('|'), "{line}");
    let numbers = numbers.split_whitespace().map(|entry| {
        let (label, rest) = entry.split_once('=').expect("a label");
        let plain = label
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        // Some graphing add-ons keep 19 characters of a label.
        assert!(plain && label.len() <= 19, "{label}");
        let fields: Vec<&str> = rest.split(';').collect();
        let value = fields[0].strip_suffix('s').unwrap_or(fields[0]);
        assert!(value == "U" || value.parse::<i64>().is_ok(), "{entry}");
        assert!(fields.len() <= 5, "{entry}");
        (label, value)
    });
    (status, text, numbers.collect())
}

fn number(numbers: &[(&str, &str)], label: &str) -> Option<i64> {
    let (_, value) = numbers.iter().find(|(known, _)| *known == label)?;
    value.parse().ok()
}

fn count(entries: &Value, key: &str, counts: impl Fn(&Value) -> bool) -> i64 {
    let entries = entries.as_array().into_iter().flatten();
    entries
        .filter(|entry| counts(entry))
        .filter_map(|entry| entry[key].as_i64())
        .sum()
}

fn exit_code_of(status: &str) -> i32 {
    match status {
        "OK" => 0,
        "WARNING" => 1,
        "CRITICAL" => 2,
        "UNKNOWN" => 3,
        other => panic!("{other:?} is no status"),
    }
}

fn check(case: &Path, format: &str) -> Answer {
    let mut arguments = vec!["check".to_owned(), format!("--format={format}")];
    arguments.extend(cases::arguments(case));
    run(case, &arguments)
}

fn run(folder: &Path, arguments: &[impl AsRef<std::ffi::OsStr>]) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_certdrift"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the program runs");
    Answer {
        output: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        exit_code: output.status.code().unwrap_or(-1),
    }
}
