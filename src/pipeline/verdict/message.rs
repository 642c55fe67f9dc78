//! What an operator reads: what is wrong with expected and observed side by side, then what it does to the mail.

use crate::pipeline::shown::{shown, shown_without_addresses};
use crate::pipeline::verdict::finding::Finding;
use crate::pipeline::verdict::reason::ReasonCode;

const NOT_RECOGNISED: &str = "Exchange Online no longer recognises the organisation: relayed mail bounces with 550 5.7.64, other mail silently arrives as anonymous.";
const NOT_VALIDATED: &str = "Exchange Online accepts only a certificate that it can validate: relayed mail bounces or waits in the queue.";
const NOT_PROMISED: &str = "Microsoft does not promise that this is recognised: relayed mail may bounce with 550 5.7.64 at any time.";
const HARMLESS: &str = "The address decides here, not the certificate.";
const ONLY_NULL_SENDER: &str = "Such mail is lost; other relayed mail hangs on its sender's domain, too, and may still pass. The other reasons are candidate causes.";
const NO_VERDICT: &str = "Whether Exchange Online recognises the organisation cannot be told.";

/// What is said of what is presented, and what is said of what might be. The second is for a certificate that does not serve
/// yet: whoever reads that mail bounces, and it does not, believes nothing any more.
const IN_ADVANCE: [(&str, &str); 4] = [
    (
        NOT_RECOGNISED,
        "Exchange Online would no longer recognise the organisation: relayed mail would bounce with 550 5.7.64, other mail would silently arrive as anonymous.",
    ),
    (
        NOT_VALIDATED,
        "Exchange Online accepts only a certificate that it can validate: relayed mail would bounce or wait in the queue.",
    ),
    ("The presented certificate", "The certificate"),
    (", presented ", ", found "),
];

/// A message about a certificate that does not serve yet.
pub fn in_advance(message: &str) -> String {
    IN_ADVANCE
        .iter()
        .fold(message.to_owned(), |text, (now, then)| {
            text.replace(now, then)
        })
}

/// The message of a finding: up to three sentences.
pub(super) fn of(finding: &Finding<'_>) -> String {
    let what = what(finding);
    let impact = match finding.code {
        code if finding.is_harmless && code != ReasonCode::NotExported => HARMLESS,
        ReasonCode::RejectedByExchangeOnline if finding.only_null_sender => ONLY_NULL_SENDER,
        code => impact(code),
    };
    match impact {
        "" => what,
        impact => format!("{what} {impact}"),
    }
}

#[expect(clippy::too_many_lines, reason = "a table: one text per reason")]
fn what(finding: &Finding<'_>) -> String {
    let expected = shown_without_addresses(&finding.expected);
    let observed = shown_without_addresses(&finding.observed);
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
        ReasonCode::NotExported => format!(
            "The configuration expects {inbound}, which the export of all inbound connectors does not hold: expected {expected}, exported {observed}."
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
            let what = if finding.only_null_sender {
                " mail with the null sender (bounces, out-of-office replies)"
            } else {
                ""
            };
            format!("Exchange Online refuses to relay{what}: {observed}.")
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
            let more = match &*observed {
                "none yet" => String::new(),
                observed => format!(": {observed}"),
            };
            format!("No TLS session of the send connector has been seen yet{more}.")
        }
        ReasonCode::CertificateNameUnknown => format!(
            "The export does not say what certificate name {inbound} expects: expected {expected}, found {observed}."
        ),
        ReasonCode::EkuNoServerAuth => format!(
            "The presented certificate is not made for servers: its extended key usage should hold {expected}, which is {observed}."
        ),
        ReasonCode::EkuNoClientAuth => format!(
            "The presented certificate's extended key usage does not hold {expected}; public certification authorities leave it out since 2026."
        ),
        ReasonCode::RenewalNotRolledOut => format!(
            "A renewed certificate is there, but TlsCertificateName does not find it, because issuer or subject changed: expected {expected}, presented {observed}."
        ),
        ReasonCode::OldCertificateStillPresented => format!(
            "A renewed certificate is there, and TlsCertificateName finds it, but the old one is still presented: expected {expected}, presented {observed}."
        ),
        ReasonCode::ServersDisagree => format!(
            "The servers of this send connector do not present the same certificate: {observed}."
        ),
        ReasonCode::IssuerRotated => format!(
            "The issuer changed with the last certificate: before {expected}, now {observed}."
        ),
        ReasonCode::NextCertificateWillNotMatch => format!(
            "The certificate that is ready to be used next fits no inbound connector: expected {expected}, found {observed}."
        ),
        ReasonCode::Expiring => format!("The presented certificate nears its end: {observed}."),
        ReasonCode::RenewalPlanned => format!(
            "A renewal is planned: {expected}. Presented now: {observed}."
        ),
        ReasonCode::PlannedRenewalOverdue => format!(
            "A planned renewal has not taken place: expected {expected}, presented {observed}."
        ),
        ReasonCode::CertificateChanged => format!(
            "Another certificate is presented: before {expected}, now {observed}."
        ),
        ReasonCode::TlsFailing => format!("TLS with Exchange Online fails: {observed}."),
        ReasonCode::VersionThrottled => format!(
            "Exchange Online throttles or blocks mail because of the server's version: {observed}."
        ),
        ReasonCode::Silent => format!(
            "There has been no session with Exchange Online for too long: expected {expected}, observed {observed}."
        ),
        ReasonCode::LoggingOff => format!(
            "Protocol logging of the send connector is off, so nothing can be seen of it: {observed}."
        ),
        ReasonCode::ExportUnreadable => format!(
            "What is expected could not be read anew; the last good one stays in force: {observed}."
        ),
        ReasonCode::ExportOld => format!(
            "An export of what is expected is old: expected {expected}, found {observed}."
        ),
        ReasonCode::SourceUnreadable => format!("Logs cannot be read: {observed}."),
        ReasonCode::SourceLosingData => format!(
            "Parts of the logs were lost before they could be read: {observed}."
        ),
        ReasonCode::StateRecovered => format!(
            "The database of the state was damaged; it was set aside and rebuilt from the logs: {observed}."
        ),
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
        | ReasonCode::WildcardCertificateBare
        | ReasonCode::EkuNoServerAuth => NOT_PROMISED,
        ReasonCode::SubdomainNotCovered
        | ReasonCode::IssuerChanged
        | ReasonCode::NameMismatch
        | ReasonCode::NoClientCertificate
        | ReasonCode::PartnerOnly
        | ReasonCode::NoEnabledConnector
        | ReasonCode::IpChanged
        | ReasonCode::Ipv6Unsupported => NOT_RECOGNISED,
        ReasonCode::Expired | ReasonCode::NotYetValid | ReasonCode::SelfSigned => NOT_VALIDATED,
        ReasonCode::CertificateDomainNotAccepted => {
            "Mail with the null sender (bounces, out-of-office replies) is refused first; other relayed mail hangs on its sender's domain."
        }
        ReasonCode::ParentDomainAccepted => {
            "This is usual; should relayed mail with the null sender (bounces, out-of-office replies) be refused, start here."
        }
        ReasonCode::NotExported => {
            "It was deleted or renamed in Exchange Online, and then relayed mail bounces with 550 5.7.64; or the export is of another tenant."
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
        | ReasonCode::CertificateNameUnknown
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
        | ReasonCode::NotChecked
        | ReasonCode::EkuNoClientAuth
        | ReasonCode::IssuerRotated
        | ReasonCode::RenewalPlanned
        | ReasonCode::CertificateChanged => "",
        ReasonCode::RenewalNotRolledOut
        | ReasonCode::OldCertificateStillPresented
        | ReasonCode::PlannedRenewalOverdue => {
            "When the presented certificate ends, relayed mail bounces or waits in the queue."
        }
        ReasonCode::ServersDisagree => {
            "A renewal has reached some of them only; the others go on with a certificate that will end."
        }
        ReasonCode::NextCertificateWillNotMatch => {
            "As soon as it is presented, relayed mail bounces with 550 5.7.64 and other mail silently arrives as anonymous."
        }
        ReasonCode::Expiring => {
            "Afterwards Exchange Online no longer accepts it: relayed mail bounces or waits in the queue."
        }
        ReasonCode::TlsFailing => {
            "Mail to Exchange Online waits in the queue, and bounces when it has waited too long; what goes out in clear arrives as anonymous."
        }
        ReasonCode::VersionThrottled => {
            "Mail is delayed, later refused, until the server is updated or retired."
        }
        ReasonCode::Silent => {
            "Either nobody sends, or nothing is sent any more: when no certificate fits TlsCertificateName, mail waits in the queue with 454 4.7.5 and nothing is logged."
        }
        ReasonCode::LoggingOff => "Should the certificate stop fitting, nobody will be told.",
        ReasonCode::ExportUnreadable | ReasonCode::ExportOld => {
            "Should the connectors have changed since, verdicts may be wrong."
        }
        ReasonCode::SourceUnreadable => {
            "Alerts of its connectors stay as they are, and nothing new is noticed."
        }
        ReasonCode::SourceLosingData => {
            "What happened in them is not known; counters are too low by it."
        }
        ReasonCode::StateRecovered => {
            "Counters begin anew with what the logs still hold; alerts that still hold are told again."
        }
    }
}
