//! A channel of Slack, by an incoming webhook.

use crate::config::UrlSource;
use crate::config::check_url;
use crate::daemon::post::request::Request;
use crate::daemon::post::secret;
use crate::render::message::Message;
use crate::render::slack;

/// The request for a message.
pub(super) fn request(url: &UrlSource, message: &Message) -> Result<Request, String> {
    let url = secret::url(url, check_url)?;
    Ok(Request::post(url, slack::message(message).to_string()))
}
