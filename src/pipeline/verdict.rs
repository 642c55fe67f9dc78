//! Whether Exchange Online will recognise the organisation by what a server presents.
//!
//! A mismatch bounces only mail that is relayed through Exchange Online; mail to its own recipients gets `250` and
//! silently becomes anonymous. The verdict therefore comes from a model of how Exchange Online chooses a connector, not
//! from errors alone:
//!
//! 1. `recognition`: the best enabled `OnPremises` connector counts, by certificate name first, by address otherwise.
//! 2. `conditions`: what decides about the certificate whatever it fits. Here, and over all, the worst reason counts.
//! 3. A rejection by Exchange Online overrides the model; the model's reasons stay as candidate causes.
//!
//! What cannot be known from a log that was cut short is `unknown`, never `mismatch`.
//!
//! [`reason`] holds the table of all reasons, `message` and `action` put them into words for the operator.

mod action;
mod conditions;
mod finding;
mod message;
mod names;
pub mod reason;
mod recognition;

use std::cmp::Reverse;
use std::net::IpAddr;

use jiff::Timestamp;

use crate::pipeline::expectation::Expectation;
use crate::pipeline::session::Presentation;
use crate::pipeline::shown::shown;
use crate::pipeline::verdict::finding::Finding;
use crate::pipeline::verdict::names::Presented;
use crate::pipeline::verdict::reason::{Reason, ReasonCode, Severity};
use crate::pipeline::verdict::recognition::Offered;

pub use crate::pipeline::verdict::action::powershell_quote;
pub use crate::pipeline::verdict::conditions::LOGGED_DATE_MARGIN;

/// Whether a presented certificate is what the connector expects; ordered from good to bad.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
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
    /// The address that Exchange Online sees, from its EHLO answer.
    pub egress: Option<IpAddr>,
    /// An attribution rejection that nothing has cleared yet: the reply with addresses and ids masked, say
    /// `550 5.7.64 TenantAttribution; Relay Access Denied`.
    pub rejected: Option<&'a str>,
}

/// A verdict and why; the default is that nothing is known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Judgement {
    /// The worst verdict of the reasons.
    pub verdict: Verdict,
    /// Worst first; never empty, each code at most once.
    pub reasons: Vec<Reason>,
}

/// Compares what was observed with what is expected.
///
/// `connector` is the send connector's name; it only appears in texts.
pub fn judge(
    connector: &str,
    evidence: &Evidence<'_>,
    expectation: &Expectation,
    now: Timestamp,
) -> Judgement {
    let presented = match evidence.presentation {
        Some(Presentation::Certificate(certificate)) => Some(Presented::new(certificate)),
        Some(Presentation::NoCertificate) | None => None,
    };
    let offered = match (&presented, evidence.presentation) {
        (Some(presented), _) => Offered::Certificate(presented),
        (None, Some(_)) => Offered::Nothing,
        (None, None) => Offered::Unknown,
    };
    let mut findings = recognition::recognise(expectation, offered, evidence.egress);
    findings.extend(match offered {
        Offered::Certificate(presented) => conditions::of_certificate(presented, expectation, now),
        Offered::Nothing => conditions::of_no_certificate(expectation, &findings),
        Offered::Unknown => Vec::new(),
    });
    findings.extend(evidence.rejected.map(|reply| {
        let code = ReasonCode::RejectedByExchangeOnline;
        Finding::new(code, "relay accepted", reply)
    }));
    let place = Place {
        connector,
        expectation,
        presented: presented.as_ref(),
    };
    conclude(findings, &place)
}

/// What the texts may need to know beside the finding.
struct Place<'a> {
    connector: &'a str,
    expectation: &'a Expectation,
    presented: Option<&'a Presented<'a>>,
}

fn conclude(findings: Vec<Finding<'_>>, place: &Place<'_>) -> Judgement {
    let mut reasons: Vec<Reason> = Vec::with_capacity(findings.len());
    for finding in findings {
        if !reasons.iter().any(|reason| reason.code == finding.code) {
            reasons.push(in_words(&finding, place));
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

fn in_words(finding: &Finding<'_>, place: &Place<'_>) -> Reason {
    let code = finding.code;
    let accept = &place.expectation.accept;
    let is_accepted = code.is_acceptable() && accept.iter().any(|it| it.trim() == code.as_str());
    let (severity, message) = if is_accepted {
        let message = message::of(finding);
        let accepted = format!(
            "{message} The configuration accepts this (accept: {}).",
            code.as_str()
        );
        (Severity::Information, accepted)
    } else {
        (code.row().severity, message::of(finding))
    };
    Reason {
        code,
        severity,
        expected: shown(&finding.expected),
        observed: shown(&finding.observed),
        message,
        action: action::of(finding, place),
    }
}
