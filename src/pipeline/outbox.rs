//! Alerts → deliveries: which message is due at which receiver, and what an answer means for it.
//!
//! Receivers are independent of each other. At one receiver the messages of one alert go out in order, and the next one
//! waits until the one before it is delivered or given up: a resolve must never overtake its trigger. A message keeps
//! its id on every try, so a receiver can tell a repetition from news.
//!
//! A resolve goes to those who were told of the alert, whatever has become of its severity. What a receiver cannot take
//! for now goes to its fallback as well; what it will never take, or took too long for, is a dead letter: kept, counted,
//! and to be sent again when somebody says so. A dead letter that a later message of its alert has overtaken stays dead:
//! sent now, it would open at the receiver what nothing closes.
//!
//! An Alertmanager gets each change as a message, too, and besides is reminded of how things stand every minute
//! ([`resend`]). A dead man's switch gets a sign of life as long as all is well ([`heartbeat`]).
//!
//! Nothing here looks at the clock or draws lots: the time and the spread of a delay are arguments.

pub mod answer;
mod due;
pub mod heartbeat;
mod kept;
mod mailbox;
mod newcomer;
pub mod resend;
pub mod wish;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::alert::Notice;
use crate::pipeline::expectation::ConnectorPattern;
use crate::pipeline::outbox::due::Due;
use crate::pipeline::outbox::kept::Journal;
use crate::pipeline::outbox::mailbox::Fallback;
use crate::pipeline::outbox::mailbox::Mailbox;
use crate::pipeline::outbox::resend::Board;
use crate::pipeline::verdict::reason::Severity;

/// Messages that may wait at once for one receiver. At the limit new ones are refused and counted: by then nobody
/// has taken a message for a day.
pub const MAX_WAITING: usize = 10_000;

/// Messages that may be under way to one receiver at once: a cause that hits every server must not open a connection
/// for each.
pub const MAX_UNDER_WAY: usize = 8;

/// Dead letters that are kept for one receiver; the oldest goes first.
pub const MAX_DEAD: usize = 1_000;

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
/// The longest pause that a `Retry-After` leads to; the shortest is the first delay of [`SCHEDULE`].
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);
/// How long a trigger is tried: after a day nobody is helped by it.
pub const TRIGGER_AGE: SignedDuration = SignedDuration::from_hours(24);
/// How long a resolve is tried: an alert that never ends at the receiver is worse than a late end.
pub const RESOLVE_AGE: SignedDuration = SignedDuration::from_hours(72);

/// Upper bounds of the latency histogram, in seconds from the decision to the receiver's answer.
pub const LATENCY_BOUNDS: [f64; 8] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 3600.0];

/// A receiver as far as the outbox is concerned.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its kind, for the `integration` label: `webhook`.
    pub integration: &'static str,
    /// Severities that it wants.
    pub severities: Vec<Severity>,
    /// Connectors that it wants to hear of; empty: all. What belongs to no connector goes to everybody.
    pub connectors: Vec<ConnectorPattern>,
    /// Who is told when this one cannot be.
    pub fallback: Option<Arc<str>>,
    /// How many messages it takes.
    pub rate: Rate,
    /// What it is told.
    pub kind: Kind,
}

/// What a receiver is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// What begins, is repeated and ends; many alerts of one cause as one message.
    Messages,
    /// Each alert by itself, because an Alertmanager groups them, and how things stand every minute.
    Alertmanager {
        /// How many there are; they share no alerts, so each is told.
        instances: usize,
        /// How often they are told how things stand.
        resend: Duration,
    },
    /// That all is well, and nothing else.
    Heartbeat {
        /// How often.
        every: Duration,
    },
}

impl Receiver {
    /// One that hears of every connector, takes messages at the usual rate and has no fallback.
    pub fn new(name: &str, integration: &'static str, severities: &[Severity]) -> Self {
        Self {
            name: Arc::from(name),
            integration,
            severities: severities.to_vec(),
            connectors: Vec::new(),
            fallback: None,
            rate: Rate::default(),
            kind: Kind::Messages,
        }
    }

    /// Whether it wants to be told of an alert of this severity of this connector.
    fn wants(&self, severity: Severity, connector: &str) -> bool {
        let is_meant = self.connectors.is_empty()
            || connector.is_empty()
            || self.connectors.iter().any(|it| it.matches(connector));
        is_meant && self.severities.contains(&severity)
    }
}

/// How many messages a receiver takes: so many at once, and so many a minute in the long run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// In the long run.
    pub per_minute: u32,
}

impl Default for Rate {
    /// Some tens at once are no flood for anybody, and one a second is what the strictest receivers ask for.
    fn default() -> Self {
        Self {
            burst: 30,
            per_minute: 60,
        }
    }
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
    /// Whether to say only what is needed, because the receiver refused the whole.
    pub minimal: bool,
}

/// What was sent, for the answer to find its way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ticket {
    /// The message of this number.
    Message(u64),
    /// How things stand, told to one instance of an Alertmanager.
    Round {
        /// Name of the receiver.
        receiver: Arc<str>,
        /// Which of its instances, from 0.
        instance: usize,
    },
    /// A sign of life.
    Beat {
        /// Name of the receiver.
        receiver: Arc<str>,
    },
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
    /// The configuration is at fault (401, 403, 404, 405, 3xx, a secret that cannot be read): tried slowly until
    /// somebody mends it, and the fallback is told at once.
    Misconfigured {
        /// For the metric.
        reason: FailureReason,
    },
    /// The receiver does not take this message (400, 413, 415, 422): tried once more with a minimal body.
    Refused,
    /// The receiver is gone for good (410): off until the configuration is read again.
    Gone,
}

/// Why a message will not be tried any more.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeathReason {
    /// The receiver refused it, the minimal body too, or takes none any more.
    Refused,
    /// It was tried for longer than it is of use.
    TooOld,
}

impl DeathReason {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::TooOld => "too_old",
        }
    }
}

/// A message that is kept in a mailbox, for people.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Its number.
    pub number: u64,
    /// Name of the receiver.
    pub receiver: Arc<str>,
    /// What it says.
    pub notice: Arc<Notice>,
    /// When it was decided.
    pub since: Timestamp,
    /// How often it was tried.
    pub tries: usize,
    /// When it is tried next; `None`: it is dead.
    pub due: Option<Timestamp>,
    /// Why it is dead, if it is.
    pub death: Option<DeathReason>,
    /// Whether it is being sent right now.
    pub under_way: bool,
    /// Whether it is dead for good, because a later message of the same alert was delivered.
    pub overtaken: bool,
}

/// What came of the wish to send a message again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Replay {
    /// It is sent as soon as its receiver takes messages.
    Due,
    /// There is no message with this number.
    Unknown,
    /// It, or a later message of its alert, is being sent right now.
    UnderWay,
    /// A later message of its alert was delivered; sent now, it would say the opposite of what holds.
    Overtaken,
}

/// What came of the wish to throw a message away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Discard {
    /// It is gone.
    Gone,
    /// There is no message with this number.
    Unknown,
    /// It is being sent right now.
    UnderWay,
}

/// Why a try failed: the closed list of the `reason` label.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
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
    /// Dead letters.
    pub dead: usize,
    /// Whether it said that it is gone, so that nothing is sent until the configuration is read again.
    pub off: bool,
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

/// A receiver that has left the configuration, and took messages with it that nobody gets any more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dropped {
    /// Its name.
    pub receiver: Arc<str>,
    /// How many messages waited for it.
    pub messages: usize,
}

/// Messages on their way.
#[derive(Debug, Default)]
pub struct Outbox {
    mailboxes: Vec<Mailbox>,
    /// Whether one of them may want to hear of what fires already.
    may_have_newcomers: bool,
    board: Board,
    last_number: u64,
    /// Kept only by an outbox that outlives the process.
    journal: Option<Journal>,
}

impl Outbox {
    /// Takes over a changed list of receivers. Messages for one that stays, by name, go on waiting; those for one that
    /// is gone are dropped with it, and it is said how many. A receiver that was misconfigured or gone is tried again at
    /// once. One that is new, or wants more than before, hears of what fires as soon as [`Self::has_newcomers`] is asked.
    pub fn set_receivers(&mut self, receivers: Vec<Receiver>, now: Timestamp) -> Vec<Dropped> {
        let mut old = std::mem::take(&mut self.mailboxes);
        for receiver in receivers {
            let kept = old
                .iter()
                .position(|mailbox| mailbox.receiver.name == receiver.name)
                .map(|index| old.swap_remove(index));
            let mut mailbox = kept.unwrap_or_else(|| Mailbox::new(&receiver));
            mailbox.reconfigure(receiver, now);
            self.mailboxes.push(mailbox);
        }
        let receivers = self.mailboxes.iter().map(|mailbox| &mailbox.receiver);
        self.board.set_receivers(receivers, now);
        self.may_have_newcomers = true;
        let gone = old.iter().map(|mailbox| Dropped {
            receiver: Arc::clone(&mailbox.receiver.name),
            messages: mailbox.living().count(),
        });
        gone.filter(|dropped| dropped.messages > 0).collect()
    }

    /// Puts a notice into the box of every receiver that wants it, and of those that were told of the alert. What is
    /// told of several alerts together is no business of an Alertmanager.
    pub fn add(&mut self, notice: &Arc<Notice>, now: Timestamp) {
        self.put(notice, now, |kind| kind == Kind::Messages);
    }

    /// Puts a notice of a single alert into the boxes of the Alertmanagers, which group alerts themselves.
    pub fn add_single(&mut self, notice: &Notice, now: Timestamp) {
        let is_meant = |kind| matches!(kind, Kind::Alertmanager { .. });
        if self.mailboxes.iter().any(|it| is_meant(it.receiver.kind)) {
            self.put(&Arc::new(notice.clone()), now, is_meant);
        }
    }

    fn put(&mut self, notice: &Arc<Notice>, now: Timestamp, is_meant: impl Fn(Kind) -> bool) {
        if notice.is_resolved() {
            self.forget_in_switches(&notice.key);
        }
        let is_told: Vec<bool> = self
            .mailboxes
            .iter()
            .map(|mailbox| mailbox.is_to_be_told(notice))
            .collect();
        for index in 0..self.mailboxes.len() {
            if !is_told[index] || !is_meant(self.mailboxes[index].receiver.kind) {
                continue;
            }
            self.put_at(index, notice, &is_told, now);
        }
        if self.mailboxes.iter().any(|mailbox| mailbox.status.off) {
            self.hand_over(now);
        }
    }

    /// Puts a notice into one box. `is_told`: for each box, whether its receiver hears of it anyway.
    fn put_at(&mut self, index: usize, notice: &Arc<Notice>, is_told: &[bool], now: Timestamp) {
        // Who is told anyway need not be told in another's stead.
        let other = self.fallback(index);
        let fallback = match other {
            Some(other) if is_told[other] => Fallback::Told,
            _ => Fallback::No,
        };
        let number = &mut self.last_number;
        let taken = self.mailboxes[index].put(number, notice, fallback, now);
        if let (false, Some(other), Fallback::No) = (taken, other, fallback) {
            self.mailboxes[other].put(number, notice, Fallback::No, now);
        }
    }

    fn fallback(&self, index: usize) -> Option<usize> {
        let fallback = self.mailboxes[index].receiver.fallback.as_ref()?;
        let is_meant = |mailbox: &Mailbox| mailbox.receiver.name == *fallback;
        let other = self.mailboxes.iter().position(is_meant)?;
        let takes_messages = self.mailboxes[other].receiver.kind == Kind::Messages;
        (takes_messages && other != index).then_some(other)
    }

    /// Gives up what has been tried for too long.
    pub fn expire(&mut self, now: Timestamp) {
        for mailbox in &mut self.mailboxes {
            mailbox.settle(now);
            mailbox.give_up_old(now);
        }
        self.hand_over(now);
    }

    /// The messages to send now. Each is under way until [`Self::answered`] is told what came of it.
    pub fn due(&mut self, now: Timestamp) -> Vec<Delivery> {
        self.expire(now);
        let committed = self.journal.as_ref().map(|journal| journal.committed);
        let mailboxes = self.mailboxes.iter_mut();
        mailboxes
            .flat_map(|mailbox| mailbox.due(now, committed))
            .collect()
    }

    /// Whether a message waits for nothing but the disk.
    pub fn is_urgent(&self) -> bool {
        let mut mailboxes = self.mailboxes.iter();
        self.journal.is_some() && mailboxes.any(|mailbox| !mailbox.unsettled.is_empty())
    }

    /// What a receiver cannot take goes to its fallback as well. A fallback may have one of its own.
    fn hand_over(&mut self, now: Timestamp) {
        for index in 0..self.mailboxes.len() {
            let Some(other) = self.fallback(index) else {
                continue;
            };
            for notice in self.mailboxes[index].take_handed_over() {
                let mailbox = &mut self.mailboxes[other];
                // What it has already came from somebody whose fallback it is, too, or goes round in a circle. And the
                // end of an alert is no news for somebody who never heard of it.
                let is_news = !notice.is_resolved() || mailbox.told.contains(&notice.key);
                if is_news && !mailbox.holds(&notice.id) {
                    mailbox.put(&mut self.last_number, &notice, Fallback::No, now);
                }
            }
        }
    }

    /// Every message that waits or is dead, by receiver and number.
    pub fn letters(&self) -> Vec<Letter> {
        self.mailboxes.iter().flat_map(Mailbox::letters).collect()
    }

    /// Sends a dead letter again, or a waiting one at once.
    pub fn replay(&mut self, number: u64, now: Timestamp) -> Replay {
        self.mailbox(number)
            .map_or(Replay::Unknown, |mailbox| mailbox.replay(number, now))
    }

    /// Throws a message away, dead or waiting.
    pub fn discard(&mut self, number: u64) -> Discard {
        self.mailbox(number)
            .map_or(Discard::Unknown, |mailbox| mailbox.discard(number))
    }

    fn mailbox(&mut self, number: u64) -> Option<&mut Mailbox> {
        let mut mailboxes = self.mailboxes.iter_mut();
        mailboxes.find(|mailbox| mailbox.waiting.contains_key(&number))
    }

    fn mailbox_of(&mut self, receiver: &str) -> Option<&mut Mailbox> {
        let mut mailboxes = self.mailboxes.iter_mut();
        mailboxes.find(|mailbox| &*mailbox.receiver.name == receiver)
    }

    /// When the next message falls due, if any waits that is not under way.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.mailboxes
            .iter()
            .flat_map(|mailbox| {
                mailbox
                    .living()
                    .filter(|waiting| !waiting.in_flight)
                    .map(|waiting| waiting.due.max(mailbox.paused_until.unwrap_or(waiting.due)))
                    .map(Due::at)
            })
            .min()
    }

    /// Enters what came of a message. `spread` lies between -1 and 1 and moves the next try by up to [`SPREAD`].
    pub fn answered(&mut self, number: u64, outcome: Outcome, now: Timestamp, spread: f64) {
        if let Some(mailbox) = self.mailbox(number) {
            mailbox.answered(number, outcome, now, spread);
        }
        self.hand_over(now);
    }

    /// Enters what came of anything that was sent.
    pub fn returned(&mut self, ticket: &Ticket, outcome: Outcome, now: Timestamp, spread: f64) {
        match ticket {
            Ticket::Message(number) => self.answered(*number, outcome, now, spread),
            Ticket::Round { receiver, instance } => {
                self.board
                    .answered(receiver, *instance, outcome, now, spread);
                if let Some(mailbox) = self.mailbox_of(receiver) {
                    mailbox.round_answered(outcome, now);
                }
            }
            Ticket::Beat { receiver } => {
                if let Some(mailbox) = self.mailbox_of(receiver) {
                    mailbox.beat_answered(outcome, now, spread);
                }
            }
        }
    }

    /// One entry per receiver, in the order of the configuration.
    pub fn status(&self) -> Vec<ReceiverStatus> {
        self.mailboxes.iter().map(Mailbox::status).collect()
    }
}

/// The delay before the next try, after so many failed ones.
fn step(failures: usize, spread: f64) -> Duration {
    let step = SCHEDULE[failures.saturating_sub(1).min(SCHEDULE.len() - 1)];
    step.mul_f64(1.0 + SPREAD * spread.clamp(-1.0, 1.0))
}

/// How long to wait for a receiver that has said how long: up to a tenth more, never less, because it said when it will
/// be ready. One that asks for no time at all again and again must not be hammered.
fn pause(after: Duration, spread: f64) -> Duration {
    let longer = 1.0 + 0.1 * spread.abs().min(1.0);
    let after = after.min(MAX_RETRY_AFTER).mul_f64(longer);
    after.clamp(SCHEDULE[0], MAX_RETRY_AFTER)
}

fn later(now: Timestamp, delay: Duration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
