//! Signatures of the Standard Webhooks specification.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Hmac;
use hmac::Mac;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use sha2::Sha256;

/// What every secret starts with.
const SECRET_PREFIX: &str = "whsec_";
/// Most secrets of one file: the one in use, the one before, and the next.
const MAX_SECRETS: usize = 8;

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
        .take(MAX_SECRETS)
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use reqwest::header::HeaderMap;
    use reqwest::header::HeaderValue;

    use super::*;
    use crate::daemon::clock;

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
}
