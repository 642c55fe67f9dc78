//! Rules A1, A2, A8, A9, P1, L1 and L6: what decides about a certificate whatever connector it fits.

use jiff::Timestamp;

use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::dn::issuer_subject;
use crate::pipeline::expectation::Expectation;
use crate::pipeline::verdict::Bench;
use crate::pipeline::verdict::finding::Finding;
use crate::pipeline::verdict::names::{Presented, same_dn};
use crate::pipeline::verdict::reason::ReasonCode;

/// The findings about a certificate.
pub(super) fn of_certificate<'a>(presented: &Presented<'_>, bench: &Bench<'a>) -> Vec<Finding<'a>> {
    let (expectation, now) = (bench.expectation, bench.now);
    let mut findings = Vec::new();
    findings.extend(validity(presented, now));
    findings.extend(pin(presented.certificate, expectation, now));
    findings.extend(purposes(presented));
    let mut unchecked = Vec::new();
    match presented.is_self_signed() {
        Some(true) => findings.push(Finding::new(
            ReasonCode::SelfSigned,
            "a certificate issued by a public certification authority",
            presented.certificate.subject.as_str(),
        )),
        Some(false) => {}
        None => unchecked.push("whether it is self-signed"),
    }
    match configured(presented, expectation) {
        Configured::Differs(finding) => findings.push(finding),
        Configured::Same => {}
        Configured::Unchecked => unchecked.push("whether it is the one of TlsCertificateName"),
    }
    if !unchecked.is_empty() {
        findings.push(Finding::new(
            ReasonCode::NotChecked,
            unchecked.join(" and "),
            "",
        ));
    }
    if presented.subject().is_some() && !presented.has_common_name {
        let subject = &presented.certificate.subject;
        let finding = Finding::new(ReasonCode::NoCommonName, "a subject with a CN", subject);
        findings.push(finding);
    }
    findings
}

/// The findings about a session without certificate, beside rule N13: pins and `TlsCertificateName` expect one even
/// where the inbound connectors go by address.
pub(super) fn of_no_certificate<'a>(
    expectation: &'a Expectation,
    found: &[Finding<'_>],
) -> Vec<Finding<'a>> {
    let is_missing = |finding: &Finding<'_>| finding.code == ReasonCode::NoClientCertificate;
    if found.iter().any(is_missing) {
        return Vec::new();
    }
    let observed = "no certificate";
    let configured = expectation.tls_certificate_name.as_deref();
    let finding = if let Some(pinned) = expectation.thumbprints.first() {
        let expected = pinned.to_string();
        Some(Finding::new(
            ReasonCode::NoClientCertificate,
            expected,
            observed,
        ))
    } else if expectation.inbound_connectors.is_empty() {
        configured.map(|name| Finding::new(ReasonCode::NoClientCertificate, name, observed))
    } else {
        configured.map(|name| Finding::new(ReasonCode::PresentedNotConfigured, name, observed))
    };
    finding.into_iter().collect()
}

/// Whether a finding says that the certificate is worth nothing, which matters only where Exchange Online looks at it.
pub(super) fn is_about_the_certificate_itself(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::Expired
            | ReasonCode::Expiring
            | ReasonCode::NotYetValid
            | ReasonCode::SelfSigned
    )
}

/// Rule A1.
fn validity<'a>(presented: &Presented<'_>, now: Timestamp) -> Option<Finding<'a>> {
    let certificate = presented.certificate;
    let margin = presented.margin();
    let source = if margin.is_zero() {
        ""
    } else {
        " (as logged: ±14 h)"
    };
    let is_past = |date: &Timestamp| now.duration_since(*date) > margin;
    let is_ahead = |date: &Timestamp| date.duration_since(now) > margin;
    let expected = "a certificate within its validity";
    if let Some(date) = certificate.not_after.filter(is_past) {
        let observed = format!("valid until {date}{source}");
        return Some(Finding::new(ReasonCode::Expired, expected, observed).since(date));
    }
    let date = certificate.not_before.filter(is_ahead)?;
    let observed = format!("valid from {date}{source}");
    Some(Finding::new(ReasonCode::NotYetValid, expected, observed))
}

/// Rules A8 and A9: without the extension a certificate may be used for anything.
fn purposes<'a>(presented: &Presented<'_>) -> Vec<Finding<'a>> {
    let Some(usage) = presented.known.and_then(|known| known.extended_key_usage) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if !usage.server_auth {
        let code = ReasonCode::EkuNoServerAuth;
        findings.push(Finding::new(code, "serverAuth", "not among its purposes"));
    }
    if !usage.client_auth {
        let code = ReasonCode::EkuNoClientAuth;
        findings.push(Finding::new(code, "clientAuth", "not among its purposes"));
    }
    findings
}

/// Rule P1. The certificate of a renewal under way counts as pinned inside its window.
fn pin<'a>(
    certificate: &Certificate,
    expectation: &Expectation,
    now: Timestamp,
) -> Option<Finding<'a>> {
    if expectation.thumbprints.is_empty() {
        return None;
    }
    let planned = expectation.planned.iter();
    let planned = planned
        .filter(|renewal| renewal.from <= now && now <= renewal.until)
        .map(|renewal| renewal.thumbprint);
    let pinned: Vec<_> = expectation
        .thumbprints
        .iter()
        .copied()
        .chain(planned)
        .collect();
    let texts: Vec<String> = pinned.iter().map(ToString::to_string).collect();
    let expected = texts.join(", ");
    let Some(thumbprint) = certificate.thumbprint else {
        let missing = "no thumbprint";
        let finding = Finding::new(ReasonCode::CertificateIncomplete, expected, missing);
        return Some(finding);
    };
    let code = if pinned.contains(&thumbprint) {
        ReasonCode::ThumbprintPinned
    } else {
        ReasonCode::ThumbprintNotPinned
    };
    Some(Finding::new(code, expected, thumbprint.to_string()))
}

enum Configured<'a> {
    Same,
    Differs(Finding<'a>),
    Unchecked,
}

/// Rule L1: the send connector finds its certificate by issuer and subject.
fn configured<'a>(presented: &Presented<'_>, expectation: &Expectation) -> Configured<'a> {
    let Some(value) = expectation.tls_certificate_name.as_deref() else {
        return Configured::Same;
    };
    let Some((issuer, subject)) = issuer_subject(value) else {
        return Configured::Unchecked;
    };
    let pairs = [
        (Some(subject), presented.subject(), "subject"),
        (issuer, presented.issuer(), "issuer"),
    ];
    let (mut expected, mut observed) = (Vec::new(), Vec::new());
    let mut is_unchecked = false;
    for (configured, presented, part) in pairs {
        let Some(configured) = configured else {
            continue;
        };
        match presented.map(|presented| (presented, same_dn(configured, presented))) {
            Some((_, Some(true))) => {}
            Some((presented, Some(false))) => {
                expected.push(format!("{part} {configured}"));
                observed.push(format!("{part} {presented}"));
            }
            Some((_, None)) | None => is_unchecked = true,
        }
    }
    if expected.is_empty() && is_unchecked {
        Configured::Unchecked
    } else if expected.is_empty() {
        Configured::Same
    } else {
        let (expected, observed) = (expected.join(", "), observed.join(", "));
        let code = ReasonCode::PresentedNotConfigured;
        Configured::Differs(Finding::new(code, expected, observed))
    }
}
