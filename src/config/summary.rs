//! What a configuration means, in an admin's words: the answer of `certdrift check-config`.

use std::fmt::{self, Display};

use crate::config::Config;
use crate::config::connector::CONNECTOR_TYPES;
use crate::config::receiver::{ReceiverConfig, UrlSource, severity_word};
use crate::config::source::{FirstRead, SourceConfig};
use crate::pipeline::expectation::{Expectation, InboundConnector};

/// Describes what was understood, and warns of what is allowed but hardly meant. Ends with a line break; the same
/// configuration always gives the same text, and no address or secret is in it.
pub fn describe(config: &Config) -> String {
    Summary(config).to_string()
}

struct Summary<'a>(&'a Config);

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config {
            sources,
            expectations,
            receivers,
        } = self.0;
        writeln!(
            f,
            "sources: {}",
            count(sources.len(), "log directory", "log directories")
        )?;
        sources
            .iter()
            .try_for_each(|source| describe_source(f, source))?;

        let entries = expectations.entries();
        writeln!(
            f,
            "connectors: {}",
            count(entries.len(), "expectation", "expectations")
        )?;
        entries
            .iter()
            .try_for_each(|entry| describe_expectation(f, entry))?;

        writeln!(
            f,
            "receivers: {}",
            count(receivers.len(), "receiver", "receivers")
        )?;
        receivers
            .iter()
            .try_for_each(|receiver| describe_receiver(f, receiver))?;

        let warnings = warnings(self.0);
        warnings
            .iter()
            .try_for_each(|warning| writeln!(f, "warning: {warning}"))
    }
}

fn count(number: usize, one: &str, several: &str) -> String {
    match number {
        0 => "none".to_owned(),
        1 => format!("1 {one}"),
        _ => format!("{number} {several}"),
    }
}

fn describe_source(f: &mut fmt::Formatter<'_>, source: &SourceConfig) -> fmt::Result {
    writeln!(f, "  {}", source.path.as_path().display())?;
    match &source.server {
        Some(server) => writeln!(f, "    server: {server}")?,
        None if source.path.names_server() => {
            writeln!(f, "    server: what stands for {{server}} in the path")?;
        }
        None => writeln!(f, "    server: taken from the path")?,
    }
    match source.first_read {
        FirstRead::All => writeln!(f, "    first start reads: every log that is there"),
        FirstRead::Last(_) => writeln!(f, "    first start reads: the last {}", source.first_read),
    }
}

fn describe_expectation(f: &mut fmt::Formatter<'_>, entry: &Expectation) -> fmt::Result {
    writeln!(f, "  send connectors named {:?}", entry.pattern.as_str())?;
    entry
        .inbound_connectors
        .iter()
        .try_for_each(|inbound| describe_inbound_connector(f, inbound))?;
    match &entry.accepted_domains {
        Some(domains) => writeln!(f, "    accepted domains: {}", domains.join(", "))?,
        None => writeln!(f, "    accepted domains: unknown")?,
    }
    if let Some(name) = &entry.tls_certificate_name {
        writeln!(f, "    TlsCertificateName: {name}")?;
    }
    if !entry.thumbprints.is_empty() {
        writeln!(
            f,
            "    only these certificates: {}",
            joined(&entry.thumbprints)
        )?;
    }
    if !entry.accept.is_empty() {
        writeln!(
            f,
            "    accepted although fragile: {}",
            entry.accept.join(", ")
        )?;
    }
    Ok(())
}

fn describe_inbound_connector(
    f: &mut fmt::Formatter<'_>,
    inbound: &InboundConnector,
) -> fmt::Result {
    let kind = CONNECTOR_TYPES
        .iter()
        .find(|(_, kind)| *kind == inbound.connector_type);
    let kind = kind.map_or("", |(word, _)| word);
    let state = if inbound.enabled {
        ""
    } else {
        ", disabled, so it matches nothing"
    };
    writeln!(
        f,
        "    inbound connector {:?} ({kind}{state})",
        inbound.name
    )?;
    if let Some(name) = &inbound.tls_sender_certificate_name {
        writeln!(f, "      recognises the certificate: {name}")?;
    }
    if !inbound.sender_ip_addresses.is_empty() {
        writeln!(
            f,
            "      recognises the addresses: {}",
            joined(&inbound.sender_ip_addresses)
        )?;
    }
    match inbound.cloud_services_mail_enabled {
        Some(enabled) => writeln!(f, "      CloudServicesMailEnabled: {enabled}"),
        None => Ok(()),
    }
}

fn describe_receiver(f: &mut fmt::Formatter<'_>, receiver: &ReceiverConfig) -> fmt::Result {
    let severities: Vec<&str> = receiver
        .severities
        .iter()
        .map(|severity| severity_word(*severity))
        .collect();
    writeln!(f, "  {}", receiver.name)?;
    writeln!(f, "    called for: {}", severities.join(", "))?;
    match &receiver.webhook.url {
        UrlSource::Inline(_) => writeln!(
            f,
            "    webhook: the address in the configuration (not shown)"
        )?,
        UrlSource::File(file) => writeln!(f, "    webhook: the address in {}", file.display())?,
    }
    match &receiver.webhook.secret_file {
        Some(file) => writeln!(f, "    signed with: the secret in {}", file.display()),
        None => writeln!(f, "    signed with: nothing"),
    }
}

fn joined<T: Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let entries = config.expectations.entries();
    if entries.is_empty() {
        warnings.push("no connectors, so certificates are shown, but nothing is judged".to_owned());
    }
    for entry in entries.iter().filter(|entry| {
        entry
            .inbound_connectors
            .iter()
            .all(|inbound| !inbound.enabled)
    }) {
        let name = entry.pattern.as_str();
        warnings.push(format!(
            "every inbound connector expected for {name:?} is disabled, so nothing can match"
        ));
    }
    if config.receivers.is_empty() {
        warnings
            .push("no receivers, so nobody will be called; metrics are all there is".to_owned());
    }
    for receiver in &config.receivers {
        let name = &receiver.name;
        if receiver.webhook.secret_file.is_none() {
            warnings.push(format!(
                "receiver {name} has no secret_file, so its messages are not signed"
            ));
        }
        if receiver.webhook.url.is_unencrypted() {
            warnings.push(format!(
                "receiver {name} is called over http, which is not encrypted"
            ));
        }
    }
    warnings
}
