//! Rules N1 to N12 and A3, A4: a certificate against the value of one inbound connector.
//!
//! Exchange Online compares names only: the common name and the alternative names of the certificate with
//! `TlsSenderCertificateName`. Where Microsoft does not say whether a pair fits, the result is `fragile`.

use std::cell::OnceCell;

use jiff::SignedDuration;

use crate::pipeline::certificate::dn::{DistinguishedName, issuer_subject};
use crate::pipeline::certificate::{Certificate, ValiditySource};
use crate::pipeline::inventory::{Inventory, InventoryCertificate};
use crate::pipeline::verdict::Verdict;
use crate::pipeline::verdict::reason::ReasonCode;

/// How far a logged date may be off: Exchange writes local time and marks it as UTC, and local time is at most 14 h
/// ahead of UTC.
pub const LOGGED_DATE_MARGIN: SignedDuration = SignedDuration::from_hours(14);

/// What a certificate offers to be compared.
pub(super) struct Presented<'a> {
    /// What is known of it: from the inventory if it stands there, from the log otherwise.
    pub(super) certificate: &'a Certificate,
    /// The certificate itself, if the inventory holds it.
    pub(super) known: Option<&'a InventoryCertificate>,
    /// Common name, if it is a DNS name, and alternative names: lower case, no trailing dot, A-labels.
    pub(super) names: Vec<String>,
    /// Whether its subject holds a common name, DNS name or not.
    pub(super) has_common_name: bool,
    /// Several rules ask, and reading two names takes its time.
    self_signed: OnceCell<Option<bool>>,
}

impl<'a> Presented<'a> {
    /// A certificate of the log. If the inventory holds it, what the inventory says counts: its dates are exact, and
    /// it has no gaps.
    pub(super) fn known(certificate: &'a Certificate, inventory: &'a Inventory) -> Self {
        let known = certificate
            .thumbprint
            .and_then(|thumbprint| inventory.find(thumbprint));
        match known {
            Some(known) => Self::in_inventory(known),
            None => Self::new(certificate, None),
        }
    }

    /// A certificate of the inventory, as if it were presented.
    pub(super) fn in_inventory(known: &'a InventoryCertificate) -> Self {
        Self::new(&known.certificate, Some(known))
    }

    fn new(certificate: &'a Certificate, known: Option<&'a InventoryCertificate>) -> Self {
        let common_name = certificate.common_name();
        Self {
            certificate,
            known,
            names: certificate.presented_names_with(common_name.as_deref()),
            has_common_name: common_name.is_some(),
            self_signed: OnceCell::new(),
        }
    }

    /// Rule A2; `None`: issuer and subject are not both known.
    pub(super) fn is_self_signed(&self) -> Option<bool> {
        let compare = || same_dn(self.issuer()?, self.subject()?);
        *self.self_signed.get_or_init(compare)
    }

    /// How far its dates may be off.
    pub(super) fn margin(&self) -> SignedDuration {
        margin(self.certificate)
    }

    /// The subject, unless it was cut off or cannot be told from the issuer.
    pub(super) fn subject(&self) -> Option<&'a str> {
        let gaps = self.certificate.gaps;
        let cut_off = self.certificate.subject.is_empty() && gaps.names_incomplete;
        (!gaps.dn_uncut && !cut_off).then_some(self.certificate.subject.as_str())
    }

    /// The issuer, unless it was cut off or cannot be told from the subject.
    pub(super) fn issuer(&self) -> Option<&'a str> {
        self.certificate.issuer.as_deref()
    }
}

/// How far the dates of a certificate may be off.
pub(super) fn margin(certificate: &Certificate) -> SignedDuration {
    match certificate.validity_from {
        Some(ValiditySource::Inventory) => SignedDuration::ZERO,
        Some(ValiditySource::Log) | None => LOGGED_DATE_MARGIN,
    }
}

/// How a certificate fares against one connector's value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Comparison {
    pub(super) code: ReasonCode,
    /// The name of the certificate that decided; `None` where all of them did.
    pub(super) name: Option<String>,
}

impl Comparison {
    fn of(code: ReasonCode) -> Self {
        Self { code, name: None }
    }
}

/// Compares a certificate with `TlsSenderCertificateName`.
pub(super) fn compare(value: &str, presented: &Presented<'_>) -> Comparison {
    match issuer_subject(value) {
        Some((issuer, subject)) => Comparison::of(compare_x500(issuer, subject, presented)),
        None => compare_names(&normalised(value), presented),
    }
}

fn compare_names(value: &str, presented: &Presented<'_>) -> Comparison {
    let results = presented.names.iter().map(|name| (fit(value, name), name));
    let best = results.min_by(|(a, x), (b, y)| {
        let verdicts = a.row().verdict.cmp(&b.row().verdict);
        verdicts.then(a.cmp(b)).then_with(|| x.cmp(y))
    });
    let code = best.map_or(ReasonCode::NameMismatch, |(code, _)| code);
    let verdict = code.row().verdict;
    // A name that was not logged could only improve the result.
    if verdict != Verdict::Match && presented.certificate.gaps.names_incomplete {
        return Comparison::of(ReasonCode::CertificateIncomplete);
    }
    let decided = verdict != Verdict::Mismatch;
    let name = best.filter(|_| decided).map(|(_, name)| name.clone());
    Comparison { code, name }
}

/// Rules N1 to N8 and N12 for one name.
fn fit(value: &str, name: &str) -> ReasonCode {
    match (value.strip_prefix("*."), name.strip_prefix("*.")) {
        (Some(domain), Some(name_domain)) if domain == name_domain => ReasonCode::WildcardBoth,
        (Some(domain), _) if domain == name => ReasonCode::BareDomain,
        (Some(domain), _) => match labels_below(name, domain) {
            Some(1) => ReasonCode::WildcardValue,
            Some(_) => ReasonCode::MultiLabel,
            None => ReasonCode::NameMismatch,
        },
        (None, _) if value == name => ReasonCode::Exact,
        (None, Some(domain)) if value == domain => ReasonCode::WildcardCertificateBare,
        (None, Some(domain)) if labels_below(value, domain) == Some(1) => {
            ReasonCode::WildcardCertificate
        }
        (None, _) if labels_below(name, value).is_some() => ReasonCode::SubdomainNotCovered,
        (None, _) => ReasonCode::NameMismatch,
    }
}

/// Rules N9, N10 and N12. A DN that cannot be read is compared as text, and never found to differ.
fn compare_x500(issuer: Option<&str>, subject: &str, presented: &Presented<'_>) -> ReasonCode {
    let Some(presented_subject) = presented.subject() else {
        return ReasonCode::CertificateIncomplete;
    };
    match same_dn(subject, presented_subject) {
        None => return ReasonCode::ValueUnreadable,
        Some(false) => return ReasonCode::NameMismatch,
        Some(true) => {}
    }
    let Some(issuer) = issuer else {
        return ReasonCode::X500;
    };
    let Some(presented_issuer) = presented.issuer() else {
        return ReasonCode::CertificateIncomplete;
    };
    match same_dn(issuer, presented_issuer) {
        None => ReasonCode::ValueUnreadable,
        Some(false) => ReasonCode::IssuerChanged,
        Some(true) => ReasonCode::X500,
    }
}

/// Whether two DNs are the same name; `None` when they differ as text and one of them cannot be read.
pub(super) fn same_dn(a: &str, b: &str) -> Option<bool> {
    let (a, b) = (a.trim(), b.trim());
    if a.eq_ignore_ascii_case(b) {
        return Some(true);
    }
    let (a, b) = (DistinguishedName::parse(a)?, DistinguishedName::parse(b)?);
    Some(a.same_name(&b))
}

/// Rules A3 and A4: how a connector's value stands to the tenant's accepted domains.
///
/// `None`: accepted, or there is nothing to say (unknown domains, an X.500 value).
pub(super) fn domain_standing(value: &str, accepted: Option<&[String]>) -> Option<ReasonCode> {
    let accepted = accepted.filter(|domains| !domains.is_empty())?;
    if issuer_subject(value).is_some() {
        return None;
    }
    let value = normalised(value);
    let (domain, is_wildcard) = match value.strip_prefix("*.") {
        Some(domain) => (domain, true),
        None => (value.as_str(), false),
    };
    let accepted: Vec<String> = accepted.iter().map(|domain| normalised(domain)).collect();
    let covers = |accepted: &String| match accepted.strip_prefix("*.") {
        Some(parent) => is_below(domain, parent) || (is_wildcard && domain == parent),
        None => domain == accepted || (is_wildcard && is_below(accepted, domain)),
    };
    if accepted.iter().any(covers) {
        None
    } else if accepted.iter().any(|parent| is_below(domain, parent)) {
        Some(ReasonCode::ParentDomainAccepted)
    } else {
        Some(ReasonCode::CertificateDomainNotAccepted)
    }
}

/// A DNS name as names are compared: lower case, no trailing dot, A-labels.
pub(super) fn normalised(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    let name = lower.strip_suffix('.').unwrap_or(&lower);
    idna::domain_to_ascii(name).unwrap_or_else(|_| name.to_owned())
}

fn is_below(name: &str, domain: &str) -> bool {
    labels_below(name, domain).is_some()
}

/// How many labels `name` has below `domain`; `None` when it does not lie below it.
fn labels_below(name: &str, domain: &str) -> Option<usize> {
    let labels = name.strip_suffix(domain)?.strip_suffix('.')?;
    let lies_below = !labels.is_empty() && !domain.is_empty();
    lies_below.then(|| labels.split('.').count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised() {
        assert_eq!(normalised(" Mail.Contoso.COM. "), "mail.contoso.com");
        assert_eq!(normalised("*.Bücher.example"), "*.xn--bcher-kva.example");
        assert_eq!(normalised("STRASSE.example"), "strasse.example");
        assert_eq!(normalised("xn--\u{0}"), "xn--\u{0}");
        assert_eq!(normalised("."), "");
    }

    #[test]
    fn only_whole_labels_lie_below_a_domain() {
        assert_eq!(labels_below("mail.contoso.com", "contoso.com"), Some(1));
        assert_eq!(labels_below("a.mail.contoso.com", "contoso.com"), Some(2));
        assert_eq!(labels_below("notcontoso.com", "contoso.com"), None);
        assert_eq!(labels_below("contoso.com", "contoso.com"), None);
        assert_eq!(labels_below(".contoso.com", "contoso.com"), None);
        assert_eq!(labels_below("contoso.com", ""), None);
    }

    #[test]
    fn accepted_domains_may_hold_wildcards() {
        let standing = |value, accepted: &[&str]| {
            let accepted: Vec<String> = accepted.iter().map(ToString::to_string).collect();
            domain_standing(value, Some(&accepted))
        };
        assert_eq!(standing("mail.contoso.com", &["*.Contoso.com"]), None);
        assert_eq!(standing("*.contoso.com", &["*.contoso.com"]), None);
        assert_eq!(standing("*.contoso.com", &["eu.contoso.com"]), None);
        assert_eq!(
            standing("contoso.com", &["eu.contoso.com"]),
            Some(ReasonCode::CertificateDomainNotAccepted)
        );
        assert_eq!(
            standing("contoso.com", &["*.contoso.com"]),
            Some(ReasonCode::CertificateDomainNotAccepted)
        );
        assert_eq!(standing("<S>CN=contoso.com", &["fabrikam.com"]), None);
        assert_eq!(standing("contoso.com", &[]), None);
    }
}
