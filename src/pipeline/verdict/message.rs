//! What an operator reads: what is wrong with expected and observed side by side, then what it does to the mail.

use crate::pipeline::shown::shown;
use crate::pipeline::verdict::finding::Finding;
use crate::pipeline::verdict::reason::ReasonCode;

const NOT_RECOGNISED: &str = "Exchange Online no longer recognises the organisation: relayed mail bounces with 550 5.7.64, other mail silently arrives as anonymous.";
const NOT_PROMISED: &str = "Microsoft does not promise that this is recognised: relayed mail may bounce with 550 5.7.64 at any time.";
const NO_VERDICT: &str = "Whether Exchange Online recognises the organisation cannot be told.";

/// The message of a finding: up to three sentences.
pub(super) fn of(finding: &Finding<'_>) -> String {
    let what = what(finding);
    match impact(finding.code) {
        "" => what,
        impact => format!("{what} {impact}"),
    }
}

#[expect(clippy::too_many_lines, reason = "a table: one text per reason")]
fn what(finding: &Finding<'_>) -> String {
    let expected = shown(&finding.expected);
    let observed = shown(&finding.observed);
    let inbound = match finding.inbound {
        Some(connector) => format!("inbound connector \"{}\"", shown(&connector.name)),
        None => "the inbound connector".to_owned(),
    };
    match finding.code {
        ReasonCode::Exact | ReasonCode::WildcardValue | ReasonCode::WildcardBoth => {
            format!("The certificate's name {observed} fits {expected} of {inbound}.")
        }
        ReasonCode::BareDomain => format!(
            "Of the certificate's names only the bare domain {observed} comes near {expected} of {inbound}."
        ),
        ReasonCode::MultiLabel => format!(
            "Of the certificate's names only {observed}, more than one label below the wildcard, comes near {expected} of {inbound}."
        ),
        ReasonCode::WildcardCertificate => format!(
            "The certificate covers {expected} of {inbound} only by its wildcard {observed}."
        ),
        ReasonCode::WildcardCertificateBare => format!(
            "Of the certificate's names only the wildcard {observed}, which by the usual rules does not cover the bare domain, comes near {expected} of {inbound}."
        ),
        ReasonCode::SubdomainNotCovered => format!(
            "The certificate has only names below what {inbound} expects: expected {expected}, presented {observed}."
        ),
        ReasonCode::X500 => {
            format!("The certificate is the one that {inbound} names by its subject: {observed}.")
        }
        ReasonCode::IssuerChanged => format!(
            "The certificate has the subject that {inbound} expects, but another issuer: expected {expected}, presented {observed}."
        ),
        ReasonCode::IpOnly => format!(
            "Exchange Online recognises the organisation by its address only: no certificate name is expected by {observed}."
        ),
        ReasonCode::NameMismatch => format!(
            "The certificate fits no inbound connector: expected {expected}, presented {observed}."
        ),
        ReasonCode::NoClientCertificate => format!(
            "The server presents no client certificate: expected {expected}, presented none."
        ),
        ReasonCode::Expired => format!("The presented certificate has expired: {observed}."),
        ReasonCode::NotYetValid => {
            format!("The presented certificate is not valid yet: {observed}.")
        }
        ReasonCode::SelfSigned => {
            format!("The presented certificate is self-signed: issuer and subject are {observed}.")
        }
        ReasonCode::CertificateDomainNotAccepted => format!(
            "The certificate fits {inbound}, but its domain is no accepted domain of the tenant: expected {expected}, found {observed}."
        ),
        ReasonCode::ParentDomainAccepted => format!(
            "The domain of {inbound} is accepted only through its parent: expected {expected}, found {observed}."
        ),
        ReasonCode::NotCrossPremises => format!(
            "{} recognises the certificate, but its CloudServicesMailEnabled is {observed}: expected {expected}.",
            capitalised(&inbound)
        ),
        ReasonCode::PartnerOnly => format!(
            "The certificate fits only connectors that do not relay for the tenant: expected {expected}, found {observed}."
        ),
        ReasonCode::NoEnabledConnector => format!(
            "No inbound connector can recognise the organisation: expected {expected}, found {observed}."
        ),
        ReasonCode::Ambiguous => format!(
            "Several inbound connectors fit the certificate, and Exchange Online chooses one: {observed}."
        ),
        ReasonCode::ThumbprintNotPinned => format!(
            "The presented certificate is not a pinned one: expected {expected}, presented {observed}."
        ),
        ReasonCode::ThumbprintPinned => {
            format!("The presented certificate is a pinned one: {observed}.")
        }
        ReasonCode::Ip => format!("The address {observed} lies in {expected} of {inbound}."),
        ReasonCode::FellBackToIp => format!(
            "The certificate fits no inbound connector, mail flows only because of the server's address: expected {expected}, observed {observed}."
        ),
        ReasonCode::IpChanged => format!(
            "Exchange Online sees an address that no inbound connector expects: expected {expected}, observed {observed}."
        ),
        ReasonCode::Ipv6Unsupported => format!(
            "Exchange Online sees an IPv6 address, inbound connectors hold IPv4 only: expected {expected}, observed {observed}."
        ),
        ReasonCode::NoEgressSeen => {
            format!("The address decides (expected {expected}), and Exchange Online's EHLO answer has not shown it yet.")
        }
        ReasonCode::PresentedNotConfigured => format!(
            "The send connector's TlsCertificateName names another certificate: expected {expected}, presented {observed}."
        ),
        ReasonCode::NoCommonName => {
            "The presented certificate's subject has no CN, so that TlsCertificateName can hardly name it.".to_owned()
        }
        ReasonCode::RejectedByExchangeOnline => {
            format!("Exchange Online refuses to relay: {observed}.")
        }
        ReasonCode::CertificateIncomplete => format!(
            "The log shows only part of the certificate: expected {expected}, seen {observed}."
        ),
        ReasonCode::NotChecked => format!(
            "Issuer and subject are not known clearly enough to check {expected}."
        ),
        ReasonCode::ValueUnreadable => format!(
            "The value {expected} of {inbound} cannot be compared with the subject {observed}."
        ),
        ReasonCode::NothingExpected => {
            format!("There is nothing to compare with: expected {expected}, found {observed}.")
        }
        ReasonCode::NoSessionSeen => {
            "No TLS session of the send connector has been seen yet.".to_owned()
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|it| it.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

fn impact(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::BareDomain
        | ReasonCode::MultiLabel
        | ReasonCode::WildcardCertificate
        | ReasonCode::WildcardCertificateBare => NOT_PROMISED,
        ReasonCode::SubdomainNotCovered
        | ReasonCode::IssuerChanged
        | ReasonCode::NameMismatch
        | ReasonCode::NoClientCertificate
        | ReasonCode::PartnerOnly
        | ReasonCode::NoEnabledConnector
        | ReasonCode::IpChanged
        | ReasonCode::Ipv6Unsupported => NOT_RECOGNISED,
        ReasonCode::Expired | ReasonCode::NotYetValid | ReasonCode::SelfSigned => {
            "Exchange Online accepts only a certificate that it can validate: relayed mail bounces or waits in the queue."
        }
        ReasonCode::CertificateDomainNotAccepted => {
            "Mail with the null sender (bounces, out-of-office replies) is refused first; other relayed mail hangs on its sender's domain."
        }
        ReasonCode::ParentDomainAccepted => {
            "This is usual; should relayed mail with the null sender (bounces, out-of-office replies) be refused, start here."
        }
        ReasonCode::NotCrossPremises => {
            "Mail is accepted, but loses the headers that mark it as internal."
        }
        ReasonCode::ThumbprintNotPinned => {
            "Somebody renewed or exchanged the certificate without changing the pins, or the wrong one is in use."
        }
        ReasonCode::FellBackToIp => {
            "If the address changes or its range is removed, relayed mail bounces with 550 5.7.64."
        }
        ReasonCode::PresentedNotConfigured => {
            "The certificate may change without warning, at the latest when the transport service restarts."
        }
        ReasonCode::RejectedByExchangeOnline => {
            "Relayed mail bounces; the other reasons are candidate causes."
        }
        ReasonCode::NoEgressSeen
        | ReasonCode::CertificateIncomplete
        | ReasonCode::ValueUnreadable
        | ReasonCode::NothingExpected
        | ReasonCode::NoSessionSeen => NO_VERDICT,
        ReasonCode::Exact
        | ReasonCode::WildcardValue
        | ReasonCode::WildcardBoth
        | ReasonCode::X500
        | ReasonCode::IpOnly
        | ReasonCode::Ambiguous
        | ReasonCode::ThumbprintPinned
        | ReasonCode::Ip
        | ReasonCode::NoCommonName
        | ReasonCode::NotChecked => "",
    }
}
