//! What is understood of a receiver. No address and no secret is in it.

use std::fmt;
use std::path::Path;

use crate::config::duration::Typed;
use crate::config::receiver::ReceiverConfig;
use crate::config::receiver::http::{Authorization, HeaderSource, HttpConfig};
use crate::config::receiver::integration::{
    AlertmanagerConfig, AlertmanagerUrls, HeartbeatConfig, Integration, PagerDutyConfig,
    TemplateSource, WebhookConfig,
};
use crate::config::receiver::severity_word;
use crate::config::receiver::url::{UrlSource, is_unencrypted};
use crate::config::summary::count;
use crate::pipeline::shown::shown;

/// What a receiver is called for, and how.
pub(super) fn describe(f: &mut fmt::Formatter<'_>, receiver: &ReceiverConfig) -> fmt::Result {
    writeln!(f, "  {}", receiver.name)?;
    let severities = receiver.severities.iter().copied().map(severity_word);
    let severities: Vec<&str> = severities.collect();
    if !severities.is_empty() {
        writeln!(f, "    called for: {}", severities.join(", "))?;
    }
    let connectors = receiver.connectors.iter().map(|it| shown(it.as_str()));
    let connectors: Vec<String> = connectors.collect();
    if !connectors.is_empty() {
        writeln!(f, "    of send connectors: {}", connectors.join(", "))?;
    }
    let word = receiver.integration.as_str();
    match &receiver.integration {
        Integration::Webhook(webhook) => {
            describe_address(f, word, &webhook.url)?;
            describe_webhook(f, webhook)?;
        }
        Integration::Alertmanager(alertmanager) => describe_alertmanager(f, alertmanager)?,
        Integration::PagerDuty(PagerDutyConfig {
            url: _,
            routing_key_file,
        }) => {
            let file = routing_key_file.display();
            writeln!(f, "    {word}: the integration key in {file}")?;
        }
        Integration::Slack(url) | Integration::Teams(url) => describe_address(f, word, url)?,
        Integration::Heartbeat(heartbeat) => {
            let HeartbeatConfig {
                url,
                method,
                interval,
            } = heartbeat;
            describe_address(f, word, url)?;
            writeln!(f, "    {} every {}", method.as_str(), Typed(*interval))?;
        }
    }
    describe_http(f, &receiver.http)?;
    match &receiver.fallback {
        Some(fallback) => writeln!(f, "    in its place, if need be: {fallback}"),
        None => Ok(()),
    }
}

fn describe_address(f: &mut fmt::Formatter<'_>, what: &str, url: &UrlSource) -> fmt::Result {
    match url {
        UrlSource::Inline(_) => {
            writeln!(
                f,
                "    {what}: the address in the configuration (not shown)"
            )
        }
        UrlSource::File(file) => writeln!(f, "    {what}: the address in {}", file.display()),
    }
}

fn describe_webhook(f: &mut fmt::Formatter<'_>, webhook: &WebhookConfig) -> fmt::Result {
    match &webhook.template {
        None => {}
        Some(TemplateSource::Inline(_)) => {
            writeln!(f, "    body: the template in the configuration")?;
        }
        Some(TemplateSource::File(file)) => {
            writeln!(f, "    body: the template in {}", file.display())?;
        }
    }
    match &webhook.secret_file {
        Some(file) => writeln!(f, "    signed with: the secret in {}", file.display()),
        None if webhook.template.is_some() => Ok(()),
        None => writeln!(f, "    signed with: nothing"),
    }
}

fn describe_alertmanager(
    f: &mut fmt::Formatter<'_>,
    alertmanager: &AlertmanagerConfig,
) -> fmt::Result {
    match &alertmanager.urls {
        AlertmanagerUrls::Inline(urls) => {
            let instances = count(urls.len(), "instance", "instances");
            writeln!(
                f,
                "    alertmanager: {instances} in the configuration (not shown)"
            )?;
        }
        AlertmanagerUrls::File(file) => {
            writeln!(f, "    alertmanager: the instances in {}", file.display())?;
        }
    }
    let interval = Typed(alertmanager.resend_interval);
    writeln!(f, "    told again every {interval}")
}

/// Only what is not as usual.
fn describe_http(f: &mut fmt::Formatter<'_>, http: &HttpConfig) -> fmt::Result {
    match &http.authorization {
        Some(Authorization::Basic {
            username: _,
            password_file,
        }) => writeln!(
            f,
            "    logs in with: the password in {}",
            password_file.display()
        )?,
        Some(Authorization::Bearer { token_file }) => {
            writeln!(f, "    logs in with: the token in {}", token_file.display())?;
        }
        None => {}
    }
    for header in &http.headers {
        match &header.value {
            HeaderSource::Inline(_) => writeln!(f, "    header: {} (not shown)", header.name)?,
            HeaderSource::File(file) => {
                writeln!(f, "    header: {}, as in {}", header.name, file.display())?;
            }
        }
    }
    let trusted = http.ca_file.as_deref();
    let presented = http.client_certificate.as_ref();
    for (what, file) in [
        ("trusts only", trusted),
        (
            "client certificate",
            presented.map(|it| it.cert_file.as_path()),
        ),
        ("private key", presented.map(|it| it.key_file.as_path())),
    ] {
        describe_file(f, what, file)?;
    }
    match &http.proxy {
        Some(UrlSource::Inline(_)) => {
            writeln!(f, "    by the proxy in the configuration (not shown)")
        }
        Some(UrlSource::File(file)) => writeln!(f, "    by the proxy in {}", file.display()),
        None => Ok(()),
    }
}

fn describe_file(f: &mut fmt::Formatter<'_>, what: &str, file: Option<&Path>) -> fmt::Result {
    match file {
        Some(file) => writeln!(f, "    {what}: {}", file.display()),
        None => Ok(()),
    }
}

/// What is allowed, but hardly meant.
pub(super) fn warnings(receiver: &ReceiverConfig) -> Vec<String> {
    let name = &receiver.name;
    let mut warnings = Vec::new();
    if let Integration::Webhook(webhook) = &receiver.integration
        && webhook.template.is_none()
        && webhook.secret_file.is_none()
        && receiver.http.authorization.is_none()
    {
        warnings.push(format!(
            "receiver {name} has no secret_file, so its messages are not signed"
        ));
    }
    let is_unencrypted = match &receiver.integration {
        Integration::Webhook(WebhookConfig { url, .. })
        | Integration::Slack(url)
        | Integration::Teams(url)
        | Integration::Heartbeat(HeartbeatConfig { url, .. }) => url.is_unencrypted(),
        Integration::PagerDuty(PagerDutyConfig { url, .. }) => is_unencrypted(url),
        Integration::Alertmanager(AlertmanagerConfig { urls, .. }) => match urls {
            AlertmanagerUrls::Inline(urls) => urls.iter().any(is_unencrypted),
            AlertmanagerUrls::File(_) => false,
        },
    };
    if is_unencrypted {
        warnings.push(format!(
            "receiver {name} is called over http, which is not encrypted"
        ));
    }
    warnings
}
