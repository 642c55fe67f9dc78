//! Addresses: secrets, because whoever knows one can post there.

use std::path::PathBuf;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_yaml::{Location, Spanned};

use crate::config::keys::Key;
use crate::config::paths::Paths;
use crate::config::problem::{Problems, Wrong};

/// The connectors of Office 365 that Microsoft switched off in May 2026, for good.
const SWITCHED_OFF: &str = "webhook.office.com";

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
    pub(in crate::config) fn is_unencrypted(&self) -> bool {
        match self {
            Self::Inline(url) => is_unencrypted(url),
            Self::File(_) => false,
        }
    }
}

/// Whether what is sent there can be read on the way.
pub(in crate::config) fn is_unencrypted(url: &SecretString) -> bool {
    !url.expose_secret().starts_with("https:")
}

/// Reads an address that requests can be sent to: `http` or `https`, and a host.
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

/// The same for Microsoft Teams. Microsoft gives the addresses of Workflows under many names and may change them, so
/// only those are refused that cannot work any more.
///
/// # Errors
/// As [`check_url`].
pub fn check_teams_url(text: &str) -> Result<Url, &'static str> {
    let url = check_url(text)?;
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    let is_switched_off = host
        .strip_suffix(SWITCHED_OFF)
        .is_some_and(|before| before.is_empty() || before.ends_with('.'));
    if is_switched_off {
        return Err(
            "is that of an Office 365 connector (webhook.office.com), which Microsoft has switched off; in Teams, the \
             Workflows app makes a new one: `Send webhook alerts to a channel`",
        );
    }
    Ok(url)
}

/// Where to send to: an address, or a file that holds one. `at` is where the mapping of both keys stands.
pub(super) fn read(
    key: &Key,
    (url, file): (Option<&Spanned<String>>, Option<&Spanned<String>>),
    at: Location,
    check: fn(&str) -> Result<Url, &'static str>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<UrlSource> {
    match (url, file) {
        (Some(url), None) => problems.text(&key.child("url"), url, |text| inline(text, check)),
        (None, Some(file)) => problems.expandable_text(&key.child("url_file"), file, |text| {
            paths.file(text).map(UrlSource::File)
        }),
        (Some(_), Some(file)) => {
            let wrong = "has `url` and `url_file`; keep one of the two";
            problems.add(key, file.referenced, wrong);
            None
        }
        (None, None) => {
            problems.add(key, at, "says nowhere where to send to");
            None
        }
    }
}

fn inline(text: &str, check: fn(&str) -> Result<Url, &'static str>) -> Result<UrlSource, Wrong> {
    check(text)?;
    Ok(UrlSource::Inline(SecretString::from(text)))
}

/// An address that may not come from a file.
pub(super) fn secret(text: &str) -> Result<SecretString, Wrong> {
    check_url(text)?;
    Ok(SecretString::from(text))
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
    fn only_dead_addresses_of_teams_are_refused() {
        for dead in [
            "https://contoso.webhook.office.com/webhookb2/x",
            "https://webhook.office.com/x",
            "https://CONTOSO.Webhook.Office.COM./x",
        ] {
            assert!(check_teams_url(dead).is_err(), "{dead}");
        }
        for alive in [
            "https://prod-12.westeurope.logic.azure.com:443/workflows/x",
            "https://default1.2.environment.api.powerplatform.com/powerautomate/x",
            "https://notwebhook.office.com/x",
            "http://127.0.0.1:8080/webhook.office.com",
        ] {
            assert!(check_teams_url(alive).is_ok(), "{alive}");
        }
    }

    #[test]
    fn debug_output_holds_no_address() {
        let source = UrlSource::Inline(SecretString::from("https://contoso.com/topsecret"));
        assert!(!format!("{source:?}").contains("topsecret"));
    }
}
