//! The next command, ready to paste into PowerShell.
//!
//! The first line is the command, every other line a comment with an alternative, so that pasting the whole text runs
//! one thing only. Values are quoted; a name of a certificate gets in only if it is a valid DNS name.

use crate::pipeline::certificate::Thumbprint;
use crate::pipeline::expectation::InboundConnector;
use crate::pipeline::shown::is_deceptive;
use crate::pipeline::verdict::Scene;
use crate::pipeline::verdict::finding::Finding;
use crate::pipeline::verdict::names::Presented;
use crate::pipeline::verdict::names::domain_standing;
use crate::pipeline::verdict::reason::ReasonCode;

const LIST_INBOUND: &str = "Get-InboundConnector | Format-List Name,Enabled,ConnectorType,TlsSenderCertificateName,SenderIPAddresses,CloudServicesMailEnabled";
const LIST_CERTIFICATES: &str = "Get-ExchangeCertificate | Sort-Object NotAfter | Format-List Thumbprint,Subject,Issuer,NotBefore,NotAfter,Services,Status";
const WIZARD: &str =
    "# Or run the Hybrid Configuration Wizard again: it takes longer and may undo manual changes.";

/// What to do about a finding; empty when there is nothing to do.
pub(super) fn of(finding: &Finding<'_>, scene: &Scene<'_>) -> String {
    let lines = match finding.code {
        ReasonCode::BareDomain
        | ReasonCode::MultiLabel
        | ReasonCode::WildcardCertificate
        | ReasonCode::WildcardCertificateBare
        | ReasonCode::SubdomainNotCovered
        | ReasonCode::IssuerChanged
        | ReasonCode::NameMismatch
        | ReasonCode::PartnerOnly => rename(finding, scene),
        ReasonCode::FellBackToIp if scene.presented.is_some() => rename(finding, scene),
        ReasonCode::NoClientCertificate | ReasonCode::FellBackToIp => missing(scene),
        ReasonCode::Expired
        | ReasonCode::NotYetValid
        | ReasonCode::SelfSigned
        | ReasonCode::EkuNoServerAuth
        | ReasonCode::Expiring => replace(scene),
        ReasonCode::CertificateDomainNotAccepted => accept_domain(finding, scene),
        ReasonCode::NotCrossPremises => cross_premises(finding),
        ReasonCode::NoEnabledConnector => enable(finding),
        ReasonCode::NotExported => look_for_connector(),
        ReasonCode::CertificateNameUnknown => export_anew(),
        ReasonCode::ThumbprintNotPinned => present_pinned(scene),
        ReasonCode::IpChanged => add_address(finding),
        ReasonCode::Ipv6Unsupported => leave_ipv6(finding, scene),
        ReasonCode::PresentedNotConfigured => configure(scene),
        ReasonCode::RejectedByExchangeOnline => relay_denied(),
        ReasonCode::ValueUnreadable | ReasonCode::NothingExpected => vec![LIST_INBOUND.to_owned()],
        ReasonCode::NoSessionSeen | ReasonCode::NoEgressSeen => turn_logging_on(scene),
        ReasonCode::CertificateIncomplete => look_up(scene),
        ReasonCode::RenewalNotRolledOut | ReasonCode::PlannedRenewalOverdue => {
            roll_out(finding, scene)
        }
        ReasonCode::OldCertificateStillPresented => restart(finding, scene),
        ReasonCode::NextCertificateWillNotMatch => expect_next(finding, scene),
        // Findings about more than one session, or about certdrift itself, have actions of their own.
        ReasonCode::ServersDisagree
        | ReasonCode::TlsFailing
        | ReasonCode::VersionThrottled
        | ReasonCode::Silent
        | ReasonCode::LoggingOff
        | ReasonCode::ExportUnreadable
        | ReasonCode::ExportOld
        | ReasonCode::SourceUnreadable
        | ReasonCode::SourceLosingData
        | ReasonCode::StateRecovered
        | ReasonCode::Exact
        | ReasonCode::WildcardValue
        | ReasonCode::WildcardBoth
        | ReasonCode::X500
        | ReasonCode::IpOnly
        | ReasonCode::ParentDomainAccepted
        | ReasonCode::EkuNoClientAuth
        | ReasonCode::IssuerRotated
        | ReasonCode::RenewalPlanned
        | ReasonCode::CertificateChanged
        | ReasonCode::Ambiguous
        | ReasonCode::ThumbprintPinned
        | ReasonCode::Ip
        | ReasonCode::NoCommonName
        | ReasonCode::NotChecked => Vec::new(),
    };
    lines.join("\n")
}

/// Of several actions that are read together, the first command stays one and the others become comments, so that
/// pasting the whole runs one thing only: two remedies for one trouble may undo each other.
pub fn one_command<'a>(actions: impl IntoIterator<Item = &'a mut String>) {
    let mut has_command = false;
    for action in actions {
        let mut lines = Vec::new();
        for line in action.lines() {
            let is_command = !line.trim().is_empty() && !line.starts_with('#');
            if is_command && has_command {
                lines.push(format!("# or: {line}"));
            } else {
                lines.push(line.to_owned());
            }
            has_command |= is_command;
        }
        *action = lines.join("\n");
    }
}

/// Present what the inbound connector expects, or make it expect what is presented. Which of them is meant is not for us to
/// say, so the command is a look.
fn rename(finding: &Finding<'_>, scene: &Scene<'_>) -> Vec<String> {
    if scene.presented.and_then(Presented::is_self_signed) == Some(true) {
        return replace(scene);
    }
    let inbound = finding
        .inbound
        .filter(|_| finding.code != ReasonCode::PartnerOnly);
    let name = suggested_name(finding, scene);
    // A certificate that does not serve yet is judged for no server in particular.
    let on_server = match scene.bench.server {
        "" => String::new(),
        server => format!(", on {}", powershell_quote(server)),
    };
    let present = format!(
        "# If another certificate is meant{on_server}: {}",
        set_certificate(scene, None)
    );
    // Other servers may well present what is expected: the connector is changed only by somebody who has looked.
    let Some((inbound, name)) = inbound.zip(name) else {
        return vec![LIST_INBOUND.to_owned(), present, WIZARD.to_owned()];
    };
    let expect = format!(
        "# If the presented one is meant, on every server of the connector, in Exchange Online: {}",
        set_name(inbound, &name)
    );
    vec![
        LIST_CERTIFICATES.to_owned(),
        present,
        expect,
        WIZARD.to_owned(),
    ]
}

/// The name of the certificate that an inbound connector should expect: the one that decided, or the first whose
/// domain is accepted.
fn suggested_name(finding: &Finding<'_>, scene: &Scene<'_>) -> Option<String> {
    let presented = scene.presented?;
    let accepted = scene.bench.expectation.accepted_domains.as_deref();
    let valid = presented.names.iter().filter(|name| is_dns_name(name));
    let decided = valid.clone().find(|name| **name == finding.observed);
    let usable = |standing: Option<ReasonCode>| {
        valid
            .clone()
            .find(|name| domain_standing(name, accepted) == standing)
    };
    let name = decided
        .or_else(|| usable(None))
        .or_else(|| usable(Some(ReasonCode::ParentDomainAccepted)));
    name.cloned()
}

fn missing(scene: &Scene<'_>) -> Vec<String> {
    let connector = powershell_quote(scene.bench.connector);
    vec![
        format!(
            "Get-SendConnector {connector} | Format-List TlsCertificateName,Fqdn,RequireTLS,TlsAuthLevel,TlsDomain,SmartHosts,SourceTransportServers"
        ),
        format!("# What the server has to present: {LIST_CERTIFICATES}"),
        format!("# Choose one: {}", set_certificate(scene, None)),
        WIZARD.to_owned(),
    ]
}

fn replace(scene: &Scene<'_>) -> Vec<String> {
    vec![
        LIST_CERTIFICATES.to_owned(),
        format!("# Choose one: {}", set_certificate(scene, None)),
        WIZARD.to_owned(),
    ]
}

fn accept_domain(finding: &Finding<'_>, scene: &Scene<'_>) -> Vec<String> {
    let accepted = scene.bench.expectation.accepted_domains.as_deref();
    let is_better = |name: &String| {
        domain_standing(name, accepted) != Some(ReasonCode::CertificateDomainNotAccepted)
    };
    let name = suggested_name(finding, scene).filter(is_better);
    let list = "Get-AcceptedDomain | Format-Table DomainName,DomainType";
    let add = "# Add the domain of the certificate to the tenant (Microsoft 365 admin center, Domains), or present a certificate with an accepted domain.";
    match finding.inbound.zip(name) {
        Some((inbound, name)) => vec![set_name(inbound, &name), add.to_owned()],
        None => vec![list.to_owned(), add.to_owned()],
    }
}

fn cross_premises(finding: &Finding<'_>) -> Vec<String> {
    let set = finding.inbound.map(|inbound| {
        let identity = powershell_quote(&inbound.name);
        format!("Set-InboundConnector -Identity {identity} -CloudServicesMailEnabled $true")
    });
    set.into_iter().chain([WIZARD.to_owned()]).collect()
}

fn enable(finding: &Finding<'_>) -> Vec<String> {
    let command = match finding.inbound {
        Some(inbound) => {
            let identity = powershell_quote(&inbound.name);
            format!("Set-InboundConnector -Identity {identity} -Enabled $true")
        }
        None => LIST_INBOUND.to_owned(),
    };
    vec![command, WIZARD.to_owned()]
}

fn look_for_connector() -> Vec<String> {
    vec![
        LIST_INBOUND.to_owned(),
        "# Is it there, export anew with Export-CertDriftExpectation.ps1, connected to the right tenant. If it was renamed, change its name in the configuration.".to_owned(),
        WIZARD.to_owned(),
    ]
}

fn export_anew() -> Vec<String> {
    vec![
        LIST_INBOUND.to_owned(),
        "# Export anew with Export-CertDriftExpectation.ps1, or give tls_sender_certificate_name in the configuration.".to_owned(),
    ]
}

fn present_pinned(scene: &Scene<'_>) -> Vec<String> {
    let pinned = scene.bench.expectation.thumbprints.first().copied();
    vec![
        set_certificate(scene, pinned),
        "# If the presented certificate is meant, pin its thumbprint in the configuration instead."
            .to_owned(),
        WIZARD.to_owned(),
    ]
}

fn add_address(finding: &Finding<'_>) -> Vec<String> {
    let Some(inbound) = finding.inbound else {
        return vec![LIST_INBOUND.to_owned()];
    };
    let identity = powershell_quote(&inbound.name);
    let address = powershell_quote(&finding.observed);
    vec![
        format!("Set-InboundConnector -Identity {identity} -SenderIPAddresses @{{Add={address}}}"),
        "# If this is not an address of yours, look at the firewall's address translation first."
            .to_owned(),
        WIZARD.to_owned(),
    ]
}

fn leave_ipv6(finding: &Finding<'_>, scene: &Scene<'_>) -> Vec<String> {
    let by_certificate = finding.inbound.zip(suggested_name(finding, scene));
    let command = match by_certificate {
        Some((inbound, name)) => set_name(inbound, &name),
        None => LIST_INBOUND.to_owned(),
    };
    vec![
        command,
        "# Recognition by certificate works over IPv6, recognition by address does not; or send over IPv4.".to_owned(),
    ]
}

fn configure(scene: &Scene<'_>) -> Vec<String> {
    let connector = powershell_quote(scene.bench.connector);
    let thumbprint = scene.presented.and_then(|it| it.certificate.thumbprint);
    let mut lines = vec![format!(
        "Get-SendConnector {connector} | Format-List TlsCertificateName,Fqdn,SourceTransportServers"
    )];
    if thumbprint.is_some() {
        let set = set_certificate(scene, thumbprint);
        lines.push(format!(
            "# If the presented certificate is the right one: {set}"
        ));
    }
    lines.push("# If the configured one is: Restart-Service MSExchangeTransport".to_owned());
    lines.push(WIZARD.to_owned());
    lines
}

fn relay_denied() -> Vec<String> {
    vec![
        LIST_INBOUND.to_owned(),
        "# And: Get-AcceptedDomain | Format-Table DomainName,DomainType".to_owned(),
        WIZARD.to_owned(),
    ]
}

fn turn_logging_on(scene: &Scene<'_>) -> Vec<String> {
    let connector = powershell_quote(scene.bench.connector);
    vec![
        format!("Get-SendConnector {connector} | Format-List ProtocolLoggingLevel,Enabled,FrontendProxyEnabled"),
        format!("# Turn the log on: Set-SendConnector {connector} -ProtocolLoggingLevel Verbose"),
        "# Where it is: Get-TransportService | Format-List Name,SendProtocolLogPath; Get-FrontEndTransportService | Format-List Name,SendProtocolLogPath".to_owned(),
    ]
}

fn look_up(scene: &Scene<'_>) -> Vec<String> {
    let thumbprint = scene.presented.and_then(|it| it.certificate.thumbprint);
    let command = thumbprint.map(|thumbprint| {
        format!(
            "Get-ExchangeCertificate -Thumbprint {thumbprint} | Format-List Subject,Issuer,CertificateDomains,NotBefore,NotAfter"
        )
    });
    vec![command.unwrap_or_else(|| LIST_CERTIFICATES.to_owned())]
}

/// Present the renewed certificate: `TlsCertificateName` has to name it.
fn roll_out(finding: &Finding<'_>, scene: &Scene<'_>) -> Vec<String> {
    vec![
        set_certificate(scene, finding.instead),
        "# Then, on each server of the connector: Restart-Service MSExchangeTransport".to_owned(),
        WIZARD.to_owned(),
    ]
}

/// Present the renewed certificate: it is named already.
fn restart(finding: &Finding<'_>, scene: &Scene<'_>) -> Vec<String> {
    let thumbprint = or_placeholder(finding.instead);
    vec![
        "Restart-Service MSExchangeTransport".to_owned(),
        format!(
            "# If the old one is presented all the same: Enable-ExchangeCertificate -Thumbprint {thumbprint} -Services SMTP -Force; {}",
            set_certificate(scene, finding.instead)
        ),
        "# When the new one is presented, and only then, the old one may go: Remove-ExchangeCertificate".to_owned(),
    ]
}

/// Expect the next certificate before it is presented, or have another one issued.
fn expect_next(finding: &Finding<'_>, scene: &Scene<'_>) -> Vec<String> {
    let thumbprint = or_placeholder(finding.instead);
    let server = powershell_quote(scene.bench.server);
    vec![
        format!(
            "Get-ExchangeCertificate -Server {server} -Thumbprint {thumbprint} | Format-List Subject,Issuer,CertificateDomains,NotBefore,NotAfter"
        ),
        format!("# And what is expected: {LIST_INBOUND}"),
        "# Have the certificate issued with the expected name, or let the inbound connector expect a name that both certificates have, before the new one is used.".to_owned(),
        "# Or run the Hybrid Configuration Wizard with the new certificate: it takes longer and may undo manual changes.".to_owned(),
    ]
}

fn set_name(inbound: &InboundConnector, name: &str) -> String {
    let (identity, name) = (powershell_quote(&inbound.name), powershell_quote(name));
    format!("Set-InboundConnector -Identity {identity} -TlsSenderCertificateName {name}")
}

fn set_certificate(scene: &Scene<'_>, thumbprint: Option<Thumbprint>) -> String {
    let connector = powershell_quote(scene.bench.connector);
    let thumbprint = or_placeholder(thumbprint);
    format!(
        "$c = Get-ExchangeCertificate -Thumbprint {thumbprint}; Set-SendConnector {connector} -TlsCertificateName \"<I>$($c.Issuer)<S>$($c.Subject)\""
    )
}

/// PowerShell refuses the placeholder, so that a careless paste changes nothing.
fn or_placeholder(thumbprint: Option<Thumbprint>) -> String {
    thumbprint.map_or("<thumbprint>".to_owned(), |it| it.to_string())
}

/// A PowerShell string literal of the text, without control and direction characters.
///
/// PowerShell ends a single-quoted string at any of `'`, `‘`, `’`, `‚` and `‛`, and takes a doubled one as itself.
pub fn powershell_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for character in text.chars().filter(|it| !is_deceptive(*it)) {
        quoted.push(character);
        if matches!(character, '\'' | '\u{2018}'..='\u{201B}') {
            quoted.push(character);
        }
    }
    quoted.push('\'');
    quoted
}

/// Whether the text is a DNS name of two labels or more, perhaps with a wildcard label in front.
fn is_dns_name(text: &str) -> bool {
    let host = text.strip_prefix("*.").unwrap_or(text);
    let is_label = |label: &str| {
        let inner = label
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'-');
        inner && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && host.contains('.') && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_command_of_several_actions_runs() {
        let mut actions = ["# See:\n", "Set-A\n# Or: Set-B", "", "Set-C\nSet-D"].map(str::to_owned);
        one_command(&mut actions);
        let expected = [
            "# See:",
            "Set-A\n# Or: Set-B",
            "",
            "# or: Set-C\n# or: Set-D",
        ];
        assert_eq!(actions, expected);
        one_command(&mut actions);
        assert_eq!(actions, expected, "a second time changes nothing");
    }

    #[test]
    fn a_quoted_value_stays_one_string() {
        let cases = [
            ("Outbound to Office 365", "'Outbound to Office 365'"),
            ("", "''"),
            ("O'Brien", "'O''Brien'"),
            ("'; Remove-Mailbox * #", "'''; Remove-Mailbox * #'"),
            ("‘a’ ‚b‛", "'‘‘a’’ ‚‚b‛‛'"),
            ("a\r\nStop-Computer\n", "'aStop-Computer'"),
            ("$(calc) `n \"x\"", "'$(calc) `n \"x\"'"),
            ("\u{202e}a\u{0}\u{2028}b", "'ab'"),
        ];
        for (text, quoted) in cases {
            assert_eq!(powershell_quote(text), quoted);
        }
    }

    #[test]
    fn only_plain_host_names_are_dns_names() {
        for name in [
            "mail.contoso.com",
            "*.contoso.com",
            "xn--bcher-kva.example",
            "1.2",
        ] {
            assert!(is_dns_name(name), "{name}");
        }
        let long = format!("{}.com", "a".repeat(64));
        let hostile = [
            "",
            "localhost",
            "*",
            "*.",
            "a..b",
            "-a.com",
            "a-.com",
            "mail.contoso.com'",
            "a b.com",
            "$(x).com",
            "a.com;b",
            "ü.com",
            "*.*.com",
            "mail.*.com",
            "a_b.com",
            &long,
        ];
        for name in hostile {
            assert!(!is_dns_name(name), "{name}");
        }
    }
}
