//! A webhook: a POST with the headers of the Standard Webhooks specification.

use reqwest::header::HeaderName;
use reqwest::header::HeaderValue;

use crate::config::WebhookConfig;
use crate::config::check_url;
use crate::daemon::clock;
use crate::daemon::post::request::Request;
use crate::daemon::post::secret;
use crate::daemon::post::signature::signatures;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The request for a message with this id and body.
pub(super) fn request(config: &WebhookConfig, id: &str, body: String) -> Result<Request, String> {
    let url = secret::url(&config.url, check_url)?;
    let timestamp = clock::now().as_second();
    let signature = match &config.secret_file {
        Some(file) => {
            let signed = signatures(&secret::read(file)?, id, &timestamp.to_string(), &body);
            Some(signed.map_err(|wrong| format!("{}: {wrong}", file.display()))?)
        }
        None => None,
    };
    let mut request = Request::post(url, body);
    request.set(ID, value(id)?);
    request.set(TIMESTAMP, HeaderValue::from(timestamp));
    if let Some(signature) = signature {
        request.set(SIGNATURE, value(&signature)?);
    }
    Ok(request)
}

fn value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|error| error.to_string())
}
