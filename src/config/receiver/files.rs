//! The files that a receiver names and that are read at each send: whether they are there shows only then, unless
//! somebody asks before.

use std::path::Path;

use crate::config::receiver::ReceiverConfig;
use crate::config::receiver::http::{Authorization, HeaderSource, HttpConfig};
use crate::config::receiver::integration::{AlertmanagerUrls, Integration};
use crate::config::receiver::url::UrlSource;

/// The keys of files in PEM, which may have remarks in any encoding around what counts.
const PEM: [&str; 3] = ["http.ca_file", "http.cert_file", "http.key_file"];

/// A file, and the key that names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NamedFile<'a> {
    /// The key, as it is typed below the receiver: `webhook.secret_file`.
    pub key: &'static str,
    /// The file.
    pub path: &'a Path,
    /// Whether it holds certificates or a key in PEM, and not a text that counts as a whole.
    pub is_pem: bool,
}

impl ReceiverConfig {
    /// The files that hold its address, its secrets and its certificates. A template is none of them: it is read with
    /// the configuration.
    pub fn files<'a>(&'a self) -> Vec<NamedFile<'a>> {
        let mut files = Vec::new();
        let mut add = |key, path: Option<&'a Path>| {
            let is_pem = PEM.contains(&key);
            files.extend(path.map(|path| NamedFile { key, path, is_pem }));
        };
        match &self.integration {
            Integration::Webhook(webhook) => {
                add("webhook.url_file", file_of(&webhook.url));
                add("webhook.secret_file", webhook.secret_file.as_deref());
            }
            Integration::Alertmanager(alertmanager) => match &alertmanager.urls {
                AlertmanagerUrls::Inline(_) => {}
                AlertmanagerUrls::File(file) => add("alertmanager.urls_file", Some(file)),
            },
            Integration::PagerDuty(pagerduty) => {
                let file = Some(&*pagerduty.routing_key_file);
                add("pagerduty.routing_key_file", file);
            }
            Integration::Slack(url) => add("slack.url_file", file_of(url)),
            Integration::Teams(url) => add("teams.url_file", file_of(url)),
            Integration::Heartbeat(heartbeat) => {
                add("heartbeat.url_file", file_of(&heartbeat.url));
            }
        }
        let HttpConfig {
            authorization,
            headers,
            ca_file,
            client_certificate,
            proxy,
        } = &self.http;
        match authorization {
            Some(Authorization::Basic { password_file, .. }) => {
                add("http.basic_auth.password_file", Some(password_file));
            }
            Some(Authorization::Bearer { token_file }) => {
                add("http.bearer_auth.token_file", Some(token_file));
            }
            None => {}
        }
        for header in headers {
            if let HeaderSource::File(file) = &header.value {
                add("http.headers.value_file", Some(file));
            }
        }
        add("http.ca_file", ca_file.as_deref());
        if let Some(client) = client_certificate {
            add("http.cert_file", Some(&client.cert_file));
            add("http.key_file", Some(&client.key_file));
        }
        add("http.proxy_url_file", proxy.as_ref().and_then(file_of));
        files
    }
}

fn file_of(url: &UrlSource) -> Option<&Path> {
    match url {
        UrlSource::Inline(_) => None,
        UrlSource::File(file) => Some(file),
    }
}
