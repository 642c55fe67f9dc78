//! Whether an inbound connector recognises the organisation: by certificate first, by address otherwise.
//!
//! Only enabled connectors of type `OnPremises` count, and the best of them decides. An accepted domain is part of that
//! choice, because Exchange Online asks for both: a connector that fits and a domain that it accepts.

use std::net::IpAddr;

use crate::pipeline::certificate::dn::issuer_subject;
use crate::pipeline::expectation::{ConnectorType, Expectation, InboundConnector};
use crate::pipeline::verdict::Verdict;
use crate::pipeline::verdict::finding::Finding;
use crate::pipeline::verdict::names::{Comparison, Presented, compare, domain_standing};
use crate::pipeline::verdict::reason::ReasonCode;

/// So many names of a certificate are shown; the others are counted.
const SHOWN_NAMES: usize = 10;

/// What the server offered in STARTTLS.
#[derive(Clone, Copy)]
pub(super) enum Offered<'a> {
    /// Not known yet.
    Unknown,
    Nothing,
    Certificate(&'a Presented<'a>),
}

/// Rules N, A3, A4, A6, A7, A11 and I.
pub(super) fn recognise<'a>(
    expectation: &'a Expectation,
    offered: Offered<'_>,
    egress: Option<IpAddr>,
) -> Vec<Finding<'a>> {
    let ours = enabled(expectation, ConnectorType::OnPremises);
    let by_certificate = with_value(&ours);
    let by_address = with_addresses(&ours);
    let mut findings = match (by_certificate.is_empty(), by_address.is_empty()) {
        (true, true) => without_connector(expectation, offered, &ours),
        (true, false) => {
            let mut findings = vec![ip_only(&ours)];
            findings.push(address(&by_address, egress, ReasonCode::Ip));
            findings
        }
        (false, _) => {
            let findings = certificate(expectation, offered, &by_certificate);
            if by_address.is_empty() || verdict(&findings) != Verdict::Mismatch {
                findings
            } else {
                or_by_address(findings, &by_address, egress)
            }
        }
    };
    if !matches!(offered, Offered::Nothing)
        && let Some(connector) = name_unknown(&ours)
    {
        findings = perhaps_by_name(findings, connector);
    }
    if verdict(&findings) == Verdict::Mismatch
        && let Offered::Certificate(presented) = offered
        && let Some(partner) = partner_only(expectation, presented)
    {
        findings.retain(|finding| finding.code != ReasonCode::NoEnabledConnector);
        findings.push(partner);
    }
    findings.extend(not_exported(expectation, &findings));
    findings
}

/// Whether an address decides, so that Exchange Online would take mail without any certificate just as well; or whether
/// it may, for all that is known.
pub(super) fn is_by_address(
    expectation: &Expectation,
    findings: &[Finding<'_>],
    egress: Option<IpAddr>,
) -> bool {
    let codes = [
        ReasonCode::IpOnly,
        ReasonCode::Ip,
        ReasonCode::FellBackToIp,
        ReasonCode::NoEgressSeen,
    ];
    if findings.iter().any(|finding| codes.contains(&finding.code)) {
        return true;
    }
    let by_address = with_addresses(&enabled(expectation, ConnectorType::OnPremises));
    verdict(findings) == Verdict::Unknown
        && !by_address.is_empty()
        && address(&by_address, egress, ReasonCode::Ip)
            .code
            .row()
            .verdict
            != Verdict::Mismatch
}

/// How a certificate fares by its names alone.
pub(super) enum ByName<'a> {
    /// No enabled `OnPremises` connector has a certificate name: the address decides.
    NotByName,
    /// The rule that decides.
    Judged(Finding<'a>),
}

/// Rules N1 to N12 alone, for a certificate that is not presented yet.
pub(super) fn by_name<'a>(expectation: &'a Expectation, presented: &Presented<'_>) -> ByName<'a> {
    let ours = enabled(expectation, ConnectorType::OnPremises);
    let connectors = with_value(&ours);
    if connectors.is_empty() {
        return ByName::NotByName;
    }
    let findings = certificate(expectation, Offered::Certificate(presented), &connectors);
    match findings.into_iter().next() {
        // One whose name is not known may fit.
        Some(finding)
            if finding.code.row().verdict == Verdict::Mismatch && name_unknown(&ours).is_some() =>
        {
            ByName::NotByName
        }
        Some(finding) => ByName::Judged(finding),
        None => ByName::NotByName,
    }
}

/// The worst verdict of some findings.
pub(super) fn verdict(findings: &[Finding<'_>]) -> Verdict {
    let verdicts = findings.iter().map(|finding| finding.code.row().verdict);
    verdicts.max().unwrap_or(Verdict::Match)
}

fn enabled(expectation: &Expectation, kind: ConnectorType) -> Vec<&InboundConnector> {
    let connectors = expectation.inbound_connectors.iter();
    connectors
        .filter(|connector| connector.enabled && connector.connector_type == kind)
        .collect()
}

fn with_value<'a>(connectors: &[&'a InboundConnector]) -> Vec<(&'a InboundConnector, &'a str)> {
    let pairs = connectors.iter().filter_map(|connector| {
        let value = connector.tls_sender_certificate_name.as_deref()?.trim();
        (!value.is_empty()).then_some((*connector, value))
    });
    pairs.collect()
}

fn with_addresses<'a>(connectors: &[&'a InboundConnector]) -> Vec<&'a InboundConnector> {
    let connectors = connectors.iter().copied();
    connectors
        .filter(|connector| !connector.sender_ip_addresses.is_empty())
        .collect()
}

/// A connector that may have a certificate name, for all that is known.
fn name_unknown<'a>(connectors: &[&'a InboundConnector]) -> Option<&'a InboundConnector> {
    let mut connectors = connectors.iter().copied();
    connectors.find(|connector| connector.certificate_name_unknown)
}

/// Rule U6: an address that fits is enough; where nothing fits, the name that is not known could.
fn perhaps_by_name<'a>(
    mut findings: Vec<Finding<'a>>,
    connector: &'a InboundConnector,
) -> Vec<Finding<'a>> {
    findings.retain(|finding| finding.code != ReasonCode::IpOnly);
    let is_nothing = |finding: &Finding<'_>| {
        let row = finding.code.row();
        row.verdict == Verdict::Mismatch || finding.code == ReasonCode::NothingExpected
    };
    if findings.iter().any(is_nothing) {
        let code = ReasonCode::CertificateNameUnknown;
        let expected = "TlsSenderCertificateName, or null for none";
        return vec![Finding::new(code, expected, "neither").about(connector)];
    }
    findings
}

/// Rule A12. Where an exported connector fits, a name too many in the configuration does no harm.
fn not_exported<'a>(expectation: &'a Expectation, findings: &[Finding<'_>]) -> Option<Finding<'a>> {
    let missing = expectation.inbound_connectors.iter();
    let missing: Vec<_> = missing
        .filter(|connector| connector.enabled && connector.missing_from_export)
        .collect();
    let first = missing.first()?;
    let fits = |finding: &Finding<'_>| {
        finding.code.row().verdict <= Verdict::Fragile
            && finding
                .inbound
                .is_some_and(|connector| !connector.missing_from_export)
    };
    if findings.iter().any(fits) {
        return None;
    }
    let expected = listed(missing.iter().map(|connector| connector.name.clone()));
    let finding = Finding::new(
        ReasonCode::NotExported,
        expected,
        "no connector of this name",
    );
    Some(Finding {
        is_harmless: verdict(findings) == Verdict::Mismatch,
        ..finding.about(first)
    })
}

/// Neither a certificate name nor an address to compare with.
fn without_connector<'a>(
    expectation: &'a Expectation,
    offered: Offered<'_>,
    ours: &[&InboundConnector],
) -> Vec<Finding<'a>> {
    if matches!(offered, Offered::Unknown) {
        return vec![no_session_seen()];
    }
    let all = &expectation.inbound_connectors;
    if ours.is_empty() && !all.is_empty() {
        let finding = Finding::new(
            ReasonCode::NoEnabledConnector,
            "an enabled inbound connector of type OnPremises",
            states(all),
        );
        let disabled = all
            .iter()
            .find(|connector| connector.connector_type == ConnectorType::OnPremises);
        return vec![match disabled {
            Some(connector) => finding.about(connector),
            None => finding,
        }];
    }
    if !expectation.thumbprints.is_empty() {
        return Vec::new();
    }
    let expected = "an inbound connector with a certificate name or addresses";
    vec![Finding::new(ReasonCode::NothingExpected, expected, "none")]
}

fn states(connectors: &[InboundConnector]) -> String {
    let states = connectors.iter().map(|connector| {
        let kind = match connector.connector_type {
            ConnectorType::OnPremises => "OnPremises",
            ConnectorType::Partner => "Partner",
        };
        let state = if connector.enabled { "" } else { ", disabled" };
        format!("{} ({kind}{state})", connector.name)
    });
    listed(states)
}

fn no_session_seen<'a>() -> Finding<'a> {
    Finding::new(ReasonCode::NoSessionSeen, "a TLS session", "none yet")
}

fn ip_only<'a>(ours: &[&InboundConnector]) -> Finding<'a> {
    let names = listed(ours.iter().map(|connector| connector.name.clone()));
    Finding::new(ReasonCode::IpOnly, "", names)
}

/// An enabled `OnPremises` connector and how the certificate fares against it.
struct Candidate<'a> {
    connector: &'a InboundConnector,
    value: &'a str,
    comparison: Comparison,
    standing: Option<ReasonCode>,
}

impl<'a> Candidate<'a> {
    fn new(
        (connector, value): (&'a InboundConnector, &'a str),
        presented: &Presented<'_>,
        accepted: Option<&[String]>,
    ) -> Self {
        let comparison = compare(value, presented);
        let fits = comparison.code.row().verdict <= Verdict::Fragile;
        let standing = fits.then(|| domain_standing(value, accepted)).flatten();
        Self {
            connector,
            value,
            comparison,
            standing,
        }
    }

    /// Sorts the best candidate first; total, so that the order of the configuration decides nothing.
    fn rank(&self) -> impl Ord + use<'a> {
        let by_name = self.comparison.code.row().verdict;
        let by_domain = self.standing.map_or(Verdict::Match, |it| it.row().verdict);
        let verdict = by_name.max(by_domain);
        let cross_premises = self.connector.cloud_services_mail_enabled != Some(false);
        (
            verdict,
            self.comparison.code,
            self.standing,
            self.connector.missing_from_export,
            !cross_premises,
            self.value,
            self.connector.name.as_str(),
        )
    }
}

/// Rules N1 to N10, N12, N13 and what hangs on the connector that fits.
fn certificate<'a>(
    expectation: &'a Expectation,
    offered: Offered<'_>,
    connectors: &[(&'a InboundConnector, &'a str)],
) -> Vec<Finding<'a>> {
    let presented = match offered {
        Offered::Unknown => return vec![no_session_seen()],
        Offered::Nothing => {
            let expected = values(connectors);
            let code = ReasonCode::NoClientCertificate;
            return vec![Finding::new(code, expected, "no certificate")];
        }
        Offered::Certificate(presented) => presented,
    };
    let accepted = expectation.accepted_domains.as_deref();
    let candidates = connectors.iter();
    let candidates = candidates.map(|pair| Candidate::new(*pair, presented, accepted));
    let Some(best) = candidates.min_by(|a, b| a.rank().cmp(&b.rank())) else {
        return Vec::new();
    };
    let mut findings = vec![decided(&best, connectors, presented)];
    if best.comparison.code.row().verdict <= Verdict::Fragile {
        findings.extend(domain(&best, accepted));
        findings.extend(not_cross_premises(&best));
        findings.extend(ambiguous(expectation, presented));
    }
    findings
}

fn decided<'a>(
    best: &Candidate<'a>,
    connectors: &[(&'a InboundConnector, &'a str)],
    presented: &Presented<'_>,
) -> Finding<'a> {
    let code = best.comparison.code;
    let value = || best.value.to_owned();
    let (expected, observed) = match code {
        ReasonCode::IssuerChanged => {
            let issuer = issuer_subject(best.value).and_then(|(issuer, _)| issuer);
            let presented = presented.issuer().unwrap_or_default();
            (issuer.unwrap_or_default().to_owned(), presented.to_owned())
        }
        ReasonCode::NameMismatch | ReasonCode::CertificateIncomplete => {
            (values(connectors), offer(connectors, presented))
        }
        ReasonCode::ValueUnreadable | ReasonCode::X500 => {
            (value(), presented.certificate.subject.clone())
        }
        _ => {
            let name = best.comparison.name.clone();
            (value(), name.unwrap_or_else(|| names(presented)))
        }
    };
    Finding::new(code, expected, observed).about(best.connector)
}

/// Rules A3 and A4.
fn domain<'a>(best: &Candidate<'a>, accepted: Option<&[String]>) -> Option<Finding<'a>> {
    let expected = format!("{} among the accepted domains", best.value);
    let observed = listed(accepted.unwrap_or_default().iter().cloned());
    Some(Finding::new(best.standing?, expected, observed).about(best.connector))
}

/// Rule A6.
fn not_cross_premises<'a>(best: &Candidate<'a>) -> Option<Finding<'a>> {
    (best.connector.cloud_services_mail_enabled == Some(false)).then(|| {
        let code = ReasonCode::NotCrossPremises;
        Finding::new(code, "true", "false").about(best.connector)
    })
}

/// Rule A11.
fn ambiguous<'a>(expectation: &Expectation, presented: &Presented<'_>) -> Option<Finding<'a>> {
    let on_premises = enabled(expectation, ConnectorType::OnPremises);
    let partners = enabled(expectation, ConnectorType::Partner);
    let connectors = [on_premises, partners].concat();
    let fitting: Vec<String> = with_value(&connectors)
        .into_iter()
        .filter(|(_, value)| compare(value, presented).code.row().verdict == Verdict::Match)
        .map(|(connector, _)| connector.name.clone())
        .collect();
    (fitting.len() > 1).then(|| {
        let observed = listed(fitting);
        Finding::new(ReasonCode::Ambiguous, "one inbound connector", observed)
    })
}

/// Rule A7: a connector of type Partner recognises a partner, it does not attribute mail to the tenant.
fn partner_only<'a>(
    expectation: &'a Expectation,
    presented: &Presented<'_>,
) -> Option<Finding<'a>> {
    with_value(&enabled(expectation, ConnectorType::Partner))
        .into_iter()
        .map(|pair| Candidate::new(pair, presented, None))
        .filter(|candidate| candidate.comparison.code.row().verdict <= Verdict::Fragile)
        .min_by(|a, b| a.rank().cmp(&b.rank()))
        .map(|candidate| {
            let expected = "an inbound connector of type OnPremises";
            let observed = format!("{} (Partner)", candidate.connector.name);
            Finding::new(ReasonCode::PartnerOnly, expected, observed).about(candidate.connector)
        })
}

/// The certificate fits no connector, but there are addresses.
fn or_by_address<'a>(
    mut findings: Vec<Finding<'a>>,
    connectors: &[&'a InboundConnector],
    egress: Option<IpAddr>,
) -> Vec<Finding<'a>> {
    let by_address = address(connectors, egress, ReasonCode::FellBackToIp);
    match by_address.code {
        ReasonCode::FellBackToIp => {
            let fallback = findings
                .into_iter()
                .next()
                .map_or(by_address.clone(), |failed| {
                    let observed = format!("{}; address {}", failed.observed, by_address.observed);
                    Finding {
                        code: ReasonCode::FellBackToIp,
                        observed,
                        ..failed
                    }
                });
            vec![fallback]
        }
        // The address could still save it: no mismatch may be claimed.
        ReasonCode::NoEgressSeen => vec![by_address],
        _ => {
            findings.push(by_address);
            findings
        }
    }
}

/// Rules I1, I4, I5 and I6.
fn address<'a>(
    connectors: &[&'a InboundConnector],
    egress: Option<IpAddr>,
    fits: ReasonCode,
) -> Finding<'a> {
    let ranges = connectors.iter().flat_map(|connector| {
        let ranges = connector.sender_ip_addresses.iter();
        ranges.map(|range| (*connector, *range))
    });
    let expected = listed(ranges.clone().map(|(_, range)| range.to_string()));
    let about_first = |finding: Finding<'a>| match connectors.first() {
        Some(connector) => finding.about(connector),
        None => finding,
    };
    let address = match egress.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => address,
        Some(IpAddr::V6(address)) => {
            let observed = address.to_string();
            let code = ReasonCode::Ipv6Unsupported;
            return about_first(Finding::new(code, expected, observed));
        }
        None => {
            let code = ReasonCode::NoEgressSeen;
            return about_first(Finding::new(code, expected, "no address yet"));
        }
    };
    // Where several fit, one that surely exists speaks for them.
    let fitting = ranges
        .filter(|(_, range)| range.contains(address))
        .min_by_key(|(connector, _)| connector.missing_from_export);
    let observed = address.to_string();
    if let Some((connector, range)) = fitting {
        Finding::new(fits, range.to_string(), observed).about(connector)
    } else {
        about_first(Finding::new(ReasonCode::IpChanged, expected, observed))
    }
}

/// The values of some connectors, each once.
fn values(connectors: &[(&InboundConnector, &str)]) -> String {
    let mut values: Vec<&str> = Vec::new();
    for (_, value) in connectors {
        if !values.contains(value) {
            values.push(value);
        }
    }
    values.join(" or ")
}

/// What of the certificate is compared with the connectors' values.
fn offer(connectors: &[(&InboundConnector, &str)], presented: &Presented<'_>) -> String {
    let is_x500 = |(_, value): &(&InboundConnector, &str)| issuer_subject(value).is_some();
    let subject = || format!("subject {}", presented.certificate.subject);
    if connectors.iter().all(is_x500) {
        subject()
    } else if connectors.iter().any(is_x500) {
        format!("{}; {}", names(presented), subject())
    } else {
        names(presented)
    }
}

fn names(presented: &Presented<'_>) -> String {
    if presented.names.is_empty() {
        "no DNS name".to_owned()
    } else {
        listed(presented.names.iter().cloned())
    }
}

fn listed(items: impl IntoIterator<Item = String>) -> String {
    let mut items: Vec<String> = items.into_iter().collect();
    let more = items.len().saturating_sub(SHOWN_NAMES);
    items.truncate(SHOWN_NAMES);
    let list = items.join(", ");
    match more {
        0 => list,
        _ => format!("{list} and {more} more"),
    }
}
