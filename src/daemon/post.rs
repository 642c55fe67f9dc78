//! Sending a message to its receiver, and what the answer means.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Hmac;
use hmac::Mac;
use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use reqwest::header::RETRY_AFTER;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use sha2::Sha256;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::config::ReceiverConfig;
use crate::config::UrlSource;
use crate::config::check_url;
use crate::daemon::clock;
use crate::pipeline::outbox::Delivery;
use crate::pipeline::outbox::FailureReason;
use crate::pipeline::outbox::Outcome;
use crate::render::webhook;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a whole request may take.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// The largest file with an address or with secrets.
const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;
/// What every secret of the Standard Webhooks specification starts with.
const SECRET_PREFIX: &str = "whsec_";

/// Sends messages to the receivers of one configuration.
pub struct Poster {
    client: reqwest::Client,
    receivers: HashMap<String, ReceiverConfig>,
    external_url: String,
}

impl Poster {
    /// A sender for these receivers. `external_url` is where people reach this certdrift.
    ///
    /// # Errors
    /// When the TLS library finds no usable certificate store.
    pub fn new(receivers: &[ReceiverConfig], external_url: &str) -> Result<Self, String> {
        // Whoever installs a provider first wins, and it is always this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            // A followed 302 turns a POST into a GET, and "succeeds".
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("certdrift/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("cannot set up the HTTP client: {error}"))?;
        Ok(Self {
            client,
            receivers: receivers
                .iter()
                .map(|receiver| (receiver.name.clone(), receiver.clone()))
                .collect(),
            external_url: external_url.to_owned(),
        })
    }

    /// Tries once to deliver a message.
    pub async fn send(&self, delivery: &Delivery) -> Outcome {
        let Some(receiver) = self.receivers.get(&*delivery.receiver) else {
            return Outcome::Refused;
        };
        let outcome = self
            .post(receiver, delivery)
            .await
            .unwrap_or_else(|trouble| {
                error!(receiver = receiver.name, "cannot send: {trouble}");
                Outcome::Misconfigured {
                    reason: FailureReason::Other,
                }
            });
        if outcome == Outcome::Delivered {
            let status = if delivery.notice.is_resolved() {
                "resolved"
            } else {
                "firing"
            };
            info!(
                receiver = receiver.name,
                alertname = delivery.notice.name.as_str(),
                status,
                id = delivery.notice.id,
                "notification delivered"
            );
        }
        outcome
    }

    /// The error is a fault of the configuration, in words without secrets.
    async fn post(
        &self,
        receiver: &ReceiverConfig,
        delivery: &Delivery,
    ) -> Result<Outcome, String> {
        let url = match &receiver.webhook.url {
            UrlSource::Inline(url) => url.clone(),
            UrlSource::File(file) => read_secret(file).map_err(|error| unreadable(file, &error))?,
        };
        let url = check_url(url.expose_secret())
            .map_err(|wrong| format!("the webhook's address {wrong}"))?;
        let secrets = match &receiver.webhook.secret_file {
            Some(file) => Some(read_secret(file).map_err(|error| unreadable(file, &error))?),
            None => None,
        };
        let body = webhook::body(&delivery.notice, &receiver.name, &self.external_url);
        let timestamp = clock::now().as_second().to_string();
        let mut request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", &delivery.notice.id)
            .header("webhook-timestamp", &timestamp);
        if let Some(secrets) = secrets {
            let signature = signatures(&secrets, &delivery.notice.id, &timestamp, &body)?;
            request = request.header("webhook-signature", signature);
        }
        Ok(match request.body(body).send().await {
            Ok(response) => answered(receiver, response.status(), response.headers()),
            Err(error) => failed(receiver, error),
        })
    }
}

/// Standard Webhooks: `v1,<base64 HMAC-SHA256 of id.timestamp.body>`, one for each secret of the file, separated by
/// blanks, so that a receiver can change from one secret to the next.
///
/// # Errors
/// Says what is wrong with the file's content, without repeating it.
pub fn signatures(
    secrets: &SecretString,
    id: &str,
    timestamp: &str,
    body: &str,
) -> Result<String, String> {
    let signed: Result<Vec<String>, String> = secrets
        .expose_secret()
        .split_whitespace()
        .map(|secret| {
            let key = secret
                .strip_prefix(SECRET_PREFIX)
                .and_then(|encoded| STANDARD.decode(encoded).ok())
                .filter(|key| !key.is_empty())
                .ok_or_else(|| format!("the secret file must hold `{SECRET_PREFIX}` and base64, and it does not; make one with `printf 'whsec_%s\\n' \"$(openssl rand -base64 32)\"`"))?;
            let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|error| error.to_string())?;
            mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
            Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
        })
        .collect();
    let signed = signed?;
    if signed.is_empty() {
        return Err("the secret file is empty".to_owned());
    }
    Ok(signed.join(" "))
}

/// What a status means.
fn answered(receiver: &ReceiverConfig, status: StatusCode, headers: &HeaderMap) -> Outcome {
    let code = status.as_u16();
    let receiver = &receiver.name;
    match code {
        200..=299 => Outcome::Delivered,
        408 | 425 | 429 | 500..=599 => {
            let after = match code {
                429 | 503 => retry_after(headers),
                _ => None,
            };
            warn!(
                receiver,
                status = code,
                "the receiver is not ready; the notification is tried again"
            );
            let reason = match code {
                429 => FailureReason::RateLimited,
                500..=599 => FailureReason::ServerError,
                _ => FailureReason::ClientError,
            };
            Outcome::Retry { reason, after }
        }
        401 | 403 => {
            error!(
                receiver,
                status = code,
                "the receiver does not accept the credentials; check the webhook's address and secret"
            );
            Outcome::Misconfigured {
                reason: FailureReason::AuthError,
            }
        }
        300..=399 => {
            error!(
                receiver,
                status = code,
                "the receiver redirects; give the address that it redirects to"
            );
            Outcome::Misconfigured {
                reason: FailureReason::Other,
            }
        }
        410 => {
            error!(
                receiver,
                status = code,
                "the receiver says that this address is gone for good; nothing is sent there until the configuration is read again"
            );
            Outcome::Gone
        }
        404 | 405 => {
            error!(
                receiver,
                status = code,
                "there is no webhook at this address (any more); check it"
            );
            Outcome::Misconfigured {
                reason: FailureReason::ClientError,
            }
        }
        _ => {
            error!(
                receiver,
                status = code,
                "the receiver does not take this notification; it is tried once more with less, and then kept as a dead letter"
            );
            Outcome::Refused
        }
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date: Timestamp = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(
        date.duration_since(clock::now())
            .try_into()
            .unwrap_or(Duration::ZERO),
    )
}

fn failed(receiver: &ReceiverConfig, error: reqwest::Error) -> Outcome {
    let reason = if error.is_timeout() {
        FailureReason::Timeout
    } else {
        FailureReason::Other
    };
    // The address is a secret: whoever knows it can post there.
    let error = error.without_url();
    let cause = std::error::Error::source(&error)
        .map(ToString::to_string)
        .unwrap_or_default();
    warn!(receiver = receiver.name, %error, cause, "the receiver cannot be reached; the notification is tried again");
    Outcome::Retry {
        reason,
        after: None,
    }
}

/// The content of a file, read at each use so that a rotated secret needs no reload; white space around it is none of
/// it.
fn read_secret(file: &Path) -> io::Result<SecretString> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(file)?
        .take(MAX_SECRET_FILE_BYTES)
        .read_to_string(&mut text)?;
    Ok(SecretString::from(text.trim()))
}

fn unreadable(file: &Path, error: &io::Error) -> String {
    format!(
        "{}: {}",
        file.display(),
        crate::daemon::source::remedy(error)
    )
}

/// Shared by the tasks that send.
pub type SharedPoster = Arc<Poster>;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn signatures_satisfy_the_reference_implementation() {
        let secrets = [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        ];
        let both = SecretString::from(secrets.join("\n"));
        let timestamp = clock::now().as_second().to_string();
        let signature = signatures(&both, "msg_1", &timestamp, "{}").unwrap();
        for secret in secrets {
            let verifier = standardwebhooks::Webhook::new(secret).unwrap();
            let mut headers = http_headers("msg_1", &timestamp, &signature);
            assert!(verifier.verify(b"{}", &headers).is_ok());
            assert!(verifier.verify(b"{ }", &headers).is_err());
            headers.insert("webhook-id", HeaderValue::from_static("msg_2"));
            assert!(verifier.verify(b"{}", &headers).is_err());
        }
    }

    fn http_headers(id: &str, timestamp: &str, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("webhook-id", id),
            ("webhook-timestamp", timestamp),
            ("webhook-signature", signature),
        ] {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_bad_secret_is_refused_without_repeating_it() {
        for secret in ["hunter2", "whsec_***", "whsec_", ""] {
            let wrong = signatures(&SecretString::from(secret), "id", "0", "").unwrap_err();
            assert!(secret.len() < 7 || !wrong.contains(secret), "{wrong}");
        }
    }

    #[test]
    fn retry_after_comes_in_two_forms() {
        let header = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
            retry_after(&headers)
        };
        assert_eq!(header("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            header("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::ZERO)
        );
        assert!(header("Thu, 06 Nov 2194 08:49:37 GMT").unwrap() > Duration::from_secs(86_400));
        assert_eq!(header("soon"), None);
    }
}
