//! `PagerDuty`, by its Events API v2.

use reqwest::Url;
use secrecy::ExposeSecret;

use crate::config::PagerDutyConfig;
use crate::config::check_url;
use crate::daemon::post::request::Request;
use crate::daemon::post::secret;
use crate::render::message::Message;
use crate::render::pagerduty;

/// The request for a message. The routing key stands in the body.
pub(super) fn request(config: &PagerDutyConfig, message: &Message) -> Result<Request, String> {
    let url: Url =
        check_url(config.url.expose_secret()).map_err(|wrong| format!("`url` {wrong}"))?;
    let key = secret::read(&config.routing_key_file)?;
    let event = pagerduty::event(message, key.expose_secret());
    let mut request = Request::post(url, event.to_string());
    request.hide(&key);
    Ok(request)
}
