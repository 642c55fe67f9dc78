//! A channel or chat of Microsoft Teams, by Workflows.

use secrecy::ExposeSecret;

use crate::config::Integration;
use crate::config::UrlSource;
use crate::config::check_teams_url;
use crate::config::check_url;
use crate::daemon::post::request::Request;
use crate::daemon::post::secret;
use crate::render::message::Message;
use crate::render::teams;

/// The request for a message.
pub(super) fn request(url: &UrlSource, message: &Message) -> Result<Request, String> {
    let url = secret::url(url, check_teams_url)?;
    Ok(Request::post(url, teams::message(message).to_string()))
}

/// A file with an address that Microsoft has switched off is told when the configuration is read, if it is there by
/// then; otherwise at the send.
pub(super) fn refuse_switched_off(integration: &Integration) -> Result<(), String> {
    let Integration::Teams(source @ UrlSource::File(file)) = integration else {
        return Ok(());
    };
    let Ok(text) = secret::read(file) else {
        return Ok(());
    };
    if check_url(text.expose_secret()).is_err() {
        return Ok(());
    }
    secret::url(source, check_teams_url).map(|_| ())
}
