//! Certificates that are to be presented → what would become of it: the verdict before a renewal instead of after.
//!
//! The question is about the certificate alone. So addresses count only where no inbound connector goes by certificate
//! name, and `TlsCertificateName` is looked at from the other side: not whether the right certificate is presented, but
//! whether Exchange would find this one.

mod action;

use std::sync::Arc;

use jiff::Timestamp;

use crate::pipeline::certificate::dn::DistinguishedName;
use crate::pipeline::certificate::dn::issuer_subject;
use crate::pipeline::expectation::ConnectorPattern;
use crate::pipeline::expectation::ConnectorType;
use crate::pipeline::expectation::Expectation;
use crate::pipeline::expectation::Expectations;
use crate::pipeline::expectation::Settings;
use crate::pipeline::inventory::Inventory;
use crate::pipeline::inventory::InventoryCertificate;
use crate::pipeline::session::Presentation;
use crate::pipeline::shown::shown;
use crate::pipeline::verdict::Bench;
use crate::pipeline::verdict::Evidence;
use crate::pipeline::verdict::Verdict;
use crate::pipeline::verdict::in_advance;
use crate::pipeline::verdict::judge;
use crate::pipeline::verdict::one_command;
use crate::pipeline::verdict::reason::Reason;
use crate::pipeline::verdict::reason::Severity;

/// The shortest RSA key that public certification authorities sign (CA/Browser Forum, Baseline Requirements 6.1.5).
const MIN_RSA_BITS: u32 = 2048;

/// What would become of one certificate.
#[derive(Clone, Debug)]
pub struct Preflight {
    /// Which one.
    pub certificate: InventoryCertificate,
    /// What is to be said of it whatever connector it is presented on.
    pub findings: Vec<Finding>,
    /// One for each entry of the configuration, in its order.
    pub prospects: Vec<Prospect>,
}

/// What would become of a certificate on the send connectors of one entry of the configuration.
#[derive(Clone, Debug)]
pub struct Prospect {
    /// Name or pattern of the send connectors.
    pub connector: String,
    /// Whether Exchange Online would recognise it.
    pub verdict: Verdict,
    /// Why, the worst first.
    pub findings: Vec<Finding>,
}

/// One thing to know before a certificate is put to use; the texts are fit to be shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The code of the verdict's reason, or one of preflight's own.
    pub code: &'static str,
    /// How urgent it is.
    pub severity: Severity,
    /// What was expected; only what differs.
    pub expected: String,
    /// What was found instead.
    pub observed: String,
    /// What is wrong, in up to three sentences.
    pub message: String,
    /// PowerShell to paste: at most one command, then comments. Empty: nothing to do.
    pub action: String,
}

impl Finding {
    fn new(code: &'static str, severity: Severity, expected: &str, observed: &str) -> Self {
        Self {
            code,
            severity,
            expected: shown(expected),
            observed: shown(observed),
            message: String::new(),
            action: String::new(),
        }
    }

    fn of(reason: Reason, pattern: &ConnectorPattern) -> Self {
        Self {
            code: reason.code.as_str(),
            severity: reason.severity,
            expected: reason.expected,
            observed: reason.observed,
            message: in_advance(&reason.message),
            action: action::of_pattern(action::in_advance(&reason.action), pattern),
        }
    }
}

/// Judges a certificate as if it were presented at this time.
pub fn examine(
    certificate: &InventoryCertificate,
    expectations: &Expectations,
    settings: &Settings,
    now: Timestamp,
) -> Preflight {
    let prospects = expectations.entries().iter();
    Preflight {
        certificate: certificate.clone(),
        findings: weaknesses(certificate),
        prospects: prospects
            .map(|expectation| prospect(certificate, expectation, settings, now))
            .collect(),
    }
}

/// Which certificates of a file only vouch for another one of it, as in a file that holds a whole chain.
pub fn issuers(certificates: &[InventoryCertificate]) -> Vec<bool> {
    let issues = |issuer: &InventoryCertificate, other: &InventoryCertificate| {
        let named = other.certificate.issuer.as_deref().unwrap_or_default();
        issuer.certificate.thumbprint != other.certificate.thumbprint
            && issuer.certificate.subject != other.certificate.subject
            && same_dn(named, &issuer.certificate.subject) == Some(true)
    };
    let found: Vec<bool> = certificates
        .iter()
        .map(|known| certificates.iter().any(|other| issues(known, other)))
        .collect();
    // Two that vouch for each other: neither is the end of a chain, so each is judged.
    if found.iter().all(|is_issuer| *is_issuer) {
        return vec![false; certificates.len()];
    }
    found
}

fn prospect(
    certificate: &InventoryCertificate,
    expectation: &Expectation,
    settings: &Settings,
    now: Timestamp,
) -> Prospect {
    let connector = expectation.pattern.as_str();
    let presentation = Presentation::Certificate(Arc::clone(&certificate.certificate));
    let evidence = Evidence {
        presentation: Some(&presentation),
        ..Evidence::default()
    };
    let judgement = judge(
        &evidence,
        &Bench {
            // Which server is meant is not known; it only chooses among certificates of other servers.
            server: "",
            connector,
            expectation: &by_certificate(expectation, now),
            inventory: &Inventory::new(vec![certificate.clone()]),
            settings,
            now,
        },
    );
    let mut findings: Vec<Finding> = judgement
        .reasons
        .into_iter()
        .map(|reason| Finding::of(reason, &expectation.pattern))
        .collect();
    let mut lookup = lookup(certificate, expectation);
    if judgement.verdict == Verdict::Mismatch && !lookup.action.is_empty() {
        lookup.action = action::postponed(&lookup.action);
    }
    findings.push(lookup);
    // What the verdict says comes first; its order among equals stays.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    one_command(findings.iter_mut().map(|finding| &mut finding.action));
    Prospect {
        connector: shown(connector),
        verdict: judgement.verdict,
        findings,
    }
}

/// The expectation as far as it is about a certificate.
fn by_certificate(expectation: &Expectation, now: Timestamp) -> Expectation {
    let mut about = expectation.clone();
    if !about.thumbprints.is_empty() {
        // A certificate that is planned for next week is looked at this week.
        let planned = expectation.planned.iter();
        let planned = planned.filter(|renewal| now <= renewal.until);
        let planned = planned.map(|renewal| renewal.thumbprint);
        about.thumbprints.extend(planned);
    }
    // Looked at by `lookup`.
    about.tls_certificate_name = None;
    let goes_by_name = about.inbound_connectors.iter().any(|connector| {
        connector.enabled
            && connector.connector_type == ConnectorType::OnPremises
            && connector.tls_sender_certificate_name.is_some()
    });
    if goes_by_name {
        // An address that saves mail from a certificate that does not fit is no reason to put that certificate to use.
        for connector in &mut about.inbound_connectors {
            connector.sender_ip_addresses.clear();
        }
    }
    about
}

/// Whether the send connector finds the certificate by the issuer and subject that it looks for.
fn lookup(certificate: &InventoryCertificate, expectation: &Expectation) -> Finding {
    let known = &certificate.certificate;
    let (subject, issuer) = (
        known.subject.as_str(),
        known.issuer.as_deref().unwrap_or_default(),
    );
    let set = action::set_certificate(certificate, &expectation.pattern);
    let Some(configured) = expectation.tls_certificate_name.as_deref() else {
        let observed = format!("issuer {issuer}, subject {subject}");
        return Finding {
            message: "Which certificate the send connector looks for is not configured here (tls_certificate_name). If issuer or subject differ from those of the certificate in use, Set-SendConnector is needed.".to_owned(),
            action: set,
            ..Finding::new("tls_certificate_name_unknown", Severity::Information, "", &observed)
        };
    };
    let Some((wanted_issuer, wanted_subject)) = issuer_subject(configured) else {
        return unreadable(configured, set);
    };
    let pairs = [
        ("issuer", wanted_issuer, issuer),
        ("subject", Some(wanted_subject), subject),
    ];
    let (mut expected, mut observed) = (Vec::new(), Vec::new());
    for (part, wanted, found) in pairs {
        let Some(wanted) = wanted else {
            continue;
        };
        match same_dn(wanted, found) {
            Some(true) => {}
            Some(false) => {
                expected.push(format!("{part} {}", shown(wanted)));
                observed.push(format!("{part} {}", shown(found)));
            }
            None => return unreadable(configured, set),
        }
    }
    let (expected, observed) = (expected.join(", "), observed.join(", "));
    if expected.is_empty() {
        return Finding {
            message: "TlsCertificateName finds the certificate: its issuer and subject are the ones that the send connector looks for.".to_owned(),
            ..Finding::new("tls_certificate_name", Severity::Information, configured, configured)
        };
    }
    Finding {
        message: format!(
            "TlsCertificateName will not find the certificate: expected {expected}, found {observed}. Set-SendConnector is needed; until then the old certificate goes on being presented."
        ),
        action: set,
        ..Finding::new(
            "tls_certificate_name_differs",
            Severity::Warning,
            &expected,
            &observed,
        )
    }
}

fn unreadable(configured: &str, set: String) -> Finding {
    Finding {
        message: format!(
            "Whether the send connector finds the certificate cannot be told, because TlsCertificateName cannot be read: {}.",
            shown(configured)
        ),
        action: set,
        ..Finding::new(
            "tls_certificate_name_unreadable",
            Severity::Warning,
            "<I>issuer<S>subject",
            configured,
        )
    }
}

/// What is to be said of key and signature.
fn weaknesses(certificate: &InventoryCertificate) -> Vec<Finding> {
    let mut findings = Vec::new();
    let key = certificate.key_algorithm.as_str();
    let is_short = key
        .split_once(' ')
        .filter(|(name, _)| name.starts_with("RSA"))
        .and_then(|(_, bits)| bits.parse::<u32>().ok())
        .is_some_and(|bits| bits < MIN_RSA_BITS);
    if is_short {
        findings.push(Finding {
            message: format!("The certificate's key is too short: expected RSA {MIN_RSA_BITS} or more, found {key}. No public certification authority signs it, and receivers may refuse it."),
            action: action::request(certificate),
            ..Finding::new("weak_key", Severity::Warning, "RSA 2048 or more", key)
        });
    }
    let signature = certificate.signature_algorithm.as_str();
    let is_weak = ["SHA-1", "MD5", "MD2"]
        .iter()
        .any(|hash| signature.split(' ').any(|word| word == *hash));
    if is_weak {
        findings.push(Finding {
            message: format!("The certificate is signed with a broken hash: expected SHA-256 or better, found {signature}. Receivers that validate the chain refuse it."),
            action: action::request(certificate),
            ..Finding::new("weak_signature", Severity::Warning, "SHA-256 or better", signature)
        });
    }
    one_command(findings.iter_mut().map(|finding| &mut finding.action));
    findings
}

/// Whether two DNs are the same name; `None` when they differ as text and one of them cannot be read.
fn same_dn(a: &str, b: &str) -> Option<bool> {
    let (a, b) = (a.trim(), b.trim());
    if a.eq_ignore_ascii_case(b) {
        return Some(true);
    }
    let (a, b) = (DistinguishedName::parse(a)?, DistinguishedName::parse(b)?);
    Some(a.same_name(&b))
}

#[cfg(test)]
mod tests;
