//! Rule E1: a certificate nears its end.
//!
//! Public certificates live 200 days at most since March 2026, 100 from March 2027, 47 from March 2029. A fixed number
//! of days fits some of them only, so the limits are shares of the lifetime, unless the operator names days.

use jiff::{SignedDuration, Timestamp};

use crate::pipeline::certificate::Certificate;
use crate::pipeline::expectation::Settings;
use crate::pipeline::verdict::Bench;
use crate::pipeline::verdict::finding::Finding;
use crate::pipeline::verdict::names::{Presented, margin};
use crate::pipeline::verdict::reason::{ReasonCode, Severity};

/// Stands for a lifetime that is not known, because the start of validity was not logged.
const ASSUMED_LIFETIME: SignedDuration = SignedDuration::from_hours(90 * 24);

/// How near the end of a certificate is, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nearing {
    pub(super) severity: Severity,
    pub(super) since: Timestamp,
}

/// The finding, unless there is time left or the certificate has expired already.
pub(super) fn expiring<'a>(presented: &Presented<'_>, bench: &Bench<'a>) -> Option<Finding<'a>> {
    let nearing = nearing(presented, bench)?;
    let end = presented.certificate.not_after?;
    let left = whole_days(end.duration_since(bench.now));
    let of_lifetime = match lifetime(presented.certificate) {
        Some(lifetime) => format!(" of {}", whole_days(lifetime)),
        None => String::new(),
    };
    let about = if presented.margin().is_zero() {
        ""
    } else {
        " (as logged: ±14 h)"
    };
    let observed = format!("valid until {end}{about}: {left}{of_lifetime} left");
    let finding = Finding::new(ReasonCode::Expiring, "a renewed certificate", observed);
    Some(finding.since(nearing.since).at_least(nearing.severity))
}

/// When the end of a certificate begins to be near.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) warning: Option<Timestamp>,
    pub(super) critical: Option<Timestamp>,
}

/// A logged date counts as early as it may mean. `None`: its end is not known.
pub(super) fn limits(certificate: &Certificate, settings: &Settings) -> Option<Limits> {
    let end = certificate.not_after?;
    let end = end.checked_sub(margin(certificate)).ok()?;
    let lifetime = lifetime(certificate).unwrap_or(ASSUMED_LIFETIME);
    let begins = |left: SignedDuration| end.checked_sub(left).ok();
    Some(Limits {
        warning: begins(settings.expiry.warning_left(lifetime)),
        critical: begins(settings.expiry.critical_left(lifetime)),
    })
}

/// Whether the end is near enough to speak of it.
pub(super) fn nearing(presented: &Presented<'_>, bench: &Bench<'_>) -> Option<Nearing> {
    if has_expired(presented, bench) {
        return None;
    }
    let Limits { warning, critical } = limits(presented.certificate, bench.settings)?;
    let reached = |since: &Timestamp| *since <= bench.now;
    let critical = critical.filter(reached).map(|since| Nearing {
        severity: Severity::Critical,
        since,
    });
    let warning = warning.filter(reached).map(|since| Nearing {
        severity: Severity::Warning,
        since,
    });
    match (warning, critical) {
        // The alert began with the warning; growing critical is no new beginning.
        (Some(warning), Some(critical)) => Some(Nearing {
            since: warning.since.min(critical.since),
            ..critical
        }),
        (warning, critical) => critical.or(warning),
    }
}

/// Whether it is past its end. A logged date counts as late as it may mean.
pub(super) fn has_expired(presented: &Presented<'_>, bench: &Bench<'_>) -> bool {
    presented
        .certificate
        .not_after
        .is_some_and(|end| bench.now.duration_since(end) > presented.margin())
}

fn lifetime(certificate: &Certificate) -> Option<SignedDuration> {
    let lifetime = certificate
        .not_after?
        .duration_since(certificate.not_before?);
    lifetime.is_positive().then_some(lifetime)
}

fn whole_days(duration: SignedDuration) -> String {
    match duration.as_hours() / 24 {
        0 => format!("{} h", duration.as_hours().max(0)),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}
