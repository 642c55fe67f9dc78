//! `receivers:` who is called, and how.

pub(super) mod files;
pub(super) mod http;
pub(super) mod integration;
pub(super) mod url;

use std::collections::BTreeSet;

use serde_yaml::Spanned;

use crate::config::connector;
use crate::config::keys::{Key, nearest};
use crate::config::paths::Paths;
use crate::config::problem::{Problems, Wrong, quoted};
use crate::config::receiver::http::HttpConfig;
use crate::config::receiver::integration::Integration;
use crate::config::typed;
use crate::pipeline::expectation::ConnectorPattern;
use crate::pipeline::verdict::reason::Severity;

/// The severities as they are typed.
const SEVERITIES: [(&str, Severity); 3] = [
    ("critical", Severity::Critical),
    ("warning", Severity::Warning),
    ("information", Severity::Information),
];

/// One item of `receivers:`.
#[derive(Clone, Debug)]
pub struct ReceiverConfig {
    /// The name by which logs and metrics call it; no two are alike.
    pub name: String,
    /// What it is called for, most urgent first; empty only for a heartbeat, which is called for nothing.
    pub severities: Vec<Severity>,
    /// The send connectors it is called for; empty: all. What belongs to no connector goes to everybody.
    pub connectors: Vec<ConnectorPattern>,
    /// The name of the receiver that is called when this one cannot be. Following it never leads back here, and never
    /// to an Alertmanager or a heartbeat.
    pub fallback: Option<String>,
    /// How requests to it are made.
    pub http: HttpConfig,
    /// What it is.
    pub integration: Integration,
}

/// What `receivers:` means; it may be left out.
pub(super) fn read(
    typed: Option<&Vec<Spanned<typed::Receiver>>>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Vec<ReceiverConfig> {
    let key = Key::default().child("receivers");
    let mut names = BTreeSet::new();
    let receivers = problems.list(&key, typed, |problems, key, typed| {
        let receiver = receiver(&key, typed, paths, problems)?;
        if !names.insert(receiver.name.clone()) {
            let wrong = "is the name of an earlier receiver too";
            problems.add(&key.child("name"), typed.value.name.referenced, wrong);
        }
        Some(receiver)
    });
    check_fallbacks(&key, typed.map_or(&[][..], Vec::as_slice), problems);
    receivers
}

fn receiver(
    key: &Key,
    typed: &Spanned<typed::Receiver>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<ReceiverConfig> {
    let receiver = &typed.value;
    let name = problems.name(&key.child("name"), &receiver.name);
    let http = http::read(&key.child("http"), receiver.http.as_ref(), paths, problems);
    let integration = integration::read(key, typed, paths, problems);
    if receiver.heartbeat.is_some() {
        refuse_filters(key, receiver, problems);
        return Some(ReceiverConfig {
            name: name?,
            severities: Vec::new(),
            connectors: Vec::new(),
            fallback: None,
            http,
            integration: integration?,
        });
    }
    let severities = severities(
        &key.child("severities"),
        receiver.severities.as_ref(),
        problems,
    );
    let connectors = connectors(
        &key.child("connectors"),
        receiver.connectors.as_ref(),
        problems,
    );
    let fallback = problems.name(&key.child("fallback"), receiver.fallback.as_ref());
    Some(ReceiverConfig {
        name: name?,
        severities,
        connectors,
        fallback,
        http,
        integration: integration?,
    })
}

/// A heartbeat says that certdrift is alive, whatever the alerts are.
fn refuse_filters(key: &Key, receiver: &typed::Receiver, problems: &mut Problems) {
    let severities = receiver.severities.as_ref().map(|it| it.referenced);
    let connectors = receiver.connectors.as_ref().map(|it| it.referenced);
    let fallback = receiver.fallback.as_ref().map(|it| it.referenced);
    for (name, at) in [
        ("severities", severities),
        ("connectors", connectors),
        ("fallback", fallback),
    ] {
        if let Some(at) = at {
            let wrong = "means nothing for a heartbeat, which tells nobody of alerts; leave it out";
            problems.add(&key.child(name), at, wrong);
        }
    }
}

fn severities(
    key: &Key,
    typed: Option<&Spanned<Vec<Spanned<String>>>>,
    problems: &mut Problems,
) -> Vec<Severity> {
    let Some(typed) = typed else {
        return vec![Severity::Critical, Severity::Warning];
    };
    if typed.value.is_empty() {
        problems.add(
            key,
            typed.referenced,
            "is empty, so nobody would ever be called",
        );
    }
    let mut severities = problems.list(key, &typed.value, |problems, key, typed| {
        problems.text(&key, typed, severity)
    });
    severities.sort_by(|a, b| b.cmp(a));
    severities.dedup();
    severities
}

fn severity(text: &str) -> Result<Severity, Wrong> {
    let found = SEVERITIES.iter().find(|(word, _)| *word == text);
    let words = SEVERITIES.map(|(word, _)| word);
    found
        .map(|(_, severity)| *severity)
        .ok_or_else(|| Wrong::word(text, nearest(text, &words)))
}

fn connectors(
    key: &Key,
    typed: Option<&Spanned<Vec<Spanned<String>>>>,
    problems: &mut Problems,
) -> Vec<ConnectorPattern> {
    let Some(typed) = typed else {
        return Vec::new();
    };
    if typed.value.is_empty() {
        problems.add(
            key,
            typed.referenced,
            "is empty; leave it out if every connector is meant",
        );
    }
    problems.list(key, &typed.value, |problems, key, typed| {
        problems.text(&key, typed, connector::pattern)
    })
}

/// What a receiver cannot take must end up with somebody who is called, and not come back.
fn check_fallbacks(key: &Key, receivers: &[Spanned<typed::Receiver>], problems: &mut Problems) {
    let find = |name: &str| {
        let mut all = receivers.iter().map(|receiver| &receiver.value);
        all.find(|receiver| receiver.name.value.trim() == name)
    };
    for (index, receiver) in receivers.iter().enumerate() {
        let receiver = &receiver.value;
        let Some(typed) = receiver.fallback.as_ref() else {
            continue;
        };
        if receiver.heartbeat.is_some() {
            continue;
        }
        let name = typed.value.trim();
        let wrong = match find(name) {
            None => format!("{} is no receiver of this file", quoted(name)),
            Some(other) if other.heartbeat.is_some() => {
                format!("{name} is a heartbeat, which tells nobody of alerts")
            }
            Some(other) if other.alertmanager.is_some() => format!(
                "{name} is an Alertmanager, which is told of every alert that it is meant for anyway"
            ),
            Some(_) if leads_back(receiver, find) => {
                "leads back to this receiver, so nobody would be called".to_owned()
            }
            Some(_) => continue,
        };
        problems.add(&key.item(index).child("fallback"), typed.referenced, wrong);
    }
}

fn leads_back<'a>(
    start: &'a typed::Receiver,
    find: impl Fn(&str) -> Option<&'a typed::Receiver>,
) -> bool {
    let mut seen = BTreeSet::new();
    let mut at = start;
    loop {
        let next = at
            .fallback
            .as_ref()
            .and_then(|name| find(name.value.trim()));
        let Some(next) = next else { return false };
        if next.name.value.trim() == start.name.value.trim() {
            return true;
        }
        if !seen.insert(next.name.value.trim()) {
            // A circle that this one only leads to is told where it is.
            return false;
        }
        at = next;
    }
}

/// The word for a severity, as it is typed.
pub(super) fn severity_word(severity: Severity) -> &'static str {
    let found = SEVERITIES.iter().find(|(_, known)| *known == severity);
    found.map_or("", |(word, _)| word)
}
