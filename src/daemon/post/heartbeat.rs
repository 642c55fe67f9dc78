//! A sign of life for a dead man's switch: a GET or a POST without a word.

use std::sync::Arc;

use reqwest::Method;
use tracing::debug;

use crate::config::HeartbeatConfig;
use crate::config::HeartbeatMethod;
use crate::config::Integration;
use crate::config::check_url;
use crate::daemon::post::Poster;
use crate::daemon::post::faults::Calls;
use crate::daemon::post::request::Request;
use crate::daemon::post::secret;
use crate::pipeline::outbox::Outcome;

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
        let attempt = sender.exchange(|sender| match &sender.config.integration {
            Integration::Heartbeat(config) => request(config),
            _ => Err("it is no heartbeat any more".to_owned()),
        });
        let attempt = attempt.await;
        sender.complain(&attempt, Calls::Always, None);
        if attempt.outcome == Outcome::Delivered {
            debug!(receiver, "a sign of life was taken");
        }
        attempt.outcome
    }
}
