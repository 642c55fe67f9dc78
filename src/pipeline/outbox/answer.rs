//! What an answer of a receiver means: the whole table, in one place.

use std::time::Duration;

use jiff::Timestamp;

use crate::pipeline::outbox::FailureReason;
use crate::pipeline::outbox::MAX_RETRY_AFTER;
use crate::pipeline::outbox::Outcome;

/// An answer over HTTP, as far as it matters.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status code (RFC 9110, section 15).
    pub status: u16,
    /// The value of `Retry-After`, if there is one.
    pub retry_after: Option<&'a str>,
    /// The beginning of the body; `None`: the connection broke before it was there.
    pub body: Option<&'a str>,
}

/// What proves that a receiver has taken a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proof {
    /// A status of 2xx.
    Status,
    /// A status of 2xx, and the word `ok` as body: how Slack answers. Anything else comes from a page in between.
    Ok,
}

/// What an answer means. `now` is when it came.
pub fn outcome(answer: Answer<'_>, proof: Proof, now: Timestamp) -> Outcome {
    let retry = |reason, after| Outcome::Retry { reason, after };
    let after = || answer.retry_after.and_then(|text| pause(text, now));
    match answer.status {
        200..=299 => match (proof, answer.body.map(str::trim)) {
            (Proof::Status, _) | (Proof::Ok, Some("ok")) => Outcome::Delivered,
            (Proof::Ok, None) => retry(FailureReason::Other, None),
            (Proof::Ok, Some(_)) => Outcome::Misconfigured {
                reason: FailureReason::Other,
            },
        },
        429 => retry(FailureReason::RateLimited, after()),
        503 => retry(FailureReason::ServerError, after()),
        500..=599 => retry(FailureReason::ServerError, None),
        408 | 425 => retry(FailureReason::ClientError, None),
        // 407 is a proxy's 401.
        401 | 403 | 407 => Outcome::Misconfigured {
            reason: FailureReason::AuthError,
        },
        404 | 405 => Outcome::Misconfigured {
            reason: FailureReason::ClientError,
        },
        410 => Outcome::Gone,
        400..=499 => Outcome::Refused,
        // Redirects, and what no final answer may be.
        _ => Outcome::Misconfigured {
            reason: FailureReason::Other,
        },
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3). More than can be counted means as long as possible.
fn pause(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse().map(Duration::from_secs);
        return Some(seconds.unwrap_or(MAX_RETRY_AFTER));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let date = Timestamp::try_from(date).unwrap_or(Timestamp::MAX);
    Some(date.duration_since(now).try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:48:37 GMT.
    fn now() -> Timestamp {
        Timestamp::from_second(784_111_717).unwrap_or(Timestamp::MAX)
    }

    fn retry(reason: FailureReason, after: Option<u64>) -> Outcome {
        let after = after.map(Duration::from_secs);
        Outcome::Retry { reason, after }
    }

    fn wrong(reason: FailureReason) -> Outcome {
        Outcome::Misconfigured { reason }
    }

    #[test]
    fn every_status_has_its_outcome() {
        use FailureReason::{AuthError, ClientError, Other, RateLimited, ServerError};
        let table: &[(&[u16], Outcome)] = &[
            (&[200, 201, 202, 204, 299], Outcome::Delivered),
            (&[408, 425], retry(ClientError, None)),
            (&[429], retry(RateLimited, Some(7))),
            (&[503], retry(ServerError, Some(7))),
            (&[500, 501, 502, 504, 520, 599], retry(ServerError, None)),
            (&[401, 403, 407], wrong(AuthError)),
            (&[404, 405], wrong(ClientError)),
            (&[300, 301, 302, 303, 304, 307, 308], wrong(Other)),
            (&[400, 402, 409, 413, 415, 422, 431, 499], Outcome::Refused),
            (&[410], Outcome::Gone),
            (&[100, 101, 199, 600, 999], wrong(Other)),
        ];
        for (statuses, expected) in table {
            for &status in *statuses {
                let answer = Answer {
                    status,
                    retry_after: Some("7"),
                    body: Some("anything"),
                };
                assert_eq!(outcome(answer, Proof::Status, now()), *expected, "{status}");
            }
        }
    }

    #[test]
    fn slack_has_to_say_ok() {
        for (body, expected) in [
            (Some("ok"), Outcome::Delivered),
            (Some("ok\n"), Outcome::Delivered),
            (Some("<html>Sign in</html>"), wrong(FailureReason::Other)),
            (Some(""), wrong(FailureReason::Other)),
            (None, retry(FailureReason::Other, None)),
        ] {
            let answer = Answer {
                status: 200,
                retry_after: None,
                body,
            };
            assert_eq!(outcome(answer, Proof::Ok, now()), expected, "{body:?}");
            assert_eq!(outcome(answer, Proof::Status, now()), Outcome::Delivered);
        }
    }

    #[test]
    fn retry_after_comes_in_seconds_or_as_a_date() {
        for (text, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(60)),
            ("Sun Nov  6 08:49:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("18446744073709551616", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("soon", None),
            ("-5", None),
            ("1.5", None),
            ("", None),
        ] {
            let pause = pause(text, now());
            assert_eq!(pause, expected.map(Duration::from_secs), "{text}");
        }
        // The last second that can be written is later than any time that can be reckoned with.
        let never = pause("Fri, 31 Dec 9999 23:59:59 GMT", now());
        assert!(never.is_some_and(|it| it > MAX_RETRY_AFTER), "{never:?}");
    }
}
