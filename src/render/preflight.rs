//! `certdrift preflight`: for people and, with stable keys, for programs.

use std::collections::BTreeSet;
use std::fmt::Write;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Serialize;

use crate::pipeline::certificate::Certificate;
use crate::pipeline::inventory::InventoryCertificate;
use crate::pipeline::preflight::Finding;
use crate::pipeline::preflight::Preflight;
use crate::pipeline::preflight::Prospect;
use crate::pipeline::shown::shown;
use crate::pipeline::verdict::Verdict;
use crate::pipeline::verdict::reason::Severity;
use crate::render::report::Outcome;

/// So many names of a certificate stand in the text; the others are counted.
const SHOWN_NAMES: usize = 10;

/// What became of the files given.
#[derive(Clone, Debug)]
pub struct Examined {
    /// The time at which they were judged.
    pub at: Timestamp,
    /// The certificates in the order of the files.
    pub preflights: Vec<Preflight>,
    /// Certificates that were not judged, because they only vouch for another one of their file.
    pub issuers: Vec<InventoryCertificate>,
}

impl Examined {
    /// The worst of all certificates and connectors.
    pub fn outcome(&self) -> Outcome {
        let prospects = || {
            let each = self.preflights.iter();
            each.flat_map(|preflight| &preflight.prospects)
        };
        let findings = self
            .preflights
            .iter()
            .flat_map(|preflight| &preflight.findings)
            .chain(prospects().flat_map(|prospect| &prospect.findings));
        // What is asked here is whether it would be recognised: beside that, nothing weighs more than a warning.
        let gravest = findings.map(|finding| finding.severity.min(Severity::Warning));
        Outcome::of(prospects().map(|prospect| prospect.verdict), gravest.max())
    }
}

#[derive(Serialize)]
struct Document<'a> {
    at: String,
    certificates: Vec<CertificateEntry<'a>>,
    issuers: Vec<IssuerEntry<'a>>,
}

#[derive(Serialize)]
struct CertificateEntry<'a> {
    file: &'a str,
    thumbprint: Option<String>,
    sha256: String,
    subject: &'a str,
    issuer: Option<&'a str>,
    serial: Option<&'a str>,
    names: &'a [String],
    not_before: Option<String>,
    not_after: Option<String>,
    lifetime_days: Option<i64>,
    key_algorithm: &'a str,
    signature_algorithm: &'a str,
    /// Null: the certificate is good for every purpose.
    extended_key_usage: Option<Purposes>,
    reasons: Vec<ReasonEntry<'a>>,
    verdicts: Vec<VerdictEntry<'a>>,
}

#[derive(Serialize)]
struct Purposes {
    server_auth: bool,
    client_auth: bool,
}

#[derive(Serialize)]
struct VerdictEntry<'a> {
    connector: &'a str,
    verdict: &'static str,
    reasons: Vec<ReasonEntry<'a>>,
}

#[derive(Serialize)]
struct ReasonEntry<'a> {
    code: &'static str,
    severity: &'static str,
    expected: &'a str,
    observed: &'a str,
    message: &'a str,
    action: &'a str,
}

#[derive(Serialize)]
struct IssuerEntry<'a> {
    file: &'a str,
    thumbprint: Option<String>,
    subject: &'a str,
}

/// The document, indented, with a line break at its end. Keys are added, never changed or taken away.
pub fn json(examined: &Examined) -> String {
    let document = Document {
        at: examined.at.to_string(),
        certificates: examined.preflights.iter().map(certificate).collect(),
        issuers: examined
            .issuers
            .iter()
            .map(|issuer| IssuerEntry {
                file: &issuer.origin,
                thumbprint: thumbprint(issuer),
                subject: &issuer.certificate.subject,
            })
            .collect(),
    };
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn certificate(preflight: &Preflight) -> CertificateEntry<'_> {
    let known = &preflight.certificate;
    let certificate = &*known.certificate;
    CertificateEntry {
        file: &known.origin,
        thumbprint: thumbprint(known),
        sha256: hex(&known.sha256),
        subject: &certificate.subject,
        issuer: certificate.issuer.as_deref(),
        serial: certificate.serial.as_deref(),
        names: &certificate.names,
        not_before: certificate.not_before.map(|it| it.to_string()),
        not_after: certificate.not_after.map(|it| it.to_string()),
        lifetime_days: lifetime(certificate).map(days),
        key_algorithm: &known.key_algorithm,
        signature_algorithm: &known.signature_algorithm,
        extended_key_usage: known.extended_key_usage.map(|usage| Purposes {
            server_auth: usage.server_auth,
            client_auth: usage.client_auth,
        }),
        reasons: preflight.findings.iter().map(reason).collect(),
        verdicts: preflight
            .prospects
            .iter()
            .map(|prospect| VerdictEntry {
                connector: &prospect.connector,
                verdict: prospect.verdict.as_str(),
                reasons: prospect.findings.iter().map(reason).collect(),
            })
            .collect(),
    }
}

fn reason(finding: &Finding) -> ReasonEntry<'_> {
    ReasonEntry {
        code: finding.code,
        severity: finding.severity.as_str(),
        expected: &finding.expected,
        observed: &finding.observed,
        message: &finding.message,
        action: &finding.action,
    }
}

/// The same as text, with a line break at its end.
pub fn text(examined: &Examined) -> String {
    let mut out = String::new();
    for preflight in &examined.preflights {
        if !out.is_empty() {
            out.push('\n');
        }
        head(&mut out, preflight, examined.at);
        for finding in &preflight.findings {
            told(&mut out, 2, finding, &mut BTreeSet::new());
        }
        for prospect in &preflight.prospects {
            expected(&mut out, prospect);
        }
        if preflight.prospects.is_empty() {
            out.push_str("  Verdict: none; the configuration names no connector\n");
        }
    }
    for (number, issuer) in examined.issuers.iter().enumerate() {
        let gap = if number == 0 { "\n" } else { "" };
        let file = shown(&issuer.origin);
        let subject = shown(&issuer.certificate.subject);
        let _ = writeln!(
            out,
            "{gap}Not judged, because it only vouches for another one in {file}: {subject}"
        );
    }
    out
}

fn head(out: &mut String, preflight: &Preflight, at: Timestamp) {
    let known = &preflight.certificate;
    let certificate = &*known.certificate;
    let purposes = match known.extended_key_usage {
        None => "every".to_owned(),
        Some(usage) => {
            let purposes = [
                ("serverAuth", usage.server_auth),
                ("clientAuth", usage.client_auth),
            ];
            let held = purposes.iter().filter(|(_, is_held)| *is_held);
            let held: Vec<&str> = held.map(|(name, _)| *name).collect();
            if held.is_empty() {
                "others".to_owned()
            } else {
                held.join(", ")
            }
        }
    };
    let _ = writeln!(out, "{}:", shown(&known.origin));
    for (title, value) in [
        ("Thumbprint", thumbprint(known).unwrap_or_default()),
        ("Subject", shown(&certificate.subject)),
        (
            "Issuer",
            shown(certificate.issuer.as_deref().unwrap_or_default()),
        ),
        ("Names", names(certificate)),
        ("Valid", validity(certificate, at)),
        (
            "Key",
            format!(
                "{}, signed {}",
                known.key_algorithm, known.signature_algorithm
            ),
        ),
        ("Purposes", purposes),
    ] {
        let _ = writeln!(out, "  {title:<11}{value}");
    }
}

fn names(certificate: &Certificate) -> String {
    let names = &certificate.names;
    let shown_names: Vec<String> = names
        .iter()
        .take(SHOWN_NAMES)
        .map(|name| shown(name))
        .collect();
    match names.len().saturating_sub(SHOWN_NAMES) {
        0 if names.is_empty() => "(none but the subject)".to_owned(),
        0 => shown_names.join(", "),
        further => format!("{} (+{further})", shown_names.join(", ")),
    }
}

fn validity(certificate: &Certificate, at: Timestamp) -> String {
    let (Some(start), Some(end)) = (certificate.not_before, certificate.not_after) else {
        return String::new();
    };
    let lifetime = lifetime(certificate).map(days).unwrap_or_default();
    let left = match days(end.duration_since(at)) {
        left if end < at => format!("ended {} days ago", -left),
        left => format!("{left} left"),
    };
    format!("{start} to {end} ({lifetime} days, {left})")
}

fn expected(out: &mut String, prospect: &Prospect) {
    let verdict = prospect.verdict.as_str().to_uppercase();
    let meaning = match prospect.verdict {
        Verdict::Match => "it would be recognised",
        Verdict::Fragile => "it may be recognised, but Microsoft does not promise it",
        Verdict::Unknown => "whether it would be recognised cannot be told",
        Verdict::Mismatch => "do not put it to use as things are",
    };
    let _ = writeln!(
        out,
        "  If presented on {}: {verdict}, {meaning}",
        prospect.connector
    );
    let mut commands = BTreeSet::new();
    for finding in &prospect.findings {
        told(out, 4, finding, &mut commands);
    }
}

/// `commands` are those that were told before: once is enough.
fn told<'a>(
    out: &mut String,
    indent: usize,
    finding: &'a Finding,
    commands: &mut BTreeSet<&'a str>,
) {
    let severity = finding.severity.as_str();
    let _ = writeln!(
        out,
        "{:indent$}{} ({severity}): {}",
        "", finding.code, finding.message
    );
    for command in finding.action.lines() {
        // Where several findings ask for one command, that of the first stands, and those of the others are comments.
        if commands.insert(command.trim_start_matches("# or: ")) {
            let _ = writeln!(out, "{:indent$}  {command}", "");
        }
    }
}

fn thumbprint(known: &InventoryCertificate) -> Option<String> {
    known.certificate.thumbprint.map(|it| it.to_string())
}

fn lifetime(certificate: &Certificate) -> Option<SignedDuration> {
    Some(
        certificate
            .not_after?
            .duration_since(certificate.not_before?),
    )
}

/// Whole days.
fn days(duration: SignedDuration) -> i64 {
    duration.as_hours() / 24
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02X}");
    }
    text
}
