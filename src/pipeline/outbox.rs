//! Alerts → deliveries: which message is due at which receiver, and what an answer means for it.
//!
//! Receivers are independent of each other. At one receiver the messages of one alert go out in order, and the next one
//! waits until the one before it is delivered or given up: a resolve must never overtake its trigger. A message keeps
//! its id on every try, so a receiver can tell a repetition from news.
//!
//! Nothing here looks at the clock or draws lots: the time and the spread of a delay are arguments.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;

use crate::pipeline::alert::Notice;
use crate::pipeline::verdict::reason::Severity;

/// Messages that may wait at once for one receiver. At the limit new ones are refused and counted: by then nobody
/// has taken a message for a day.
pub const MAX_WAITING: usize = 10_000;

/// Messages that may be under way to one receiver at once: a cause that hits every server must not open a connection
/// for each.
pub const MAX_UNDER_WAY: usize = 8;

/// Delays before the second, third, … try. The last one is repeated.
pub const SCHEDULE: [Duration; 7] = [
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(120),
    Duration::from_secs(300),
];
/// How far a delay is spread around its value, as a share.
pub const SPREAD: f64 = 0.2;
/// Delay after an answer that blames the configuration (401, 403, 404, 405, 3xx): nothing changes by hurrying.
pub const CONFIGURATION_FAULT_DELAY: Duration = Duration::from_secs(15 * 60);
/// The longest `Retry-After` that is obeyed.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);
/// How long a trigger is tried: after a day nobody is helped by it.
pub const TRIGGER_AGE: SignedDuration = SignedDuration::from_hours(24);
/// How long a resolve is tried: an alert that never ends at the receiver is worse than a late end.
pub const RESOLVE_AGE: SignedDuration = SignedDuration::from_hours(72);

/// Upper bounds of the latency histogram, in seconds from the decision to the receiver's answer.
pub const LATENCY_BOUNDS: [f64; 8] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 3600.0];

/// A receiver as far as the outbox is concerned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Receiver {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its kind, for the `integration` label: `webhook`.
    pub integration: &'static str,
    /// Severities that it wants.
    pub severities: Vec<Severity>,
}

/// One message to be sent now.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Number within this outbox; comes back in [`Outbox::answered`].
    pub number: u64,
    /// Name of the receiver.
    pub receiver: Arc<str>,
    /// What to say.
    pub notice: Arc<Notice>,
}

/// What came of one try.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// 2xx.
    Delivered,
    /// Another try may succeed. `after`: the receiver said how long to wait.
    Retry {
        /// For the metric.
        reason: FailureReason,
        /// `Retry-After` of a 429 or 503: the whole receiver pauses so long.
        after: Option<Duration>,
    },
    /// The configuration is at fault (401, 403, 404, 405, 3xx, 410, a secret that cannot be read): tried slowly until
    /// somebody mends it.
    Misconfigured {
        /// For the metric.
        reason: FailureReason,
    },
    /// The receiver will never take this message (400, 413, 415, 422).
    Refused,
}

/// Why a try failed: the closed list of the `reason` label.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum FailureReason {
    /// Another 4xx.
    ClientError,
    /// 5xx.
    ServerError,
    /// 401 or 403.
    AuthError,
    /// 429.
    RateLimited,
    /// No answer in time.
    Timeout,
    /// Anything else: name resolution, connection, TLS, redirect, unreadable secret.
    Other,
}

impl FailureReason {
    /// Every reason: each series exists from the start.
    pub const ALL: [Self; 6] = [
        Self::ClientError,
        Self::ServerError,
        Self::AuthError,
        Self::RateLimited,
        Self::Timeout,
        Self::Other,
    ];

    /// The label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientError => "clientError",
            Self::ServerError => "serverError",
            Self::AuthError => "authError",
            Self::RateLimited => "rateLimited",
            Self::Timeout => "timeout",
            Self::Other => "other",
        }
    }
}

/// What is known of one receiver.
#[derive(Clone, Debug)]
pub struct ReceiverStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Its kind.
    pub integration: &'static str,
    /// Messages taken by the receiver.
    pub delivered: u64,
    /// Failed tries, by reason.
    pub failed: BTreeMap<FailureReason, u64>,
    /// Messages given up: refused, too old, or no room.
    pub given_up: u64,
    /// Messages waiting.
    pub waiting: usize,
    /// When the oldest of them was decided.
    pub oldest_waiting: Option<Timestamp>,
    /// When the last message was taken.
    pub last_success: Option<Timestamp>,
    /// Messages taken within each bound of [`LATENCY_BOUNDS`], not cumulative; the last one is beyond all.
    pub latency: [u64; LATENCY_BOUNDS.len() + 1],
    /// Sum of the latencies in seconds.
    pub latency_sum: f64,
}

#[derive(Debug)]
struct Waiting {
    notice: Arc<Notice>,
    since: Timestamp,
    tries: usize,
    due: Timestamp,
    in_flight: bool,
}

#[derive(Debug)]
struct Mailbox {
    receiver: Receiver,
    status: ReceiverStatus,
    /// By number, so in the order of the decisions.
    waiting: BTreeMap<u64, Waiting>,
    paused_until: Option<Timestamp>,
}

/// Messages on their way.
#[derive(Debug, Default)]
pub struct Outbox {
    mailboxes: Vec<Mailbox>,
    last_number: u64,
}

impl Outbox {
    /// Takes over a changed list of receivers. Messages for one that stays, by name, go on waiting; those for one that
    /// is gone are dropped with it. A receiver that was paused or misconfigured is tried again at once.
    pub fn set_receivers(&mut self, receivers: Vec<Receiver>, now: Timestamp) {
        let mut old = std::mem::take(&mut self.mailboxes);
        for receiver in receivers {
            let kept = old
                .iter()
                .position(|mailbox| mailbox.receiver.name == receiver.name)
                .map(|index| old.swap_remove(index));
            let mut mailbox = kept.unwrap_or_else(|| Mailbox::new(&receiver));
            mailbox.status.integration = receiver.integration;
            mailbox.receiver = receiver;
            mailbox.paused_until = None;
            for waiting in mailbox.waiting.values_mut() {
                waiting.due = waiting.due.min(now);
            }
            self.mailboxes.push(mailbox);
        }
    }

    /// Puts a notice into the box of every receiver that wants its severity; the end of an alert into the box of every
    /// receiver that has been told of it.
    pub fn add(&mut self, notice: &Arc<Notice>, now: Timestamp) {
        for mailbox in &mut self.mailboxes {
            if !notice.is_for(&mailbox.receiver.severities) {
                continue;
            }
            if mailbox.waiting.len() >= MAX_WAITING {
                mailbox.status.given_up += 1;
                continue;
            }
            self.last_number += 1;
            let entry = Waiting {
                notice: Arc::clone(notice),
                since: now,
                tries: 0,
                due: now,
                in_flight: false,
            };
            mailbox.waiting.insert(self.last_number, entry);
        }
    }

    /// The messages to send now. Each is under way until [`Self::answered`] is told what came of it.
    pub fn due(&mut self, now: Timestamp) -> Vec<Delivery> {
        self.mailboxes
            .iter_mut()
            .flat_map(|mailbox| mailbox.due(now))
            .collect()
    }

    /// When the next message falls due, if any waits that is not under way.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.mailboxes
            .iter()
            .flat_map(|mailbox| {
                let waiting = mailbox.waiting.values();
                waiting
                    .filter(|waiting| !waiting.in_flight)
                    .map(|waiting| waiting.due.max(mailbox.paused_until.unwrap_or(waiting.due)))
            })
            .min()
    }

    /// Enters what came of a try. `spread` lies between -1 and 1 and moves the next try by up to [`SPREAD`].
    pub fn answered(&mut self, number: u64, outcome: Outcome, now: Timestamp, spread: f64) {
        let mailbox = self
            .mailboxes
            .iter_mut()
            .find(|mailbox| mailbox.waiting.contains_key(&number));
        if let Some(mailbox) = mailbox {
            mailbox.answered(number, outcome, now, spread);
        }
    }

    /// One entry per receiver, in the order of the configuration.
    pub fn status(&self) -> Vec<ReceiverStatus> {
        self.mailboxes
            .iter()
            .map(|mailbox| ReceiverStatus {
                waiting: mailbox.waiting.len(),
                oldest_waiting: mailbox.waiting.values().map(|waiting| waiting.since).min(),
                ..mailbox.status.clone()
            })
            .collect()
    }
}

impl Mailbox {
    fn new(receiver: &Receiver) -> Self {
        Self {
            receiver: receiver.clone(),
            status: ReceiverStatus {
                name: Arc::clone(&receiver.name),
                integration: receiver.integration,
                delivered: 0,
                failed: BTreeMap::new(),
                given_up: 0,
                waiting: 0,
                oldest_waiting: None,
                last_success: None,
                latency: [0; LATENCY_BOUNDS.len() + 1],
                latency_sum: 0.0,
            },
            waiting: BTreeMap::new(),
            paused_until: None,
        }
    }

    fn due(&mut self, now: Timestamp) -> Vec<Delivery> {
        self.give_up_old(now);
        if self.paused_until.is_some_and(|until| until > now) {
            return Vec::new();
        }
        let under_way = self.waiting.values().filter(|waiting| waiting.in_flight);
        let mut free = MAX_UNDER_WAY.saturating_sub(under_way.count());
        let mut keys_before = std::collections::HashSet::new();
        let mut due = Vec::new();
        for (&number, waiting) in &mut self.waiting {
            if free == 0 {
                break;
            }
            let first_of_its_key = keys_before.insert(waiting.notice.key.as_str());
            if first_of_its_key && !waiting.in_flight && waiting.due <= now {
                waiting.in_flight = true;
                free -= 1;
                due.push(Delivery {
                    number,
                    receiver: Arc::clone(&self.receiver.name),
                    notice: Arc::clone(&waiting.notice),
                });
            }
        }
        due
    }

    fn give_up_old(&mut self, now: Timestamp) {
        let before = self.waiting.len();
        self.waiting.retain(|_, waiting| {
            let age = if waiting.notice.is_resolved() {
                RESOLVE_AGE
            } else {
                TRIGGER_AGE
            };
            waiting.in_flight || now.duration_since(waiting.since) <= age
        });
        self.status.given_up += (before - self.waiting.len()) as u64;
    }

    fn answered(&mut self, number: u64, outcome: Outcome, now: Timestamp, spread: f64) {
        let Some(waiting) = self.waiting.get_mut(&number) else {
            return;
        };
        waiting.in_flight = false;
        waiting.tries += 1;
        match outcome {
            Outcome::Delivered => self.delivered(number, now),
            Outcome::Refused => {
                *self
                    .status
                    .failed
                    .entry(FailureReason::ClientError)
                    .or_default() += 1;
                self.status.given_up += 1;
                self.waiting.remove(&number);
            }
            Outcome::Misconfigured { reason } => {
                *self.status.failed.entry(reason).or_default() += 1;
                waiting.due = later(now, CONFIGURATION_FAULT_DELAY);
            }
            Outcome::Retry { reason, after } => {
                *self.status.failed.entry(reason).or_default() += 1;
                let step = SCHEDULE[(waiting.tries - 1).min(SCHEDULE.len() - 1)];
                let step = step.mul_f64(1.0 + SPREAD * spread.clamp(-1.0, 1.0));
                waiting.due = later(now, step);
                if let Some(after) = after {
                    // Up to a tenth more, never less: the receiver said when it will be ready.
                    let pause = after
                        .min(MAX_RETRY_AFTER)
                        .mul_f64(1.0 + 0.1 * spread.abs().min(1.0));
                    // A receiver that asks for 0 s again and again must not be hammered.
                    waiting.due = later(now, pause.max(step));
                    self.paused_until = Some(waiting.due);
                }
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
    }
}

fn later(now: Timestamp, delay: Duration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
