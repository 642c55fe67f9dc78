//! Sending a message to its receiver.
//!
//! A file for each kind of receiver turns a message into a request; how it is sent, and what the answer means, is the
//! same for all.

mod alertmanager;
mod heartbeat;
pub mod http;
mod pagerduty;
pub mod request;
pub mod secret;
pub mod signature;
mod slack;
mod teams;
mod template;
mod webhook;

use std::collections::HashMap;
use std::sync::Arc;

use reqwest::Client;
use reqwest::StatusCode;
use secrecy::ExposeSecret;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::config::Integration;
use crate::config::ReceiverConfig;
use crate::config::UrlSource;
use crate::config::check_teams_url;
use crate::config::check_url;
use crate::daemon::clock;
use crate::daemon::post::http::Http;
use crate::daemon::post::http::Reply;
use crate::daemon::post::http::TOTAL_TIMEOUT;
use crate::daemon::post::http::Trouble;
use crate::daemon::post::request::Request;
use crate::pipeline::alert::Notice;
use crate::pipeline::outbox::Delivery;
use crate::pipeline::outbox::FailureReason;
use crate::pipeline::outbox::Outcome;
use crate::pipeline::outbox::Receiver;
use crate::pipeline::outbox::answer::Answer;
use crate::pipeline::outbox::answer::Proof;
use crate::pipeline::outbox::answer::outcome;
use crate::render::advice::advice;
use crate::render::message::Message;
use crate::render::template::Template;
use crate::render::webhook as alertmanager_body;

/// Sends messages to the receivers of one configuration.
pub struct Poster {
    senders: HashMap<String, Arc<Sender>>,
}

/// What is needed to send to one receiver.
struct Sender {
    config: ReceiverConfig,
    http: Http,
    template: Option<Template>,
    external_url: String,
}

/// A request that is ready to go.
pub struct Prepared {
    /// What will be sent.
    pub request: Request,
    client: Client,
    proof: Proof,
}

impl Poster {
    /// A sender for these receivers. `external_url` is where people reach this certdrift.
    ///
    /// # Errors
    /// When a template is wrong, an address can never work, or the TLS library finds no usable certificate store.
    pub fn new(receivers: &[ReceiverConfig], external_url: &str) -> Result<Self, String> {
        let plain = http::plain_client()?;
        let senders = receivers.iter().map(|receiver| {
            refuse_switched_off(receiver)?;
            let sender = Sender {
                config: receiver.clone(),
                http: Http::new(&receiver.http, &plain),
                template: template::of(receiver)?,
                external_url: external_url.to_owned(),
            };
            Ok((receiver.name.clone(), Arc::new(sender)))
        });
        Ok(Self {
            senders: senders.collect::<Result<_, String>>()?,
        })
    }

    /// Tries once to deliver a message.
    pub async fn send(&self, delivery: &Delivery) -> Outcome {
        if let Some(sender) = self.alertmanager(&delivery.receiver) {
            return sender.tell_all(delivery).await;
        }
        let receiver = &*delivery.receiver;
        let integration = self
            .senders
            .get(receiver)
            .map_or("", |sender| sender.config.integration.as_str());
        let prepared = self
            .prepare(receiver, &delivery.notice, delivery.minimal)
            .await;
        let attempt = match prepared {
            Ok(prepared) => prepared.exchange().await,
            Err(trouble) => Attempt::failed(trouble),
        };
        log(delivery, integration, &attempt);
        attempt.outcome
    }

    /// Makes the request for a message. Reads files, and so takes a thread that may wait.
    ///
    /// # Errors
    /// [`Trouble::Configuration`].
    pub async fn prepare(
        &self,
        receiver: &str,
        notice: &Arc<Notice>,
        minimal: bool,
    ) -> Result<Prepared, Trouble> {
        let fault = |text: &str| Trouble::Configuration(text.to_owned());
        let sender = self.senders.get(receiver);
        let sender = Arc::clone(sender.ok_or_else(|| fault("there is no such receiver any more"))?);
        let notice = Arc::clone(notice);
        let preparing = tokio::task::spawn_blocking(move || sender.prepare(&notice, minimal));
        match tokio::time::timeout(TOTAL_TIMEOUT, preparing).await {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(_)) => Err(fault("making the request broke down")),
            Err(_) => Err(fault(
                "its files could not be read in time; is their disk there?",
            )),
        }
    }
}

impl Sender {
    /// Makes a request, on a thread that may wait for files, and sends it.
    async fn attempt(
        self: &Arc<Self>,
        make: impl FnOnce(&Self) -> Result<Request, String> + Send + 'static,
    ) -> Attempt {
        let sender = Arc::clone(self);
        let preparing = tokio::task::spawn_blocking(move || {
            let request = make(&sender).map_err(Trouble::Configuration)?;
            sender.complete(request)
        });
        let prepared = tokio::time::timeout(TOTAL_TIMEOUT, preparing).await;
        match prepared {
            Ok(Ok(Ok(prepared))) => prepared.exchange().await,
            Ok(Ok(Err(trouble))) => Attempt::failed(trouble),
            Ok(Err(_)) | Err(_) => Attempt::failed(Trouble::Configuration(
                "its files could not be read in time; is their disk there?".to_owned(),
            )),
        }
    }

    fn prepare(&self, notice: &Notice, minimal: bool) -> Result<Prepared, Trouble> {
        let request = self.request(notice, minimal);
        self.complete(request.map_err(Trouble::Configuration)?)
    }

    /// Adds what every request to the receiver has.
    fn complete(&self, mut request: Request) -> Result<Prepared, Trouble> {
        let client = self.http.prepare(&mut request)?;
        Ok(Prepared {
            request,
            client,
            proof: match self.config.integration {
                Integration::Slack(_) => Proof::Ok,
                _ => Proof::Status,
            },
        })
    }

    fn request(&self, notice: &Notice, minimal: bool) -> Result<Request, String> {
        let message = Message::new(notice, &self.config.name, &self.external_url, minimal);
        match &self.config.integration {
            Integration::Webhook(config) => {
                let body = match &self.template {
                    Some(template) => template.body(&message)?,
                    None => alertmanager_body::body(&message),
                };
                webhook::request(config, &message.id, body)
            }
            Integration::Alertmanager(config) => {
                alertmanager::request(config, 0, &[message], clock::now())
            }
            Integration::PagerDuty(config) => pagerduty::request(config, &message),
            Integration::Slack(url) => slack::request(url, &message),
            Integration::Teams(url) => teams::request(url, &message),
            Integration::Heartbeat(config) => heartbeat::request(config),
        }
    }
}

/// What the outbox has to know of these receivers. Reads the files that say how many instances an Alertmanager has.
pub fn receivers(configured: &[ReceiverConfig]) -> Vec<Receiver> {
    configured
        .iter()
        .map(|receiver| Receiver {
            connectors: receiver.connectors.clone(),
            fallback: receiver.fallback.as_deref().map(Arc::from),
            rate: receiver.integration.rate(),
            kind: alertmanager::kind(&receiver.integration),
            ..Receiver::new(
                &receiver.name,
                receiver.integration.as_str(),
                &receiver.severities,
            )
        })
        .collect()
}

/// A file with an address that Microsoft has switched off is told when the configuration is read, if it is there by
/// then; otherwise at the send.
fn refuse_switched_off(receiver: &ReceiverConfig) -> Result<(), String> {
    let Integration::Teams(source @ UrlSource::File(file)) = &receiver.integration else {
        return Ok(());
    };
    let Ok(text) = secret::read(file) else {
        return Ok(());
    };
    if check_url(text.expose_secret()).is_err() {
        return Ok(());
    }
    secret::url(source, check_teams_url).map(|_| ())
}

impl Prepared {
    /// Sends it, once.
    pub async fn exchange(&self) -> Attempt {
        match http::exchange(&self.client, &self.request).await {
            Ok(reply) => Attempt {
                outcome: outcome_of(&reply, self.proof),
                reply: Ok(reply),
            },
            Err(trouble) => Attempt::failed(trouble),
        }
    }
}

/// What came of one try.
#[derive(Debug)]
pub struct Attempt {
    /// What it means.
    pub outcome: Outcome,
    /// The answer, or why there is none.
    pub reply: Result<Reply, Trouble>,
}

impl Attempt {
    fn failed(trouble: Trouble) -> Self {
        Self {
            outcome: outcome_of_trouble(&trouble),
            reply: Err(trouble),
        }
    }

    /// The status code of the answer.
    pub fn status(&self) -> Option<u16> {
        self.reply.as_ref().ok().map(|reply| reply.status)
    }

    /// Why there is no answer.
    fn cause(&self) -> Option<&str> {
        match &self.reply {
            Ok(_) => None,
            Err(Trouble::Configuration(cause) | Trouble::Unreachable { cause, .. }) => Some(cause),
        }
    }

    /// The answer as people read it: status, `Retry-After` and body, or why there is none. `masked` hides secrets.
    pub fn answer(&self, masked: impl Fn(&str) -> String) -> String {
        match &self.reply {
            Ok(reply) => {
                let status = StatusCode::from_u16(reply.status).ok();
                let reason = status.and_then(|status| status.canonical_reason());
                let mut lines = vec![format!("{} {}", reply.status, reason.unwrap_or_default())];
                lines.extend(
                    reply
                        .retry_after
                        .iter()
                        .map(|after| format!("retry-after: {}", masked(after))),
                );
                lines.extend(reply.body.iter().map(|body| masked(body)));
                lines.join("\n").trim_end().to_owned()
            }
            Err(Trouble::Configuration(cause) | Trouble::Unreachable { cause, .. }) => {
                masked(cause)
            }
        }
    }
}

/// What an answer means.
pub fn outcome_of(reply: &Reply, proof: Proof) -> Outcome {
    let answer = Answer {
        status: reply.status,
        retry_after: reply.retry_after.as_deref(),
        body: reply.body.as_deref(),
    };
    outcome(answer, proof, clock::now())
}

/// What it means that there is no answer.
pub fn outcome_of_trouble(trouble: &Trouble) -> Outcome {
    let reason = match trouble {
        Trouble::Configuration(_) => {
            return Outcome::Misconfigured {
                reason: FailureReason::Other,
            };
        }
        Trouble::Unreachable { timeout: true, .. } => FailureReason::Timeout,
        Trouble::Unreachable { timeout: false, .. } => FailureReason::Other,
    };
    Outcome::Retry {
        reason,
        after: None,
    }
}

fn log(delivery: &Delivery, integration: &str, attempt: &Attempt) {
    let receiver = &*delivery.receiver;
    let advice = advice(integration, attempt.outcome, attempt.status());
    let status = attempt.status();
    let cause = attempt.cause();
    match attempt.outcome {
        Outcome::Delivered => {
            let state = if delivery.notice.is_resolved() {
                "resolved"
            } else {
                "firing"
            };
            info!(
                receiver,
                alertname = delivery.notice.name.as_str(),
                status = state,
                id = delivery.notice.id,
                "notification delivered"
            );
        }
        Outcome::Retry { .. } => warn!(
            receiver,
            status, cause, "{}; {}", advice.meaning, advice.consequence
        ),
        Outcome::Misconfigured { .. } | Outcome::Refused | Outcome::Gone => error!(
            receiver,
            status, cause, "{}; {}", advice.meaning, advice.consequence
        ),
    }
}
