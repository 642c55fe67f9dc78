//! The messages of one receiver.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::pipeline::alert::Notice;
use crate::pipeline::outbox::CONFIGURATION_FAULT_DELAY;
use crate::pipeline::outbox::DeathReason;
use crate::pipeline::outbox::Delivery;
use crate::pipeline::outbox::Discard;
use crate::pipeline::outbox::FailureReason;
use crate::pipeline::outbox::Kind;
use crate::pipeline::outbox::LATENCY_BOUNDS;
use crate::pipeline::outbox::Letter;
use crate::pipeline::outbox::MAX_DEAD;
use crate::pipeline::outbox::MAX_UNDER_WAY;
use crate::pipeline::outbox::MAX_WAITING;
use crate::pipeline::outbox::Outcome;
use crate::pipeline::outbox::RESOLVE_AGE;
use crate::pipeline::outbox::Receiver;
use crate::pipeline::outbox::ReceiverStatus;
use crate::pipeline::outbox::Replay;
use crate::pipeline::outbox::TRIGGER_AGE;
use crate::pipeline::outbox::due::Due;
use crate::pipeline::outbox::heartbeat::Pulse;
use crate::pipeline::outbox::pause;
use crate::pipeline::outbox::step;

/// A message that waits, or is dead.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) notice: Arc<Notice>,
    pub(super) since: Timestamp,
    pub(super) tries: usize,
    pub(super) due: Due,
    pub(super) in_flight: bool,
    /// Whether only what is needed is to be said.
    pub(super) minimal: bool,
    /// Whether the fallback is to be told, or has been.
    pub(super) fallback: Fallback,
    pub(super) death: Option<Death>,
    /// Whether it is to be written anew.
    pub(super) changed: bool,
}

/// What became of a message that is tried no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Death {
    pub(super) reason: DeathReason,
    /// Whether a later message of the same alert was delivered afterwards.
    pub(super) overtaken: bool,
}

/// Whether a message is the fallback's business.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Fallback {
    #[default]
    No,
    Wanted,
    /// It has been told, or need not be any more.
    Told,
}

/// The messages of one receiver.
#[derive(Debug)]
pub(super) struct Mailbox {
    pub(super) receiver: Receiver,
    pub(super) status: ReceiverStatus,
    /// By number, so in the order of the decisions.
    pub(super) waiting: BTreeMap<u64, Waiting>,
    pub(super) paused_until: Option<Due>,
    /// Keys of the alerts that it was told of and that are not over.
    pub(super) told: BTreeSet<String>,
    /// Keys of messages that wait for one before them to be gone from the disk, too: after a crash it would be sent
    /// again, behind what came after it.
    pub(super) unsettled: BTreeSet<String>,
    /// Messages that may go at once, and when that was.
    tokens: Option<(f64, Timestamp)>,
    /// Signs of life, if it is to get any.
    pub(super) pulse: Pulse,
}

impl Mailbox {
    pub(super) fn new(receiver: &Receiver) -> Self {
        Self {
            receiver: receiver.clone(),
            status: ReceiverStatus {
                name: Arc::clone(&receiver.name),
                integration: receiver.integration,
                delivered: 0,
                failed: BTreeMap::new(),
                given_up: 0,
                dead: 0,
                off: false,
                waiting: 0,
                oldest_waiting: None,
                last_success: None,
                latency: [0; LATENCY_BOUNDS.len() + 1],
                latency_sum: 0.0,
            },
            waiting: BTreeMap::new(),
            paused_until: None,
            told: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            tokens: None,
            pulse: Pulse::default(),
        }
    }

    /// Takes over what the configuration says. For how long the receiver asked to be left in peace holds over a
    /// restart; a reload says that somebody has mended something.
    pub(super) fn reconfigure(&mut self, receiver: Receiver, now: Timestamp) {
        let is_reload = !self.status.integration.is_empty();
        if is_reload {
            self.paused_until = None;
        }
        self.status.off = false;
        self.pulse.hurry(now);
        self.status.integration = receiver.integration;
        self.receiver = receiver;
        self.hurry(now);
    }

    /// Whether a notice is for it: a trigger that it wants, or the end of what it was told of.
    pub(super) fn is_to_be_told(&self, notice: &Notice) -> bool {
        if !self.receiver.kind.takes_messages() {
            false
        } else if notice.is_resolved() {
            self.told.contains(&notice.key)
        } else {
            let (severity, connector) = (notice.severity, &notice.place.connector);
            self.receiver.wants(severity, connector)
        }
    }

    /// Puts a notice into the box. Whether there was room.
    pub(super) fn put(
        &mut self,
        last_number: &mut u64,
        notice: &Arc<Notice>,
        fallback: Fallback,
        now: Timestamp,
    ) -> bool {
        if self.waiting.len() >= MAX_WAITING && self.living().count() >= MAX_WAITING {
            self.status.given_up += 1;
            return false;
        }
        if notice.is_resolved() {
            self.told.remove(&notice.key);
        } else {
            self.told.insert(notice.key.clone());
        }
        *last_number += 1;
        let entry = Waiting {
            notice: Arc::clone(notice),
            since: now,
            tries: 0,
            due: Due::now(now),
            in_flight: false,
            minimal: false,
            fallback: match fallback {
                Fallback::No if self.status.off => Fallback::Wanted,
                other => other,
            },
            death: None,
            changed: true,
        };
        self.waiting.insert(*last_number, entry);
        true
    }

    /// The messages to send now. `committed`: the last one that may be sent; `None`: nothing is kept on disk.
    pub(super) fn due(&mut self, now: Timestamp, committed: Option<u64>) -> Vec<Delivery> {
        // A clock that was set back must be seen at once, also by what waits for the end of a pause.
        self.living_mut()
            .for_each(|waiting| waiting.due.settle(now));
        if self.status.off || self.is_paused(now) {
            return Vec::new();
        }
        let tokens = self.refill(now);
        let under_way = self.living().filter(|waiting| waiting.in_flight).count();
        let mut free = MAX_UNDER_WAY.saturating_sub(under_way);
        let mut left = tokens;
        // A message that was brought back to life may stand before one that is under way.
        let in_flight = self.waiting.values().filter(|waiting| waiting.in_flight);
        let mut taken: BTreeSet<String> = in_flight
            .map(|waiting| waiting.notice.key.clone())
            .collect();
        if committed.is_some() {
            taken.extend(self.unsettled.iter().cloned());
        }
        let committed = committed.unwrap_or(u64::MAX);
        let mut due = Vec::new();
        for (&number, waiting) in &mut self.waiting {
            if free == 0 || left < 1.0 {
                break;
            }
            if waiting.death.is_some() {
                continue;
            }
            let is_due = waiting.due.has_come(now);
            let first_of_its_key = taken.insert(waiting.notice.key.clone());
            if first_of_its_key && number <= committed && is_due {
                waiting.in_flight = true;
                free -= 1;
                left -= 1.0;
                due.push(Delivery {
                    number,
                    receiver: Arc::clone(&self.receiver.name),
                    notice: Arc::clone(&waiting.notice),
                    minimal: waiting.minimal,
                });
            }
        }
        self.tokens = Some((left, now));
        due
    }

    /// Whether the receiver has asked to be left in peace.
    fn is_paused(&mut self, now: Timestamp) -> bool {
        let until = self.paused_until.as_mut();
        until.is_some_and(|until| !until.has_come(now))
    }

    /// How many messages may go now.
    fn refill(&self, now: Timestamp) -> f64 {
        let rate = self.receiver.rate;
        let burst = f64::from(rate.burst.max(1));
        let Some((tokens, at)) = self.tokens else {
            return burst;
        };
        let passed = now.duration_since(at).as_secs_f64().max(0.0);
        (tokens + passed * f64::from(rate.per_minute) / 60.0).min(burst)
    }

    /// A clock that was ahead and is set back must not make messages younger than they are.
    pub(super) fn settle(&mut self, now: Timestamp) {
        for waiting in self.living_mut().filter(|waiting| waiting.since > now) {
            waiting.since = now;
            waiting.changed = true;
        }
    }

    /// Gives up what has been tried for too long, or, since the receiver became a dead man's switch, has nowhere to go.
    pub(super) fn give_up_old(&mut self, now: Timestamp) {
        let takes_messages = self.receiver.kind.takes_messages();
        let is_too_old = |waiting: &Waiting| {
            let age = if waiting.notice.is_resolved() {
                RESOLVE_AGE
            } else {
                TRIGGER_AGE
            };
            now.duration_since(waiting.since) > age
        };
        let idle = self
            .waiting
            .iter()
            .filter(|(_, it)| it.death.is_none() && !it.in_flight);
        let given_up: Vec<u64> = idle
            .filter(|(_, waiting)| !takes_messages || is_too_old(waiting))
            .map(|(number, _)| *number)
            .collect();
        let reason = if takes_messages {
            DeathReason::TooOld
        } else {
            DeathReason::Refused
        };
        for number in given_up {
            self.bury(number, reason);
        }
    }

    /// Makes a dead letter of a message, and tells the fallback.
    fn bury(&mut self, number: u64, reason: DeathReason) {
        let Some(waiting) = self.waiting.get_mut(&number) else {
            return;
        };
        waiting.death = Some(Death {
            reason,
            overtaken: false,
        });
        waiting.changed = true;
        waiting.want_fallback();
        let key = waiting.notice.key.clone();
        self.settle_first(key);
        self.status.given_up += 1;
        let dead: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.death.is_some())
            .map(|(number, _)| *number)
            .collect();
        for oldest in dead.iter().rev().skip(MAX_DEAD) {
            self.waiting.remove(oldest);
        }
    }

    /// Enters what came of a try.
    pub(super) fn answered(&mut self, number: u64, outcome: Outcome, now: Timestamp, spread: f64) {
        let Some(waiting) = self.waiting.get_mut(&number) else {
            return;
        };
        waiting.in_flight = false;
        waiting.changed = true;
        waiting.tries += 1;
        let step = step(waiting.tries, spread);
        match outcome {
            Outcome::Delivered => return self.delivered(number, now),
            Outcome::Refused if waiting.minimal => self.bury(number, DeathReason::Refused),
            Outcome::Refused => {
                waiting.minimal = true;
                waiting.due = Due::after(now, step);
            }
            Outcome::Misconfigured { .. } => {
                waiting.due = Due::after(now, CONFIGURATION_FAULT_DELAY);
                waiting.want_fallback();
            }
            Outcome::Gone => {
                self.status.off = true;
                self.living_mut().for_each(Waiting::want_fallback);
            }
            Outcome::Retry { after, .. } => {
                waiting.due = Due::after(now, step);
                if let Some(after) = after {
                    waiting.due = Due::after(now, pause(after, spread));
                    // Of several answers the one that asks for the longest pause counts.
                    self.paused_until = self.paused_until.max(Some(waiting.due));
                }
            }
        }
        self.count_failure(outcome);
    }

    /// An instance of an Alertmanager has answered what it was told of how things stand.
    pub(super) fn round_answered(&mut self, outcome: Outcome, now: Timestamp) {
        if outcome != Outcome::Delivered {
            self.count_failure(outcome);
        } else if !self.is_paused(now) {
            // Where this came through, so will what waits.
            self.hurry(now);
        }
    }

    /// A dead man's switch has answered.
    pub(super) fn beat_answered(&mut self, outcome: Outcome, now: Timestamp, spread: f64) {
        let Kind::Heartbeat { every } = self.receiver.kind else {
            return;
        };
        self.pulse.answered(outcome, every, now, spread);
        if outcome == Outcome::Delivered {
            self.status.delivered += 1;
            self.status.last_success = Some(now);
        } else {
            self.count_failure(outcome);
        }
    }

    fn count_failure(&mut self, outcome: Outcome) {
        *self.status.failed.entry(failure(outcome)).or_default() += 1;
    }

    /// Whatever waits is due now.
    fn hurry(&mut self, now: Timestamp) {
        for waiting in self.living_mut() {
            if !waiting.due.has_come(now) {
                waiting.changed = true;
                waiting.due = Due::now(now);
            }
        }
    }

    fn delivered(&mut self, number: u64, now: Timestamp) {
        let Some(waiting) = self.waiting.remove(&number) else {
            return;
        };
        let seconds = now.duration_since(waiting.since).as_secs_f64().max(0.0);
        let bucket = LATENCY_BOUNDS.iter().position(|&bound| seconds <= bound);
        self.status.latency[bucket.unwrap_or(LATENCY_BOUNDS.len())] += 1;
        self.status.latency_sum += seconds;
        self.status.delivered += 1;
        self.status.last_success = Some(now);
        self.settle_first(waiting.notice.key.clone());
        // What is dead and came before it says the opposite of what holds, or nothing new.
        for (_, earlier) in self.waiting.range_mut(..number) {
            if let Some(death) = &mut earlier.death
                && earlier.notice.key == waiting.notice.key
            {
                earlier.changed |= !death.overtaken;
                death.overtaken = true;
            }
        }
    }

    /// Whether this very message waits here, or is dead.
    pub(super) fn holds(&self, id: &str) -> bool {
        self.waiting.values().any(|waiting| waiting.notice.id == id)
    }

    /// What the fallback is to be told and has not been yet. Who is told of a beginning is told what came of it. A
    /// fallback may be younger than dead letters: what is over by then is no news, and nobody would tell it of the end.
    pub(super) fn take_handed_over(&mut self) -> Vec<Arc<Notice>> {
        let mut waiting = self.waiting.values();
        if !waiting.any(|it| it.fallback == Fallback::Wanted) {
            return Vec::new();
        }
        let living = self.waiting.iter().filter(|(_, it)| it.death.is_none());
        let ends = living.filter(|(_, waiting)| waiting.notice.is_resolved());
        let last_end: BTreeMap<String, u64> = ends
            .map(|(&number, waiting)| (waiting.notice.key.clone(), number))
            .collect();
        let mut keys = BTreeSet::new();
        let mut taken = Vec::new();
        for (number, waiting) in &mut self.waiting {
            let key = &waiting.notice.key;
            let follows = waiting.fallback == Fallback::No && keys.contains(key);
            if !follows && waiting.fallback != Fallback::Wanted {
                continue;
            }
            let end_follows = last_end.get(key).is_some_and(|end| end > number);
            let goes_on = self.told.contains(key) || end_follows || waiting.notice.is_resolved();
            let is_news = waiting.death.is_none_or(|it| !it.overtaken && goes_on);
            waiting.fallback = Fallback::Told;
            waiting.changed = true;
            if is_news {
                keys.insert(key.clone());
                taken.push(Arc::clone(&waiting.notice));
            }
        }
        taken
    }

    /// Its messages, for people.
    pub(super) fn letters(&self) -> impl Iterator<Item = Letter> {
        self.waiting.iter().map(|(&number, waiting)| Letter {
            number,
            receiver: Arc::clone(&self.receiver.name),
            notice: Arc::clone(&waiting.notice),
            since: waiting.since,
            tries: waiting.tries,
            due: waiting.death.is_none().then_some(waiting.due.at()),
            death: waiting.death.map(|death| death.reason),
            under_way: waiting.in_flight,
            overtaken: waiting.death.is_some_and(|death| death.overtaken),
        })
    }

    /// Sends a message again, with its whole body and a new lease of life.
    pub(super) fn replay(&mut self, number: u64, now: Timestamp) -> Replay {
        let Some(key) = self.waiting.get(&number).map(|it| it.notice.key.clone()) else {
            return Replay::Unknown;
        };
        let mut later_ones = self.waiting.range(number..);
        if later_ones.any(|(_, it)| it.in_flight && it.notice.key == key) {
            return Replay::UnderWay;
        }
        let Some(waiting) = self.waiting.get_mut(&number) else {
            return Replay::Unknown;
        };
        if waiting.death.is_some_and(|death| death.overtaken) {
            return Replay::Overtaken;
        }
        if waiting.death.take().is_some() {
            waiting.since = now;
            waiting.tries = 0;
            waiting.minimal = false;
        }
        waiting.due = Due::now(now);
        waiting.changed = true;
        Replay::Due
    }

    /// Throws a message away, unless it is under way.
    pub(super) fn discard(&mut self, number: u64) -> Discard {
        match self.waiting.get(&number) {
            None => Discard::Unknown,
            Some(waiting) if waiting.in_flight => Discard::UnderWay,
            Some(waiting) => {
                let key = waiting.notice.key.clone();
                self.waiting.remove(&number);
                self.settle_first(key);
                Discard::Gone
            }
        }
    }

    /// A message is out of the way: the next one of its alert goes when that is on disk.
    fn settle_first(&mut self, key: String) {
        if self.living().any(|waiting| waiting.notice.key == key) {
            self.unsettled.insert(key);
        }
    }

    pub(super) fn status(&self) -> ReceiverStatus {
        let waiting = self.living().count();
        ReceiverStatus {
            waiting,
            dead: self.waiting.len() - waiting,
            oldest_waiting: self.living().map(|waiting| waiting.since).min(),
            ..self.status.clone()
        }
    }

    /// Messages that are not dead.
    pub(super) fn living(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.values().filter(|it| it.death.is_none())
    }

    fn living_mut(&mut self) -> impl Iterator<Item = &mut Waiting> {
        self.waiting.values_mut().filter(|it| it.death.is_none())
    }
}

impl Waiting {
    fn want_fallback(&mut self) {
        if self.fallback == Fallback::No {
            self.fallback = Fallback::Wanted;
            self.changed = true;
        }
    }
}

fn failure(outcome: Outcome) -> FailureReason {
    match outcome {
        Outcome::Retry { reason, .. } | Outcome::Misconfigured { reason } => reason,
        Outcome::Refused | Outcome::Gone | Outcome::Delivered => FailureReason::ClientError,
    }
}
