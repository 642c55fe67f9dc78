//! How soon after a commit the next one comes: soon where little happens, two a second where much does.

use std::time::Duration;
use std::time::Instant;

/// How long changes are gathered where commits have been rare: a row is in the metrics within 0.2 s of a change
/// notification.
const SOON: Duration = Duration::from_millis(50);
/// How long they are gathered on a busy server, so that it costs two commits a second and not a thousand. With a look at
/// the logs every second, a row is in the metrics within 1.5 s.
const BUSY: Duration = Duration::from_millis(500);
/// So many commits may come soon one after the other. Each [`BUSY`] allows another one.
const MAX_CREDIT: u32 = 10;

/// Of the commits so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    last: Instant,
    credit: u32,
    /// Up to when the credit has grown.
    grown: Instant,
}

impl Pace {
    /// The first commit.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            last: now,
            credit: MAX_CREDIT,
            grown: now,
        }
    }

    /// Another commit.
    pub(super) fn commit(&mut self, now: Instant) {
        let (credit, grown) = self.credit(now);
        self.credit = credit.saturating_sub(1);
        self.grown = grown;
        self.last = now;
    }

    /// When the next one is due, if something is to be committed.
    pub(super) fn next(&self, now: Instant) -> Instant {
        match self.credit(now) {
            (0, _) => self.last + BUSY,
            _ => self.last + SOON,
        }
    }

    fn credit(&self, now: Instant) -> (u32, Instant) {
        let since = now.saturating_duration_since(self.grown);
        let more = u32::try_from(since.as_millis() / BUSY.as_millis()).unwrap_or(u32::MAX);
        match self.credit.saturating_add(more) {
            credit if credit < MAX_CREDIT => (credit, self.grown + BUSY * more),
            _ => (MAX_CREDIT, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::clock;

    /// Commits whenever one is due, for so long. How many that are.
    fn commits(pace: &mut Pace, start: Instant, millis: u64) -> usize {
        let mut count = 0;
        for at in 0..millis {
            let now = start + Duration::from_millis(at);
            if pace.next(now) <= now {
                pace.commit(now);
                count += 1;
            }
        }
        count
    }

    #[test]
    fn what_is_rare_is_soon_and_what_is_frequent_is_gathered() {
        let start = clock::instant();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(start);
        assert_eq!(pace.next(start), start + SOON);
        let first = commits(&mut pace, start, 10_000);
        assert!((28..=32).contains(&first), "two a second, and ten: {first}");
        let busy = commits(&mut pace, at(10), 60_000);
        assert!((118..=122).contains(&busy), "two a second: {busy}");
        pace.commit(at(100));
        assert_eq!(pace.next(at(100)), at(100) + SOON);
    }
}
