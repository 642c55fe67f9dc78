//! What an answer of a receiver means for people, what they can do about it, and what becomes of the message.

use crate::pipeline::outbox::FailureReason;
use crate::pipeline::outbox::Outcome;

/// What is said of an outcome.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Advice {
    /// What it means and what to do, as half a sentence.
    pub meaning: &'static str,
    /// What the daemon does then, with `it` for the notification; empty: nothing is left to do.
    pub consequence: &'static str,
}

/// Advice for an outcome. `integration` is the kind of the receiver; `status` is that of the answer, `None` without one.
pub fn advice(integration: &str, outcome: Outcome, status: Option<u16>) -> Advice {
    Advice {
        meaning: meaning(integration, outcome, status),
        consequence: consequence(integration, outcome),
    }
}

fn meaning(integration: &str, outcome: Outcome, status: Option<u16>) -> &'static str {
    match (outcome, status, integration) {
        (Outcome::Delivered, Some(202), "teams") => {
            "the workflow accepted the notification and runs later; if nothing appears in the channel, the run history of \
             the flow (Power Automate > My flows) says why"
        }
        (Outcome::Delivered, Some(202), _) => {
            "the receiver accepted the notification, and looks at it later"
        }
        (Outcome::Delivered, ..) => "the receiver took the notification",
        (Outcome::Retry { .. }, Some(429), _) => {
            "the receiver gets more than it takes at once; other senders may count too"
        }
        (Outcome::Retry { .. }, Some(_), _) => "the receiver is not ready",
        (Outcome::Retry { reason, .. }, None, _) => match reason {
            FailureReason::Timeout => {
                "the receiver does not answer in time; check the way there: firewall, proxy, address"
            }
            _ => {
                "the receiver cannot be reached; check the way there: name, port, firewall, proxy, certificate"
            }
        },
        (Outcome::Misconfigured { .. }, Some(401 | 403), _) => {
            "the receiver does not accept the credentials; check the address, the secret, and what `http:` says"
        }
        (Outcome::Misconfigured { .. }, Some(407), _) => {
            "the proxy does not accept the credentials; check `proxy_url`"
        }
        (Outcome::Misconfigured { .. }, Some(404 | 405), _) => {
            "there is nothing that takes notifications at this address (any more); check it"
        }
        (Outcome::Misconfigured { .. }, Some(300..=399), _) => {
            "the receiver redirects; give the address that it redirects to"
        }
        (Outcome::Misconfigured { .. }, Some(_), _) => {
            "the answer is not that of such a receiver; check the address, and whether a proxy or a sign-in page is in \
             between"
        }
        (Outcome::Misconfigured { .. }, None, _) => {
            "the notification cannot be sent as it is configured"
        }
        (Outcome::Refused, _, "pagerduty") => {
            "PagerDuty does not take this event; check that the routing key is that of an Events API v2 integration"
        }
        (Outcome::Refused, ..) => {
            "the receiver does not take this notification; it may want another body"
        }
        (Outcome::Gone, ..) => {
            "the receiver says that this address is gone for good; make a new one"
        }
    }
}

fn consequence(integration: &str, outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "",
        _ if integration == "heartbeat" => "the next one comes in its time",
        Outcome::Retry { .. } => "it is tried again",
        Outcome::Misconfigured { .. } => {
            "it is tried again every 15 minutes, and the fallback is called at once"
        }
        Outcome::Refused => "it is tried once more with less, and then kept as a dead letter",
        Outcome::Gone => "nothing is sent there until the configuration is read again",
    }
}
