//! Durations as they are typed: a whole number and a unit, `24h`.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;

use crate::config::problem::{Wrong, quoted};

/// The longest duration; ten years.
const MAX: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// Reads a whole number followed by s, m, h or d.
pub(super) fn read(text: &str) -> Result<Duration, Wrong> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim_start() {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "" if !number.is_empty() => return Err("has no unit".into()),
        _ => return Err(format!("{} is no duration", quoted(text)).into()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| format!("{} is no duration", quoted(text)))?;
    let duration = number.checked_mul(seconds).map(Duration::from_secs);
    duration
        .filter(|duration| *duration <= MAX)
        .ok_or_else(|| "is longer than 3650d".into())
}

/// The same, but not shorter than `least`.
pub(super) fn at_least(text: &str, least: Duration) -> Result<Duration, Wrong> {
    let duration = read(text)?;
    if duration < least {
        return Err(format!("is shorter than {}", Typed(least)).into());
    }
    Ok(duration)
}

/// The same, but neither shorter than the first nor longer than the second.
pub(super) fn within(text: &str, [least, most]: [Duration; 2]) -> Result<Duration, Wrong> {
    let duration = at_least(text, least)?;
    if duration > most {
        return Err(format!("is longer than {}", Typed(most)).into());
    }
    Ok(duration)
}

/// The same for the pipeline, where times are added and subtracted.
pub(super) fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
}

/// A duration of whole seconds, printed as it would be typed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Typed(pub(super) Duration);

impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        // One day reads better as 24h, and 0 as 0s.
        let (unit, letter) = match seconds {
            0 => (1, 's'),
            _ if seconds.is_multiple_of(86_400) && seconds > 86_400 => (86_400, 'd'),
            _ if seconds.is_multiple_of(3_600) => (3_600, 'h'),
            _ if seconds.is_multiple_of(60) => (60, 'm'),
            _ => (1, 's'),
        };
        write!(f, "{}{letter}", seconds / unit)
    }
}
