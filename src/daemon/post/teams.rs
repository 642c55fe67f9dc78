//! A channel or chat of Microsoft Teams, by Workflows.

use crate::config::UrlSource;
use crate::config::check_teams_url;
use crate::daemon::post::request::Request;
use crate::daemon::post::secret;
use crate::render::message::Message;
use crate::render::teams;

/// The request for a message.
pub(super) fn request(url: &UrlSource, message: &Message) -> Result<Request, String> {
    let url = secret::url(url, check_teams_url)?;
    Ok(Request::post(url, teams::message(message).to_string()))
}
