//! Times and durations as people read them.

use jiff::SignedDuration;
use jiff::Timestamp;
use maud::Markup;
use maud::html;

/// `1 alert`, `2 alerts`.
pub(super) fn counted(count: usize, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {several}"),
    }
}

/// The same of what is counted in 64 bits.
pub(super) fn many(count: u64, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {several}"),
    }
}

/// With a capital letter.
pub(super) fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(characters).collect()
}

/// To the minute, UTC.
pub(super) fn moment(time: Timestamp) -> Markup {
    html! { time datetime=(format!("{time:.0}")) { (time.strftime("%Y-%m-%d %H:%M").to_string()) " UTC" } }
}

/// The same, and how long ago that was, or how long it takes until then.
pub(super) fn moment_ago(time: Timestamp, now: Timestamp) -> Markup {
    let passed = now.duration_since(time);
    html! {
        (moment(time)) " "
        span.ago {
            @if passed.is_negative() { "(in " (ago(-passed)) ")" } @else { "(" (ago(passed)) " ago)" }
        }
    }
}

/// The day alone, UTC.
pub(super) fn date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

/// `40 s`, `35 min`, `5 h`, `12 days`: two digits are enough.
pub(super) fn ago(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5_999 => format!("{} min", seconds / 60),
        6_000..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_unit() {
        for (seconds, expected) in [
            (-5, "0 s"),
            (99, "99 s"),
            (100, "1 min"),
            (5_999, "99 min"),
            (6_000, "1 h"),
            (172_799, "47 h"),
            (172_800, "2 days"),
            (86_400 * 400, "400 days"),
        ] {
            assert_eq!(ago(SignedDuration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn a_moment_is_told_both_ways() {
        let at = Timestamp::UNIX_EPOCH;
        let later = at + SignedDuration::from_mins(5);
        let text = moment_ago(at, later).into_string();
        assert!(text.contains("1970-01-01 00:00 UTC") && text.contains("(5 min ago)"));
        assert!(moment_ago(later, at).into_string().contains("(in 5 min)"));
    }
}
