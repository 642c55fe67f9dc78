//! What came of one try.

use reqwest::StatusCode;
use tracing::debug;
use tracing::error;
use tracing::warn;

use crate::daemon::clock;
use crate::daemon::post::http::Reply;
use crate::daemon::post::http::Trouble;
use crate::pipeline::outbox::FailureReason;
use crate::pipeline::outbox::Outcome;
use crate::pipeline::outbox::answer;
use crate::pipeline::outbox::answer::Answer;
use crate::pipeline::outbox::answer::Proof;
use crate::render::advice::Advice;
use crate::render::advice::advice;

/// The module that tells of messages that were taken: what is well again there makes troubles news.
const TARGET: &str = "certdrift::daemon::post";

/// What came of one try.
#[derive(Debug)]
pub struct Attempt {
    /// What it means.
    pub outcome: Outcome,
    /// The answer, or why there is none.
    pub reply: Result<Reply, Trouble>,
}

impl Attempt {
    /// There was an answer; `proof` is what shows that it is a good one.
    pub fn answered(reply: Reply, proof: Proof) -> Self {
        let answer = Answer {
            status: reply.status,
            retry_after: reply.retry_after.as_deref(),
            body: reply.body.as_deref(),
        };
        Self {
            outcome: answer::outcome(answer, proof, clock::now()),
            reply: Ok(reply),
        }
    }

    /// There was none.
    pub fn failed(trouble: Trouble) -> Self {
        let retry = |reason| Outcome::Retry {
            reason,
            after: None,
        };
        let outcome = match &trouble {
            Trouble::Configuration(_) => Outcome::Misconfigured {
                reason: FailureReason::Other,
            },
            Trouble::Unreachable { timeout: true, .. } => retry(FailureReason::Timeout),
            Trouble::Unreachable { timeout: false, .. } => retry(FailureReason::Other),
        };
        Self {
            outcome,
            reply: Err(trouble),
        }
    }

    /// The status code of the answer.
    pub fn status(&self) -> Option<u16> {
        self.reply.as_ref().ok().map(|reply| reply.status)
    }

    /// Why there is no answer, without secrets.
    fn cause(&self) -> Option<&str> {
        match &self.reply {
            Ok(_) => None,
            Err(Trouble::Configuration(cause) | Trouble::Unreachable { cause, .. }) => Some(cause),
        }
    }

    /// What it means for people. `integration` is the kind of the receiver.
    pub fn advice(&self, integration: &str) -> Advice {
        advice(integration, self.outcome, self.status())
    }

    /// The answer as people read it: status, `Retry-After` and body, or why there is none. `masked` hides secrets.
    pub fn answer(&self, masked: impl Fn(&str) -> String) -> String {
        let Ok(reply) = &self.reply else {
            return masked(self.cause().unwrap_or_default());
        };
        let status = StatusCode::from_u16(reply.status).ok();
        let reason = status.and_then(|status| status.canonical_reason());
        let mut lines = vec![format!("{} {}", reply.status, reason.unwrap_or_default())];
        let after = reply.retry_after.iter();
        lines.extend(after.map(|after| format!("retry-after: {}", masked(after))));
        lines.extend(reply.body.iter().map(|body| masked(body)));
        lines.join("\n").trim_end().to_owned()
    }

    /// Logs what went wrong, if anything did. `instance` counts those of an Alertmanager, from 0.
    pub(super) fn complain(
        &self,
        receiver: &str,
        integration: &str,
        instance: Option<usize>,
        is_news: bool,
    ) {
        let Advice {
            meaning,
            consequence,
        } = self.advice(integration);
        let (status, cause) = (self.status(), self.cause());
        match self.outcome {
            Outcome::Delivered => {}
            _ if !is_news => debug!(receiver, instance, status, cause, "{meaning}"),
            Outcome::Retry { .. } => {
                warn!(
                    target: TARGET,
                    receiver,
                    instance, status, cause, "{meaning}; {consequence}"
                );
            }
            Outcome::Misconfigured { .. } | Outcome::Refused | Outcome::Gone => {
                error!(
                    target: TARGET,
                    receiver,
                    instance, status, cause, "{meaning}; {consequence}"
                );
            }
        }
    }
}
