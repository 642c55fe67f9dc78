//! What an answer of a receiver means for people, and what they can do about it.

use crate::pipeline::outbox::Outcome;

/// One sentence or two. `status` is that of the answer; `None`: there was none.
pub fn advice(outcome: Outcome, status: Option<u16>) -> &'static str {
    match (outcome, status) {
        (Outcome::Delivered, Some(202)) => {
            "the receiver accepted the notification, and looks at it later"
        }
        (Outcome::Delivered, _) => "the receiver took the notification",
        (Outcome::Retry { .. }, Some(429)) => {
            "the receiver gets more than it takes at once; the notification is tried again"
        }
        (Outcome::Retry { .. }, Some(_)) => {
            "the receiver is not ready; the notification is tried again"
        }
        (Outcome::Retry { .. }, None) => {
            "the receiver cannot be reached; the notification is tried again"
        }
        (Outcome::Misconfigured { .. }, Some(401 | 403)) => {
            "the receiver does not accept the credentials; check the address, the secret, and what `http:` says"
        }
        (Outcome::Misconfigured { .. }, Some(407)) => {
            "the proxy does not accept the credentials; check `proxy_url`"
        }
        (Outcome::Misconfigured { .. }, Some(404 | 405)) => {
            "there is nothing that takes notifications at this address (any more); check it"
        }
        (Outcome::Misconfigured { .. }, Some(300..=399)) => {
            "the receiver redirects; give the address that it redirects to"
        }
        (Outcome::Misconfigured { .. }, Some(_)) => {
            "the answer is not that of such a receiver; check the address, and whether a proxy or a sign-in page is in between"
        }
        (Outcome::Misconfigured { .. }, None) => {
            "the notification cannot be sent as it is configured; it is tried again every 15 minutes"
        }
        (Outcome::Refused, _) => {
            "the receiver does not take this notification; it is tried once more with less, and then kept as a dead letter"
        }
        (Outcome::Gone, _) => {
            "the receiver says that this address is gone for good; nothing is sent there until the configuration is read again"
        }
    }
}
