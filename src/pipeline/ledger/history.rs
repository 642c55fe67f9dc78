//! Which certificate one connector of one server presented when, over the last months.
//!
//! The ledger's spans tell the first and the last time of each certificate. That hides a change that was taken back, and
//! a server that was silent for a week. So here sessions that presented the same are gathered into spells: two of them
//! belong to one spell if they are no more than [`PAUSE`] apart. What a set of sessions adds up to does not depend on the
//! order in which they come, because logs of several directories are read one after the other; spells join when a late
//! session closes the pause between them.
//!
//! A spell costs about 150 bytes on disk. A connector that is never silent for a day has as many as it had certificates.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::certificate::Thumbprint;
use crate::pipeline::ledger::Span;

/// How far back the history is complete.
pub const SHOWN: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Sessions that are further apart than this belong to two spells: nights fill no history with gaps, days do.
pub const PAUSE: SignedDuration = SignedDuration::from_hours(24);
/// What ended longer ago than this is forgotten. A day more than [`SHOWN`] and [`PAUSE`], so that a session that comes
/// late finds whatever it may join. It counts from the clock, not from the newest session: one row of a server whose
/// clock is wrong must not wipe out the rest.
const KEPT: SignedDuration = SignedDuration::from_hours(92 * 24);
/// How many spells one connector of one server may have; the ones that ended first go first. A server that changes its
/// certificate every day for three months stays below it.
pub const MAX_SPELLS: usize = 128;
/// Of how many days rejections are counted for one connector of one server; the earliest go first.
pub const MAX_DAYS: usize = 128;

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// What was presented when, and when Exchange Online refused to relay.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct History {
    /// Ordered by their beginning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    spells: Vec<Spell>,
    /// Attribution rejections by day, in days since 1970-01-01 (UTC).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    rejections: BTreeMap<i64, u64>,
}

/// A time in which the same was presented, without a pause longer than [`PAUSE`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Spell {
    /// The certificate; `None`: no client certificate.
    pub thumbprint: Option<Thumbprint>,
    /// The sessions, and when the first and the last one were.
    pub span: Span,
}

impl Spell {
    /// Whether a session that presented this at this time belongs to it.
    fn covers(&self, thumbprint: Option<Thumbprint>, time: Timestamp) -> bool {
        let Span {
            first_seen,
            last_seen,
            ..
        } = self.span;
        self.thumbprint == thumbprint
            && first_seen.duration_since(time) <= PAUSE
            && time.duration_since(last_seen) <= PAUSE
    }
}

/// Another certificate than in the spell before, or none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Change {
    /// The first session that presented something else.
    pub at: Timestamp,
    /// What was presented before; `None`: no client certificate.
    pub before: Option<Thumbprint>,
    /// What is presented from then on; `None`: no client certificate.
    pub after: Option<Thumbprint>,
}

impl History {
    /// Enters a session: `None` presented no client certificate.
    pub(super) fn presented(&mut self, thumbprint: Option<Thumbprint>, time: Timestamp) {
        // Nearly always a session goes on with the newest spell of what it presents. Those before ended too long before it.
        let same = |spell: &&mut Spell| spell.thumbprint == thumbprint;
        if let Some(newest) = self.spells.iter_mut().rev().find(same)
            && newest.span.first_seen <= time
            && newest.covers(thumbprint, time)
        {
            newest.span.add(time);
            return;
        }
        self.join(thumbprint, time);
    }

    /// Enters an attribution rejection.
    pub(super) fn rejected(&mut self, time: Timestamp) {
        *self.rejections.entry(day(time)).or_default() += 1;
        if self.rejections.len() > MAX_DAYS {
            self.rejections.pop_first();
        }
    }

    /// Forgets what is too long ago by now. Whether there was anything.
    pub(super) fn forget(&mut self, now: Timestamp) -> bool {
        let before = (self.spells.len(), self.rejections.len());
        let too_old = |time: Timestamp| now.duration_since(time) > KEPT;
        self.spells.retain(|spell| !too_old(spell.span.last_seen));
        self.rejections
            .retain(|&it, _| Timestamp::from_second(it * DAY_SECONDS).is_ok_and(|it| !too_old(it)));
        before != (self.spells.len(), self.rejections.len())
    }

    /// Whether [`Self::forget`] would find anything.
    pub(super) fn is_stale(&self, now: Timestamp) -> bool {
        let mut copy = self.clone();
        copy.forget(now)
    }

    /// The spells of the time from `since` on, ordered by their beginning. One that began before is given in full.
    pub fn spells(&self, since: Timestamp) -> impl Iterator<Item = &Spell> {
        self.spells
            .iter()
            .filter(move |spell| spell.span.last_seen >= since)
    }

    /// The changes of the time from `since` on, oldest first.
    pub fn changes(&self, since: Timestamp) -> impl Iterator<Item = Change> {
        let pairs = self.spells.iter().zip(self.spells.iter().skip(1));
        pairs.filter_map(move |(before, after)| {
            let change = Change {
                at: after.span.first_seen,
                before: before.thumbprint,
                after: after.thumbprint,
            };
            (change.at >= since && change.before != change.after).then_some(change)
        })
    }

    /// How often Exchange Online refused to relay on each day from `since` on: the day's start (UTC), and the count.
    pub fn rejections(&self, since: Timestamp) -> impl Iterator<Item = (Timestamp, u64)> {
        self.rejections
            .range(day(since)..)
            .filter_map(|(&day, &count)| {
                let start = Timestamp::from_second(day * DAY_SECONDS).ok()?;
                Some((start, count))
            })
    }

    /// Joins a session with every spell that it belongs to; with none, it begins one.
    fn join(&mut self, thumbprint: Option<Thumbprint>, time: Timestamp) {
        let mut joined = Spell {
            thumbprint,
            span: Span::at(time),
        };
        self.spells.retain(|spell| {
            let belongs = spell.covers(thumbprint, time);
            if belongs {
                joined.span.count += spell.span.count;
                joined.span.touch(spell.span.first_seen);
                joined.span.touch(spell.span.last_seen);
            }
            !belongs
        });
        let begin = |spell: &Spell| (spell.span.first_seen, spell.thumbprint);
        let place = self
            .spells
            .partition_point(|spell| begin(spell) <= begin(&joined));
        self.spells.insert(place, joined);
        if self.spells.len() > MAX_SPELLS {
            let last_seen = |index: &usize| self.spells[*index].span.last_seen;
            let oldest = (0..self.spells.len()).min_by_key(last_seen);
            self.spells.remove(oldest.unwrap_or_default());
        }
    }
}

fn day(time: Timestamp) -> i64 {
    time.as_second().div_euclid(DAY_SECONDS)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3600;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The certificate of a letter; `-`: none.
    fn thumbprint(letter: char) -> Option<Thumbprint> {
        (letter != '-').then(|| Thumbprint([u8::try_from(letter).unwrap(); 20]))
    }

    fn history(sessions: &[(char, i64)]) -> History {
        let mut history = History::default();
        for (letter, hour) in sessions {
            history.presented(thumbprint(*letter), at(hour * HOUR));
        }
        history
    }

    /// `A 0-24 (3)`, separated by commas.
    fn told(history: &History) -> String {
        let told = history.spells.iter().map(|spell| {
            let letter = spell.thumbprint.map_or('-', |it| char::from(it.0[0]));
            let hour = |time: Timestamp| time.as_second() / HOUR;
            let Span {
                count,
                first_seen,
                last_seen,
            } = spell.span;
            format!(
                "{letter} {}-{} ({count})",
                hour(first_seen),
                hour(last_seen)
            )
        });
        told.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn sessions_are_gathered_into_spells() {
        for (what, sessions, expected) in [
            ("nothing", &[][..], ""),
            (
                "nights make no gap",
                &[('A', 0), ('A', 24), ('A', 47)],
                "A 0-47 (3)",
            ),
            (
                "a day does",
                &[('A', 0), ('A', 25)],
                "A 0-0 (1), A 25-25 (1)",
            ),
            (
                "a change",
                &[('A', 0), ('A', 5), ('B', 6)],
                "A 0-5 (2), B 6-6 (1)",
            ),
            (
                "one that is taken back",
                &[('A', 0), ('B', 1), ('A', 2)],
                "A 0-2 (2), B 1-1 (1)",
            ),
            (
                "no certificate",
                &[('A', 0), ('-', 1), ('-', 2)],
                "A 0-0 (1), - 1-2 (2)",
            ),
            (
                "a late one goes before",
                &[('B', 50), ('A', 3)],
                "A 3-3 (1), B 50-50 (1)",
            ),
            (
                "a late one closes a pause",
                &[('A', 0), ('A', 40), ('A', 20)],
                "A 0-40 (3)",
            ),
            (
                "a late one begins it earlier",
                &[('A', 40), ('A', 20)],
                "A 20-40 (2)",
            ),
        ] {
            assert_eq!(told(&history(sessions)), expected, "{what}");
        }
    }

    #[test]
    fn a_change_is_another_certificate_than_in_the_spell_before() {
        let history = history(&[('A', 0), ('A', 100), ('B', 200), ('-', 300), ('A', 400)]);
        let changes = |since| {
            let letter = |it: Option<Thumbprint>| it.map_or('-', |it| char::from(it.0[0]));
            let told = history.changes(at(since * HOUR)).map(|change| {
                let hour = change.at.as_second() / HOUR;
                format!("{}{} {hour}", letter(change.before), letter(change.after))
            });
            told.collect::<Vec<_>>()
        };
        assert_eq!(changes(0), ["AB 200", "B- 300", "-A 400"]);
        assert_eq!(changes(201), ["B- 300", "-A 400"]);
    }

    #[test]
    fn rejections_are_counted_by_day() {
        let mut history = History::default();
        for hour in [47, 1, 2, 48, -1] {
            history.rejected(at(hour * HOUR));
        }
        let told = |since| {
            let days = history.rejections(at(since * HOUR));
            let day = |(start, count): (Timestamp, u64)| (start.as_second() / HOUR / 24, count);
            days.map(day).collect::<Vec<_>>()
        };
        assert_eq!(told(-1), [(-1, 1), (0, 2), (1, 1), (2, 1)]);
        assert_eq!(told(23), [(0, 2), (1, 1), (2, 1)]);
        for day in 3..1000 {
            history.rejected(at(24 * HOUR * day));
        }
        assert_eq!(history.rejections.len(), MAX_DAYS);
    }

    #[test]
    fn what_is_older_than_the_history_is_forgotten() {
        let days = |days: i64| days * 24;
        let mut history = history(&[('A', 0), ('B', days(2)), ('C', days(90_000))]);
        history.rejected(at(0));
        history.rejected(at(days(2) * HOUR));
        let now = at(days(93) * HOUR);
        assert!(history.is_stale(now) && history.forget(now));
        assert_eq!(told(&history), "B 48-48 (1), C 2160000-2160000 (1)");
        assert!(history.rejections.keys().eq([&2]));
        assert!(!history.is_stale(now) && !history.forget(now));
    }

    #[test]
    fn a_server_that_changes_without_end_costs_a_bounded_amount() {
        let mut history = History::default();
        for number in 0..10_000_u32 {
            let mut bytes = [0; 20];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            history.presented(Some(Thumbprint(bytes)), at(i64::from(number)));
        }
        assert_eq!(history.spells.len(), MAX_SPELLS);
        let text = serde_json::to_string(&history).unwrap();
        assert!(text.len() < 170 * MAX_SPELLS, "{} bytes", text.len());
    }

    type Sessions = Vec<(char, i64)>;

    /// Sessions of three months, and the same in another order.
    fn shuffled() -> impl Strategy<Value = (Sessions, Sessions)> {
        let session = (
            prop::sample::select(vec!['A', 'B', 'C', '-']),
            0..90 * 24_i64,
        );
        prop::collection::vec(session, 1..120)
            .prop_flat_map(|sessions| (Just(sessions.clone()), Just(sessions).prop_shuffle()))
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter((sessions, others) in shuffled()) {
            let one = history(&sessions);
            prop_assert_eq!(&one, &history(&others));
            let total: u64 = one.spells.iter().map(|spell| spell.span.count).sum();
            prop_assert_eq!(total, sessions.len() as u64);
            let text = serde_json::to_string(&one).unwrap();
            prop_assert_eq!(one, serde_json::from_str::<History>(&text).unwrap());
        }
    }
}
