//! What a receiver is: exactly one of the kinds below.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde_yaml::{Location, Spanned};

use crate::config::duration;
use crate::config::keys::{Key, nearest};
use crate::config::paths::Paths;
use crate::config::problem::{Problems, Wrong};
use crate::config::receiver::url;
use crate::config::receiver::url::{UrlSource, check_teams_url, check_url};
use crate::config::typed;
use crate::pipeline::outbox::Rate;

/// How often firing alerts are told to an Alertmanager, unless the configuration says otherwise.
const RESEND_INTERVAL: Duration = Duration::from_secs(60);
/// The shortest and the longest such interval: an Alertmanager forgets an alert four of them after the last time.
const RESEND_INTERVALS: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(15 * 60)];
/// How often a heartbeat is sent, unless the configuration says otherwise.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(60);
/// The shortest and the longest such interval.
const HEARTBEAT_INTERVALS: [Duration; 2] =
    [Duration::from_secs(10), Duration::from_secs(24 * 60 * 60)];
/// The events endpoint of `PagerDuty`'s service region United States; Europe has another.
const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";
/// The longest template in the configuration itself, in bytes.
pub const MAX_TEMPLATE_BYTES: usize = 64 * 1024;

/// The kind of a receiver.
#[derive(Clone, Debug)]
pub enum Integration {
    /// An HTTP POST for each message.
    Webhook(WebhookConfig),
    /// Every instance of a Prometheus Alertmanager.
    Alertmanager(AlertmanagerConfig),
    /// `PagerDuty`, by its Events API v2.
    PagerDuty(PagerDutyConfig),
    /// A channel of Slack, by an incoming webhook.
    Slack(UrlSource),
    /// A channel or chat of Microsoft Teams, by Workflows.
    Teams(UrlSource),
    /// A dead man's switch, which calls somebody when it is *not* called.
    Heartbeat(HeartbeatConfig),
}

impl Integration {
    /// The key that it is configured by, which is the `integration` label too.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Alertmanager(_) => "alertmanager",
            Self::PagerDuty(_) => "pagerduty",
            Self::Slack(_) => "slack",
            Self::Teams(_) => "teams",
            Self::Heartbeat(_) => "heartbeat",
        }
    }

    /// How many messages it takes, as far as it says.
    pub fn rate(&self) -> Rate {
        match self {
            // About 120 a minute and key, beyond which it answers 429: what may go at once counts too.
            Self::PagerDuty(_) => Rate {
                burst: 20,
                per_minute: 100,
            },
            // One a second, and no promise of more at once.
            Self::Slack(_) => Rate {
                burst: 1,
                per_minute: 60,
            },
            // Four a second at most.
            Self::Teams(_) => Rate {
                burst: 4,
                per_minute: 60,
            },
            Self::Webhook(_) | Self::Alertmanager(_) | Self::Heartbeat(_) => Rate::default(),
        }
    }
}

/// A webhook.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Where to.
    pub url: UrlSource,
    /// The file of the signing secrets, read at each send; `None`: messages are not signed.
    pub secret_file: Option<PathBuf>,
    /// What the body is made from; `None`: it is that of an Alertmanager.
    pub template: Option<TemplateSource>,
}

/// Where a template comes from.
#[derive(Clone, Debug)]
pub enum TemplateSource {
    /// The configuration; a key may stand in it.
    Inline(SecretString),
    /// A file, read when the configuration is.
    File(PathBuf),
}

/// The instances of an Alertmanager.
#[derive(Clone, Debug)]
pub struct AlertmanagerConfig {
    /// Where they are.
    pub urls: AlertmanagerUrls,
    /// How often firing alerts are told again.
    pub resend_interval: Duration,
}

/// Where the base addresses of all instances come from; the path of the API follows them.
#[derive(Clone, Debug)]
pub enum AlertmanagerUrls {
    /// The configuration; at least one, and [`check_url`] has accepted each.
    Inline(Vec<SecretString>),
    /// A file with one on each line, read at each send.
    File(PathBuf),
}

/// An events endpoint of `PagerDuty`.
#[derive(Clone, Debug)]
pub struct PagerDutyConfig {
    /// Where to; [`check_url`] has accepted it.
    pub url: SecretString,
    /// The file of the integration key, read at each send.
    pub routing_key_file: PathBuf,
}

/// A dead man's switch.
#[derive(Clone, Debug)]
pub struct HeartbeatConfig {
    /// Where to.
    pub url: UrlSource,
    /// How.
    pub method: HeartbeatMethod,
    /// How often.
    pub interval: Duration,
}

/// The HTTP method of a heartbeat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HeartbeatMethod {
    /// Every service of this kind takes it.
    Get,
    /// For those that want it.
    Post,
}

/// The methods as they are typed.
const METHODS: [(&str, HeartbeatMethod); 2] = [
    ("GET", HeartbeatMethod::Get),
    ("POST", HeartbeatMethod::Post),
];

impl HeartbeatMethod {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// Reads the one kind that is given. `key` is that of the receiver.
pub(super) fn read(
    key: &Key,
    typed: &Spanned<typed::Receiver>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<Integration> {
    let receiver = &typed.value;
    let mut reading = Reading {
        key,
        paths,
        problems,
        found: Vec::new(),
    };
    reading.kind("webhook", receiver.webhook.as_ref(), webhook);
    reading.kind("alertmanager", receiver.alertmanager.as_ref(), alertmanager);
    reading.kind("pagerduty", receiver.pagerduty.as_ref(), pagerduty);
    reading.kind("slack", receiver.slack.as_ref(), slack);
    reading.kind("teams", receiver.teams.as_ref(), teams);
    reading.kind("heartbeat", receiver.heartbeat.as_ref(), heartbeat);
    let mut found = reading.found;
    // Told where the second one stands.
    found.sort_by_key(|(_, at, _)| (at.line(), at.column()));
    match &found[..] {
        [] => problems.add(key, typed.referenced, "says nowhere how it is called"),
        [_] => {}
        [(first, ..), (second, at, _), ..] => {
            let wrong = format!("has `{first}` and `{second}`; give each a receiver of its own");
            problems.add(key, *at, wrong);
        }
    }
    found.pop()?.2
}

/// The kinds of one receiver, as they are found.
struct Reading<'a> {
    key: &'a Key,
    paths: Paths<'a>,
    problems: &'a mut Problems,
    found: Vec<(&'static str, Location, Option<Integration>)>,
}

type ReadKind<T> = fn(&Key, &Spanned<T>, Paths<'_>, &mut Problems) -> Option<Integration>;

impl Reading<'_> {
    fn kind<T>(&mut self, name: &'static str, typed: Option<&Spanned<T>>, read: ReadKind<T>) {
        if let Some(typed) = typed {
            let integration = read(&self.key.child(name), typed, self.paths, self.problems);
            self.found.push((name, typed.referenced, integration));
        }
    }
}

fn webhook(
    key: &Key,
    typed: &Spanned<typed::Webhook>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<Integration> {
    let webhook = &typed.value;
    let urls = (webhook.url.as_ref(), webhook.url_file.as_ref());
    let url = url::read(key, urls, typed.referenced, check_url, paths, problems);
    let secret_file = webhook.secret_file.as_ref();
    let secret_file = problems.expandable_text(&key.child("secret_file"), secret_file, |text| {
        paths.file(text)
    });
    Some(Integration::Webhook(WebhookConfig {
        template: template(key, webhook, paths, problems),
        url: url?,
        secret_file,
    }))
}

fn template(
    key: &Key,
    webhook: &typed::Webhook,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<TemplateSource> {
    if let (Some(_), Some(file)) = (&webhook.template, &webhook.template_file) {
        let wrong = "has `template` and `template_file`; keep one of the two";
        problems.add(key, file.referenced, wrong);
        return None;
    }
    if let Some(template) = &webhook.template {
        let wrong = match template.value.len() {
            _ if template.value.trim().is_empty() => "is empty".to_owned(),
            length if length > MAX_TEMPLATE_BYTES => {
                format!("is longer than {MAX_TEMPLATE_BYTES} bytes")
            }
            _ => return Some(TemplateSource::Inline(SecretString::from(&*template.value))),
        };
        problems.add(&key.child("template"), template.referenced, wrong);
        return None;
    }
    let file = webhook.template_file.as_ref();
    problems.text(&key.child("template_file"), file, |text| {
        paths.file(text).map(TemplateSource::File)
    })
}

fn alertmanager(
    key: &Key,
    typed: &Spanned<typed::Alertmanager>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<Integration> {
    let alertmanager = &typed.value;
    let interval = problems.text(
        &key.child("resend_interval"),
        alertmanager.resend_interval.as_ref(),
        |text| duration::within(text, RESEND_INTERVALS),
    );
    let urls = match (&alertmanager.urls, &alertmanager.urls_file) {
        (Some(urls), None) if urls.value.is_empty() => {
            problems.add(&key.child("urls"), urls.referenced, "is empty");
            None
        }
        (Some(urls), None) => {
            let urls = problems.list(&key.child("urls"), &urls.value, |problems, key, typed| {
                problems.text(&key, typed, url::secret)
            });
            Some(AlertmanagerUrls::Inline(urls))
        }
        (None, Some(file)) => problems.expandable_text(&key.child("urls_file"), file, |text| {
            paths.file(text).map(AlertmanagerUrls::File)
        }),
        (Some(_), Some(file)) => {
            let wrong = "has `urls` and `urls_file`; keep one of the two";
            problems.add(key, file.referenced, wrong);
            None
        }
        (None, None) => {
            problems.add(key, typed.referenced, "says nowhere where to send to");
            None
        }
    };
    Some(Integration::Alertmanager(AlertmanagerConfig {
        urls: urls?,
        resend_interval: interval.unwrap_or(RESEND_INTERVAL),
    }))
}

fn pagerduty(
    key: &Key,
    typed: &Spanned<typed::PagerDuty>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<Integration> {
    let pagerduty = &typed.value;
    let url = match &pagerduty.url {
        Some(typed) => problems.text(&key.child("url"), typed, url::secret),
        None => Some(SecretString::from(PAGERDUTY_URL)),
    };
    let file = &pagerduty.routing_key_file;
    let file = problems.expandable_text(&key.child("routing_key_file"), file, |text| {
        paths.file(text)
    });
    Some(Integration::PagerDuty(PagerDutyConfig {
        url: url?,
        routing_key_file: file?,
    }))
}

fn slack(
    key: &Key,
    typed: &Spanned<typed::Channel>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<Integration> {
    let urls = (typed.value.url.as_ref(), typed.value.url_file.as_ref());
    url::read(key, urls, typed.referenced, check_url, paths, problems).map(Integration::Slack)
}

fn teams(
    key: &Key,
    typed: &Spanned<typed::Channel>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<Integration> {
    let urls = (typed.value.url.as_ref(), typed.value.url_file.as_ref());
    let at = typed.referenced;
    url::read(key, urls, at, check_teams_url, paths, problems).map(Integration::Teams)
}

fn heartbeat(
    key: &Key,
    typed: &Spanned<typed::Heartbeat>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<Integration> {
    let heartbeat = &typed.value;
    let urls = (heartbeat.url.as_ref(), heartbeat.url_file.as_ref());
    let url = url::read(key, urls, typed.referenced, check_url, paths, problems);
    let method = problems.text(&key.child("method"), heartbeat.method.as_ref(), method);
    let interval = problems.text(
        &key.child("interval"),
        heartbeat.interval.as_ref(),
        |text| duration::within(text, HEARTBEAT_INTERVALS),
    );
    Some(Integration::Heartbeat(HeartbeatConfig {
        url: url?,
        method: method.unwrap_or(HeartbeatMethod::Get),
        interval: interval.unwrap_or(HEARTBEAT_INTERVAL),
    }))
}

fn method(text: &str) -> Result<HeartbeatMethod, Wrong> {
    let found = METHODS.iter().find(|(word, _)| *word == text);
    let words = METHODS.map(|(word, _)| word);
    found
        .map(|(_, method)| *method)
        .ok_or_else(|| Wrong::word(text, nearest(text, &words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_more_than_it_says_that_it_takes() {
        let url = || SecretString::from("https://contoso.com/");
        let pagerduty = Integration::PagerDuty(PagerDutyConfig {
            url: url(),
            routing_key_file: PathBuf::from("key"),
        });
        // At once, and within any minute.
        for (kind, at_once, in_a_minute) in [
            (pagerduty, 120, 120),
            (Integration::Slack(UrlSource::Inline(url())), 1, 61),
            (Integration::Teams(UrlSource::Inline(url())), 4, 240),
        ] {
            let Rate { burst, per_minute } = kind.rate();
            assert!(burst > 0 && burst <= at_once, "{kind:?}");
            assert!(burst + per_minute <= in_a_minute, "{kind:?}");
        }
    }
}
