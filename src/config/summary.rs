//! What a configuration means, in an admin's words: the answer of `certdrift check-config`.

mod receiver;

use std::fmt::{self, Display};

use crate::config::Config;
use crate::config::alerts;
use crate::config::connector::CONNECTOR_TYPES;
use crate::config::duration::Typed;
use crate::config::exports::ExportFiles;
use crate::config::source::{FirstRead, SourceConfig};
use crate::pipeline::expectation::combined::{Configured, InboundOrigins, Origin};
use crate::pipeline::expectation::{
    Expectation, Expectations, InboundConnector, PlannedRenewal, Settings,
};
use crate::pipeline::export::Exports;
use crate::pipeline::shown::shown;
use crate::pipeline::shown::shown_without_addresses;

/// So many domains, addresses or thumbprints are listed.
const MAX_LISTED: usize = 20;

/// Describes what was understood, completed by what the exports say, and warns of what is allowed but hardly meant.
/// Ends with a line break; the same configuration and exports always give the same text, and no address or secret is
/// in it.
pub fn describe(config: &Config, exports: &Exports) -> String {
    let expectations = config.expectations(exports);
    Summary {
        config,
        exports,
        expectations,
    }
    .to_string()
}

struct Summary<'a> {
    config: &'a Config,
    exports: &'a Exports,
    expectations: Expectations,
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config {
            sources,
            connectors: _,
            exports,
            inventory,
            settings,
            receivers,
        } = self.config;
        writeln!(
            f,
            "sources: {}",
            count(sources.len(), "log directory", "log directories")
        )?;
        sources
            .iter()
            .try_for_each(|source| describe_source(f, source))?;

        let entries = self.expectations.entries();
        writeln!(
            f,
            "connectors: {}",
            count(entries.len(), "expectation", "expectations")
        )?;
        entries
            .iter()
            .try_for_each(|entry| describe_expectation(f, entry))?;
        describe_exports(f, exports)?;
        for pattern in inventory {
            writeln!(f, "certificate files: {}", pattern.as_path().display())?;
        }
        describe_settings(f, settings)?;

        writeln!(
            f,
            "receivers: {}",
            count(receivers.len(), "receiver", "receivers")
        )?;
        receivers
            .iter()
            .try_for_each(|receiver| receiver::describe(f, receiver))?;

        let warnings = warnings(self);
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
    let name = shown(entry.pattern.as_str());
    if entry.pattern.is_exact() {
        writeln!(f, "  send connector {name:?}{}", from(Some(Origin::Export)))?;
    } else {
        writeln!(f, "  send connectors named {name:?}")?;
    }
    let origins = &entry.origins;
    let inbound = entry.inbound_connectors.iter();
    inbound
        .zip(&origins.inbound_connectors)
        .try_for_each(|(inbound, origins)| describe_inbound_connector(f, inbound, *origins))?;
    if entry.inbound_connectors.is_empty() {
        writeln!(f, "    inbound connectors: unknown")?;
    }
    match &entry.accepted_domains {
        Some(domains) => writeln!(
            f,
            "    accepted domains: {}{}",
            listed(domains),
            from(origins.accepted_domains)
        )?,
        None => writeln!(f, "    accepted domains: unknown")?,
    }
    if let Some(name) = &entry.tls_certificate_name {
        let from = from(origins.tls_certificate_name);
        writeln!(
            f,
            "    TlsCertificateName: {}{from}",
            shown_without_addresses(name)
        )?;
    }
    if entry.protocol_logging == Some(false) {
        writeln!(f, "    ProtocolLoggingLevel: None, so nothing is logged")?;
    }
    if !entry.thumbprints.is_empty() {
        writeln!(
            f,
            "    only these certificates: {}",
            listed(&entry.thumbprints)
        )?;
    }
    entry
        .planned
        .iter()
        .try_for_each(|planned| describe_planned(f, planned))?;
    if let Some(duration) = entry.silent_after {
        writeln!(f, "    silent after: {}", Typed(duration))?;
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

fn describe_planned(f: &mut fmt::Formatter<'_>, planned: &PlannedRenewal) -> fmt::Result {
    let PlannedRenewal {
        thumbprint,
        from,
        until,
        reason,
    } = planned;
    write!(f, "    planned: {thumbprint} from {from} until {until}")?;
    match reason {
        Some(reason) => writeln!(f, ", {}", shown(reason)),
        None => writeln!(f),
    }
}

fn describe_inbound_connector(
    f: &mut fmt::Formatter<'_>,
    inbound: &InboundConnector,
    origins: InboundOrigins,
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
    let name = shown(&inbound.name);
    let origin = from(Some(origins.connector));
    writeln!(f, "    inbound connector {name:?} ({kind}{state}){origin}")?;
    if let Some(name) = &inbound.tls_sender_certificate_name {
        let from = from(origins.tls_sender_certificate_name);
        writeln!(
            f,
            "      recognises the certificate: {}{from}",
            shown_without_addresses(name)
        )?;
    }
    if !inbound.sender_ip_addresses.is_empty() {
        writeln!(
            f,
            "      recognises the addresses: {}{}",
            listed(&inbound.sender_ip_addresses),
            from(origins.sender_ip_addresses)
        )?;
    }
    match inbound.cloud_services_mail_enabled {
        Some(enabled) => writeln!(
            f,
            "      CloudServicesMailEnabled: {enabled}{}",
            from(origins.cloud_services_mail_enabled)
        ),
        None => Ok(()),
    }
}

/// Where a value comes from, if not from the configuration.
fn from(origin: Option<Origin>) -> &'static str {
    match origin {
        Some(Origin::Export) => " (from the export)",
        Some(Origin::Configuration) | None => "",
    }
}

fn describe_exports(f: &mut fmt::Formatter<'_>, exports: &ExportFiles) -> fmt::Result {
    let files = [
        ("Get-InboundConnector", &exports.inbound_connectors),
        ("Get-AcceptedDomain", &exports.accepted_domains),
        ("Get-SendConnector", &exports.send_connectors),
        ("Get-ExchangeCertificate", &exports.certificates),
    ];
    for (cmdlet, file) in files {
        if let Some(file) = file {
            writeln!(f, "export of {cmdlet}: {}", file.display())?;
        }
    }
    Ok(())
}

/// Only what is not as usual.
fn describe_settings(f: &mut fmt::Formatter<'_>, settings: &Settings) -> fmt::Result {
    let usual = Settings::default();
    if settings.expiry != usual.expiry {
        let warning = alerts::describe(settings.expiry.warning);
        let critical = alerts::describe(settings.expiry.critical);
        writeln!(
            f,
            "an ending certificate: a warning with {warning} left, critical with {critical} left"
        )?;
    }
    if settings.rollout_window != usual.rollout_window {
        let window = Typed(settings.rollout_window.unsigned_abs());
        writeln!(f, "servers may differ for: {window}")?;
    }
    Ok(())
}

/// At most [`MAX_LISTED`] items, and how many more there are.
fn listed<T: Display>(items: &[T]) -> String {
    let shown_items = items.iter().take(MAX_LISTED);
    let mut text: Vec<String> = shown_items.map(|item| shown(&item.to_string())).collect();
    if items.len() > MAX_LISTED {
        text.push(format!("and {} more", items.len() - MAX_LISTED));
    }
    text.join(", ")
}

fn warnings(summary: &Summary<'_>) -> Vec<String> {
    let Summary {
        config,
        exports,
        expectations,
    } = summary;
    let mut warnings = Vec::new();
    let entries = expectations.entries();
    if entries.is_empty() && config.exports.send_connectors.is_none() {
        warnings.push("no connectors, so certificates are shown, but nothing is judged".to_owned());
    }
    for entry in entries {
        let name = shown(entry.pattern.as_str());
        let inbound = &entry.inbound_connectors;
        if inbound.is_empty() {
            warnings.push(format!(
                "no inbound connector is known for {name:?}, so nothing can be compared"
            ));
        } else if inbound.iter().all(|inbound| !inbound.enabled) {
            warnings.push(format!(
                "every inbound connector expected for {name:?} is disabled, so nothing can match"
            ));
        }
        for warning in unrecognising(entry) {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        if entry.protocol_logging == Some(false) {
            warnings.push(format!(
                "{name:?} writes no log; Set-SendConnector '{}' -ProtocolLoggingLevel Verbose turns it on",
                name.replace('\'', "''")
            ));
        }
    }
    let disabled = exports
        .send_connectors
        .iter()
        .flatten()
        .filter(|connector| {
            let is_meant = |entry: &Configured| entry.pattern.matches(&connector.name);
            connector.enabled == Some(false) && config.connectors.iter().any(is_meant)
        });
    for connector in disabled {
        let name = shown(&connector.name);
        warnings.push(format!(
            "the send connector {name:?} is disabled, so it is not judged"
        ));
    }
    if config.receivers.is_empty() {
        warnings
            .push("no receivers, so nobody will be called; metrics are all there is".to_owned());
    }
    warnings.extend(config.receivers.iter().flat_map(receiver::warnings));
    warnings
}

/// An inbound connector that the configuration names alone, and that no export completes.
fn unrecognising(entry: &Expectation) -> impl Iterator<Item = String> {
    let inbound = entry.inbound_connectors.iter().filter(|inbound| {
        inbound.tls_sender_certificate_name.is_none() && inbound.sender_ip_addresses.is_empty()
    });
    inbound.map(|inbound| {
        let name = shown(&inbound.name);
        format!("the inbound connector {name:?} has neither a certificate name nor addresses, so it recognises nobody")
    })
}
