//! Signs of life for a dead man's switch: it calls people when they stop coming.
//!
//! Silence because nothing is wrong and silence because certdrift is blind or mute look the same from outside. So a sign
//! of life says more than "the process runs": since the last one every source has been read up to its end without
//! trouble, what was found is on disk, and whoever is to be told of something is told.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;

use crate::pipeline::outbox::CONFIGURATION_FAULT_DELAY;
use crate::pipeline::outbox::Kind;
use crate::pipeline::outbox::Outbox;
use crate::pipeline::outbox::Outcome;
use crate::pipeline::outbox::due::Due;
use crate::pipeline::outbox::pause;
use crate::pipeline::outbox::step;

/// A message that has waited for so long, at any receiver, shows that the outbox is stuck. It has been tried seven times
/// by then; a receiver that is restarted or asks for a few minutes is no reason to wake people.
pub const STUCK_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// What only the owner of the pipeline knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Vitals {
    /// Until when every source has been looked at, and read up to its end without trouble; `None`: one has trouble, is
    /// behind, or has not been looked at yet.
    pub passed: Option<Timestamp>,
    /// Whether the state is on disk.
    pub is_kept: bool,
}

/// Why there is no sign of life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ailment {
    /// A source has trouble, is behind, or has not been looked at yet.
    Unread,
    /// The state cannot be written.
    NotKept,
    /// A message has waited for longer than [`STUCK_AFTER`].
    Stuck,
}

impl Ailment {
    /// In words for an operator.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unread => {
                "not every source has been read up to its end without trouble; see certdrift_source_up"
            }
            Self::NotKept => "the state cannot be written",
            Self::Stuck => {
                "a notification has waited for more than 15 minutes; see `certdrift notify list`"
            }
        }
    }
}

/// The signs of life of one receiver.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    in_flight: bool,
    failures: usize,
    /// When the next one is due; `None`: at once.
    due: Option<Due>,
    /// When the last one began that arrived.
    last: Option<Timestamp>,
    /// When the one that is under way began.
    begun: Option<Timestamp>,
}

impl Kind {
    /// Whether it is told of alerts.
    pub(super) fn takes_messages(self) -> bool {
        !matches!(self, Self::Heartbeat { .. })
    }
}

impl Outbox {
    /// Why nothing is to be said to a dead man's switch, if there is a reason.
    pub fn ailment(&self, vitals: Vitals, now: Timestamp) -> Option<Ailment> {
        // What one that became a dead man's switch cannot take is given up as soon as it is not under way any more.
        let mailboxes = self.mailboxes.iter();
        let messages = mailboxes
            .filter(|mailbox| mailbox.receiver.kind.takes_messages())
            .flat_map(|mailbox| mailbox.living().map(|waiting| waiting.since));
        let oldest = messages.min();
        if !vitals.is_kept {
            Some(Ailment::NotKept)
        } else if vitals.passed.is_none() {
            Some(Ailment::Unread)
        } else if oldest.is_some_and(|oldest| now.duration_since(oldest) > STUCK_AFTER) {
            Some(Ailment::Stuck)
        } else {
            None
        }
    }

    /// The receivers to give a sign of life now. Each is under way until [`Self::returned`] is told what came of it.
    pub fn beats(&mut self, vitals: Vitals, now: Timestamp) -> Vec<Arc<str>> {
        if self.ailment(vitals, now).is_some() {
            return Vec::new();
        }
        let Some(passed) = vitals.passed else {
            return Vec::new();
        };
        let mut beats = Vec::new();
        for mailbox in &mut self.mailboxes {
            let is_meant = !mailbox.receiver.kind.takes_messages();
            if is_meant && mailbox.pulse.begin(passed, now) {
                beats.push(Arc::clone(&mailbox.receiver.name));
            }
        }
        beats
    }

    /// An alert is over: one that was told of it before it became a dead man's switch need not know that any more.
    pub(super) fn forget_in_switches(&mut self, key: &str) {
        for mailbox in &mut self.mailboxes {
            if !mailbox.receiver.kind.takes_messages() {
                mailbox.told.remove(key);
            }
        }
    }

    /// Whether any receiver is a dead man's switch.
    pub fn has_heartbeat(&self) -> bool {
        let mut kinds = self.mailboxes.iter().map(|mailbox| mailbox.receiver.kind);
        kinds.any(|kind| !kind.takes_messages())
    }
}

impl Pulse {
    /// The configuration was read again.
    pub(super) fn hurry(&mut self, now: Timestamp) {
        self.due = Some(Due::now(now));
        self.failures = 0;
    }

    fn begin(&mut self, passed: Timestamp, now: Timestamp) -> bool {
        let due = self.due.as_mut();
        let is_due = due.is_none_or(|due| due.has_come(now));
        // Each sign tells of a pass of its own. A clock that was set back must not silence it.
        let last = self.last.filter(|last| *last <= now);
        let is_news = last.is_none_or(|last| passed > last);
        if self.in_flight || !is_due || !is_news {
            return false;
        }
        self.in_flight = true;
        self.begun = Some(now);
        true
    }

    pub(super) fn answered(
        &mut self,
        outcome: Outcome,
        every: Duration,
        now: Timestamp,
        spread: f64,
    ) {
        let begun = self.begun.take().unwrap_or(now);
        self.in_flight = false;
        if outcome == Outcome::Delivered {
            self.failures = 0;
            self.last = Some(begun);
            self.due = Some(Due::after(begun, every));
            return;
        }
        self.failures += 1;
        let delay = match outcome {
            Outcome::Retry {
                after: Some(after), ..
            } => pause(after, spread),
            Outcome::Misconfigured { .. } | Outcome::Gone => CONFIGURATION_FAULT_DELAY,
            _ => step(self.failures, spread).min(every),
        };
        self.due = Some(Due::after(now, delay));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::outbox::DeathReason;
    use crate::pipeline::outbox::FailureReason;
    use crate::pipeline::outbox::Receiver;
    use crate::pipeline::outbox::Ticket;
    use crate::pipeline::outbox::tests::ALL;
    use crate::pipeline::outbox::tests::at;
    use crate::pipeline::outbox::tests::notices;
    use crate::pipeline::outbox::tests::outbox;
    use crate::pipeline::outbox::tests::receiver;

    const RETRY: Outcome = Outcome::Retry {
        reason: FailureReason::Timeout,
        after: None,
    };

    fn well(second: u64) -> Vitals {
        Vitals {
            passed: Some(at(second)),
            is_kept: true,
        }
    }

    fn beat() -> Ticket {
        Ticket::Beat {
            receiver: Arc::from("switch"),
        }
    }

    fn switch() -> Outbox {
        let mut outbox = outbox(&[]);
        let every = Duration::from_secs(60);
        let switch = Receiver {
            kind: Kind::Heartbeat { every },
            ..receiver("switch", &[])
        };
        let oncall = receiver("oncall", &ALL);
        outbox.set_receivers(vec![oncall, switch], at(0));
        outbox
    }

    /// When a sign goes out within the first seconds, if each is answered at once.
    fn beats(outbox: &mut Outbox, until: u64, vitals: impl Fn(u64) -> Vitals) -> Vec<u64> {
        let mut found = Vec::new();
        for second in 0..until {
            let due = outbox.beats(vitals(second), at(second));
            if !due.is_empty() {
                assert_eq!(due, [Arc::from("switch")]);
                outbox.returned(&beat(), Outcome::Delivered, at(second), 0.0);
                found.push(second);
            }
        }
        found
    }

    #[test]
    fn a_sign_comes_each_interval_and_tells_of_a_pass_of_its_own() {
        assert_eq!(beats(&mut switch(), 130, well), [0, 60, 120]);
        let stands_still = |second: u64| well(second.min(70));
        assert_eq!(beats(&mut switch(), 400, stands_still), [0, 60, 120]);
        let begins_late = |second| Vitals {
            passed: (second >= 7).then(|| at(second)),
            is_kept: true,
        };
        assert_eq!(beats(&mut switch(), 70, begins_late), [7, 67]);
    }

    #[test]
    fn a_clock_that_is_set_back_by_hours_silences_no_switch() {
        let mut outbox = switch();
        let hours = 5 * 3600;
        assert_eq!(outbox.beats(well(hours), at(hours)).len(), 1);
        outbox.returned(&beat(), Outcome::Delivered, at(hours), 0.0);
        assert_eq!(beats(&mut outbox, 130, well), [60, 120]);
    }

    #[test]
    fn nothing_is_said_while_something_ails() {
        let outbox = switch();
        let (blind, full) = (
            Vitals {
                passed: None,
                is_kept: true,
            },
            Vitals {
                passed: Some(at(0)),
                is_kept: false,
            },
        );
        assert_eq!(outbox.ailment(well(0), at(0)), None);
        assert_eq!(outbox.ailment(blind, at(0)), Some(Ailment::Unread));
        assert_eq!(outbox.ailment(full, at(0)), Some(Ailment::NotKept));
        for vitals in [blind, full] {
            assert_eq!(beats(&mut switch(), 100, |_| vitals), [0; 0]);
        }
    }

    #[test]
    fn an_outbox_that_is_stuck_is_no_life() {
        let mut outbox = switch();
        outbox.add(&notices("one")[0], at(100));
        let stuck = Some(Ailment::Stuck);
        assert_eq!(outbox.ailment(well(1000), at(1000)), None);
        assert_eq!(outbox.ailment(well(1001), at(1001)), stuck);
        let number = outbox.due(at(1001))[0].number;
        assert_eq!(outbox.ailment(well(1002), at(1002)), stuck, "under way");
        let message = Ticket::Message(number);
        outbox.returned(&message, Outcome::Delivered, at(1003), 0.0);
        assert_eq!(outbox.ailment(well(1003), at(1003)), None);
        // What nobody will ever get is told in other ways.
        outbox.add(&notices("two")[0], at(2000));
        for second in [2000, 2002] {
            let number = outbox.due(at(second))[0].number;
            let message = Ticket::Message(number);
            outbox.returned(&message, Outcome::Refused, at(second), 0.0);
        }
        assert_eq!(outbox.status()[0].dead, 1);
        assert_eq!(outbox.ailment(well(9000), at(9000)), None);
    }

    #[test]
    fn an_outbox_is_stuck_whatever_the_clock_was_when_its_message_came() {
        let day = 86_400;
        let mut outbox = switch();
        outbox.add(&notices("one")[0], at(day));
        outbox.expire(at(10));
        assert_eq!(outbox.ailment(well(910), at(910)), None);
        assert_eq!(outbox.ailment(well(911), at(911)), Some(Ailment::Stuck));
        outbox.expire(at(10 + day));
        assert_eq!(outbox.status()[0].dead, 0);
        outbox.expire(at(11 + day));
        assert_eq!(outbox.status()[0].dead, 1, "a day old");
    }

    #[test]
    fn a_receiver_that_becomes_a_switch_gives_up_what_waits_for_it() {
        let switch = || Receiver {
            kind: Kind::Heartbeat {
                every: Duration::from_secs(60),
            },
            ..receiver("sick", &[])
        };
        let reason = FailureReason::Other;
        for outcome in [RETRY, Outcome::Misconfigured { reason }] {
            let mut outbox = outbox(&["sick"]);
            let [trigger, resolve] = notices("one");
            outbox.add(&trigger, at(0));
            let number = outbox.due(at(0))[0].number;
            outbox.add(&notices("two")[0], at(0));
            outbox.set_receivers(vec![switch()], at(1));
            outbox.expire(at(1));
            assert_eq!(outbox.status()[0].dead, 1, "the other is under way");
            assert_eq!(outbox.ailment(well(2000), at(2000)), None);
            outbox.answered(number, outcome, at(2000), 0.0);
            assert!(outbox.due(at(9000)).is_empty());
            assert_eq!(outbox.letters()[0].death, Some(DeathReason::Refused));
            let status = outbox.status().remove(0);
            assert_eq!((status.dead, status.waiting, status.given_up), (2, 0, 2));
            assert_eq!(outbox.beats(well(9000), at(9000)).len(), 1);
            // Once it takes messages again, it has heard of what still fires, and of nothing that ended since.
            outbox.add(&resolve, at(9001));
            outbox.set_receivers(vec![receiver("sick", &ALL)], at(9002));
            assert!(outbox.catch_up(&trigger, at(9002)), "it fires anew");
            assert!(!outbox.catch_up(&notices("two")[0], at(9002)));
        }
    }

    #[test]
    fn a_switch_that_cannot_be_reached_is_tried_again_soon() {
        let mut outbox = switch();
        let mut tried = Vec::new();
        for second in 0..200 {
            if !outbox.beats(well(second), at(second)).is_empty() {
                assert!(outbox.beats(well(second), at(second)).is_empty());
                outbox.returned(&beat(), RETRY, at(second), 0.0);
                tried.push(second);
            }
        }
        assert_eq!(tried, [0, 2, 7, 22, 52, 112, 172]);
        let status = outbox.status().remove(1);
        assert_eq!(status.failed[&FailureReason::Timeout], 7);
        assert_eq!((status.delivered, status.waiting), (0, 0));
    }
}
