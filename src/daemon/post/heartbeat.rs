//! A sign of life for a dead man's switch: a GET or a POST without a word.

use std::sync::Arc;

use reqwest::Method;
use tracing::debug;
use tracing::error;
use tracing::warn;

use crate::config::HeartbeatConfig;
use crate::config::HeartbeatMethod;
use crate::config::Integration;
use crate::config::check_url;
use crate::daemon::post::Poster;
use crate::daemon::post::http::Trouble;
use crate::daemon::post::outcome_of;
use crate::daemon::post::request::Request;
use crate::daemon::post::secret;
use crate::daemon::post::unreachable;
use crate::pipeline::outbox::FailureReason;
use crate::pipeline::outbox::Outcome;
use crate::pipeline::outbox::answer::Proof;
use crate::render::advice::advice;

/// The request.
pub(super) fn request(config: &HeartbeatConfig) -> Result<Request, String> {
    let url = secret::url(&config.url, check_url)?;
    let method = match config.method {
        HeartbeatMethod::Get => Method::GET,
        HeartbeatMethod::Post => Method::POST,
    };
    Ok(Request::new(method, url))
}

impl Poster {
    /// Gives a sign of life.
    pub async fn beat(&self, receiver: &str) -> Outcome {
        let Some(sender) = self.senders.get(receiver).map(Arc::clone) else {
            return Outcome::Refused;
        };
        let sent = sender.exchange(|sender| match &sender.config.integration {
            Integration::Heartbeat(config) => request(config),
            _ => Err("it is no heartbeat any more".to_owned()),
        });
        match sent.await {
            Ok(reply) => {
                let outcome = outcome_of(&reply, Proof::Status);
                let (status, advice) = (reply.status, advice(outcome, Some(reply.status)));
                if outcome == Outcome::Delivered {
                    debug!(receiver, "a sign of life was taken");
                } else {
                    warn!(receiver, status, "{advice}");
                }
                outcome
            }
            Err(Trouble::Configuration(trouble)) => {
                error!(receiver, "cannot send: {trouble}");
                Outcome::Misconfigured {
                    reason: FailureReason::Other,
                }
            }
            Err(Trouble::Unreachable { timeout, cause }) => {
                warn!(receiver, cause, "the dead man's switch cannot be reached");
                unreachable(timeout)
            }
        }
    }
}
