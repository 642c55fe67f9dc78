//! The outbox over a restart: messages that wait, and the counts of the receivers.
//!
//! A message that was under way waits again: whether the receiver took it is not known, and the id tells it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::alert::Notice;
use crate::pipeline::outbox::DeathReason;
use crate::pipeline::outbox::FailureReason;
use crate::pipeline::outbox::LATENCY_BOUNDS;
use crate::pipeline::outbox::MAX_RETRY_AFTER;
use crate::pipeline::outbox::Outbox;
use crate::pipeline::outbox::Receiver;
use crate::pipeline::outbox::due::Due;
use crate::pipeline::outbox::mailbox::Death;
use crate::pipeline::outbox::mailbox::Fallback;
use crate::pipeline::outbox::mailbox::Mailbox;
use crate::pipeline::outbox::mailbox::Waiting;
use crate::pipeline::outbox::resend::Board;
use crate::pipeline::saved::Changes;
use crate::pipeline::saved::Saved;
use crate::pipeline::saved::Table;
use crate::pipeline::saved::Unreadable;
use crate::pipeline::saved::Written;

/// The key of the number of the last message.
const LAST_NUMBER: &str = "last_message";

/// What is on disk.
#[derive(Debug)]
pub(super) struct Journal {
    /// Messages that are.
    stored: BTreeSet<u64>,
    /// The last message that may be sent: what is not on disk yet could be decided otherwise after a crash.
    pub(super) committed: u64,
}

/// A message as it is written down.
#[derive(Deserialize, Serialize)]
struct KeptMessage {
    receiver: Arc<str>,
    notice: Arc<Notice>,
    since: Timestamp,
    tries: usize,
    due: Timestamp,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    minimal: bool,
    /// Whether the fallback has been told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    handed_over: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    death: Option<DeathReason>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    overtaken: bool,
}

/// The counts of a receiver as they are written down.
#[derive(Deserialize, Serialize)]
struct KeptReceiver {
    delivered: u64,
    failed: BTreeMap<FailureReason, u64>,
    given_up: u64,
    last_success: Option<Timestamp>,
    latency: [u64; LATENCY_BOUNDS.len() + 1],
    latency_sum: f64,
    paused_until: Option<Timestamp>,
    /// How long that was to be; earlier versions did not say.
    #[serde(default = "longest")]
    pause: Duration,
    #[serde(default)]
    told: BTreeSet<String>,
}

impl Outbox {
    /// Adds what changed since the last time.
    pub fn take_changes(&mut self, written: &mut Written, changes: &mut Changes) {
        let Some(journal) = &mut self.journal else {
            return;
        };
        let waiting = self.mailboxes.iter();
        let waiting: BTreeSet<u64> = waiting
            .flat_map(|mailbox| mailbox.waiting.keys().copied())
            .collect();
        for gone in journal.stored.difference(&waiting) {
            changes.remove(Table::Message, row_key(*gone));
        }
        journal.stored = waiting;
        for mailbox in &mut self.mailboxes {
            for (number, waiting) in &mut mailbox.waiting {
                if std::mem::take(&mut waiting.changed) {
                    let kept = waiting.kept(&mailbox.receiver.name);
                    changes.put(Table::Message, row_key(*number), &kept);
                }
            }
        }
        let receivers = self.mailboxes.iter();
        let receivers = receivers.map(|it| (it.receiver.name.to_string(), it.kept()));
        written.rows(Table::Receiver, receivers, changes);
        written.row(Table::Whole, LAST_NUMBER, &self.last_number, changes);
        self.board.take_changes(written, changes);
    }

    /// Marks everything as changed.
    pub fn change_everything(&mut self) {
        let messages = self.mailboxes.iter_mut();
        for waiting in messages.flat_map(|mailbox| mailbox.waiting.values_mut()) {
            waiting.changed = true;
        }
    }

    /// Everything that was handed out is on disk: what waits may be sent.
    pub fn committed(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.committed = self.last_number;
            self.board.committed();
            for mailbox in &mut self.mailboxes {
                mailbox.unsettled.clear();
            }
        }
    }

    /// What was saved. Its messages wait for receivers of the same names.
    ///
    /// # Errors
    /// When a row holds something else than it should.
    pub fn restore(saved: &Saved) -> Result<Self, Unreadable> {
        let mut mailboxes: BTreeMap<Arc<str>, Mailbox> = BTreeMap::new();
        for row in saved.rows::<KeptReceiver>(Table::Receiver) {
            let (name, kept) = row?;
            let mut mailbox = nameless(name);
            kept.restore(&mut mailbox);
            mailboxes.insert(Arc::from(name), mailbox);
        }
        let mut last_number: u64 = saved.row(Table::Whole, LAST_NUMBER)?.unwrap_or_default();
        let mut stored = BTreeSet::new();
        for row in saved.rows::<KeptMessage>(Table::Message) {
            let (key, kept) = row?;
            let number: u64 = key.parse().map_err(|_| Unreadable {
                table: Table::Message,
                key: key.to_owned(),
                why: "this is no number".to_owned(),
            })?;
            stored.insert(number);
            last_number = last_number.max(number);
            let mailbox = mailboxes
                .entry(Arc::clone(&kept.receiver))
                .or_insert_with(|| nameless(&kept.receiver));
            mailbox.waiting.insert(number, kept.restore());
        }
        let committed = last_number;
        Ok(Self {
            mailboxes: mailboxes.into_values().collect(),
            may_have_newcomers: false,
            board: Board::restore(saved)?,
            last_number,
            journal: Some(Journal { stored, committed }),
        })
    }
}

/// A mailbox of which nothing but the name is known, until the configuration says the rest.
fn nameless(name: &str) -> Mailbox {
    Mailbox::new(&Receiver::new(name, "", &[]))
}

impl Waiting {
    fn kept(&self, receiver: &Arc<str>) -> KeptMessage {
        KeptMessage {
            receiver: Arc::clone(receiver),
            notice: Arc::clone(&self.notice),
            since: self.since,
            tries: self.tries,
            due: self.due.at(),
            minimal: self.minimal,
            handed_over: self.fallback == Fallback::Told,
            death: self.death.map(|death| death.reason),
            overtaken: self.death.is_some_and(|death| death.overtaken),
        }
    }
}

impl KeptMessage {
    fn restore(self) -> Waiting {
        Waiting {
            notice: self.notice,
            since: self.since,
            tries: self.tries,
            due: Due::restored(self.due, longest()),
            in_flight: false,
            minimal: self.minimal,
            // Handing over is written down with what was handed over, in one transaction. What died before there was a
            // fallback waits for one.
            fallback: match (self.handed_over, self.death) {
                (true, _) => Fallback::Told,
                (false, Some(_)) => Fallback::Wanted,
                (false, None) => Fallback::No,
            },
            death: self.death.map(|reason| Death {
                reason,
                overtaken: self.overtaken,
            }),
            changed: false,
        }
    }
}

impl Mailbox {
    fn kept(&self) -> KeptReceiver {
        let status = &self.status;
        KeptReceiver {
            delivered: status.delivered,
            failed: status.failed.clone(),
            given_up: status.given_up,
            last_success: status.last_success,
            latency: status.latency,
            latency_sum: status.latency_sum,
            paused_until: self.paused_until.map(Due::at),
            pause: self.paused_until.map_or_else(longest, Due::wait),
            told: self.told.clone(),
        }
    }
}

impl KeptReceiver {
    fn restore(self, mailbox: &mut Mailbox) {
        let until = self.paused_until;
        mailbox.paused_until = until.map(|at| Due::restored(at, self.pause));
        mailbox.told = self.told;
        let status = &mut mailbox.status;
        status.delivered = self.delivered;
        status.failed = self.failed;
        status.given_up = self.given_up;
        status.last_success = self.last_success;
        status.latency = self.latency;
        status.latency_sum = self.latency_sum;
    }
}

/// Nothing waits for longer.
fn longest() -> Duration {
    MAX_RETRY_AFTER
}

/// Numbers in the order of their texts.
fn row_key(number: u64) -> String {
    format!("{number:020}")
}
