//! What was typed: the shape of the file, key by key, before anything is asked about its meaning.
//!
//! Texts stay texts here, with their positions, so that what is wrong with a meaning can be told at its place. The types
//! have no `Debug`: an address of a webhook is a secret.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;
use serde_yaml::{Error, Location, Options, Spanned};

use crate::config::keys::{self, Key};
use crate::config::problem::{Problem, looks_like_a_key};

/// Most nodes of a file, aliases expanded: a thousand connectors with all their keys, and no alias bomb.
const MAX_NODES: usize = 100_000;

type Text = Spanned<String>;
type List<T> = Vec<Spanned<T>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) sources: Spanned<List<Source>>,
    pub(super) connectors: Option<List<Connector>>,
    pub(super) exports: Option<Spanned<Exports>>,
    pub(super) inventory: Option<List<String>>,
    pub(super) alerts: Option<Alerts>,
    pub(super) receivers: Option<List<Receiver>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub(super) server: Option<Text>,
    pub(super) path: Text,
    pub(super) first_read: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Connector {
    pub(super) name: Text,
    pub(super) expected: Option<Spanned<Expected>>,
    pub(super) accept: Option<List<String>>,
    pub(super) planned: Option<List<Planned>>,
    pub(super) silent_after: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Planned {
    pub(super) thumbprint: Text,
    pub(super) from: Text,
    pub(super) until: Text,
    pub(super) reason: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exports {
    pub(super) inbound_connectors: Option<Text>,
    pub(super) accepted_domains: Option<Text>,
    pub(super) send_connectors: Option<Text>,
    pub(super) certificates: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alerts {
    pub(super) expiry: Option<Expiry>,
    pub(super) rollout_window: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expiry {
    pub(super) warning: Option<Text>,
    pub(super) critical: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    pub(super) inbound_connectors: Option<List<InboundConnector>>,
    pub(super) accepted_domains: Option<Spanned<List<String>>>,
    pub(super) tls_certificate_name: Option<Text>,
    pub(super) thumbprints: Option<List<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InboundConnector {
    pub(super) name: Text,
    pub(super) enabled: Option<bool>,
    pub(super) connector_type: Option<Text>,
    pub(super) tls_sender_certificate_name: Option<Text>,
    pub(super) sender_ip_addresses: Option<List<String>>,
    pub(super) cloud_services_mail_enabled: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Receiver {
    pub(super) name: Text,
    pub(super) severities: Option<Spanned<List<String>>>,
    pub(super) connectors: Option<Spanned<List<String>>>,
    pub(super) fallback: Option<Text>,
    pub(super) http: Option<Spanned<Http>>,
    pub(super) webhook: Option<Spanned<Webhook>>,
    pub(super) alertmanager: Option<Spanned<Alertmanager>>,
    pub(super) pagerduty: Option<Spanned<PagerDuty>>,
    pub(super) slack: Option<Spanned<Channel>>,
    pub(super) teams: Option<Spanned<Channel>>,
    pub(super) heartbeat: Option<Spanned<Heartbeat>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    pub(super) basic_auth: Option<Spanned<BasicAuth>>,
    pub(super) bearer_auth: Option<Spanned<BearerAuth>>,
    pub(super) headers: Option<List<Header>>,
    pub(super) ca_file: Option<Text>,
    pub(super) cert_file: Option<Text>,
    pub(super) key_file: Option<Text>,
    pub(super) proxy_url: Option<Text>,
    pub(super) proxy_url_file: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BasicAuth {
    pub(super) username: Text,
    pub(super) password_file: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BearerAuth {
    pub(super) token_file: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) name: Text,
    pub(super) value: Option<Text>,
    pub(super) value_file: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Webhook {
    pub(super) url: Option<Text>,
    pub(super) url_file: Option<Text>,
    pub(super) secret_file: Option<Text>,
    pub(super) template: Option<Text>,
    pub(super) template_file: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alertmanager {
    pub(super) urls: Option<Spanned<List<String>>>,
    pub(super) urls_file: Option<Text>,
    pub(super) resend_interval: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PagerDuty {
    pub(super) routing_key_file: Text,
    pub(super) url: Option<Text>,
}

/// A channel of a chat.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Channel {
    pub(super) url: Option<Text>,
    pub(super) url_file: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Heartbeat {
    pub(super) url: Option<Text>,
    pub(super) url_file: Option<Text>,
    pub(super) method: Option<Text>,
    pub(super) interval: Option<Text>,
}

/// Reads the shape of the file. The first problem ends it: after a wrong shape there is no telling what the rest means.
pub(super) fn read(text: &str) -> Result<File, Problem> {
    shape(text)
}

/// The same for any kind of file.
pub(super) fn shape<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let mut place = serde_path_to_error::Track::new();
    serde_yaml::with_deserializer_from_str_with_options(text, options(), |yaml| {
        T::deserialize(serde_path_to_error::Deserializer::new(yaml, &mut place))
    })
    .map_err(|error| explain(&error, &place.path()))
}

fn options() -> Options {
    serde_yaml::options! {
        // A snippet would repeat the line, and with it a secret.
        with_snippet: false,
        reject_unsupported_tags: true,
        budget: serde_yaml::budget! { max_nodes: MAX_NODES },
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: MAX_NODES },
    }
}

fn explain(error: &Error, path: &serde_path_to_error::Path) -> Problem {
    let error = match error {
        Error::AliasError { error, .. } => error,
        other => other,
    };
    // Without a position the file as a whole is meant: its first character.
    let at = error.location().filter(|at| *at != Location::UNKNOWN);
    let (line, column) = at.map_or((1, 1), |at| (at.line(), at.column()));
    if let Error::SerdeUnknownField {
        field, expected, ..
    } = error
    {
        return unknown_key(field, expected, (line, column), path);
    }
    let key = match error {
        Error::SerdeMissingField { field, .. } => key_of(path).child(field),
        Error::DuplicateMappingKey { key: Some(key), .. } => key_of(path).child(shown(key)),
        _ => key_of(path),
    };
    let problem = Problem::at(line, column, key, wrong(error));
    match error {
        Error::ExternalMessage { msg, .. } => problem.expecting(valid_yaml(msg)),
        Error::UnknownAnchor { .. } | Error::UnsupportedTag { .. } => {
            problem.expecting("single quotes around the value if that character is a part of it")
        }
        _ => problem,
    }
}

fn unknown_key(
    typed: &str,
    valid: &[&'static str],
    at: (u64, u64),
    path: &serde_path_to_error::Path,
) -> Problem {
    // The path ends with the unknown key itself.
    let segments = path.iter().count().saturating_sub(1);
    let key = key_of_segments(path.iter().take(segments)).child(shown(typed));
    let problem = |wrong: &str| Problem::at(at.0, at.1, key.clone(), wrong);
    let nearest = keys::nearest(typed, valid);
    let home = keys::home_of(typed).filter(|_| nearest.is_none());
    let wrong = home.map_or_else(
        || "is no known key".to_owned(),
        |home| format!("is no key of this place; it belongs to `{home}`"),
    );
    let expected = match valid {
        [only] => (*only).to_owned(),
        several => format!("one of {}", several.join(", ")),
    };
    problem(&wrong).expecting(expected).meaning(nearest)
}

/// What is wrong, without repeating a word of the file.
fn wrong(error: &Error) -> String {
    match error {
        Error::SerdeMissingField { .. } => "is missing".to_owned(),
        Error::DuplicateMappingKey { .. } => "is given twice in the same place".to_owned(),
        Error::NullIntoString { .. } => "has no value".to_owned(),
        Error::InvalidScalar { .. } | Error::InvalidBooleanStrict { .. } => {
            "is neither true nor false".to_owned()
        }
        Error::Unexpected {
            expected: "mapping start",
            ..
        } => "is not a set of `key: value` lines".to_owned(),
        Error::Unexpected {
            expected: "sequence start",
            ..
        } => "is not a list".to_owned(),
        Error::Unexpected { .. } => "is not a single value".to_owned(),
        Error::Eof { .. } => "the file ends before anything is said".to_owned(),
        Error::MultipleDocuments { .. } => {
            "a second document follows after `---`, where the file should end".to_owned()
        }
        Error::UnknownAnchor { .. } => {
            "is a YAML alias, for it begins with `*`, and there is no such anchor".to_owned()
        }
        Error::UnsupportedTag { .. } => {
            "begins with a YAML tag, `!`, and none is known here".to_owned()
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => {
            format!("the file is nested too deeply or has more than {MAX_NODES} values")
        }
        Error::ExternalMessage { msg, .. } => format!("is not valid YAML: {msg}"),
        _ => "cannot be understood as YAML".to_owned(),
    }
}

/// What the YAML parser would have read in place of the mistakes that admins make, Windows paths in double quotes first.
fn valid_yaml(message: &str) -> &'static str {
    const HINTS: [(&str, &str); 6] = [
        (
            "escape",
            "single quotes around a text with backslashes, for in double quotes they are special",
        ),
        ("tabs", "blanks, not tabs, at the start of the line"),
        (
            "unexpected character",
            "single quotes around a text that begins with a special character",
        ),
        (
            "anchor or alias",
            "single quotes around a text that begins with `*` or `&`",
        ),
        ("unclosed quote", "a closing quote"),
        ("unclosed bracket", "a closing bracket"),
    ];
    let hint = HINTS.iter().find(|(part, _)| message.contains(part));
    hint.map_or(
        "`key: value` lines and `- item` lists, indented evenly with blanks",
        |(_, hint)| hint,
    )
}

fn key_of(path: &serde_path_to_error::Path) -> Key {
    key_of_segments(path.iter())
}

/// The path as an admin sees it: `Spanned` adds a `value` of its own at each step, which no key of the file is called.
fn key_of_segments<'a>(segments: impl Iterator<Item = &'a Segment>) -> Key {
    segments.fold(Key::default(), |key, segment| match segment {
        Segment::Seq { index } => key.item(*index),
        Segment::Map { key: name } if name != "value" => key.child(shown(name)),
        _ => key,
    })
}

/// A key as typed, unless it is no such thing: an address in the wrong place is still a secret.
fn shown(key: &str) -> &str {
    if looks_like_a_key(key) { key } else { "…" }
}
