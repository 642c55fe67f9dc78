//! The status page and its JSON, from a state that real log text has led to.

mod contrast;
pub(crate) mod made_up;
mod skeleton;

use std::collections::BTreeSet;

use certdrift::pipeline::alert::REPEAT;
use certdrift::pipeline::snapshot::State;
use certdrift::render::page;
use certdrift::render::page::Setting;
use certdrift::render::status;
use certdrift::render::status::{CONNECTORS_PER_PAGE, MAX_ALERTS, MAX_SUMMARY_BYTES, Selection};
use serde_json::Value;

use crate::status::made_up::{MadeUp, now};
use crate::status::skeleton::skeleton;

/// Texts that would get out of HTML, SVG, an attribute, a style sheet, an address or a comment, if nobody held them.
const MARKUP: &[&str] = &[
    "\"><script>alert(1)</script>",
    "'><img src=x onerror=alert(1)>",
    "</style></title></textarea><svg onload=alert(1)>",
    "</desc></text></svg><a href=\"javascript:alert(1)\">x</a>",
    "javascript:alert(1)",
    "\" onmouseover=\"alert(1)",
    "<!-- --><![CDATA[ ]]>&lt;script&gt;&#60;b&#62;",
    "url(#x) ' ` ${1} {{ 1 }} %3Cscript%3E",
];

fn html(state: &State, selection: &Selection) -> String {
    let setting = Setting {
        now: state.snapshot.at,
        telemetry_path: "/metrics",
        refreshes: true,
    };
    page::page(&status::status(state, selection), setting)
}

fn json(state: &State, selection: &Selection) -> Value {
    serde_json::from_str(&status::json(&status::status(state, selection))).unwrap()
}

fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/status")
}

/// A changed key or meaning shows here. After a change that is meant: `CERTDRIFT_BLESS=1 cargo nextest run status`.
#[test]
fn the_document_is_what_it_was() {
    let mut found = json(&MadeUp::default().state(), &Selection::default());
    found["certdrift"]["version"] = "0.0.0".into();
    let found = format!("{}\n", serde_json::to_string_pretty(&found).unwrap());
    let file = folder().join("status.json");
    if std::env::var_os("CERTDRIFT_BLESS").is_some() {
        std::fs::write(&file, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap();
    assert_eq!(found, expected);
}

#[test]
fn every_key_is_documented_and_every_documented_key_exists() {
    fn collect(value: &Value, path: &str, keys: &mut BTreeSet<String>) {
        match value {
            Value::Object(entries) => {
                for (key, value) in entries {
                    let path = format!("{path}{key}");
                    collect(value, &format!("{path}."), keys);
                    keys.insert(path);
                }
            }
            Value::Array(entries) => entries.iter().for_each(|entry| collect(entry, path, keys)),
            _ => {}
        }
    }
    let mut keys = BTreeSet::new();
    let document = json(&MadeUp::default().state(), &Selection::default());
    collect(&document, "", &mut keys);
    let manual = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/api.md");
    let manual = std::fs::read_to_string(manual).unwrap();
    let (_, reference) = manual.split_once("## `/api/v1/status`").unwrap();
    let rows = reference
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<String> = rows
        .filter_map(|row| row.split_once('`'))
        .map(|(key, _)| key.to_owned())
        .collect();
    assert_eq!(keys, documented);
}

#[test]
fn markup_in_a_log_stays_text() {
    let plain = html(&MadeUp::of("plain words").state(), &Selection::default());
    assert!(plain.contains("plain words"));
    // A subject that cannot be read is a reason more, whose code stands in an element of its own.
    let tags = |html: &str| -> Result<Vec<String>, String> {
        let mut tags = skeleton(html)?;
        tags.retain(|tag| tag != "code" && tag != "/code");
        Ok(tags)
    };
    let expected = tags(&plain).unwrap();
    for markup in MARKUP {
        let state = MadeUp::of(markup).state();
        let found = html(&state, &Selection::default());
        let found_tags = tags(&found).unwrap_or_else(|error| panic!("{markup}: {error}"));
        let pairs = found_tags.iter().zip(&expected);
        let differing = pairs.clone().find(|(found, expected)| found != expected);
        assert_eq!(differing, None, "{markup}");
        assert_eq!(found_tags.len(), expected.len(), "{markup}");
        let selection = Selection {
            server: Some((*markup).to_owned()),
            page: 1,
        };
        let nothing = html(&state, &selection);
        assert!(skeleton(&nothing).is_ok(), "{markup}");
        // Whoever follows a link stays here.
        let addresses = found.split(" href=\"").skip(1);
        let addresses: Vec<&str> = addresses
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(addresses.len() > 10);
        for address in addresses {
            let known = [
                "?",
                "#",
                "icon/",
                "runbooks/Connector",
                "api/v1/status",
                "metrics",
                "-/ready",
            ];
            assert!(known.iter().any(|it| address.starts_with(it)), "{address}");
        }
    }
}

#[test]
fn a_tokenizer_that_sees_no_markup_would_prove_nothing() {
    let page = html(&MadeUp::default().state(), &Selection::default());
    let clean = skeleton(&page).unwrap();
    for planted in ["<b>", "<p onclick=x>", "<i\n>"] {
        let dirty = page.replacen("certdrift", planted, 1);
        assert_ne!(skeleton(&dirty).as_ref(), Ok(&clean), "{planted}");
    }
    assert!(skeleton(&page.replacen("<h1>", "<h1", 1)).is_err());
}

#[test]
fn the_page_needs_nothing_that_its_policy_forbids() {
    let page = html(&MadeUp::default().state(), &Selection::default());
    for forbidden in [
        "<script", " style=", " on", "<iframe", "<form", "@import", "http://", "https://",
    ] {
        let found = match forbidden {
            " on" => skeleton(&page)
                .unwrap()
                .iter()
                .any(|token| token.contains(" on")),
            "http://" => page
                .replace("http://www.w3.org/2000/svg", "")
                .contains(forbidden),
            _ => page.contains(forbidden),
        };
        assert!(!found, "{forbidden}");
    }
    let policy = page::CONTENT_SECURITY_POLICY.as_str();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
    assert!(!policy.contains("unsafe"));
}

#[test]
fn the_page_says_what_an_operator_needs() {
    let state = MadeUp::default().state();
    let page = html(&state, &Selection::default());
    for expected in [
        "2 critical alerts",
        "Exchange Online no longer recognises the certificate that is presented",
        "EX02</strong>, Outbound",
        "Set-InboundConnector -Identity 'Inbound'",
        "href=\"runbooks/ConnectorCertificateMismatch\"",
        "owa.contoso.com",
        "198.51.100.7",
        "as logged, exact to ±14 h",
        "% left".trim_start_matches('%'),
        "planned renewal",
        "no client certificate",
        "relay denied",
        "/srv/EX02: permission denied",
        "oncall",
        "never",
        "send connectors named",
        "running since",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    // Not colour alone, and not the picture alone.
    assert!(page.contains("<title id=\"timeline-title-0\">") && page.contains("As a table"));
    assert!(page.contains("http-equiv=\"refresh\""));
    let still = Setting {
        now: now(),
        telemetry_path: "/metrics",
        refreshes: false,
    };
    let still = page::page(&status::status(&state, &Selection::default()), still);
    assert!(!still.contains("http-equiv=\"refresh\""));
}

#[test]
fn a_server_that_nobody_knows_is_not_taken_for_one_without_mail() {
    let state = MadeUp::default().state();
    let of = |server: &str| Selection {
        server: Some(server.to_owned()),
        page: 1,
    };
    let unknown = html(&state, &of("NOPE"));
    let said = "No session has been seen of a server called <strong>NOPE</strong>. <a href=\"?\">Show all servers</a>";
    assert!(unknown.contains(said));
    assert!(!unknown.contains("No session of a send connector"));
    assert!(!html(&state, &of("EX01")).contains("No session"));
}

/// "well" is said only of what is known to be well.
#[test]
fn what_was_not_tried_and_what_cannot_be_read_is_said_to_be_so() {
    let mut state = MadeUp::default().state();
    let badges = |state: &State| -> Vec<String> {
        let page = html(state, &Selection::default());
        let (_, operation) = page.split_once("<section id=\"sources\"").unwrap();
        let badges = operation.split("<span class=\"badge").skip(1);
        let words = badges.filter_map(|badge| badge.split("</svg>").nth(1)?.split('<').next());
        words.map(str::to_owned).collect()
    };
    let word = |state: &State, word: &str| badges(state).iter().any(|badge| badge == word);
    assert!(state.snapshot.receivers.iter().all(|it| it.waiting > 0));
    for receiver in &mut state.snapshot.receivers {
        (receiver.waiting, receiver.dead, receiver.last_success) = (0, 0, None);
    }
    assert!(word(&state, "nothing sent yet") && !word(&state, "well"));
    state.snapshot.receivers[0].last_success = Some(now());
    assert!(word(&state, "well") && !word(&state, "nothing sent yet"));

    let page = html(&state, &Selection::default());
    assert!(page.contains("<strong>1 of 2 sources cannot be read. </strong>"));
    state.expectation.exports.clear();
    for source in &mut state.sources {
        (source.trouble, source.up) = (None, false);
    }
    let page = html(&state, &Selection::default());
    assert!(!page.contains("cannot be read"));
    assert!(word(&state, "not read yet") && !word(&state, "trouble"));
}

#[test]
fn a_state_that_cannot_be_written_and_the_end_of_the_own_certificate_are_said() {
    let well = MadeUp::default().state();
    let own = "The certificate of this page itself ends on";
    let shown = html(&well, &Selection::default());
    assert!(shown.contains(own) && shown.contains("(in 17 days)"));
    assert!(!shown.contains("cannot be written"));
    let full = State {
        writable: false,
        ready: false,
        web_certificate: None,
        ..well
    };
    let shown = html(&full, &Selection::default());
    assert!(shown.contains("<title>The state cannot be written · certdrift</title>"));
    assert!(shown.contains("Nothing is lost: the logs keep what they have."));
    assert!(!shown.contains("Not everything has been read yet"));
    assert!(!shown.contains(own));
    let json = json(&full, &Selection::default());
    assert_eq!(json["certdrift"]["state_writable"], false);
    assert_eq!(json["certdrift"]["web_certificate"], Value::Null);
}

#[test]
fn a_state_that_is_old_is_said_to_be() {
    let state = MadeUp::default().state();
    let shown = |now| {
        let setting = Setting {
            now,
            telemetry_path: "/metrics",
            refreshes: true,
        };
        page::page(&status::status(&state, &Selection::default()), setting)
    };
    assert!(!shown(now()).contains("This is old."));
    assert!(shown(now().checked_add(REPEAT).unwrap()).contains("This is old."));
}

#[test]
fn hundreds_of_connectors_come_in_pages_with_problems_first() {
    let many = MadeUp {
        others: 2 * CONNECTORS_PER_PAGE,
        ..MadeUp::default()
    };
    let state = many.state();
    let page = |page, server: Option<&str>| {
        let server = server.map(str::to_owned);
        json(&state, &Selection { server, page })
    };
    let first = page(1, None);
    assert_eq!(first["selection"]["pages"], 3);
    assert_eq!(
        first["selection"]["connectors"],
        2 + 2 * CONNECTORS_PER_PAGE
    );
    assert_eq!(first["connectors"][0]["verdict"], "mismatch");
    let names = |document: &Value| {
        let connectors = document["connectors"].as_array().unwrap().iter();
        let name = |it: &Value| (it["server"].to_string(), it["connector"].to_string());
        connectors.map(name).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = (1..=3).flat_map(|it| names(&page(it, None))).collect();
    assert_eq!(all.len(), 2 + 2 * CONNECTORS_PER_PAGE);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 2 + 2 * CONNECTORS_PER_PAGE, "each once");
    for beyond in [0, 4, usize::MAX] {
        let document = page(beyond, None);
        let clamped = beyond.clamp(1, 3);
        assert_eq!(document["selection"]["page"], clamped);
    }
    let of_one = page(1, Some("EX02"));
    assert_eq!(of_one["selection"]["connectors"], 1);
    assert_eq!(of_one["alerts"].as_array().unwrap().len(), 4);
    assert_eq!(page(1, Some("EX01"))["alerts"].as_array().unwrap().len(), 0);
    let shown = html(&state, &Selection::default());
    assert!(shown.contains("Page 1 of 3") && shown.contains("?page=2#connectors"));
}

#[test]
fn an_answer_has_a_limit_whatever_happens() {
    let worst = MadeUp {
        others: 300,
        all_wrong: true,
        ..MadeUp::of(&"<".repeat(5000))
    };
    let mut state = worst.state();
    state.configuration = "a line of the summary\n".repeat(100_000).into();
    let document = json(&state, &Selection::default());
    assert_eq!(document["counts"]["alerts"], 604);
    assert_eq!(document["alerts"].as_array().unwrap().len(), MAX_ALERTS);
    let summary = document["configuration"]["summary"].as_str().unwrap();
    assert!(summary.len() <= MAX_SUMMARY_BYTES + 20 && summary.ends_with("(and more)\n"));
    let page = html(&state, &Selection::default());
    assert!(page.contains("Shown: 100 of 604 alerts"));
    assert!(page.len() < 6_000_000, "{} bytes", page.len());
}
