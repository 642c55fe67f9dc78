//! The keys of the configuration: which there are, what each expects, and what somebody may have meant by another.

use std::fmt;

use crate::config::web;

/// A key's full path, such as `connectors[0].expected.accepted_domains[1]`; the top level is the empty path.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Key(String);

impl Key {
    /// The key `name` of the mapping at this path.
    pub(super) fn child(&self, name: &str) -> Self {
        if self.0.is_empty() {
            Self(name.to_owned())
        } else {
            Self(format!("{self}.{name}"))
        }
    }

    /// The item at `index`, from 0, of the list at this path.
    pub(super) fn item(&self, index: usize) -> Self {
        Self(format!("{self}[{index}]"))
    }

    /// The path without indexes, as [`EXPECTED`] spells it.
    pub(super) fn pattern(&self) -> String {
        self.0.chars().filter(|c| !c.is_ascii_digit()).collect()
    }

    #[cfg(test)]
    pub(super) fn of_pattern(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }

    /// What is expected at this path.
    pub(super) fn expected(&self) -> Option<&'static str> {
        let pattern = self.pattern();
        let mut all = EXPECTED.iter().chain(&web::keys::EXPECTED);
        let found = all.find(|(key, _)| *key == pattern);
        found.map(|(_, expected)| *expected)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Every accepted key and what it expects, in the order of the documented file.
///
/// No key holds a digit, which is what lets [`Key::pattern`] drop indexes by their digits.
const EXPECTED: [(&str, &str); 94] = [
    (
        "",
        "`sources:`, `connectors:` and `receivers:`, and if need be `exports:`, `inventory:` and `alerts:`",
    ),
    (
        "sources",
        "a list of log directories, such as `- path: /srv/exchange/{server}/SmtpSend`",
    ),
    (
        "sources[]",
        "a log directory, such as `path: /srv/exchange/{server}/SmtpSend`",
    ),
    ("sources[].server", "the server's name, such as EX01"),
    (
        "sources[].path",
        "a directory, such as /srv/exchange/EX01/SmtpSend or /srv/exchange/{server}/SmtpSend",
    ),
    (
        "sources[].first_read",
        "`all`, or a whole number followed by s, m, h or d, such as 24h",
    ),
    (
        "connectors",
        "a list of send connectors, each with `name` and `expected`",
    ),
    (
        "connectors[]",
        "a send connector with `name` and `expected`",
    ),
    (
        "connectors[].name",
        "a send connector's name as Get-SendConnector shows it; `*`, `?` and `[…]` are wildcards",
    ),
    (
        "connectors[].expected",
        "what the other side knows, first of all `inbound_connectors`; it may be left out only where \
         `exports.inbound_connectors` says it",
    ),
    (
        "connectors[].expected.inbound_connectors",
        "at least one inbound connector of Exchange Online, such as `- name: Inbound from contoso` with its \
         `tls_sender_certificate_name`, which Get-InboundConnector shows, or else `exports.inbound_connectors`",
    ),
    (
        "connectors[].expected.inbound_connectors[]",
        "an inbound connector with `name` and `tls_sender_certificate_name` or `sender_ip_addresses`",
    ),
    (
        "connectors[].expected.inbound_connectors[].name",
        "the inbound connector's name as Get-InboundConnector shows it",
    ),
    (
        "connectors[].expected.inbound_connectors[].enabled",
        "true or false",
    ),
    (
        "connectors[].expected.inbound_connectors[].connector_type",
        "OnPremises or Partner",
    ),
    (
        "connectors[].expected.inbound_connectors[].tls_sender_certificate_name",
        "a host name, `*.` and a domain, or `<I>issuer<S>subject`",
    ),
    (
        "connectors[].expected.inbound_connectors[].sender_ip_addresses",
        "a list of IPv4 addresses, such as [203.0.113.5, 203.0.113.16/28]",
    ),
    (
        "connectors[].expected.inbound_connectors[].sender_ip_addresses[]",
        "an IPv4 address such as 203.0.113.5 or a range from /24 to /32 such as 203.0.113.16/28",
    ),
    (
        "connectors[].expected.inbound_connectors[].cloud_services_mail_enabled",
        "true or false",
    ),
    (
        "connectors[].expected.accepted_domains",
        "a list of the tenant's accepted domains, such as [contoso.com]; without the key they count as unknown",
    ),
    (
        "connectors[].expected.accepted_domains[]",
        "a domain, such as contoso.com",
    ),
    (
        "connectors[].expected.tls_certificate_name",
        "TlsCertificateName of the send connector, `<I>issuer<S>subject`",
    ),
    (
        "connectors[].expected.thumbprints",
        "a list of SHA-1 thumbprints",
    ),
    (
        "connectors[].expected.thumbprints[]",
        "40 hexadecimal digits, as Get-ExchangeCertificate shows them",
    ),
    (
        "connectors[].accept",
        "a list of reason codes, such as [wildcard_certificate]",
    ),
    (
        "connectors[].accept[]",
        "one of bare_domain, multi_label, wildcard_certificate, wildcard_certificate_bare, \
         certificate_domain_not_accepted, fell_back_to_ip, eku_no_server_auth, servers_disagree",
    ),
    (
        "connectors[].planned",
        "a list of renewals under way, each with `thumbprint`, `from` and `until`",
    ),
    (
        "connectors[].planned[]",
        "a renewal with `thumbprint`, `from` and `until`",
    ),
    (
        "connectors[].planned[].thumbprint",
        "40 hexadecimal digits, as Get-ExchangeCertificate shows them",
    ),
    (
        "connectors[].planned[].from",
        "a time with its zone, such as 2026-11-28T18:00:00Z or 2026-11-28T19:00:00+01:00",
    ),
    (
        "connectors[].planned[].until",
        "a time with its zone, such as 2026-12-05T18:00:00Z or 2026-12-05T19:00:00+01:00",
    ),
    (
        "connectors[].planned[].reason",
        "a remark for whoever is called, such as CHG0012345",
    ),
    (
        "connectors[].silent_after",
        "a whole number followed by s, m, h or d, at least 5m, such as 2h",
    ),
    (
        "exports",
        "JSON files, such as `inbound_connectors: exports/inbound-connectors.json`",
    ),
    (
        "exports.inbound_connectors",
        "a JSON file written by Get-InboundConnector",
    ),
    (
        "exports.accepted_domains",
        "a JSON file written by Get-AcceptedDomain",
    ),
    (
        "exports.send_connectors",
        "a JSON file written by Get-SendConnector",
    ),
    (
        "exports.certificates",
        "a JSON file written by Get-ExchangeCertificate",
    ),
    (
        "inventory",
        "a list of certificate files, such as [certificates/*.cer]",
    ),
    (
        "inventory[]",
        "a certificate file, DER or PEM, such as certificates/mail.cer or certificates/*.cer",
    ),
    ("alerts", "`expiry` and `rollout_window`"),
    (
        "alerts.expiry",
        "`warning` and `critical`, such as `{ warning: 33%, critical: 10% }`",
    ),
    (
        "alerts.expiry.warning",
        "a share of the lifetime from 1% to 99%, such as 33%, or days, such as 21d; it comes before critical",
    ),
    (
        "alerts.expiry.critical",
        "a share of the lifetime from 1% to 99%, such as 10%, or days, such as 7d; it comes after warning",
    ),
    (
        "alerts.rollout_window",
        "a whole number followed by s, m, h or d, at least 1m, such as 4h",
    ),
    (
        "receivers",
        "a list of receivers, each with `name` and one of `webhook`, `alertmanager`, `pagerduty`, `slack`, `teams` or `heartbeat`",
    ),
    (
        "receivers[]",
        "a receiver with `name` and one of `webhook`, `alertmanager`, `pagerduty`, `slack`, `teams` or `heartbeat`",
    ),
    ("receivers[].name", "a name of your choice, such as oncall"),
    (
        "receivers[].severities",
        "a list of critical, warning and information; without the key it is [critical, warning]",
    ),
    (
        "receivers[].severities[]",
        "critical, warning or information",
    ),
    (
        "receivers[].connectors",
        "a list of send connectors, such as ['Outbound*']; without the key every one is meant",
    ),
    (
        "receivers[].connectors[]",
        "a send connector's name as Get-SendConnector shows it; `*`, `?` and `[…]` are wildcards",
    ),
    (
        "receivers[].fallback",
        "the name of another receiver of this file that calls somebody",
    ),
    (
        "receivers[].http",
        "any of `basic_auth` or `bearer_auth`, `headers`, `ca_file`, `cert_file` with `key_file`, and `proxy_url` or `proxy_url_file`",
    ),
    (
        "receivers[].http.basic_auth",
        "`username` and `password_file`",
    ),
    (
        "receivers[].http.basic_auth.username",
        "the name to log in with, without a colon",
    ),
    (
        "receivers[].http.basic_auth.password_file",
        "a file that holds the password",
    ),
    ("receivers[].http.bearer_auth", "`token_file`"),
    (
        "receivers[].http.bearer_auth.token_file",
        "a file that holds the token",
    ),
    (
        "receivers[].http.headers",
        "a list of headers, such as `- { name: X-Tenant, value: contoso }`",
    ),
    (
        "receivers[].http.headers[]",
        "a header with `name` and `value` or `value_file`",
    ),
    (
        "receivers[].http.headers[].name",
        "the name of a header that certdrift does not set itself, such as X-Tenant",
    ),
    (
        "receivers[].http.headers[].value",
        "the value of the header",
    ),
    (
        "receivers[].http.headers[].value_file",
        "a file that holds the value of the header",
    ),
    (
        "receivers[].http.ca_file",
        "a PEM file with the certificates of the authority that the receiver's one comes from",
    ),
    (
        "receivers[].http.cert_file",
        "a PEM file with the client certificate, beside `key_file`",
    ),
    (
        "receivers[].http.key_file",
        "a PEM file with the private key, beside `cert_file`",
    ),
    (
        "receivers[].http.proxy_url",
        "the address of an HTTP proxy, such as http://proxy.contoso.com:3128",
    ),
    (
        "receivers[].http.proxy_url_file",
        "a file that holds the address of an HTTP proxy",
    ),
    (
        "receivers[].webhook",
        "`url_file` or `url`, and if messages are to be signed `secret_file`",
    ),
    (
        "receivers[].webhook.url",
        "an address that begins with https:// or http:// and names a host",
    ),
    (
        "receivers[].webhook.url_file",
        "a file that holds the address of the webhook",
    ),
    (
        "receivers[].webhook.secret_file",
        "a file that holds the signing secret",
    ),
    (
        "receivers[].webhook.template",
        "a template that makes the body, in JSON",
    ),
    (
        "receivers[].webhook.template_file",
        "a file with a template that makes the body, in JSON",
    ),
    (
        "receivers[].alertmanager",
        "`urls`, a list with every instance, or `urls_file`",
    ),
    (
        "receivers[].alertmanager.urls",
        "a list of addresses, such as [http://alertmanager-1:9093, http://alertmanager-2:9093]",
    ),
    (
        "receivers[].alertmanager.urls[]",
        "an address such as http://alertmanager-1:9093, without /api/v2/alerts",
    ),
    (
        "receivers[].alertmanager.urls_file",
        "a file with the address of one instance on each line",
    ),
    (
        "receivers[].alertmanager.resend_interval",
        "a whole number followed by s, m, h or d, from 10s to 15m, such as 1m",
    ),
    ("receivers[].pagerduty", "`routing_key_file`"),
    (
        "receivers[].pagerduty.routing_key_file",
        "a file that holds the integration key of a service (Events API v2)",
    ),
    (
        "receivers[].pagerduty.url",
        "an address such as https://events.eu.pagerduty.com/v2/enqueue",
    ),
    (
        "receivers[].slack",
        "`url_file` or `url` of an incoming webhook",
    ),
    (
        "receivers[].slack.url",
        "an address that begins with https:// or http:// and names a host",
    ),
    (
        "receivers[].slack.url_file",
        "a file that holds the address of the incoming webhook",
    ),
    ("receivers[].teams", "`url_file` or `url` of a workflow"),
    (
        "receivers[].teams.url",
        "an address that begins with https:// or http:// and names a host",
    ),
    (
        "receivers[].teams.url_file",
        "a file that holds the address of the workflow",
    ),
    (
        "receivers[].heartbeat",
        "`url_file` or `url` of a dead man's switch, and if need be `method` and `interval`",
    ),
    (
        "receivers[].heartbeat.url",
        "an address that begins with https:// or http:// and names a host",
    ),
    (
        "receivers[].heartbeat.url_file",
        "a file that holds the address of the dead man's switch",
    ),
    ("receivers[].heartbeat.method", "GET or POST"),
    (
        "receivers[].heartbeat.interval",
        "a whole number followed by s, m, h or d, from 10s to 24h, such as 5m",
    ),
];

/// The mapping in which `name` would have been a valid key.
pub(super) fn home_of(name: &str) -> Option<&'static str> {
    let keys = EXPECTED.iter().map(|(key, _)| *key);
    keys.filter_map(|key| key.rsplit_once('.'))
        .find_map(|(parent, last)| (last == name).then_some(parent))
}

/// The word of `valid` that is closest to what was typed, if any is close.
///
/// Close means: at most a third of the letters of the longer word are to be inserted, deleted, changed or swapped. Case,
/// `_` and `-` do not count, so that `TlsSenderCertificateName`, copied from Exchange, finds its key.
pub(super) fn nearest<'a>(typed: &str, valid: &[&'a str]) -> Option<&'a str> {
    let typed = folded(typed);
    let distances = valid.iter().map(|word| {
        let folded = folded(word);
        let distance = strsim::damerau_levenshtein(&typed, &folded);
        (distance, typed.len().max(folded.len()), *word)
    });
    distances
        .filter(|(distance, length, _)| distance * 3 <= *length)
        .min_by_key(|(distance, _, _)| *distance)
        .map(|(_, _, word)| word)
}

fn folded(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let valid = ["server", "path", "first_read"];
        for (typed, expected) in [
            ("fist_read", Some("first_read")),
            ("FirstRead", Some("first_read")),
            ("pahts", None),
            ("paht", Some("path")),
            ("servers", Some("server")),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, &valid), expected, "{typed}");
        }
    }

    #[test]
    fn paths_are_spelled_as_an_admin_would() {
        let key = Key::default().child("connectors").item(3).child("name");
        assert_eq!(key.to_string(), "connectors[3].name");
        assert_eq!(key.pattern(), "connectors[].name");
        assert!(key.expected().is_some());
    }

    #[test]
    fn every_key_is_documented_in_the_shipped_file() {
        let documented = include_str!("../../config/certdrift.yml");
        for (key, _) in EXPECTED {
            let name = key.rsplit('.').next().unwrap_or_default();
            if !name.ends_with("[]") {
                assert!(
                    documented.contains(&format!("{name}:")) || name.is_empty(),
                    "{key}"
                );
            }
        }
    }
}
