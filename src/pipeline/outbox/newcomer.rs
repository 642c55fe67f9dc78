//! Receivers that are new, have another name, or want more than before: they hear of what fires already.
//!
//! Otherwise the next that they heard of it would be its repetition, a day later, or nothing: who was not told that an
//! alert began is not told either that it is over. Who was told of an alert is not told again, so a restart with the same
//! configuration says nothing.

use std::sync::Arc;

use jiff::Timestamp;

use crate::pipeline::alert::Notice;
use crate::pipeline::outbox::Kind;
use crate::pipeline::outbox::Outbox;

impl Outbox {
    /// Whether the list of receivers was read anew, so that what fires is to be offered by [`Self::catch_up`]. Asked
    /// when all news have been put into the boxes, because what is among them is told by itself.
    pub fn has_newcomers(&mut self) -> bool {
        std::mem::take(&mut self.may_have_newcomers)
    }

    /// Tells of something that fires whoever wants it and has not heard of it. Whether anybody had not.
    pub fn catch_up(&mut self, notice: &Arc<Notice>, now: Timestamp) -> bool {
        self.offer(notice, now, |kind| kind == Kind::Messages)
    }

    /// The same for Alertmanagers, which get single alerts only. They are reminded of what fires anyway, but a reminder
    /// that fails calls no fallback.
    pub fn catch_up_single(&mut self, notice: &Arc<Notice>, now: Timestamp) -> bool {
        self.offer(notice, now, |kind| {
            matches!(kind, Kind::Alertmanager { .. })
        })
    }

    fn offer(
        &mut self,
        notice: &Arc<Notice>,
        now: Timestamp,
        is_meant: impl Fn(Kind) -> bool,
    ) -> bool {
        let mailboxes = || self.mailboxes.iter();
        let knows = mailboxes().map(|mailbox| mailbox.told.contains(&notice.key));
        let wants = mailboxes().map(|mailbox| mailbox.is_to_be_told(notice));
        let is_told: Vec<bool> = knows
            .zip(wants)
            .map(|(knows, wants)| knows || wants)
            .collect();
        let mut is_news = false;
        for index in 0..self.mailboxes.len() {
            let mailbox = &self.mailboxes[index];
            let is_known = mailbox.told.contains(&notice.key);
            if is_known || !is_told[index] || !is_meant(mailbox.receiver.kind) {
                continue;
            }
            self.put_at(index, notice, &is_told, now);
            is_news = true;
        }
        is_news
    }
}
