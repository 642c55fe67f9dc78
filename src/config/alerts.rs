//! `alerts:` how early and how patiently people are told.

use std::time::Duration;

use serde_yaml::Spanned;

use crate::config::duration::{self, Typed, signed};
use crate::config::keys::Key;
use crate::config::problem::{Problems, Wrong, quoted};
use crate::config::typed;
use crate::pipeline::expectation::{ExpiryThresholds, Settings, Threshold};

/// The shortest time before the end at which a certificate may be told: less is no warning.
const LEAST_LEFT: Duration = Duration::from_secs(60 * 60);
/// The shortest time in which a renewal can be rolled out.
const LEAST_WINDOW: Duration = Duration::from_secs(60);

/// What `alerts:` means; what is left out has its usual value.
pub(super) fn read(typed: Option<&typed::Alerts>, problems: &mut Problems) -> Settings {
    let usual = Settings::default();
    let Some(typed) = typed else {
        return usual;
    };
    let key = Key::default().child("alerts");
    let window = problems.text(
        &key.child("rollout_window"),
        typed.rollout_window.as_ref(),
        |text| duration::at_least(text, LEAST_WINDOW),
    );
    Settings {
        expiry: typed.expiry.as_ref().map_or(usual.expiry, |typed| {
            expiry(&key.child("expiry"), typed, problems)
        }),
        rollout_window: window.map_or(usual.rollout_window, signed),
    }
}

fn expiry(key: &Key, typed: &typed::Expiry, problems: &mut Problems) -> ExpiryThresholds {
    let usual = ExpiryThresholds::default();
    let (warning_key, critical_key) = (key.child("warning"), key.child("critical"));
    let warning = problems.text(&warning_key, typed.warning.as_ref(), threshold);
    let critical = problems.text(&critical_key, typed.critical.as_ref(), threshold);
    let thresholds = ExpiryThresholds {
        warning: warning.unwrap_or(usual.warning),
        critical: critical.unwrap_or(usual.critical),
    };
    if is_earlier(thresholds.warning, thresholds.critical) {
        return thresholds;
    }
    // Whichever was typed is wrong; of two, the second.
    let of = |threshold| describe(threshold);
    if let Some(Spanned { referenced, .. }) = &typed.critical {
        let wrong = format!(
            "does not come after the warning, which comes with {} left",
            of(thresholds.warning)
        );
        problems.add(&critical_key, *referenced, wrong);
    } else if let Some(Spanned { referenced, .. }) = &typed.warning {
        let wrong = format!(
            "does not come before the critical alert, which comes with {} left",
            of(thresholds.critical)
        );
        problems.add(&warning_key, *referenced, wrong);
    }
    thresholds
}

/// Whether the first comes before the second, as far as that can be said without a certificate's lifetime.
fn is_earlier(warning: Threshold, critical: Threshold) -> bool {
    match (warning, critical) {
        (Threshold::Share { percent: warning }, Threshold::Share { percent: critical }) => {
            warning > critical
        }
        (Threshold::Left(warning), Threshold::Left(critical)) => warning > critical,
        _ => true,
    }
}

fn threshold(text: &str) -> Result<Threshold, Wrong> {
    let Some(number) = text.strip_suffix('%') else {
        return match duration::at_least(text, LEAST_LEFT) {
            Ok(left) => Ok(Threshold::Left(signed(left))),
            Err(_) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Err("has no unit; add `%` for a share or `d` for days".into())
            }
            Err(wrong) => Err(wrong),
        };
    };
    match number.trim_end().parse() {
        Ok(percent @ 1..=99) => Ok(Threshold::Share { percent }),
        _ => Err(format!("{} is no share from 1% to 99%", quoted(text)).into()),
    }
}

/// The threshold as it would be typed.
pub(super) fn describe(threshold: Threshold) -> String {
    match threshold {
        Threshold::Share { percent } => format!("{percent}% of the lifetime"),
        Threshold::Left(left) => Typed(left.unsigned_abs()).to_string(),
    }
}
