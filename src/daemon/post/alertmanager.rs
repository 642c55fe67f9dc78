//! Every instance of an Alertmanager: what changes is told to all of them at once, how things stand to each by itself.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::Url;
use secrecy::ExposeSecret;
use tokio::task::JoinSet;
use tracing::error;

use crate::config::AlertmanagerConfig;
use crate::config::AlertmanagerUrls;
use crate::config::Integration;
use crate::config::check_url;
use crate::daemon::clock;
use crate::daemon::post::Poster;
use crate::daemon::post::Sender;
use crate::daemon::post::faults::Calls;
use crate::daemon::post::http::TOTAL_TIMEOUT;
use crate::daemon::post::log_delivered;
use crate::daemon::post::request::Request;
use crate::daemon::post::secret;
use crate::pipeline::alert::Notice;
use crate::pipeline::outbox::Delivery;
use crate::pipeline::outbox::FailureReason;
use crate::pipeline::outbox::Kind;
use crate::pipeline::outbox::Outcome;
use crate::pipeline::outbox::resend::LIFE;
use crate::pipeline::outbox::resend::Round;
use crate::render::alertmanager;
use crate::render::message::Message;

/// What follows the address of an instance.
const PATH: &str = "api/v2/alerts";
/// So many alerts are told in one request, as Prometheus does.
const MAX_ALERTS: usize = 256;
/// How long the others may take when one instance has answered.
const GRACE: Duration = Duration::from_secs(2);
/// Instances of one Alertmanager; those beyond are not told, and it is said.
const MAX_INSTANCES: usize = 32;

/// What the outbox has to know of the kind of a receiver. How many instances there are is found out now; where they are,
/// at each send.
pub(super) fn kind(integration: &Integration) -> Kind {
    match integration {
        Integration::Alertmanager(config) => Kind::Alertmanager {
            // A file that cannot be read is told of when something is sent.
            instances: addresses(config).map_or(1, |addresses| addresses.len()),
            resend: config.resend_interval,
        },
        Integration::Heartbeat(config) => Kind::Heartbeat {
            every: config.interval,
        },
        Integration::Webhook(_)
        | Integration::PagerDuty(_)
        | Integration::Slack(_)
        | Integration::Teams(_) => Kind::Messages,
    }
}

/// A request to one instance that tells of these alerts.
pub(super) fn request(
    config: &AlertmanagerConfig,
    instance: usize,
    messages: &[Message],
) -> Result<Request, String> {
    let mut addresses = addresses(config)?;
    if instance >= addresses.len() {
        return Err("an instance has gone from the file of addresses".to_owned());
    }
    let url = addresses.swap_remove(instance);
    let resend = SignedDuration::try_from(config.resend_interval).unwrap_or(SignedDuration::MAX);
    let life = resend.saturating_mul(i32::try_from(LIFE).unwrap_or(i32::MAX));
    let body = alertmanager::body(messages, clock::now(), life);
    Ok(Request::post(url, body))
}

/// The addresses of the API of every instance.
fn addresses(config: &AlertmanagerConfig) -> Result<Vec<Url>, String> {
    let addresses = match &config.urls {
        AlertmanagerUrls::Inline(urls) => urls
            .iter()
            .map(|url| address(url.expose_secret()).map_err(|wrong| format!("an address {wrong}")))
            .collect::<Result<Vec<Url>, String>>()?,
        AlertmanagerUrls::File(file) => {
            let text = secret::read(file)?;
            let lines = text.expose_secret().lines().map(str::trim);
            let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
            lines
                .map(|line| {
                    address(line)
                        .map_err(|wrong| format!("{}: an address in it {wrong}", file.display()))
                })
                .collect::<Result<Vec<Url>, String>>()?
        }
    };
    match addresses.len() {
        0 => Err("there is no address of an Alertmanager".to_owned()),
        count if count > MAX_INSTANCES => Err(format!(
            "there are {count} addresses of an Alertmanager; give at most {MAX_INSTANCES}"
        )),
        _ => Ok(addresses),
    }
}

fn address(text: &str) -> Result<Url, &'static str> {
    let mut url = check_url(text)?;
    let path = format!("{}/{PATH}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

impl Poster {
    /// Tells every instance of a change. One that takes it is enough; the others are reminded.
    pub(super) async fn tell_all(&self, delivery: &Delivery) -> Outcome {
        let receiver = &*delivery.receiver;
        let count = match self.instances(receiver).await {
            Ok(count) => count,
            Err(trouble) => return misconfigured(receiver, &trouble),
        };
        let mut telling = JoinSet::new();
        for instance in 0..count {
            if let Some(sender) = self.senders.get(receiver) {
                let sender = Arc::clone(sender);
                let (notices, minimal) = (vec![Arc::clone(&delivery.notice)], delivery.minimal);
                telling.spawn(async move { sender.tell(instance, notices, minimal).await });
            }
        }
        let outcome = best(telling, GRACE).await;
        if outcome == Outcome::Delivered {
            log_delivered(delivery);
        }
        outcome
    }

    /// Tells one instance how things stand.
    pub async fn remind(&self, round: &Round) -> Outcome {
        let Some(sender) = self.senders.get(&*round.receiver) else {
            return Outcome::Refused;
        };
        for alerts in round.alerts.chunks(MAX_ALERTS) {
            let sender = Arc::clone(sender);
            let outcome = sender
                .tell(round.instance, alerts.to_vec(), round.minimal)
                .await;
            if outcome != Outcome::Delivered {
                return outcome;
            }
        }
        Outcome::Delivered
    }

    /// How many instances a receiver has; one, unless it is an Alertmanager.
    pub(super) async fn instances(&self, receiver: &str) -> Result<usize, String> {
        let sender = self.sender(receiver)?;
        let counting = tokio::task::spawn_blocking(move || match &sender.config.integration {
            Integration::Alertmanager(config) => addresses(config).map(|found| found.len()),
            _ => Ok(1),
        });
        match tokio::time::timeout(TOTAL_TIMEOUT, counting).await {
            Ok(Ok(count)) => count,
            Ok(Err(_)) | Err(_) => Err("its files could not be read in time".to_owned()),
        }
    }
}

impl Sender {
    async fn tell(
        self: Arc<Self>,
        instance: usize,
        notices: Vec<Arc<Notice>>,
        minimal: bool,
    ) -> Outcome {
        let attempt = self.exchange(move |sender| match &sender.config.integration {
            Integration::Alertmanager(config) => {
                let messages = notices.iter().map(|it| sender.message(it, minimal));
                request(config, instance, &messages.collect::<Vec<_>>())
            }
            _ => Err("it is no Alertmanager any more".to_owned()),
        });
        let attempt = attempt.await;
        self.complain(&attempt, Calls::Always, Some(instance));
        attempt.outcome
    }
}

fn misconfigured(receiver: &str, trouble: &str) -> Outcome {
    error!(receiver, "cannot send: {trouble}");
    Outcome::Misconfigured {
        reason: FailureReason::Other,
    }
}

/// What comes of telling several instances. When one has taken it, the others are not waited for long: what comes next
/// must not wait for one that hangs, and it is reminded.
async fn best(mut telling: JoinSet<Outcome>, grace: Duration) -> Outcome {
    let broken = Outcome::Retry {
        reason: FailureReason::Other,
        after: None,
    };
    let mut best = None;
    loop {
        let patience = match best {
            Some(Outcome::Delivered) => grace,
            _ => TOTAL_TIMEOUT * 3,
        };
        match tokio::time::timeout(patience, telling.join_next()).await {
            Ok(Some(outcome)) => {
                let outcome = outcome.unwrap_or(broken);
                best = Some(best.map_or(outcome, |best| better(best, outcome)));
            }
            Ok(None) | Err(_) => return best.unwrap_or(broken),
        }
    }
}

/// Of the answers of two instances the one that counts: whoever can be reached now or later decides.
fn better(one: Outcome, other: Outcome) -> Outcome {
    let rank = |outcome: &Outcome| match outcome {
        Outcome::Delivered => (0, Duration::ZERO),
        Outcome::Retry { after, .. } => (1, after.unwrap_or_default()),
        Outcome::Misconfigured { .. } => (2, Duration::ZERO),
        Outcome::Refused => (3, Duration::ZERO),
        Outcome::Gone => (4, Duration::ZERO),
    };
    if rank(&other) < rank(&one) {
        other
    } else {
        one
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn the_path_of_the_api_follows_whatever_path_there_is() {
        for (base, expected) in [
            ("http://a:9093", "http://a:9093/api/v2/alerts"),
            ("http://a:9093/", "http://a:9093/api/v2/alerts"),
            (
                "https://a/alertmanager/",
                "https://a/alertmanager/api/v2/alerts",
            ),
        ] {
            assert_eq!(address(base).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn addresses_come_from_a_file_too_one_on_each_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("urls");
        std::fs::write(&file, "# ours\nhttp://a:9093\r\n\n  http://b:9093/x \n").unwrap();
        let config = |urls| AlertmanagerConfig {
            urls,
            resend_interval: Duration::from_secs(60),
        };
        let found = addresses(&config(AlertmanagerUrls::File(file.clone()))).unwrap();
        let found: Vec<&str> = found.iter().map(Url::as_str).collect();
        let expected = [
            "http://a:9093/api/v2/alerts",
            "http://b:9093/x/api/v2/alerts",
        ];
        assert_eq!(found, expected);
        std::fs::write(&file, "# none\n").unwrap();
        assert!(addresses(&config(AlertmanagerUrls::File(file.clone()))).is_err());
        std::fs::write(&file, "planted secret\n").unwrap();
        let wrong = addresses(&config(AlertmanagerUrls::File(file))).unwrap_err();
        assert!(!wrong.contains("planted"), "{wrong}");
        let many = vec![SecretString::from("http://a"); MAX_INSTANCES + 1];
        assert!(addresses(&config(AlertmanagerUrls::Inline(many))).is_err());
    }

    #[tokio::test]
    async fn one_that_hangs_holds_up_nothing() {
        let mut telling = JoinSet::new();
        telling.spawn(std::future::pending::<Outcome>());
        telling.spawn(async { Outcome::Delivered });
        let outcome = best(telling, Duration::from_millis(1)).await;
        assert_eq!(outcome, Outcome::Delivered);
    }

    #[test]
    fn one_instance_that_takes_it_is_enough() {
        let reason = FailureReason::Other;
        let after = |seconds| Outcome::Retry {
            reason,
            after: Some(Duration::from_secs(seconds)),
        };
        let misconfigured = Outcome::Misconfigured { reason };
        let order = [
            Outcome::Delivered,
            after(1),
            after(9),
            misconfigured,
            Outcome::Refused,
            Outcome::Gone,
        ];
        for (index, &one) in order.iter().enumerate() {
            for &other in &order[index..] {
                assert_eq!(better(one, other), one);
                assert_eq!(better(other, one), one);
            }
        }
    }
}
