//! Sending a message to its receiver.
//!
//! A file for each kind of receiver turns a message into a request; how it is sent, and what the answer means, is the
//! same for all.

pub mod http;
pub mod request;
pub mod secret;
pub mod signature;
mod webhook;

use std::collections::HashMap;
use std::sync::Arc;

use reqwest::Client;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::config::Integration;
use crate::config::ReceiverConfig;
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
use crate::pipeline::outbox::answer::Answer;
use crate::pipeline::outbox::answer::Proof;
use crate::pipeline::outbox::answer::outcome;
use crate::render::advice::advice;
use crate::render::webhook as alertmanager_body;

/// Sends messages to the receivers of one configuration.
pub struct Poster {
    senders: HashMap<String, Arc<Sender>>,
}

/// What is needed to send to one receiver.
struct Sender {
    config: ReceiverConfig,
    http: Http,
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
    /// When the TLS library finds no usable certificate store.
    pub fn new(receivers: &[ReceiverConfig], external_url: &str) -> Result<Self, String> {
        let plain = http::plain_client()?;
        let senders = receivers.iter().map(|receiver| {
            let sender = Sender {
                config: receiver.clone(),
                http: Http::new(&receiver.http, &plain),
                external_url: external_url.to_owned(),
            };
            (receiver.name.clone(), Arc::new(sender))
        });
        Ok(Self {
            senders: senders.collect(),
        })
    }

    /// Tries once to deliver a message.
    pub async fn send(&self, delivery: &Delivery) -> Outcome {
        let attempt = async {
            let (notice, minimal) = (&delivery.notice, delivery.minimal);
            let prepared = self.prepare(&delivery.receiver, notice, minimal).await?;
            let reply = http::exchange(&prepared.client, &prepared.request).await?;
            Ok((outcome_of(&reply, prepared.proof), Some(reply.status)))
        };
        let receiver = &*delivery.receiver;
        match attempt.await {
            Ok((outcome, status)) => {
                log(delivery, outcome, status);
                outcome
            }
            Err(Trouble::Configuration(trouble)) => {
                error!(receiver, "cannot send: {trouble}");
                Outcome::Misconfigured {
                    reason: FailureReason::Other,
                }
            }
            Err(Trouble::Unreachable { timeout, cause }) => {
                warn!(
                    receiver,
                    cause, "the receiver cannot be reached; the notification is tried again"
                );
                unreachable(timeout)
            }
        }
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
    fn prepare(&self, notice: &Notice, minimal: bool) -> Result<Prepared, Trouble> {
        let mut request = self
            .request(notice, minimal)
            .map_err(Trouble::Configuration)?;
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

    fn request(&self, notice: &Notice, _minimal: bool) -> Result<Request, String> {
        let name = &self.config.name;
        match &self.config.integration {
            Integration::Webhook(config) => {
                let body = alertmanager_body::body(notice, name, &self.external_url);
                webhook::request(config, &notice.id, body)
            }
            other => Err(format!("{} is not there yet", other.as_str())),
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
pub fn unreachable(timeout: bool) -> Outcome {
    let reason = if timeout {
        FailureReason::Timeout
    } else {
        FailureReason::Other
    };
    Outcome::Retry {
        reason,
        after: None,
    }
}

fn log(delivery: &Delivery, outcome: Outcome, status: Option<u16>) {
    let receiver = &*delivery.receiver;
    let advice = advice(outcome, status);
    match outcome {
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
        Outcome::Retry { .. } => warn!(receiver, status, "{advice}"),
        Outcome::Misconfigured { .. } | Outcome::Refused | Outcome::Gone => {
            error!(receiver, status, "{advice}");
        }
    }
}
