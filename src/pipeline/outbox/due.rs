//! When something is due.
//!
//! It is a time by the wall clock, so that it outlives the process. But a wall clock can be set back, by hours, and what
//! was to be tried again in a minute must not wait for hours then. So it is known how long the wait was to be, and from no
//! present is it longer than that. A clock that is set ahead only shortens it.

use std::time::Duration;

use jiff::Timestamp;

use crate::pipeline::outbox::later;

/// When something is due, and how long it was to wait for that.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Due {
    at: Timestamp,
    wait: Duration,
}

impl Due {
    pub(super) fn now(now: Timestamp) -> Self {
        Self::after(now, Duration::ZERO)
    }

    pub(super) fn after(now: Timestamp, wait: Duration) -> Self {
        Self {
            at: later(now, wait),
            wait,
        }
    }

    /// As it was written down.
    pub(super) fn restored(at: Timestamp, wait: Duration) -> Self {
        Self { at, wait }
    }

    pub(super) fn at(self) -> Timestamp {
        self.at
    }

    pub(super) fn wait(self) -> Duration {
        self.wait
    }

    /// It is so late now: if the wait would be longer than it was to be, the clock was set back.
    pub(super) fn settle(&mut self, now: Timestamp) {
        self.at = self.at.min(later(now, self.wait));
    }

    /// Whether it is due now.
    pub(super) fn has_come(&mut self, now: Timestamp) -> bool {
        self.settle(now);
        self.at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::outbox::tests::at;

    #[test]
    fn a_clock_that_is_set_back_makes_no_wait_longer() {
        let hours = 3600 * 5;
        let mut due = Due::after(at(hours), Duration::from_secs(30));
        assert!(!due.has_come(at(hours + 29)));
        assert!(!due.has_come(at(100)), "five hours back");
        assert_eq!(due.at(), at(130));
        assert!(!due.has_come(at(129)) && due.has_come(at(130)));
        let mut due = Due::now(at(hours));
        assert!(due.has_come(at(0)), "what waits for nothing goes at once");
    }

    #[test]
    fn a_clock_that_runs_as_it_should_changes_nothing() {
        for wait in 0..100 {
            let mut due = Due::after(at(1000), Duration::from_secs(wait));
            for second in 0..wait {
                assert!(!due.has_come(at(1000 + second)), "{wait} {second}");
            }
            assert!(due.has_come(at(1000 + wait)));
            assert!(due.has_come(at(99_999)), "a clock that is set ahead");
        }
    }
}
