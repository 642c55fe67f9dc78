//! The bodies of messages: for each notice in `tests/cases/bodies` the body beside it, for each kind of receiver, held
//! against the limits that its maker publishes.
//!
//! `CERTDRIFT_BLESS=1` writes what the program says today; look at the difference before it is committed.

mod limits;
mod planted;

use std::fs;
use std::path::{Path, PathBuf};

use certdrift::pipeline::alert::Notice;
use certdrift::render::message::Message;
use certdrift::render::template::Template;
use certdrift::render::{alertmanager, pagerduty, slack, teams, webhook};
use jiff::SignedDuration;
use serde_json::Value;

/// A routing key as `PagerDuty` makes them.
const ROUTING_KEY: &str = "R0UT1NGKEY0123456789ABCDEF012345";
const EXTERNAL_URL: &str = "https://certdrift.contoso.com/";

/// The kinds of receivers with bodies of their own, and the templates that are shipped.
const KINDS: [&str; 10] = [
    "webhook",
    "alertmanager",
    "pagerduty",
    "slack",
    "teams",
    "discord",
    "ntfy",
    "servicenow",
    "jira-service-management",
    "splunk-on-call",
];
const CASES: [&str; 5] = ["firing", "resolved", "summary", "minimal", "planted"];

/// The body of a case for a kind.
fn body(kind: &str, case: &str) -> Value {
    let message = message(case);
    match kind {
        "webhook" => serde_json::from_str(&webhook::body(&message)).unwrap(),
        "alertmanager" => {
            let now = "2026-11-23T11:00:00Z".parse().unwrap();
            let body = alertmanager::body(&[message], now, SignedDuration::from_mins(4));
            serde_json::from_str(&body).unwrap()
        }
        "pagerduty" => pagerduty::event(&message, ROUTING_KEY),
        "slack" => slack::message(&message),
        "teams" => teams::message(&message),
        shipped => {
            let body = shipped_template(shipped).body(&message).unwrap();
            serde_json::from_str(&body).unwrap()
        }
    }
}

fn templates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/templates")
}

fn shipped_template(name: &str) -> Template {
    let text = fs::read_to_string(templates().join(format!("{name}.jinja"))).unwrap();
    Template::new(name, &text).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/bodies")
}

/// The message of one case.
fn message(case: &str) -> Message {
    let text = fs::read_to_string(root().join(case).join("notice.json")).unwrap();
    let notice: Notice = serde_json::from_str(&text).unwrap();
    Message::new(&notice, "oncall", EXTERNAL_URL, case == "minimal")
}

#[test]
fn every_body_is_the_one_beside_its_notice() {
    let mut differences = Vec::new();
    for case in CASES {
        for kind in KINDS {
            let actual = format!("{:#}\n", body(kind, case));
            let file = root().join(case).join(format!("{kind}.json"));
            if std::env::var_os("CERTDRIFT_BLESS").is_some() {
                fs::write(&file, &actual).unwrap();
            }
            let expected = fs::read_to_string(&file).unwrap_or_default();
            if actual != expected {
                differences.push(format!(
                    "--- {}\nexpected:\n{expected}actual:\n{actual}",
                    file.display()
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_shipped_template_is_among_them_and_documented() {
    let readme = fs::read_to_string(templates().join("README.md")).unwrap();
    let files = fs::read_dir(templates()).unwrap();
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut count = 0;
    for file in files {
        if let Some(name) = file.strip_suffix(".jinja") {
            assert!(KINDS.contains(&name), "{file}");
            assert!(readme.contains(&format!("`{file}`")), "{file}");
            count += 1;
        }
    }
    assert_eq!(count, KINDS.len() - 5);
}

#[test]
fn what_the_templates_readme_promises_is_there() {
    let readme = fs::read_to_string(templates().join("README.md")).unwrap();
    let table = readme.split("## What a template can use").nth(1).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let mut names = 0;
    for row in rows {
        let first_cell = row.split('|').nth(1).unwrap();
        for name in first_cell.split(',') {
            let name = name.trim().trim_matches('`');
            Template::new(name, &format!("[{{{{ {name} }}}}]")).unwrap();
            names += 1;
        }
    }
    assert!(names >= 20, "{names}");
}

#[test]
fn a_minimal_body_is_smaller_and_still_says_what_and_where() {
    for kind in KINDS {
        let (whole, minimal) = (body(kind, "firing"), body(kind, "minimal"));
        let (whole, minimal) = (whole.to_string(), minimal.to_string());
        assert!(minimal.len() < whole.len() * 2 / 3, "{kind}: {minimal}");
        for needed in ["EX02", "Outbound to Office 365", "no longer recognises"] {
            assert!(minimal.contains(needed), "{kind}: {minimal}");
        }
    }
}

#[test]
fn trigger_and_resolve_name_the_same_alert() {
    for (kind, pointer) in [
        ("webhook", "/groupKey"),
        ("webhook", "/alerts/0/labels"),
        ("webhook", "/alerts/0/fingerprint"),
        ("webhook", "/alerts/0/startsAt"),
        ("alertmanager", "/0/labels"),
        ("alertmanager", "/0/startsAt"),
        ("pagerduty", "/dedup_key"),
        ("servicenow", "/records/0/message_key"),
        ("jira-service-management", "/label"),
        ("splunk-on-call", "/entity_id"),
    ] {
        let of = |case| body(kind, case).pointer(pointer).cloned();
        let trigger = of("firing");
        assert!(trigger.is_some(), "{kind} {pointer}");
        assert_eq!(trigger, of("resolved"), "{kind} {pointer}");
        assert_eq!(trigger, of("minimal"), "{kind} {pointer}");
    }
}
