//! How things stand, told to Alertmanagers every minute.
//!
//! An Alertmanager forgets: what it holds is in memory only, and an alert of which it hears nothing for a while it takes
//! for resolved. So it is reminded, as Prometheus does it: firing alerts every minute, each with an end
//! [`LIFE`] such minutes ahead, and those that are over for [`LINGER`] more. Instances share no alerts, so each is told by itself,
//! and one that is down learns how things stand when it is back.
//!
//! Changes do not wait for that minute: each is a message in the outbox as for any other receiver, with its retries, its
//! fallback and its dead letters. One instance that takes it is enough there; the others are brought up to date here.
//!
//! The severity is among the labels, because an Alertmanager can route by nothing else. So an alert that changes it is
//! two alerts there, and the one with the old severity is told to be over at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::alert::Firing;
use crate::pipeline::alert::Notice;
use crate::pipeline::outbox::CONFIGURATION_FAULT_DELAY;
use crate::pipeline::outbox::Kind;
use crate::pipeline::outbox::Outbox;
use crate::pipeline::outbox::Outcome;
use crate::pipeline::outbox::RESOLVE_AGE;
use crate::pipeline::outbox::Receiver;
use crate::pipeline::outbox::Ticket;
use crate::pipeline::outbox::due::Due;
use crate::pipeline::outbox::pause;
use crate::pipeline::outbox::step;
use crate::pipeline::saved::Changes;
use crate::pipeline::saved::Saved;
use crate::pipeline::saved::Table;
use crate::pipeline::saved::Unreadable;
use crate::pipeline::saved::Written;
use crate::pipeline::verdict::reason::Severity;

/// For how many rounds a firing alert's word holds: three may fail before an Alertmanager takes it for resolved.
pub const LIFE: u32 = 4;
/// For how long an instance is told that an alert is over, from when it first took that.
pub const LINGER: SignedDuration = SignedDuration::from_mins(5);
/// Alerts that are over and of which some instance has not heard; the one that ended first goes first.
pub const MAX_OVER: usize = 10_000;

/// The key of the alerts that are over.
const OVER: &str = "alerts_over";

/// How things stand, for one instance of an Alertmanager.
#[derive(Clone, Debug)]
pub struct Round {
    /// Comes back in [`Outbox::returned`].
    pub ticket: Ticket,
    /// Name of the receiver.
    pub receiver: Arc<str>,
    /// Which of its instances, from 0.
    pub instance: usize,
    /// What fires, and what is over.
    pub alerts: Vec<Arc<Notice>>,
    /// Whether to say only what is needed, because the instance refused the whole.
    pub minimal: bool,
}

/// What an Alertmanager tells alerts apart by.
type Label = (String, Severity);
/// Receiver and number of an instance.
type Address = (Arc<str>, usize);

/// What Alertmanagers are told.
#[derive(Debug, Default)]
pub(super) struct Board {
    standing: BTreeMap<Label, Firing>,
    over: BTreeMap<Label, Over>,
    receivers: Vec<Receiver>,
    instances: BTreeMap<Address, Instance>,
    /// Whether something has changed that is not on disk.
    is_ahead: bool,
}

/// An alert that is over.
#[derive(Debug, Deserialize, Serialize)]
struct Over {
    notice: Arc<Notice>,
    /// By certdrift's own clock.
    at: Timestamp,
    /// Which instance took that, and when. After a restart they are told again.
    #[serde(skip)]
    taken: BTreeMap<Address, Timestamp>,
}

#[derive(Debug)]
struct Instance {
    resend: Duration,
    due: Due,
    failures: usize,
    minimal: bool,
    /// What it is being told to be over.
    under_way: Option<Vec<Label>>,
    /// Whether to tell it again when it has answered.
    again: bool,
}

impl Instance {
    fn new(resend: Duration, now: Timestamp) -> Self {
        Self {
            resend,
            due: Due::now(now),
            failures: 0,
            minimal: false,
            under_way: None,
            again: false,
        }
    }
}

impl Outbox {
    /// Takes over what fires now.
    pub fn stand<'a>(&mut self, firing: impl Iterator<Item = &'a Firing>, now: Timestamp) {
        self.board.stand(firing, now);
    }

    /// Takes over what fired when the state was saved.
    pub fn stood<'a>(&mut self, firing: impl Iterator<Item = &'a Firing>) {
        self.board.standing = firing.map(|it| (label(it), it.clone())).collect();
    }

    /// What to tell which instance now. Each is under way until [`Self::returned`] is told what came of it.
    pub fn rounds(&mut self, now: Timestamp) -> Vec<Round> {
        if self.journal.is_some() && self.board.is_ahead {
            return Vec::new();
        }
        self.board.rounds(now)
    }
}

impl Board {
    pub(super) fn set_receivers<'a>(
        &mut self,
        receivers: impl Iterator<Item = &'a Receiver>,
        now: Timestamp,
    ) {
        let is_meant = |it: &&Receiver| matches!(it.kind, Kind::Alertmanager { .. });
        self.receivers = receivers.filter(is_meant).cloned().collect();
        let mut old = std::mem::take(&mut self.instances);
        for receiver in &self.receivers {
            let Kind::Alertmanager { instances, resend } = receiver.kind else {
                continue;
            };
            for number in 0..instances {
                let address = (Arc::clone(&receiver.name), number);
                let mut instance = Instance::new(resend, now);
                // Two rounds at once could overtake each other.
                let before = old.remove(&address);
                instance.under_way = before.and_then(|before| before.under_way);
                instance.again = instance.under_way.is_some();
                self.instances.insert(address, instance);
            }
        }
    }

    fn stand<'a>(&mut self, firing: impl Iterator<Item = &'a Firing>, now: Timestamp) {
        if self.receivers.is_empty() {
            self.standing.clear();
            self.over.clear();
            return;
        }
        let mut before = std::mem::take(&mut self.standing);
        let mut is_changed = false;
        for firing in firing {
            let label = label(firing);
            let known = before.remove(&label);
            let known = known.filter(|known| known.since == firing.since);
            let is_new = known.is_none();
            let kept = match known {
                Some(known) if known.reasons == firing.reasons => known,
                _ => firing.clone(),
            };
            // What fires again is not over.
            is_changed |= is_new | self.over.remove(&label).is_some();
            self.standing.insert(label, kept);
        }
        let mut changed_severity = false;
        for (label, firing) in before {
            let mut others = self
                .standing
                .range((label.0.clone(), Severity::Information)..);
            changed_severity |= others.next().is_some_and(|((key, _), _)| *key == label.0);
            let over = Over {
                notice: Arc::new(firing.ended(now)),
                at: now,
                taken: BTreeMap::new(),
            };
            self.over.insert(label, over);
            is_changed = true;
        }
        if changed_severity {
            // No message tells that.
            self.hurry(now);
        }
        self.forget(now);
        self.is_ahead |= is_changed;
    }

    fn hurry(&mut self, now: Timestamp) {
        for instance in self.instances.values_mut() {
            if instance.failures == 0 {
                if !instance.due.has_come(now) {
                    instance.due = Due::now(now);
                }
                instance.again |= instance.under_way.is_some();
            }
        }
    }

    /// Forgets what everybody has heard often enough.
    fn forget(&mut self, now: Timestamp) {
        let receivers = &self.receivers;
        self.over.retain(|_, over| {
            over.settle(now);
            now.duration_since(over.at) < RESOLVE_AGE
                && receivers
                    .iter()
                    .any(|receiver| over.is_wanted_by(receiver, now))
        });
        while self.over.len() > MAX_OVER {
            let first = self.over.iter().min_by_key(|(_, over)| over.at);
            let Some(label) = first.map(|(label, _)| label.clone()) else {
                break;
            };
            self.over.remove(&label);
        }
    }

    fn rounds(&mut self, now: Timestamp) -> Vec<Round> {
        let mut rounds = Vec::new();
        for receiver in &self.receivers {
            let Kind::Alertmanager { instances, .. } = receiver.kind else {
                continue;
            };
            for number in 0..instances {
                let address = (Arc::clone(&receiver.name), number);
                let Some(instance) = self.instances.get_mut(&address) else {
                    continue;
                };
                if instance.under_way.is_some() || !instance.due.has_come(now) {
                    continue;
                }
                let standing = self.standing.values();
                let standing =
                    standing.filter(|it| receiver.wants(it.severity, &it.place.connector));
                let mut alerts: Vec<_> = standing.map(|it| Arc::new(it.standing())).collect();
                let over = self.over.iter();
                let over = over.filter(|(_, over)| over.is_for(receiver, &address, now));
                let mut labels = Vec::new();
                for (label, over) in over {
                    labels.push(label.clone());
                    alerts.push(Arc::clone(&over.notice));
                }
                if alerts.is_empty() {
                    continue;
                }
                instance.under_way = Some(labels);
                rounds.push(Round {
                    ticket: Ticket::Round {
                        receiver: Arc::clone(&receiver.name),
                        instance: number,
                    },
                    receiver: Arc::clone(&receiver.name),
                    instance: number,
                    alerts,
                    minimal: instance.minimal,
                });
            }
        }
        rounds
    }

    pub(super) fn answered(
        &mut self,
        receiver: &Arc<str>,
        number: usize,
        outcome: Outcome,
        now: Timestamp,
        spread: f64,
    ) {
        let address = (Arc::clone(receiver), number);
        let Some(instance) = self.instances.get_mut(&address) else {
            return;
        };
        let labels = instance.under_way.take().unwrap_or_default();
        let again = std::mem::take(&mut instance.again);
        let next = instance.resend;
        if outcome == Outcome::Delivered {
            instance.failures = 0;
            let wait = if again { Duration::ZERO } else { next };
            instance.due = Due::after(now, wait);
            for label in labels {
                if let Some(over) = self.over.get_mut(&label) {
                    over.taken.entry(address.clone()).or_insert(now);
                }
            }
            return;
        }
        instance.failures += 1;
        let soon = step(instance.failures, spread).min(next);
        let wait = match outcome {
            Outcome::Retry {
                after: Some(after), ..
            } => pause(after, spread),
            Outcome::Misconfigured { .. } => CONFIGURATION_FAULT_DELAY,
            // Until the configuration is read again.
            Outcome::Gone => Duration::MAX,
            Outcome::Refused if instance.minimal => next,
            _ => soon,
        };
        instance.due = Due::after(now, wait);
        instance.minimal |= outcome == Outcome::Refused;
    }

    pub(super) fn committed(&mut self) {
        self.is_ahead = false;
    }

    pub(super) fn take_changes(&self, written: &mut Written, changes: &mut Changes) {
        let over: Vec<&Over> = self.over.values().collect();
        written.row(Table::Whole, OVER, &over, changes);
    }

    pub(super) fn restore(saved: &Saved) -> Result<Self, Unreadable> {
        let over: Vec<Over> = saved.row(Table::Whole, OVER)?.unwrap_or_default();
        let over = over.into_iter().map(|over| {
            let label = (over.notice.key.clone(), over.notice.severity);
            (label, over)
        });
        Ok(Self {
            over: over.collect(),
            ..Self::default()
        })
    }
}

impl Over {
    /// A clock that was ahead and is set back must not make it be told for longer.
    fn settle(&mut self, now: Timestamp) {
        self.at = self.at.min(now);
        for taken in self.taken.values_mut() {
            *taken = (*taken).min(now);
        }
    }

    /// Whether any instance of the receiver is still to be told.
    fn is_wanted_by(&self, receiver: &Receiver, now: Timestamp) -> bool {
        let Kind::Alertmanager { instances, .. } = receiver.kind else {
            return false;
        };
        (0..instances).any(|number| {
            let address = (Arc::clone(&receiver.name), number);
            self.is_for(receiver, &address, now)
        })
    }

    fn is_for(&self, receiver: &Receiver, address: &Address, now: Timestamp) -> bool {
        let taken = self.taken.get(address);
        receiver.wants(self.notice.severity, &self.notice.place.connector)
            && taken.is_none_or(|taken| now.duration_since(*taken) < LINGER)
    }
}

fn label(firing: &Firing) -> Label {
    (firing.key(), firing.severity)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
