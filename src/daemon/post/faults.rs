//! Which receivers are known to have a fault, so that it is told once, and not at every try.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::pipeline::outbox::Outcome;

/// The faults of one receiver, until one of its messages is taken or the configuration is read again.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// By instance of an Alertmanager; `None` where there is only one.
    known: Mutex<BTreeSet<Option<usize>>>,
}

/// How often a receiver is called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Calls {
    /// When there is something to tell: that it cannot be reached is worth a line each time.
    Now,
    /// Every minute, whatever happens.
    Always,
}

impl Faults {
    /// Whether what came of a try is to be told. A fault of the configuration is tried for as long as it takes, and so
    /// is whoever is called every minute.
    pub(super) fn is_news(&self, outcome: Outcome, calls: Calls, instance: Option<usize>) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Outcome::Delivered => {
                known.remove(&instance);
                true
            }
            Outcome::Misconfigured { .. } | Outcome::Gone => known.insert(instance),
            Outcome::Retry { .. } | Outcome::Refused => {
                calls == Calls::Now || known.insert(instance)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::outbox::FailureReason;

    #[test]
    fn a_fault_is_told_once_until_it_is_mended() {
        let reason = FailureReason::AuthError;
        let wrong = Outcome::Misconfigured { reason };
        let away = Outcome::Retry {
            reason,
            after: None,
        };
        let faults = Faults::default();
        for (outcome, calls, instance, is_news) in [
            (wrong, Calls::Now, None, true),
            (wrong, Calls::Now, None, false),
            (away, Calls::Now, None, true),
            (away, Calls::Now, None, true),
            (wrong, Calls::Now, None, false),
            (Outcome::Delivered, Calls::Now, None, true),
            (wrong, Calls::Now, None, true),
            (away, Calls::Always, Some(0), true),
            (away, Calls::Always, Some(0), false),
            (away, Calls::Always, Some(1), true),
            (Outcome::Delivered, Calls::Always, Some(0), true),
            (away, Calls::Always, Some(0), true),
        ] {
            assert_eq!(faults.is_news(outcome, calls, instance), is_news);
        }
    }
}
