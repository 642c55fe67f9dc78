//! The only place that looks at a clock.

use std::hash::BuildHasher;
use std::hash::RandomState;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;

/// How far the wall clock may stray from the monotonic one before it is believed again. A jump shifts the timers once,
/// by itself; small corrections never reach them.
const MAX_STRAY: Duration = Duration::from_secs(2);

/// The present.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Timestamp {
    static ANCHOR: OnceLock<(Timestamp, Instant)> = OnceLock::new();
    let (wall, instant) = *ANCHOR.get_or_init(|| (Timestamp::now(), Instant::now()));
    let steady = wall.checked_add(instant.elapsed()).unwrap_or(wall);
    let present = Timestamp::now();
    let stray = present.duration_since(steady).unsigned_abs();
    if stray > MAX_STRAY { present } else { steady }
}

/// Time that only ever goes forward, for intervals.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn instant() -> Instant {
    Instant::now()
}

/// How long it is to the next of the moments that lie a period apart, which are the same for all who ask. A processor that
/// sleeps is woken once for all that is done at such a moment, and what they need it for is still at hand.
pub fn until_next(period: Duration) -> Duration {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let first = *FIRST.get_or_init(instant);
    let gone = instant().duration_since(first).as_nanos() % period.as_nanos().max(1);
    period.saturating_sub(Duration::from_nanos(
        u64::try_from(gone).unwrap_or_default(),
    ))
}

/// A number between -1 and 1 that differs from call to call: it keeps the retries of many instances from marching in
/// step, and nothing else depends on it.
pub fn spread() -> f64 {
    let random = RandomState::new().hash_one(instant());
    let fraction = f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX);
    fraction * 2.0 - 1.0
}
