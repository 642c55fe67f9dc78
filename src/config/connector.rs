//! `connectors:` what each send connector is expected to present.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_yaml::Spanned;

use crate::config::duration;
use crate::config::keys::{Key, nearest};
use crate::config::problem::{Problems, Wrong, quoted};
use crate::config::typed;
use crate::pipeline::certificate::Thumbprint;
use crate::pipeline::expectation::combined::Configured;
use crate::pipeline::expectation::{ConnectorPattern, ConnectorType, Ipv4Range, PlannedRenewal};
use crate::pipeline::export::inbound::InboundProperties;

/// The reason codes that may be accepted: those of findings that Microsoft does not document either way, so that only
/// the operator can know that mail flows all the same.
pub(super) const ACCEPTABLE: [&str; 8] = [
    "bare_domain",
    "multi_label",
    "wildcard_certificate",
    "wildcard_certificate_bare",
    "certificate_domain_not_accepted",
    "fell_back_to_ip",
    "eku_no_server_auth",
    "servers_disagree",
];

/// `ConnectorType` as Exchange spells it.
pub(super) const CONNECTOR_TYPES: [(&str, ConnectorType); 2] = [
    ("OnPremises", ConnectorType::OnPremises),
    ("Partner", ConnectorType::Partner),
];

/// The shortest `silent_after`: sessions of a quiet hour lie minutes apart.
const LEAST_SILENCE: Duration = Duration::from_secs(5 * 60);
/// Longest remark of a planned renewal, in characters.
const MAX_REASON_CHARS: usize = 200;

/// What `connectors:` means. It may be left out: then connectors are shown, and only those are judged that an export
/// shows to be hybrid. `exported` says whether an export names the inbound connectors.
pub(super) fn read(
    typed: Option<&Vec<Spanned<typed::Connector>>>,
    exported: bool,
    problems: &mut Problems,
) -> Vec<Configured> {
    let mut names = BTreeSet::new();
    let key = Key::default().child("connectors");
    problems.list(&key, typed, |problems, key, typed| {
        let name = &typed.value.name;
        if !names.insert(name.value.trim().to_lowercase()) {
            let wrong = "stands in an earlier entry already, and the first one counts";
            problems.add(&key.child("name"), name.referenced, wrong);
        }
        connector(&key, typed, exported, problems)
    })
}

fn connector(
    key: &Key,
    typed: &Spanned<typed::Connector>,
    exported: bool,
    problems: &mut Problems,
) -> Option<Configured> {
    let connector = &typed.value;
    let name = problems.name(&key.child("name"), &connector.name);
    let pattern = name.and_then(|_| problems.text(&key.child("name"), &connector.name, pattern));
    let accept = problems.list(
        &key.child("accept"),
        connector.accept.as_ref(),
        |problems, key, typed| problems.text(&key, typed, reason_code),
    );
    let planned = problems.list(
        &key.child("planned"),
        connector.planned.as_ref(),
        |problems, key, typed| planned(&key, &typed.value, problems),
    );
    let silent_after = problems.text(
        &key.child("silent_after"),
        connector.silent_after.as_ref(),
        |text| duration::at_least(text, LEAST_SILENCE),
    );
    let entry = Configured {
        accept,
        planned,
        silent_after,
        ..Configured::blank(pattern?)
    };
    let key = key.child("expected");
    let Some(expected) = &connector.expected else {
        if !exported {
            problems.add(&key, typed.referenced, "is missing");
        }
        return Some(entry);
    };
    Some(with_expected(entry, &key, expected, exported, problems))
}

fn with_expected(
    entry: Configured,
    key: &Key,
    typed: &Spanned<typed::Expected>,
    exported: bool,
    problems: &mut Problems,
) -> Configured {
    let expected = &typed.value;
    let inbound_connectors = inbound_connectors(key, typed, exported, problems);
    let domains = expected.accepted_domains.as_ref();
    let accepted_domains =
        domains.map(|typed| accepted_domains(&key.child("accepted_domains"), typed, problems));
    let certificate = expected.tls_certificate_name.as_ref();
    let tls_certificate_name = problems.text(
        &key.child("tls_certificate_name"),
        certificate,
        issuer_and_subject,
    );
    let pins = expected.thumbprints.as_ref();
    let thumbprints = problems.list(&key.child("thumbprints"), pins, |problems, key, typed| {
        problems.text(&key, typed, thumbprint)
    });
    Configured {
        inbound_connectors,
        accepted_domains,
        tls_certificate_name,
        thumbprints,
        ..entry
    }
}

fn planned(key: &Key, typed: &typed::Planned, problems: &mut Problems) -> Option<PlannedRenewal> {
    let thumbprint = problems.text(&key.child("thumbprint"), &typed.thumbprint, thumbprint);
    let from = problems.text(&key.child("from"), &typed.from, time);
    let until = problems.text(&key.child("until"), &typed.until, time);
    let reason = problems.text(&key.child("reason"), typed.reason.as_ref(), reason);
    let (from, until) = (from?, until?);
    if from >= until {
        let wrong = "is not after `from`";
        problems.add(&key.child("until"), typed.until.referenced, wrong);
    }
    Some(PlannedRenewal {
        thumbprint: thumbprint?,
        from,
        until,
        reason,
    })
}

/// RFC 3339, with the zone that a time needs to mean one moment.
fn time(text: &str) -> Result<Timestamp, Wrong> {
    text.parse().map_err(|_| {
        if text.parse::<jiff::civil::DateTime>().is_ok() {
            "has no time zone; add `Z` for UTC, or an offset such as `+01:00`".into()
        } else {
            format!("{} is no time", quoted(text)).into()
        }
    })
}

fn reason(text: &str) -> Result<String, Wrong> {
    if text.chars().count() > MAX_REASON_CHARS {
        return Err(format!("is longer than {MAX_REASON_CHARS} characters").into());
    }
    Ok(text.to_owned())
}

/// A pattern for names of send connectors.
pub(super) fn pattern(text: &str) -> Result<ConnectorPattern, Wrong> {
    ConnectorPattern::new(text)
        .map_err(|error| format!("{} is no pattern: {error}", quoted(text)).into())
}

fn reason_code(text: &str) -> Result<String, Wrong> {
    if ACCEPTABLE.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(Wrong::word(text, nearest(text, &ACCEPTABLE)))
}

fn inbound_connectors(
    key: &Key,
    expected: &Spanned<typed::Expected>,
    exported: bool,
    problems: &mut Problems,
) -> Option<Vec<InboundProperties>> {
    let typed = expected.value.inbound_connectors.as_ref();
    let key = key.child("inbound_connectors");
    if typed.is_none() && exported {
        return None;
    }
    if typed.is_none_or(Vec::is_empty) {
        let wrong = "is missing or empty, so there is nothing to compare with";
        problems.add(&key, expected.referenced, wrong);
    }
    let mut names = BTreeSet::new();
    let connectors = problems.list(&key, typed, |problems, key, typed| {
        let name = &typed.value.name;
        if !names.insert(name.value.trim().to_lowercase()) {
            let wrong = "is the name of an earlier inbound connector too";
            problems.add(&key.child("name"), name.referenced, wrong);
        }
        inbound_connector(&key, typed, exported, problems)
    });
    Some(connectors)
}

fn inbound_connector(
    key: &Key,
    typed: &Spanned<typed::InboundConnector>,
    exported: bool,
    problems: &mut Problems,
) -> Option<InboundProperties> {
    let connector = &typed.value;
    let name = problems.name(&key.child("name"), &connector.name);
    let kind = connector.connector_type.as_ref();
    let kind = problems.text(&key.child("connector_type"), kind, connector_type);
    let certificate = connector.tls_sender_certificate_name.as_ref();
    let addresses = connector.sender_ip_addresses.as_ref();
    if certificate.is_none() && addresses.is_none_or(Vec::is_empty) && !exported {
        let wrong = "has neither `tls_sender_certificate_name` nor `sender_ip_addresses`, so it recognises nobody";
        problems.add(key, typed.referenced, wrong);
    }
    let certificate = problems.text(
        &key.child("tls_sender_certificate_name"),
        certificate,
        certificate_name,
    );
    let ranges = problems.list(
        &key.child("sender_ip_addresses"),
        addresses,
        |problems, key, typed| problems.text(&key, typed, ipv4_range),
    );
    Some(InboundProperties {
        name: name?,
        enabled: connector.enabled,
        connector_type: kind,
        tls_sender_certificate_name: certificate,
        sender_ip_addresses: addresses.is_some().then_some(ranges),
        cloud_services_mail_enabled: connector.cloud_services_mail_enabled,
    })
}

fn connector_type(text: &str) -> Result<ConnectorType, Wrong> {
    let found = CONNECTOR_TYPES
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(text));
    let words = CONNECTOR_TYPES.map(|(word, _)| word);
    found
        .map(|(_, kind)| *kind)
        .ok_or_else(|| Wrong::word(text, nearest(text, &words)))
}

/// `TlsSenderCertificateName`: host names in lower-case A-labels, distinguished names as typed.
fn certificate_name(text: &str) -> Result<String, Wrong> {
    if text.starts_with('<') {
        return issuer_and_subject(text);
    }
    match text.strip_prefix("*.") {
        Some(parent) => domain(parent).map(|parent| format!("*.{parent}")),
        None if text.contains('*') => {
            Err("has `*` in another place than alone before the first dot".into())
        }
        None if text.contains('=') => {
            Err("is a distinguished name without its tags; write `<I>issuer<S>subject`".into())
        }
        None => domain(text),
    }
}

/// `<I>issuer<S>subject`; the tags in any case, the issuer may be left out.
fn issuer_and_subject(text: &str) -> Result<String, Wrong> {
    // ASCII only, so that positions in one are positions in the other.
    let lower = text.to_ascii_lowercase();
    let subject = lower.find("<s>").ok_or("has no `<S>` with a subject")?;
    let (issuer, subject) = (&lower[..subject], &lower[subject + "<s>".len()..]);
    let name = |dn: &str| dn.contains('=');
    if !name(subject) {
        return Err("has no subject such as CN=mail.contoso.com after `<S>`".into());
    }
    match issuer.trim().strip_prefix("<i>") {
        Some(issuer) if !name(issuer) => {
            Err("has no issuer such as CN=Contoso Issuing CA after `<I>`".into())
        }
        None if !issuer.trim().is_empty() => {
            Err("has something else than `<I>` and an issuer before `<S>`".into())
        }
        _ => Ok(text.to_owned()),
    }
}

fn accepted_domains(
    key: &Key,
    typed: &Spanned<Vec<Spanned<String>>>,
    problems: &mut Problems,
) -> Vec<String> {
    if typed.value.is_empty() {
        problems.add(
            key,
            typed.referenced,
            "is empty, and a tenant has at least one",
        );
    }
    problems.list(key, &typed.value, |problems, key, typed| {
        problems.text(&key, typed, domain)
    })
}

/// A domain name in lower-case A-labels, without the dot of the root.
fn domain(text: &str) -> Result<String, Wrong> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    if bare.contains('@') {
        return Err("is a mail address; only what follows the `@` is a domain".into());
    }
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Err("is an address; those belong to `sender_ip_addresses`".into());
    }
    let ascii = idna::domain_to_ascii_strict(bare)
        .map_err(|_| format!("{} is no domain name", quoted(text)))?;
    if !ascii.contains('.') {
        return Err(format!(
            "{} has no dot, so nothing on the internet is called that",
            quoted(text)
        )
        .into());
    }
    Ok(ascii)
}

fn ipv4_range(text: &str) -> Result<Ipv4Range, Wrong> {
    if let Some(range) = Ipv4Range::parse(text) {
        return Ok(range);
    }
    let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
    if address.parse::<std::net::Ipv6Addr>().is_ok() {
        return Err("is IPv6, which inbound connectors of Exchange Online do not accept".into());
    }
    if address.parse::<std::net::Ipv4Addr>().is_err() {
        return Err(format!("{} is no IPv4 address", quoted(text)).into());
    }
    match prefix.parse::<u8>() {
        Ok(0..24) => Err("is a range wider than /24, which Exchange Online does not accept".into()),
        _ => Err(format!("{} has no prefix length from 24 to 32", quoted(text)).into()),
    }
}

/// A thumbprint as people copy it: with blanks or colons, in any case, and with the invisible left-to-right mark that
/// the certificate dialog of Windows puts in front.
fn thumbprint(text: &str) -> Result<Thumbprint, Wrong> {
    let skipped = |c: &char| c.is_whitespace() || matches!(c, ':' | '\u{200e}');
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|c| !skipped(c))
        .map(hex_digit)
        .collect();
    let digits = digits.ok_or("holds something else than hexadecimal digits")?;
    let mut bytes = [0; 20];
    match digits.len() {
        40 => {
            for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                *byte = pair[0] << 4 | pair[1];
            }
            Ok(Thumbprint(bytes))
        }
        64 => {
            Err("has 64 digits, which is a SHA-256 fingerprint; Exchange works with SHA-1".into())
        }
        count => Err(format!("has {count} digits").into()),
    }
}

fn hex_digit(c: char) -> Option<u8> {
    c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn certificate_names_are_recognised_by_their_shape() {
        for (typed, expected) in [
            ("Mail.Contoso.com", "mail.contoso.com"),
            ("*.Contoso.com", "*.contoso.com"),
            ("mail.contoso.com.", "mail.contoso.com"),
            ("müller.example", "xn--mller-kva.example"),
            (
                "<I>CN=CA<S>CN=mail.contoso.com",
                "<I>CN=CA<S>CN=mail.contoso.com",
            ),
            ("<i>CN=CA<s>CN=mail", "<i>CN=CA<s>CN=mail"),
            (
                "<S>CN=mail.contoso.com, O=Ünïcode",
                "<S>CN=mail.contoso.com, O=Ünïcode",
            ),
        ] {
            assert_eq!(certificate_name(typed).unwrap(), expected);
        }
        for wrong in [
            "*",
            "*.",
            "*.com",
            "mail",
            "mail.*.com",
            "a*.contoso.com",
            "CN=mail.contoso.com",
            "<I>CN=CA",
            "<S>",
            "<S>mail",
            "<I><S>CN=x",
            "<X>a=b<S>CN=x",
            "203.0.113.5",
            "a b.com",
            "-a.com",
            "a..com",
            "mail.contoso.com,x.com",
            "ops@contoso.com",
        ] {
            assert!(certificate_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn thumbprints_are_read_as_people_copy_them() {
        let expected = "0123456789ABCDEF0123456789ABCDEF01234567";
        for typed in [
            "0123456789abcdef0123456789abcdef01234567",
            "\u{200e}01 23 45 67 89 ab cd ef 01 23 45 67 89 ab cd ef 01 23 45 67",
            "01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF:01:23:45:67",
        ] {
            assert_eq!(thumbprint(typed).unwrap().to_string(), expected);
        }
        for wrong in [
            "",
            "0123",
            "g123456789abcdef0123456789abcdef01234567",
            "０123456789abcdef0123456789abcdef0123456",
        ] {
            assert!(thumbprint(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranges_are_those_that_exchange_online_accepts() {
        for right in [
            "203.0.113.5",
            "203.0.113.0/24",
            "203.0.113.16/28",
            "203.0.113.5/32",
        ] {
            assert!(ipv4_range(right).is_ok(), "{right}");
        }
        for wrong in [
            "203.0.113.0/23",
            "203.0.113.0/33",
            "203.0.113.0/x",
            "2001:db8::1",
            "2001:db8::/64",
            "mail",
            "203.0.113",
        ] {
            assert!(ipv4_range(wrong).is_err(), "{wrong}");
        }
    }
}
