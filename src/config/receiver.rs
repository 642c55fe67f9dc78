//! `receivers:` who is called, and how.

use std::collections::BTreeSet;
use std::path::PathBuf;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_yaml::Spanned;

use crate::config::keys::{Key, nearest};
use crate::config::paths::Paths;
use crate::config::problem::{Problems, Wrong};
use crate::config::typed;
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
    /// What it is called for, most urgent first; at least one.
    pub severities: Vec<Severity>,
    /// How it is called.
    pub webhook: WebhookConfig,
}

/// A webhook: an HTTP POST for each message.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Where to.
    pub url: UrlSource,
    /// The file of the signing secret, read at each send; `None`: messages are not signed.
    pub secret_file: Option<PathBuf>,
}

/// Where an address comes from. The address itself is a secret: who knows it can post there.
#[derive(Clone, Debug)]
pub enum UrlSource {
    /// The configuration; [`check_url`] has accepted it.
    Inline(SecretString),
    /// A file, read at each send; white space around the address does not count.
    File(PathBuf),
}

impl UrlSource {
    /// Whether the address is known, and would carry messages unencrypted.
    pub(super) fn is_unencrypted(&self) -> bool {
        match self {
            Self::Inline(url) => !url.expose_secret().starts_with("https:"),
            Self::File(_) => false,
        }
    }
}

/// Reads an address that a webhook can be sent to: `http` or `https`, and a host.
///
/// # Errors
/// What is wrong, in words that follow the key or the file; never the address itself.
pub fn check_url(text: &str) -> Result<Url, &'static str> {
    // With these schemes, an address without a host does not parse.
    let url = Url::parse(text).map_err(|_| "is no address with a scheme and a host")?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err("begins with neither https:// nor http://"),
    }
}

/// What `receivers:` means; it may be left out.
pub(super) fn read(
    typed: Option<&Vec<Spanned<typed::Receiver>>>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Vec<ReceiverConfig> {
    let mut names = BTreeSet::new();
    problems.list(
        &Key::default().child("receivers"),
        typed,
        |problems, key, typed| {
            let receiver = receiver(&key, &typed.value, paths, problems)?;
            if !names.insert(receiver.name.clone()) {
                let wrong = "is the name of an earlier receiver too";
                problems.add(&key.child("name"), typed.value.name.referenced, wrong);
            }
            Some(receiver)
        },
    )
}

fn receiver(
    key: &Key,
    typed: &typed::Receiver,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<ReceiverConfig> {
    let name = problems.name(&key.child("name"), &typed.name);
    let severities = severities(
        &key.child("severities"),
        typed.severities.as_ref(),
        problems,
    );
    let webhook = webhook(&key.child("webhook"), &typed.webhook, paths, problems);
    Some(ReceiverConfig {
        name: name?,
        severities,
        webhook: webhook?,
    })
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

/// The word for a severity, as it is typed.
pub(super) fn severity_word(severity: Severity) -> &'static str {
    let found = SEVERITIES.iter().find(|(_, known)| *known == severity);
    found.map_or("", |(word, _)| word)
}

fn webhook(
    key: &Key,
    typed: &Spanned<typed::Webhook>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<WebhookConfig> {
    let webhook = &typed.value;
    let url = match (&webhook.url, &webhook.url_file) {
        (Some(url), None) => problems.text(&key.child("url"), url, inline_url),
        (None, Some(file)) => problems.expandable_text(&key.child("url_file"), file, |text| {
            paths.file(text).map(UrlSource::File)
        }),
        (Some(_), Some(file)) => {
            problems.add(
                key,
                file.referenced,
                "has `url` and `url_file`; keep one of the two",
            );
            None
        }
        (None, None) => {
            problems.add(key, typed.referenced, "says nowhere where to send to");
            None
        }
    };
    let secret_file = webhook.secret_file.as_ref();
    let secret_file = problems.expandable_text(&key.child("secret_file"), secret_file, |text| {
        paths.file(text)
    });
    Some(WebhookConfig {
        url: url?,
        secret_file,
    })
}

fn inline_url(text: &str) -> Result<UrlSource, Wrong> {
    check_url(text)?;
    Ok(UrlSource::Inline(SecretString::from(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_need_a_web_scheme_and_a_host() {
        for right in [
            "https://hooks.contoso.com/a?b=c",
            "http://127.0.0.1:8080/",
            "https://[2001:db8::1]/x",
        ] {
            assert!(check_url(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "hooks.contoso.com",
            "https://",
            "https:///x y",
            "ftp://contoso.com/",
            "mailto:a",
            "/x",
            "https://a b/",
        ] {
            assert!(check_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn debug_output_holds_no_address() {
        let source = UrlSource::Inline(SecretString::from("https://contoso.com/topsecret"));
        assert!(!format!("{source:?}").contains("topsecret"));
    }
}
