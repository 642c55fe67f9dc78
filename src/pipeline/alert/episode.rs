//! How often an alert has begun at the same time.
//!
//! An episode of an alert is known by when it began, in the log's own time, so that two machines that read the same logs
//! give their messages the same ids. But some beginnings are facts of the certificate and come again: one that expired
//! on the first of March has been expired since then, each time that it is presented anew. Then episodes are counted,
//! because a receiver that has seen an id before takes the second beginning for a repetition, and tells nobody.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

/// Alerts of which the last episode is remembered; the one that ended first goes first.
const MAX_REMEMBERED: usize = 4_096;
/// For how long it is: no receiver remembers an id for longer.
const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The last episodes of alerts that are over, by the alert's key.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Episodes {
    last: BTreeMap<String, Episode>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Episode {
    since: Timestamp,
    number: u32,
    ended: Timestamp,
}

impl Episodes {
    /// The number of the episode that begins: 0, unless the one before began at the same time.
    pub(super) fn begin(&self, key: &str, since: Timestamp) -> u32 {
        let before = self.last.get(key).filter(|last| last.since == since);
        before.map_or(0, |last| last.number.saturating_add(1))
    }

    pub(super) fn end(&mut self, key: String, since: Timestamp, number: u32, now: Timestamp) {
        let ended = Episode {
            since,
            number,
            ended: now,
        };
        self.last.insert(key, ended);
        self.last.retain(|_, last| {
            // A clock that was ahead must not make them be remembered for longer than others.
            last.ended = last.ended.min(now);
            now.duration_since(last.ended) < REMEMBERED_FOR
        });
        if self.last.len() > MAX_REMEMBERED {
            let first = self.last.iter().min_by_key(|(_, last)| last.ended);
            if let Some(key) = first.map(|(key, _)| key.clone()) {
                self.last.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }

    #[test]
    fn only_beginnings_that_come_again_are_counted() {
        let mut episodes = Episodes::default();
        for (since, number, end) in [(0, 0, 10), (0, 1, 20), (15, 0, 30), (15, 1, 40), (0, 0, 50)] {
            assert_eq!(episodes.begin("a", at(since)), number, "since {since}");
            assert_eq!(episodes.begin("b", at(since)), 0);
            episodes.end("a".to_owned(), at(since), number, at(end));
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut episodes = Episodes::default();
        for second in 0..=i64::try_from(MAX_REMEMBERED).unwrap_or_default() {
            episodes.end(second.to_string(), at(0), 0, at(second));
        }
        assert_eq!(episodes.last.len(), MAX_REMEMBERED);
        assert_eq!(episodes.begin("0", at(0)), 0, "the first one is forgotten");
        assert_eq!(episodes.begin("1", at(0)), 1);
    }

    #[test]
    fn what_ended_while_the_clock_was_ahead_is_forgotten_in_its_turn() {
        let month = 30 * 24 * 3600;
        let mut episodes = Episodes::default();
        for (key, end, number) in [("ahead", 2 * month, 1), ("b", 0, 1), ("b", month, 0)] {
            episodes.end(key.to_owned(), at(0), 0, at(end));
            assert_eq!(episodes.begin("ahead", at(0)), number, "{key} {end}");
        }
    }

    #[test]
    fn an_episode_is_remembered_for_thirty_days() {
        let month = 30 * 24 * 3600;
        for (later, number) in [(month - 1, 1), (month, 0)] {
            let mut episodes = Episodes::default();
            episodes.end("a".to_owned(), at(0), 0, at(10));
            episodes.end("b".to_owned(), at(0), 0, at(10 + later));
            assert_eq!(episodes.begin("a", at(0)), number);
        }
    }
}
