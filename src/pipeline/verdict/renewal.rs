//! Rules L2, L3, L8 and L9, planned renewals and changes: what a renewal has done, and what it will do.
//!
//! A renewal goes wrong in three ways. The new certificate lies on the server and nothing presents it, because
//! `TlsCertificateName` names the old issuer and subject or because nobody restarted the service. Or it will be
//! presented soon, and then nobody recognises it. Or some servers have it and others do not (rule L4, which needs all
//! of them and is therefore judged elsewhere).

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};

use crate::pipeline::certificate::Certificate;
use crate::pipeline::certificate::dn::issuer_subject;
use crate::pipeline::expectation::PlannedRenewal;
use crate::pipeline::inventory::InventoryCertificate;
use crate::pipeline::verdict::expiry;
use crate::pipeline::verdict::finding::Finding;
use crate::pipeline::verdict::names::{Presented, same_dn};
use crate::pipeline::verdict::reason::{ReasonCode, Severity};
use crate::pipeline::verdict::recognition::{self, ByName};
use crate::pipeline::verdict::{Before, Bench, Verdict};

/// For so long a change of certificate is told as news.
const NEWS: SignedDuration = SignedDuration::from_hours(24);

/// How a planned renewal stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plan<'a> {
    /// There is none, or it has been done.
    None,
    /// Its window is open: either certificate is fine.
    UnderWay(&'a PlannedRenewal),
    /// Its window has closed, and the planned certificate is not presented.
    Overdue(&'a PlannedRenewal),
}

/// Reasons that belong to every rollout, so that they are no news inside a planned window.
pub(super) fn is_part_of_a_rollout(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::PresentedNotConfigured
            | ReasonCode::RenewalNotRolledOut
            | ReasonCode::OldCertificateStillPresented
    )
}

/// Reasons that grow urgent as the presented certificate nears its end: only where its end stops the mail. A connector
/// that recognises the server by its address does not mind.
pub(super) fn is_urgent_by_expiry(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::RenewalNotRolledOut
            | ReasonCode::OldCertificateStillPresented
            | ReasonCode::PlannedRenewalOverdue
    )
}

/// How the planned renewals of the connector stand.
pub(super) fn plan<'a>(presented: &Presented<'_>, bench: &Bench<'a>) -> Plan<'a> {
    let planned = &bench.expectation.planned;
    let is_open =
        |renewal: &&PlannedRenewal| renewal.from <= bench.now && bench.now <= renewal.until;
    if let Some(renewal) = planned.iter().find(is_open) {
        return Plan::UnderWay(renewal);
    }
    let closed = planned.iter().filter(|renewal| renewal.until < bench.now);
    let Some(last) = closed.max_by_key(|renewal| renewal.until) else {
        return Plan::None;
    };
    let is_done = presented.certificate.thumbprint == Some(last.thumbprint);
    // A plan of last year says nothing about a certificate that was issued since.
    let is_history = presented
        .certificate
        .not_before
        .is_some_and(|start| start.duration_since(last.until) > presented.margin());
    if is_done || is_history || presented.certificate.thumbprint.is_none() {
        Plan::None
    } else {
        Plan::Overdue(last)
    }
}

/// What is to be said of a planned renewal.
pub(super) fn of_plan<'a>(
    plan: &Plan<'_>,
    presented: &Presented<'_>,
    bench: &Bench<'a>,
) -> Option<Finding<'a>> {
    let remark = |renewal: &PlannedRenewal| match &renewal.reason {
        Some(reason) => format!(" ({reason})"),
        None => String::new(),
    };
    let observed = presented.certificate.thumbprint?.to_string();
    match plan {
        Plan::None => None,
        Plan::UnderWay(renewal) => {
            let expected = format!(
                "{} until {}{}",
                renewal.thumbprint,
                renewal.until,
                remark(renewal)
            );
            let code = ReasonCode::RenewalPlanned;
            Some(Finding::new(code, expected, observed).since(renewal.from))
        }
        Plan::Overdue(renewal) => {
            let expected = format!(
                "{} since {}{}",
                renewal.thumbprint,
                renewal.until,
                remark(renewal)
            );
            let code = ReasonCode::PlannedRenewalOverdue;
            let finding = Finding::new(code, expected, observed)
                .since(renewal.until)
                .instead(Some(renewal.thumbprint))
                .at_least(urgency(presented, bench));
            Some(finding)
        }
    }
}

/// Rules L2, L3 and L9: what the inventory holds that is newer than what is presented.
pub(super) fn drift<'a>(presented: &Presented<'_>, bench: &Bench<'a>) -> Option<Finding<'a>> {
    let successor = successor(presented, bench)?;
    let next = Presented::in_inventory(successor);
    match recognition::by_name(bench.expectation, &next) {
        ByName::Judged(judged) if judged.code.row().verdict == Verdict::Mismatch => {
            // Where the presented one is not recognised either, that is what has to be told.
            let works_now = match recognition::by_name(bench.expectation, presented) {
                ByName::Judged(judged) => judged.code.row().verdict <= Verdict::Fragile,
                ByName::NotByName => false,
            };
            works_now.then(|| will_not_match(judged, successor))
        }
        _ if is_valid(successor, bench.now) => {
            Some(not_presented(presented, &next, successor, bench))
        }
        _ => None,
    }
}

/// The newest certificate that is meant to take the place of the presented one: newer, with a name in common, and
/// fit to be presented at all.
fn successor<'a>(presented: &Presented<'_>, bench: &Bench<'a>) -> Option<&'a InventoryCertificate> {
    let start = presented.certificate.not_before?;
    let is_newer = |known: &&InventoryCertificate| {
        known.certificate.thumbprint != presented.certificate.thumbprint
            && known
                .certificate
                .not_before
                .is_some_and(|newer| newer.duration_since(start) > presented.margin())
    };
    let is_usable = |known: &&InventoryCertificate| {
        let next = Presented::in_inventory(known);
        let shares_a_name = next.names.iter().any(|name| presented.names.contains(name));
        let has_time_left = known
            .certificate
            .not_after
            .is_some_and(|end| bench.now < end);
        let serves = known
            .extended_key_usage
            .is_none_or(|usage| usage.server_auth);
        shares_a_name && has_time_left && serves && next.is_self_signed() != Some(true)
    };
    bench
        .inventory
        .on_server(bench.server)
        .filter(is_newer)
        .filter(is_usable)
        .max_by_key(|known| (known.certificate.not_before, known.certificate.thumbprint))
}

fn is_valid(known: &InventoryCertificate, now: Timestamp) -> bool {
    known
        .certificate
        .not_before
        .is_some_and(|start| start <= now)
        && known.certificate.not_after.is_some_and(|end| now < end)
}

/// Rule L9.
fn will_not_match<'a>(judged: Finding<'a>, successor: &InventoryCertificate) -> Finding<'a> {
    let thumbprint = successor.certificate.thumbprint;
    let observed = format!(
        "{} of the certificate {}, valid from {}",
        judged.observed,
        thumbprint.map(|it| it.to_string()).unwrap_or_default(),
        successor
            .certificate
            .not_before
            .map(|it| it.to_string())
            .unwrap_or_default(),
    );
    Finding {
        code: ReasonCode::NextCertificateWillNotMatch,
        observed,
        instead: thumbprint,
        ..judged
    }
}

/// Rules L2 and L3.
fn not_presented<'a>(
    presented: &Presented<'_>,
    next: &Presented<'_>,
    successor: &InventoryCertificate,
    bench: &Bench<'a>,
) -> Finding<'a> {
    let code = if is_found(
        presented,
        next,
        bench.expectation.tls_certificate_name.as_deref(),
    ) {
        ReasonCode::OldCertificateStillPresented
    } else {
        ReasonCode::RenewalNotRolledOut
    };
    let (mut expected, mut observed) = (described(next), described(presented));
    for (part, new, old) in [
        ("subject", next.subject(), presented.subject()),
        ("issuer", next.issuer(), presented.issuer()),
    ] {
        if let (Some(new), Some(old)) = (new, old)
            && same_dn(new, old) == Some(false)
        {
            let _ = write!(expected, ", {part} {new}");
            let _ = write!(observed, ", {part} {old}");
        }
    }
    Finding::new(code, expected, observed)
        .instead(successor.certificate.thumbprint)
        .at_least(urgency(presented, bench))
}

/// Whether Exchange finds the newer certificate by the issuer and subject that it looks for: those that are
/// configured, or, where nobody knows them, those of the presented certificate.
fn is_found(presented: &Presented<'_>, next: &Presented<'_>, configured: Option<&str>) -> bool {
    let (issuer, subject) = match configured.and_then(issuer_subject) {
        Some((issuer, subject)) => (issuer, Some(subject)),
        None => (presented.issuer(), presented.subject()),
    };
    let fits = |wanted: Option<&str>, found: Option<&str>| match (wanted, found) {
        (Some(wanted), Some(found)) => same_dn(wanted, found) != Some(false),
        _ => true,
    };
    fits(issuer, next.issuer()) && fits(subject, next.subject())
}

fn described(presented: &Presented<'_>) -> String {
    let certificate = presented.certificate;
    let thumbprint = match certificate.thumbprint {
        Some(thumbprint) => thumbprint.to_string(),
        None => "a certificate".to_owned(),
    };
    match certificate.not_after {
        Some(end) => format!("{thumbprint} (until {end})"),
        None => thumbprint,
    }
}

/// A renewal can wait as long as the presented certificate has time left.
fn urgency(presented: &Presented<'_>, bench: &Bench<'_>) -> Severity {
    if expiry::has_expired(presented, bench) {
        return Severity::Critical;
    }
    expiry::nearing(presented, bench).map_or(Severity::Warning, |nearing| nearing.severity)
}

/// Whether [`changed`] may find something, as far as that is seen without reading names.
pub(super) fn may_tell(before: Before<'_>, certificate: &Certificate, bench: &Bench<'_>) -> bool {
    let known = certificate
        .thumbprint
        .and_then(|it| bench.inventory.find(it));
    let presented = known.map_or(certificate, |known| &known.certificate);
    bench.now.duration_since(before.until) < NEWS || before.certificate.issuer != presented.issuer
}

/// Rules C1 and L8.
pub(super) fn changed<'a>(
    presented: &Presented<'_>,
    before: Option<Before<'_>>,
    now: Timestamp,
) -> Vec<Finding<'a>> {
    let (Some(before), Some(thumbprint)) = (before, presented.certificate.thumbprint) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if now.duration_since(before.until) < NEWS {
        let old = before.certificate.thumbprint.map(|it| it.to_string());
        let finding = Finding::new(
            ReasonCode::CertificateChanged,
            old.unwrap_or_default(),
            thumbprint.to_string(),
        );
        findings.push(finding.since(before.until));
    }
    if let (Some(old), Some(new)) = (before.certificate.issuer.as_deref(), presented.issuer())
        && same_dn(old, new) == Some(false)
    {
        findings.push(Finding::new(ReasonCode::IssuerRotated, old, new).since(before.until));
    }
    findings
}
