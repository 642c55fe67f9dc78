//! The next command, ready to paste into the Exchange Management Shell.

use crate::pipeline::expectation::ConnectorPattern;
use crate::pipeline::inventory::InventoryCertificate;
use crate::pipeline::verdict::powershell_quote;

const LIST_INBOUND: &str =
    "Get-InboundConnector | Format-List Name,Enabled,ConnectorType,TlsSenderCertificateName";

/// How a verdict begins to say what to do if the right certificate is presented, and how that is said in advance.
const SERVING: &str =
    "# If the presented one is meant, on every server of the connector, in Exchange Online: ";
const NOT_YET: &str = "# If this one is meant, when it is put to use on every server of the connector and not before, in Exchange Online: ";

/// So many names stand in a request; more of them nobody would paste.
const MAX_REQUEST_NAMES: usize = 100;

/// Makes the send connector look for this certificate.
pub(super) fn set_certificate(
    certificate: &InventoryCertificate,
    pattern: &ConnectorPattern,
) -> String {
    let thumbprint = certificate.certificate.thumbprint;
    let thumbprint = thumbprint.map(|it| it.to_string()).unwrap_or_default();
    let command = format!(
        "$c = Get-ExchangeCertificate -Thumbprint {thumbprint}; Set-SendConnector {} -TlsCertificateName \"<I>$($c.Issuer)<S>$($c.Subject)\"",
        powershell_quote(pattern.as_str())
    );
    let command = of_pattern(command, pattern);
    format!(
        "{command}\n# Before: Import-ExchangeCertificate on every source transport server of the connector, with the private key."
    )
}

/// Asks a certification authority for another certificate with the same subject and names.
pub(super) fn request(certificate: &InventoryCertificate) -> String {
    let known = &certificate.certificate;
    let names: Vec<String> = known
        .presented_names()
        .iter()
        .map(|name| powershell_quote(name))
        .collect();
    let names = match names.len() {
        0 => String::new(),
        1..=MAX_REQUEST_NAMES => format!(" -DomainName {}", names.join(",")),
        // PowerShell refuses the placeholder.
        _ => " -DomainName <names>".to_owned(),
    };
    format!(
        "New-ExchangeCertificate -GenerateRequest -KeySize 2048 -SubjectName {}{names}\n# Have a public certification authority sign what this prints.",
        powershell_quote(&known.subject)
    )
}

/// An action of a verdict, before the certificate is presented: to change what an inbound connector expects now would
/// break the mail that flows with the certificate in use.
pub(super) fn in_advance(action: &str) -> String {
    let is_rename = |line: &str| {
        line.starts_with("Set-InboundConnector") && line.contains("-TlsSenderCertificateName")
    };
    let mut lines: Vec<String> = Vec::new();
    for line in action.lines() {
        if is_rename(line) {
            lines.push(LIST_INBOUND.to_owned());
            lines.push("# Better ask for a certificate with the expected name.".to_owned());
            lines.push(format!(
                "# If this one is meant: when it is put to use and not before, or the one in use no longer fits: {line}"
            ));
        } else {
            lines.push(line.replacen(SERVING, NOT_YET, 1));
        }
    }
    lines.join("\n")
}

/// The action as a comment, for what must not be done yet.
pub(super) fn postponed(action: &str) -> String {
    let lines: Vec<String> = action
        .lines()
        .map(|line| format!("# {}", line.trim_start_matches("# ")))
        .collect();
    format!(
        "# Only when the reasons for the mismatch are put right:\n{}",
        lines.join("\n")
    )
}

/// `Set-SendConnector` takes no pattern, and which connectors it means here nobody knows before the command runs.
pub(super) fn of_pattern(action: String, pattern: &ConnectorPattern) -> String {
    if pattern.is_exact() || !pattern.as_str().contains(['*', '?', '[']) {
        return action;
    }
    let quoted = powershell_quote(pattern.as_str());
    let matching = format!("Get-SendConnector | Where-Object Name -like {quoted} |");
    action
        .replace(&format!("Get-SendConnector {quoted} |"), &matching)
        .replace(
            &format!("Set-SendConnector {quoted}"),
            &format!("{matching} Set-SendConnector"),
        )
}
