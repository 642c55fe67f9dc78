//! Golden cases: `tests/cases/<name>/` holds logs, sometimes a `config.yml`, and the JSON that `check` must print.
//!
//! `arguments` in a case adds to the command line, one argument a line; without a path among them `.` is read. The
//! whole document is compared, but of a verdict only what the case gives: most of it is words for people.
//! With `CERTDRIFT_BLESS=1` the real output of the cases that differ is printed. It is never written: the expected
//! JSON comes from the format, not from the program.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What `check` printed, and how it ended.
struct Answer {
    document: Value,
    exit_code: i32,
}

#[test]
fn every_case_prints_its_expected_json() {
    let mut report = String::new();
    let cases = cases();
    assert!(cases.len() >= 30, "{} cases found", cases.len());
    for case in &cases {
        let answer = check(case, &arguments(case));
        let expected = expected(case);
        let mut found = differences(&answer.document, &expected);
        if answer.exit_code != exit_code(&expected) {
            found.push(format!(
                "exit code {}, expected {}",
                answer.exit_code,
                exit_code(&expected)
            ));
        }
        if !found.is_empty() {
            let _ = writeln!(report, "{}:\n  {}", case.display(), found.join("\n  "));
            if std::env::var_os("CERTDRIFT_BLESS").is_some() {
                let _ = writeln!(report, "{:#}", answer.document);
            }
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

/// A row beyond the limit is too long to keep in the repository, so it is added to a case here: whatever it holds, it
/// is one malformed row and nothing else changes.
#[test]
fn an_over_long_row_is_one_malformed_row() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/form-c");
    let name = "SEND2026010100-1.LOG";
    let log = read(&case.join(name));
    let cut = log
        .match_indices('\n')
        .nth(11)
        .map_or(log.len(), |(at, _)| at + 1);
    // Every kilobyte of it looks like the start of a row and of a quoted cell.
    let filler = "2026-01-01T00:00:02.000Z,Outbound,08DD00000000AAAA,0,,,*,\",\"".repeat(24 * 1024);
    assert!(filler.len() > 1024 * 1024);
    let with_long_row = format!("{}{filler}\r\n{}", &log[..cut], &log[cut..]);

    let folder = temporary_folder();
    write(&folder.path().join(name), &with_long_row);
    let mut expected = expected(&case);
    expected["bytes"] = with_long_row.len().into();
    expected["malformed_rows"] = 1.into();
    let answer = check(folder.path(), &arguments(&case));
    assert_eq!(differences(&answer.document, &expected), [""; 0]);
}

/// The same rows in one file or in two must give the same answer, wherever the cut falls.
#[test]
fn a_log_cut_in_two_files_gives_the_same_answer() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/form-a");
    let log = read(&case.join("SEND20260101-1.LOG"));
    let head: usize = log
        .split_inclusive('\n')
        .take_while(|line| line.trim_start_matches('\u{feff}').starts_with('#'))
        .map(str::len)
        .sum();
    let mut expected = expected(&case);
    expected["files"] = 2.into();
    expected["bytes"] = (log.len() + head).into();
    for (end, _) in log.match_indices('\n') {
        let end = (end + 1).max(head);
        let folder = temporary_folder();
        write(&folder.path().join("SEND20260101-9.LOG"), &log[..end]);
        let second = format!("{}{}", &log[..head], &log[end..]);
        write(&folder.path().join("SEND20260101-10.LOG"), &second);
        let answer = check(folder.path(), &arguments(&case));
        let found = differences(&answer.document, &expected);
        assert_eq!(found, [""; 0], "cut behind byte {end}");
    }
}

#[test]
fn a_difference_is_seen_and_named() {
    let expected = serde_json::json!({
        "rows": 3,
        "presented": [{ "serial": "0A", "names": ["a", "b"] }],
        "verdicts": [{ "verdict": "match", "reasons": [{ "code": "exact" }] }]
    });
    let mut actual = expected.clone();
    actual["verdicts"][0]["reasons"][0]["message"] = "words".into();
    assert_eq!(differences(&actual, &expected), [""; 0]);
    actual["rows"] = 4.into();
    actual["presented"][0]["names"] = serde_json::json!(["b"]);
    actual["presented"][0]["extra"] = true.into();
    actual["verdicts"][0]["reasons"][0]["code"] = "name_mismatch".into();
    assert_eq!(
        differences(&actual, &expected),
        [
            "presented[0].extra: nothing expected, got true",
            "presented[0].names: expected 2 entries, got 1: [\"b\"]",
            "presented[0].names[0]: expected \"a\", got \"b\"",
            "rows: expected 3, got 4",
            "verdicts[0].reasons[0].code: expected \"exact\", got \"name_mismatch\"",
        ]
    );
}

/// The one place that knows how to run the program.
fn check(folder: &Path, arguments: &[String]) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_certdrift"))
        .args(["check", "--format=json"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the program runs");
    let document = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{}: no JSON ({error}), status {}\n{}\n{}",
            folder.display(),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        )
    });
    Answer {
        document,
        exit_code: output.status.code().unwrap_or(-1),
    }
}

/// How `check` ends: without a configuration 0 when a session was read, with one by the worst verdict or severity. A connector that
/// nobody expects anything of is `unknown`, too, and without a reason; that decides only when no other connector is judged.
pub(super) fn exit_code(expected: &Value) -> i32 {
    if expected["sessions"] == 0 {
        return 3;
    }
    let verdicts = expected["verdicts"].as_array().into_iter().flatten();
    let codes: Vec<i32> = verdicts.map(exit_code_of_verdict).collect();
    let verdicts = expected["verdicts"].as_array().into_iter().flatten();
    let mut unknown = verdicts.filter(|entry| entry["verdict"] == "unknown");
    let is_judged = |entry: &Value| entry["reasons"].as_array().is_some_and(|it| !it.is_empty());
    let judged = codes.iter().copied().filter(|code| *code < 3).max();
    match judged {
        Some(2) => 2,
        _ if unknown.any(is_judged) => 3,
        Some(code) => code,
        None => i32::from(!codes.is_empty()) * 3,
    }
}

fn exit_code_of_verdict(entry: &Value) -> i32 {
    let reasons = entry["reasons"].as_array().into_iter().flatten();
    let severities: Vec<&str> = reasons
        .filter_map(|reason| reason["severity"].as_str())
        .collect();
    match entry["verdict"].as_str() {
        _ if severities.contains(&"critical") => 2,
        Some("match") => i32::from(severities.contains(&"warning")),
        Some("fragile") => 1,
        Some("mismatch") => 2,
        _ => 3,
    }
}

/// Where two documents differ, a line each. In a verdict only the keys that the case gives count.
fn differences(actual: &Value, expected: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", actual, expected, &mut found);
    found
}

fn compare(path: &str, actual: &Value, expected: &Value, found: &mut Vec<String>) {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => {
            let mut keys: Vec<&String> = actual.keys().chain(expected.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let path = match path {
                    "" => key.clone(),
                    _ => format!("{path}.{key}"),
                };
                match (actual.get(key), expected.get(key)) {
                    (Some(actual), Some(expected)) => compare(&path, actual, expected, found),
                    (None, Some(expected)) => {
                        found.push(format!("{path}: expected {expected}, got nothing"));
                    }
                    (Some(_), None) if path.starts_with("verdicts[") => {}
                    (Some(actual), None) => {
                        found.push(format!("{path}: nothing expected, got {actual}"));
                    }
                    (None, None) => {}
                }
            }
        }
        (Value::Array(actual), Value::Array(expected)) => {
            if actual.len() != expected.len() {
                let list = Value::from(actual.clone());
                found.push(format!(
                    "{path}: expected {} entries, got {}: {list}",
                    expected.len(),
                    actual.len()
                ));
            }
            for (at, (actual, expected)) in actual.iter().zip(expected).enumerate() {
                compare(&format!("{path}[{at}]"), actual, expected, found);
            }
        }
        _ if actual == expected => {}
        _ => found.push(format!("{path}: expected {expected}, got {actual}")),
    }
}

/// The folders under `tests/cases` that hold an `expected.json`, by name.
pub(super) fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut cases: Vec<PathBuf> = fs::read_dir(root)
        .expect("tests/cases is there")
        .map(|entry| entry.expect("an entry can be read").path())
        .filter(|path| path.join("expected.json").exists())
        .collect();
    cases.sort();
    cases
}

pub(super) fn arguments(case: &Path) -> Vec<String> {
    let text = fs::read_to_string(case.join("arguments")).unwrap_or_default();
    let mut arguments: Vec<String> = text.lines().map(str::to_owned).collect();
    if arguments.iter().all(|argument| argument.starts_with("--")) {
        arguments.push(".".to_owned());
    }
    arguments
}

pub(super) fn expected(case: &Path) -> Value {
    serde_json::from_str(&read(&case.join("expected.json"))).expect("expected.json is JSON")
}

pub(super) fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("the case's file is readable")
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a temporary file can be written");
}

fn temporary_folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}
