//! Whether Exchange Online will recognise the organisation by what a server presents.
//!
//! A mismatch bounces only mail that is relayed through Exchange Online; mail to its own recipients gets `250` and
//! silently becomes anonymous. The verdict therefore comes from a model of how Exchange Online chooses a connector, not
//! from errors alone:
//!
//! 1. `recognition`: the best enabled `OnPremises` connector counts, by certificate name first, by address otherwise.
//! 2. `conditions`: what decides about the certificate whatever it fits. Here, and over all, the worst reason counts.
//! 3. `expiry` and `renewal`: what will go wrong unless somebody acts.
//! 4. A rejection by Exchange Online overrides the model; the model's reasons stay as candidate causes.
//!
//! Where nothing but time passes, `holding` says how long a judgement holds.
//!
//! A certificate that the inventory knows is judged by what it really says, not by what the log shows of it.
//!
//! What cannot be known from a log that was cut short is `unknown`, never `mismatch`.
//!
//! [`reason`] holds the table of all reasons, `message` and `action` put them into words for the operator.

mod action;
mod conditions;
mod expiry;
mod finding;
mod holding;
mod message;
mod names;
pub mod reason;
mod recognition;
mod renewal;

use std::cmp::Reverse;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::pipeline::certificate::Certificate;
use crate::pipeline::expectation::{Expectation, Settings};
use crate::pipeline::inventory::Inventory;
use crate::pipeline::session::Presentation;
use crate::pipeline::shown::shown_without_addresses;
use crate::pipeline::verdict::finding::Finding;
use crate::pipeline::verdict::names::Presented;
use crate::pipeline::verdict::reason::{Reason, ReasonCode, Severity};
use crate::pipeline::verdict::recognition::Offered;

pub use crate::pipeline::verdict::action::one_command;
pub use crate::pipeline::verdict::action::powershell_quote;
pub use crate::pipeline::verdict::message::in_advance;
pub use crate::pipeline::verdict::names::LOGGED_DATE_MARGIN;

/// Whether a presented certificate is what the connector expects; ordered from good to bad.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Exchange Online recognises it.
    Match,
    /// It may, but Microsoft does not promise it.
    Fragile,
    /// There is not enough to tell.
    #[default]
    Unknown,
    /// It does not.
    Mismatch,
}

impl Verdict {
    /// Every verdict, from good to bad.
    pub const ALL: [Self; 4] = [Self::Match, Self::Fragile, Self::Unknown, Self::Mismatch];

    /// The word in JSON and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Fragile => "fragile",
            Self::Unknown => "unknown",
            Self::Mismatch => "mismatch",
        }
    }
}

/// What was observed of one server on one send connector.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence<'a> {
    /// What it presents now; `None`: no session seen yet.
    pub presentation: Option<&'a Presentation>,
    /// The certificate that it presented before this one.
    pub before: Option<Before<'a>>,
    /// The address that Exchange Online sees, from its EHLO answer.
    pub egress: Option<IpAddr>,
    /// An attribution rejection that nothing has cleared yet: the reply with addresses and ids masked, say
    /// `550 5.7.64 TenantAttribution; Relay Access Denied`.
    pub rejected: Option<&'a str>,
    /// Whether all that was rejected had the null sender (`MAIL FROM:<>`).
    pub only_null_sender: bool,
}

/// The certificate that was presented before the present one.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// Which one it was.
    pub certificate: &'a Certificate,
    /// Time of the first session that presented another one.
    pub until: Timestamp,
}

impl Evidence<'_> {
    /// Whether the certificate before the present one may have a part in the judgement. The change is told for a day, and
    /// an issuer for as long as it is another one.
    pub fn has_news(&self, bench: &Bench<'_>) -> bool {
        let (Some(before), Some(Presentation::Certificate(certificate))) =
            (self.before, self.presentation)
        else {
            return false;
        };
        renewal::may_tell(before, certificate, bench)
    }

    /// The first moment after `bench.now` at which time alone may change the judgement, as long as it
    /// [has no news](Self::has_news).
    pub fn holds_until(&self, bench: &Bench<'_>) -> Timestamp {
        holding::until(self, bench)
    }
}

/// Against what is judged, where and when.
#[derive(Clone, Copy, Debug)]
pub struct Bench<'a> {
    /// Name of the server.
    pub server: &'a str,
    /// Name of the send connector.
    pub connector: &'a str,
    /// What is expected of it.
    pub expectation: &'a Expectation,
    /// The certificates that are known apart from the log.
    pub inventory: &'a Inventory,
    /// What the operator finds urgent.
    pub settings: &'a Settings,
    /// The present.
    pub now: Timestamp,
}

/// A verdict and why; the default is that nothing is known.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Judgement {
    /// The worst verdict of the reasons.
    pub verdict: Verdict,
    /// Worst first; never empty, each code at most once.
    pub reasons: Vec<Reason>,
}

/// Compares what was observed with what is expected.
pub fn judge(evidence: &Evidence<'_>, bench: &Bench<'_>) -> Judgement {
    let presented = match evidence.presentation {
        Some(Presentation::Certificate(certificate)) => {
            Some(Presented::known(certificate, bench.inventory))
        }
        Some(Presentation::NoCertificate) | None => None,
    };
    let offered = match (&presented, evidence.presentation) {
        (Some(presented), _) => Offered::Certificate(presented),
        (None, Some(_)) => Offered::Nothing,
        (None, None) => Offered::Unknown,
    };
    let expectation = bench.expectation;
    let mut findings = recognition::recognise(expectation, offered, evidence.egress);
    let is_by_address = recognition::is_by_address(expectation, &findings, evidence.egress);
    findings.extend(match offered {
        Offered::Certificate(presented) => of_certificate(presented, evidence.before, bench),
        Offered::Nothing => conditions::of_no_certificate(expectation, &findings),
        Offered::Unknown => Vec::new(),
    });
    if is_by_address {
        for finding in &mut findings {
            finding.is_harmless |= conditions::is_about_the_certificate_itself(finding.code);
            if renewal::is_urgent_by_expiry(finding.code) {
                finding.severity = Severity::Information;
            }
        }
    }
    findings.extend(evidence.rejected.map(|reply| {
        let code = ReasonCode::RejectedByExchangeOnline;
        Finding {
            only_null_sender: evidence.only_null_sender,
            ..Finding::new(code, "relay accepted", reply)
        }
    }));
    let scene = Scene {
        bench,
        presented: presented.as_ref(),
    };
    conclude(findings, &scene)
}

/// A reason that no single session shows: how sessions fail or stay away, or what certdrift itself lacks. It is put
/// into words as the others are.
pub fn state(
    code: ReasonCode,
    expected: impl Into<String>,
    observed: impl Into<String>,
    action: String,
) -> Reason {
    let finding = Finding::new(code, expected, observed);
    Reason {
        code,
        severity: code.row().severity,
        since: None,
        expected: shown_without_addresses(&finding.expected),
        observed: shown_without_addresses(&finding.observed),
        message: message::of(&finding),
        action,
    }
}

/// What is to be said of a certificate apart from whether a connector recognises it.
fn of_certificate<'a>(
    presented: &Presented<'_>,
    before: Option<Before<'_>>,
    bench: &Bench<'a>,
) -> Vec<Finding<'a>> {
    let mut findings = conditions::of_certificate(presented, bench);
    findings.extend(expiry::expiring(presented, bench));
    findings.extend(renewal::changed(presented, before, bench.now));
    let plan = renewal::plan(presented, bench);
    findings.extend(renewal::drift(presented, bench));
    if let renewal::Plan::UnderWay(_) = plan {
        findings.retain(|finding| !renewal::is_part_of_a_rollout(finding.code));
    }
    findings.extend(renewal::of_plan(&plan, presented, bench));
    findings
}

/// What the texts may need to know beside the finding.
struct Scene<'a> {
    bench: &'a Bench<'a>,
    presented: Option<&'a Presented<'a>>,
}

fn conclude(findings: Vec<Finding<'_>>, scene: &Scene<'_>) -> Judgement {
    let mut reasons: Vec<Reason> = Vec::with_capacity(findings.len());
    for finding in findings {
        if !reasons.iter().any(|reason| reason.code == finding.code) {
            reasons.push(in_words(&finding, scene));
        }
    }
    reasons.sort_by_key(|reason| {
        (
            Reverse(reason.verdict()),
            Reverse(reason.severity),
            reason.code,
        )
    });
    let verdict = reasons.iter().map(Reason::verdict).max();
    Judgement {
        verdict: verdict.unwrap_or(Verdict::Unknown),
        reasons,
    }
}

fn in_words(finding: &Finding<'_>, scene: &Scene<'_>) -> Reason {
    let code = finding.code;
    let accept = &scene.bench.expectation.accept;
    let is_accepted = code.is_acceptable() && accept.iter().any(|it| it.trim() == code.as_str());
    let (severity, message) = if is_accepted {
        let message = message::of(finding);
        let accepted = format!(
            "{message} The configuration accepts this (accept: {}).",
            code.as_str()
        );
        (Severity::Information, accepted)
    } else if finding.is_harmless {
        (Severity::Information, message::of(finding))
    } else {
        let severity = code.row().severity.max(finding.severity);
        (severity, message::of(finding))
    };
    Reason {
        code,
        severity,
        since: finding.since,
        expected: shown_without_addresses(&finding.expected),
        observed: shown_without_addresses(&finding.observed),
        message,
        action: action::of(finding, scene),
    }
}
