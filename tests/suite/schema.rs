//! The JSON Schema says what the parser says: every file that the parser takes fits it, and whatever the parser refuses
//! for its shape does not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use certdrift::config::{parse, schema};
use jsonschema::Validator;
use proptest::prelude::{any, prop_assert, proptest};
use proptest::sample::Index;
use serde_json::Value;

const DOCUMENTED: &str = include_str!("../../config/certdrift.yml");
/// What the parser says of a wrong shape: a schema can tell as much.
const SHAPES: [&str; 5] = [
    "is no known key",
    "is missing",
    "is not a list",
    "is not a set of",
    "is not a single value",
];

/// Samples that lack a key which only the rest of the file makes necessary.
const CONDITIONAL: [&str; 5] = [
    "expected-missing",
    "expected-null",
    "expected-without-inbound",
    "exports-inbound-empty-list",
    "exports-name-alone",
];

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn validator() -> Validator {
    jsonschema::validator_for(&schema().unwrap()).unwrap()
}

/// The file as an editor sees it; `None`: it is no YAML.
fn value(text: &str) -> Option<Value> {
    serde_yaml::from_str(text).ok()
}

fn files(folder: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(repository(folder)).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| path.extension().is_some_and(|end| end == "yml"))
        .collect();
    files.sort();
    files
}

#[test]
fn the_shipped_schema_is_what_the_program_prints() {
    let output = Command::new(env!("CARGO_BIN_EXE_certdrift"))
        .arg("schema")
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let shipped = fs::read_to_string(repository("config/certdrift.schema.json")).unwrap();
    assert!(
        printed == shipped,
        "run `certdrift schema >config/certdrift.schema.json`"
    );
    let hint = "# yaml-language-server: $schema=certdrift.schema.json\n";
    assert!(DOCUMENTED.starts_with(hint));
}

#[test]
fn the_schema_is_a_schema() {
    assert!(jsonschema::meta::is_valid(&schema().unwrap()));
}

#[test]
fn good_files_fit() {
    let validator = validator();
    for file in [
        "config/certdrift.yml",
        "config/quickstart.yml",
        "tests/preflight/certdrift.yml",
    ] {
        let text = fs::read_to_string(repository(file)).unwrap();
        let value = value(&text).unwrap();
        let wrong: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{} {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{file}: {wrong:?}");
    }
}

#[test]
fn whatever_is_refused_for_its_shape_does_not_fit() {
    let validator = validator();
    let mut refused = 0;
    let mut missed = Vec::new();
    for file in files("tests/config") {
        let text = fs::read_to_string(&file).unwrap();
        let message = fs::read_to_string(file.with_extension("stderr")).unwrap();
        let is_about_shape = SHAPES.iter().any(|shape| message.contains(shape));
        let Some(value) = value(&text).filter(|_| is_about_shape) else {
            continue;
        };
        if validator.is_valid(&value) {
            missed.push(file.file_stem().unwrap().to_owned());
        } else {
            refused += 1;
        }
    }
    assert_eq!(missed, CONDITIONAL);
    assert!(refused >= 15, "only {refused} files");
}

#[test]
fn words_and_forms_are_checked() {
    let validator = validator();
    for (lines, expected) in [
        ("    severities: [critical, warning]", true),
        ("    severities: [urgent]", false),
        ("    severities:", true),
        ("    slack:", true),
        ("    slack: { url: 'https://hooks.slack.com/x' }", false),
    ] {
        let text = format!(
            "sources: [{{ path: /logs, first_read: 7d }}]\nreceivers:\n  - name: oncall\n    webhook: {{ url_file: 4711 }}\n{lines}\n"
        );
        let parsed = parse(&text, Path::new("certdrift.yml"), None);
        assert_eq!(parsed.is_ok(), expected, "{lines}");
        let value = value(&text).unwrap();
        assert_eq!(validator.is_valid(&value), expected, "{lines}");
    }
    let wrong = value("sources: [{ path: /logs, first_read: 7 weeks }]").unwrap();
    assert!(!validator.is_valid(&wrong));
}

proptest! {
    /// A line of the documented file is left out, put elsewhere, or given another value: whatever of that the parser
    /// takes, fits.
    #[test]
    fn the_schema_is_never_stricter_than_the_parser(from in any::<Index>(), to in any::<Index>(), change in 0..7_usize) {
        let mut lines: Vec<String> = DOCUMENTED
            .lines()
            .filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty())
            .map(str::to_owned)
            .collect();
        let line = lines.remove(from.index(lines.len()));
        let key = line.split_once(": ").map_or(&*line, |(key, _)| key).trim_end_matches(':');
        let values = ["", " true", " 12", " ON", " 90 m", " [critical]"];
        match values.get(change) {
            Some(value) => lines.insert(from.index(lines.len() + 1), format!("{key}:{value}")),
            None => lines.insert(to.index(lines.len() + 1), line.clone()),
        }
        let text = lines.join("\n") + "\n";
        if parse(&text, Path::new("certdrift.yml"), None).is_ok() {
            let value = value(&text);
            prop_assert!(value.as_ref().is_some_and(|value| validator().is_valid(value)), "{text}");
        }
    }
}
