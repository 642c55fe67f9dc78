//! Text that somebody else has written, a banner or the name of a certificate, must not become markup anywhere.

use certdrift::pipeline::shown::is_deceptive;
use certdrift::render::template::Template;
use serde_json::Value;

use crate::bodies::{KINDS, body as body_of, message};

fn body(kind: &str) -> Value {
    body_of(kind, "planted")
}

/// Every text of a document, with where it stands.
fn texts(value: &Value, at: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => found.push((at.to_owned(), text.clone())),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| texts(item, &format!("{at}/{index}"), found)),
        Value::Object(items) => items
            .iter()
            .for_each(|(key, item)| texts(item, &format!("{at}/{key}"), found)),
        _ => {}
    }
}

fn all_texts(value: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    texts(value, "", &mut found);
    found
}

#[test]
fn nothing_that_cannot_be_seen_gets_through_to_anybody() {
    let template = Template::new(
        "t",
        "[{{ summary }}, {{ reasons }}, {{ connector }}, {{ action }}]",
    );
    let by_template = template.unwrap().body(&message("planted")).unwrap();
    let bodies = KINDS.map(|kind| (kind, body(kind)));
    let by_template = ("template", serde_json::from_str(&by_template).unwrap());
    for (kind, body) in bodies.into_iter().chain([by_template]) {
        for (at, text) in all_texts(&body) {
            let hidden = text.chars().find(|c| *c != '\n' && is_deceptive(*c));
            assert_eq!(hidden, None, "{kind}{at}: {text:?}");
            assert!(text.chars().count() <= 32_000, "{kind}{at}");
        }
    }
}

#[test]
fn slack_finds_no_mention_and_no_link() {
    for (at, text) in all_texts(&body("slack")) {
        if at.starts_with("/blocks/") && text_object_is_plain(&at) {
            continue;
        }
        // Whatever begins with `<` is certdrift's own link to the runbook.
        let own = "<https://certdrift.contoso.com/runbooks/ConnectorCertificateMismatch|Runbook>";
        let rest = text.replace(own, "");
        assert!(!rest.contains('<') && !rest.contains('>'), "{at}: {text}");
        let fences = text.matches("```").count();
        assert!(fences == 0 || fences == 2, "{at}: {text}");
    }
    for (at, value) in [("/link_names", false), ("/unfurl_links", false)] {
        assert_eq!(body("slack").pointer(at), Some(&Value::Bool(value)));
    }
}

/// Whether a text belongs to an object of plain text, in which Slack looks for nothing.
fn text_object_is_plain(at: &str) -> bool {
    let parent = at.rsplit_once('/').map_or("", |(parent, _)| parent);
    body("slack").pointer(&format!("{parent}/type")) == Some(&Value::from("plain_text"))
}

#[test]
fn teams_finds_no_markdown() {
    for (at, text) in all_texts(&body("teams")) {
        if !at.contains("/body/") || at.ends_with("/type") || at.contains("/inlines/") {
            continue;
        }
        let mut characters = text.chars();
        while let Some(c) = characters.next() {
            if c == '\\' {
                characters.next();
            } else {
                assert!(!"*_[]`~<>".contains(c), "{at}: unescaped {c} in {text}");
            }
        }
    }
}

#[test]
fn a_command_is_told_whole_or_not_at_all() {
    let whole = ["Write-Host 'a'", "…"];
    for (kind, pointer) in [
        ("webhook", "/commonAnnotations/action"),
        ("pagerduty", "/payload/custom_details/action"),
    ] {
        let body = body(kind);
        let action = body.pointer(pointer).unwrap().as_str().unwrap();
        assert!(
            action.lines().all(|line| whole.contains(&line)),
            "{kind}: {action}"
        );
    }
    let runs = all_texts(&body("teams"));
    let mut runs = runs.iter().filter(|(at, _)| at.contains("/inlines/"));
    assert!(runs.all(|(at, text)| !at.ends_with("/text") || whole.contains(&text.as_str())));
}

#[test]
fn discord_calls_nobody_and_finds_no_link() {
    for (at, text) in all_texts(&body("discord")) {
        let is_own = ["/url", "/timestamp", "/name", "/username"]
            .iter()
            .any(|it| at.ends_with(it));
        // Between the marks of a block of code nothing is markup.
        if is_own || text.starts_with("```powershell\n") {
            assert!(text.matches("```").count() <= 2, "{at}: {text}");
            continue;
        }
        for markup in ["<@", "](", "```"] {
            let found = text.match_indices(markup);
            let mut unescaped = found.filter(|(index, _)| !text[..*index].ends_with('\\'));
            assert_eq!(unescaped.next(), None, "{at}: {text}");
        }
    }
}
