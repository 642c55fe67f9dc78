//! Templates, read once with the configuration.

use secrecy::ExposeSecret;

use crate::config::Integration;
use crate::config::MAX_TEMPLATE_BYTES;
use crate::config::ReceiverConfig;
use crate::config::TemplateSource;
use crate::daemon::post::secret;
use crate::render::template::Template;

/// The template of a receiver that has one, tried.
///
/// # Errors
/// What is wrong with it, with file or key, and line.
pub(super) fn of(receiver: &ReceiverConfig) -> Result<Option<Template>, String> {
    let Integration::Webhook(webhook) = &receiver.integration else {
        return Ok(None);
    };
    let template = match &webhook.template {
        None => return Ok(None),
        Some(TemplateSource::Inline(text)) => {
            let origin = format!("the template of receiver {}", receiver.name);
            Template::new(&origin, text.expose_secret())
        }
        Some(TemplateSource::File(file)) => {
            let text = secret::read(file)?;
            let text = text.expose_secret();
            if text.len() > MAX_TEMPLATE_BYTES {
                return Err(format!(
                    "{}: is larger than {MAX_TEMPLATE_BYTES} bytes",
                    file.display()
                ));
            }
            Template::new(&file.display().to_string(), text)
        }
    };
    template.map(Some)
}
