//! How long a judgement holds while nothing but time passes.
//!
//! Time has a part in a judgement in two ways only: the present is compared with a date, and the days or hours that a
//! certificate has left are counted. Up to the next of those moments nobody need judge again. One that is none costs
//! another judgement; one that is left out would keep an alert back, so whatever could be one is.

use jiff::{SignedDuration, Timestamp};

use crate::pipeline::certificate::Certificate;
use crate::pipeline::session::Presentation;
use crate::pipeline::verdict::expiry::{self, Limits};
use crate::pipeline::verdict::names::margin;
use crate::pipeline::verdict::{Bench, Evidence};

/// The shortest time there is.
const MOMENT: SignedDuration = SignedDuration::from_nanos(1);

/// The first moment at which [`super::judge`] may say something else of the same evidence than it says at `bench.now`. What
/// is told as news is left out: see [`Evidence::has_news`].
pub(super) fn until(evidence: &Evidence<'_>, bench: &Bench<'_>) -> Timestamp {
    let mut dates = Vec::new();
    if let Some(Presentation::Certificate(certificate)) = evidence.presentation {
        let known = certificate
            .thumbprint
            .and_then(|thumbprint| bench.inventory.find(thumbprint));
        of_presented(
            known.map_or(certificate, |known| &known.certificate),
            bench,
            &mut dates,
        );
    }
    for known in bench.inventory.on_server(bench.server) {
        dates.extend(known.certificate.not_before);
        dates.extend(known.certificate.not_after);
    }
    for renewal in &bench.expectation.planned {
        dates.extend([renewal.from, renewal.until]);
    }
    // Some begin at a date, some behind it.
    let behind = |date: Timestamp| date.checked_add(MOMENT).ok();
    let moments = dates.iter().flat_map(|&date| [Some(date), behind(date)]);
    let ahead = moments.flatten().filter(|moment| *moment > bench.now);
    ahead.min().unwrap_or(Timestamp::MAX)
}

fn of_presented(certificate: &Certificate, bench: &Bench<'_>, dates: &mut Vec<Timestamp>) {
    let margin = margin(certificate);
    if let Some(start) = certificate.not_before {
        dates.extend(start.checked_sub(margin));
    }
    if let Some(end) = certificate.not_after {
        dates.extend(end.checked_add(margin));
        // One hour less is left behind each whole one.
        let left = end.duration_since(bench.now);
        dates.extend(end.checked_sub(SignedDuration::from_hours(left.as_hours())));
    }
    if let Some(Limits { warning, critical }) = expiry::limits(certificate, bench.settings) {
        dates.extend(warning);
        dates.extend(critical);
    }
}
