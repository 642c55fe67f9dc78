//! Sending a message to its receiver.
//!
//! A file for each kind of receiver turns a message into a request; how it is sent, and what the answer means, is the
//! same for all.

mod alertmanager;
pub mod attempt;
mod faults;
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
use tracing::info;

use crate::config::Integration;
use crate::config::ReceiverConfig;
use crate::daemon::post::attempt::Attempt;
use crate::daemon::post::faults::Calls;
use crate::daemon::post::faults::Faults;
use crate::daemon::post::http::Http;
use crate::daemon::post::http::TOTAL_TIMEOUT;
use crate::daemon::post::http::Trouble;
use crate::daemon::post::request::Request;
use crate::pipeline::alert::Notice;
use crate::pipeline::outbox::Delivery;
use crate::pipeline::outbox::Outcome;
use crate::pipeline::outbox::Receiver;
use crate::pipeline::outbox::answer::Proof;
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
    faults: Faults,
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
        let mut shared: Option<Client> = None;
        let senders = receivers.iter().map(|receiver| {
            teams::refuse_switched_off(&receiver.integration)?;
            let sender = Sender {
                config: receiver.clone(),
                http: Http::new(&receiver.http, || match &shared {
                    Some(client) => Ok(client.clone()),
                    None => Ok(shared.insert(http::plain_client()?).clone()),
                })?,
                template: template::of(receiver)?,
                external_url: external_url.to_owned(),
                faults: Faults::default(),
            };
            Ok((receiver.name.clone(), Arc::new(sender)))
        });
        Ok(Self {
            senders: senders.collect::<Result<_, String>>()?,
        })
    }

    /// Tries once to deliver a message.
    pub async fn send(&self, delivery: &Delivery) -> Outcome {
        let receiver = &*delivery.receiver;
        let Ok(sender) = self.sender(receiver) else {
            return Outcome::Refused;
        };
        let integration = &sender.config.integration;
        if matches!(integration, Integration::Alertmanager(_)) {
            return self.tell_all(delivery).await;
        }
        let (notice, minimal) = (Arc::clone(&delivery.notice), delivery.minimal);
        let attempt = sender
            .exchange(move |sender| sender.request(&notice, minimal))
            .await;
        sender.complain(&attempt, Calls::Now, None);
        if attempt.outcome == Outcome::Delivered {
            log_delivered(delivery);
        }
        attempt.outcome
    }

    /// The requests that would tell a receiver of something, one for each instance. Sends nothing.
    ///
    /// # Errors
    /// [`Trouble::Configuration`].
    pub async fn prepare(
        &self,
        receiver: &str,
        notice: &Arc<Notice>,
    ) -> Result<Vec<Prepared>, Trouble> {
        let instances = self.instances(receiver).await;
        let mut prepared = Vec::new();
        for instance in 0..instances.map_err(Trouble::Configuration)? {
            let sender = self.sender(receiver).map_err(Trouble::Configuration)?;
            let notice = Arc::clone(notice);
            let make = move |sender: &Sender| match &sender.config.integration {
                Integration::Alertmanager(config) => {
                    alertmanager::request(config, instance, &[sender.message(&notice, false)])
                }
                Integration::Heartbeat(config) => heartbeat::request(config),
                _ => sender.request(&notice, false),
            };
            prepared.push(sender.prepare(make).await?);
        }
        Ok(prepared)
    }

    fn sender(&self, receiver: &str) -> Result<Arc<Sender>, String> {
        let sender = self.senders.get(receiver).map(Arc::clone);
        sender.ok_or_else(|| "there is no such receiver any more".to_owned())
    }
}

impl Sender {
    /// Logs what went wrong, if anything did and it is not known already.
    fn complain(&self, attempt: &Attempt, calls: Calls, instance: Option<usize>) {
        let is_news = self.faults.is_news(attempt.outcome, calls, instance);
        let integration = self.config.integration.as_str();
        attempt.complain(&self.config.name, integration, instance, is_news);
    }

    /// Makes a request, and sends it once.
    async fn exchange(
        self: &Arc<Self>,
        make: impl FnOnce(&Self) -> Result<Request, String> + Send + 'static,
    ) -> Attempt {
        match Arc::clone(self).prepare(make).await {
            Ok(prepared) => prepared.exchange().await,
            Err(trouble) => Attempt::failed(trouble),
        }
    }

    /// Makes a request, on a thread that may wait for files.
    async fn prepare(
        self: Arc<Self>,
        make: impl FnOnce(&Self) -> Result<Request, String> + Send + 'static,
    ) -> Result<Prepared, Trouble> {
        let preparing = tokio::task::spawn_blocking(move || {
            let mut request = make(&self).map_err(Trouble::Configuration)?;
            let client = self.http.prepare(&mut request)?;
            Ok(Prepared {
                request,
                client,
                proof: match self.config.integration {
                    Integration::Slack(_) => Proof::Ok,
                    _ => Proof::Status,
                },
            })
        });
        let fault = |text: &str| Trouble::Configuration(text.to_owned());
        match tokio::time::timeout(TOTAL_TIMEOUT, preparing).await {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(_)) => Err(fault("making the request broke down")),
            Err(_) => Err(fault(
                "its files could not be read in time; is their disk there?",
            )),
        }
    }

    fn message(&self, notice: &Notice, minimal: bool) -> Message {
        Message::new(notice, &self.config.name, &self.external_url, minimal)
    }

    /// The request for a message, of the kinds that take messages.
    fn request(&self, notice: &Notice, minimal: bool) -> Result<Request, String> {
        let message = self.message(notice, minimal);
        match &self.config.integration {
            Integration::Webhook(config) => {
                let body = match &self.template {
                    Some(template) => template.body(&message)?,
                    None => alertmanager_body::body(&message),
                };
                webhook::request(config, &message.id, body)
            }
            Integration::PagerDuty(config) => pagerduty::request(config, &message),
            Integration::Slack(url) => slack::request(url, &message),
            Integration::Teams(url) => teams::request(url, &message),
            Integration::Alertmanager(_) | Integration::Heartbeat(_) => {
                Err("it takes no messages any more".to_owned())
            }
        }
    }
}

impl Prepared {
    /// Sends it, once.
    pub async fn exchange(&self) -> Attempt {
        match http::exchange(&self.client, &self.request).await {
            Ok(reply) => Attempt::answered(reply, self.proof),
            Err(trouble) => Attempt::failed(trouble),
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

fn log_delivered(delivery: &Delivery) {
    let (receiver, id) = (&*delivery.receiver, &delivery.notice.id);
    let alertname = delivery.notice.name.as_str();
    let resolved = delivery.notice.is_resolved();
    let status = if resolved { "resolved" } else { "firing" };
    info!(receiver, alertname, status, id, "notification delivered");
}
