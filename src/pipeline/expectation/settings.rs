//! How early and how patiently alerts that rest on time are raised.

use jiff::SignedDuration;

/// What `alerts:` of the configuration says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// When a certificate that ends is told.
    pub expiry: ExpiryThresholds,
    /// For how long servers may present different certificates on one connector: a renewal takes its time.
    pub rollout_window: SignedDuration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            expiry: ExpiryThresholds::default(),
            rollout_window: SignedDuration::from_hours(4),
        }
    }
}

/// How much of its lifetime a certificate has left when its end is told.
///
/// Shares suit certificates of every lifetime: public ones live 200 days at most since March 2026, 100 from March 2027
/// and 47 from March 2029, and private ones live for years.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ExpiryThresholds {
    /// From when on it is a warning.
    pub warning: Threshold,
    /// From when on it is critical.
    pub critical: Threshold,
}

impl Default for ExpiryThresholds {
    fn default() -> Self {
        Self {
            warning: Threshold::Share { percent: 33 },
            critical: Threshold::Share { percent: 10 },
        }
    }
}

impl ExpiryThresholds {
    /// A share never puts off the critical alert to later than this before the end: a tenth of a short lifetime would
    /// leave no working day for the renewal.
    pub const LATEST_CRITICAL: SignedDuration = SignedDuration::from_hours(3 * 24);

    /// The warning of a certificate with this lifetime comes when no more than this is left; not less than
    /// [`Self::critical_left`].
    pub fn warning_left(&self, lifetime: SignedDuration) -> SignedDuration {
        self.warning
            .left(lifetime)
            .max(self.critical_left(lifetime))
    }

    /// The critical alert of a certificate with this lifetime comes when no more than this is left.
    pub fn critical_left(&self, lifetime: SignedDuration) -> SignedDuration {
        let left = self.critical.left(lifetime);
        match self.critical {
            Threshold::Share { .. } => left.max(Self::LATEST_CRITICAL),
            Threshold::Left(_) => left,
        }
    }
}

/// A part of a certificate's lifetime.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Threshold {
    /// This much of the lifetime is left.
    Share {
        /// From 1 to 99.
        percent: u8,
    },
    /// This long is left.
    Left(SignedDuration),
}

impl Threshold {
    /// How long is left when a certificate with this lifetime reaches the threshold.
    pub fn left(self, lifetime: SignedDuration) -> SignedDuration {
        match self {
            Self::Share { percent } => lifetime / 100 * i32::from(percent),
            Self::Left(left) => left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(days: i64) -> SignedDuration {
        SignedDuration::from_hours(days * 24)
    }

    #[test]
    fn the_end_is_told_in_time_for_every_lifetime() {
        let left = |percent| Threshold::Share { percent };
        let standard = ExpiryThresholds::default();
        let long = ExpiryThresholds {
            warning: Threshold::Left(days(21)),
            critical: Threshold::Left(days(1)),
        };
        let mixed = ExpiryThresholds {
            warning: left(1),
            critical: Threshold::Left(days(7)),
        };
        for (thresholds, lifetime, warning, critical) in [
            (standard, days(200), days(66), days(20)),
            (standard, days(100), days(33), days(10)),
            (standard, days(20), days(20) / 100 * 33, days(3)),
            (standard, days(5), days(3), days(3)),
            (long, days(200), days(21), days(1)),
            (mixed, days(100), days(7), days(7)),
        ] {
            assert_eq!(thresholds.warning_left(lifetime), warning, "{lifetime}");
            assert_eq!(thresholds.critical_left(lifetime), critical, "{lifetime}");
        }
    }
}
