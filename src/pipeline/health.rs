//! What certdrift itself lacks: logs that it cannot read, parts of them that were lost, exports that are out of date.
//!
//! Silence because nothing is wrong and silence because nothing is seen look the same from outside. So what keeps
//! certdrift from seeing is an alert like any other. It takes a while to count, because shares come and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::pipeline::alert::findings::Confirmed;
use crate::pipeline::saved::pairs;
use crate::pipeline::session::Place;
use crate::pipeline::snapshot::ExportStatus;
use crate::pipeline::snapshot::SourceStatus;
use crate::pipeline::verdict;
use crate::pipeline::verdict::powershell_quote;
use crate::pipeline::verdict::reason::Reason;
use crate::pipeline::verdict::reason::ReasonCode;

/// A source, or one of its files, must be unreadable for so long to be told.
pub const UNREADABLE_FOR: SignedDuration = SignedDuration::from_mins(5);
/// Lost data and a recovered state are told for so long.
pub const TOLD_FOR: SignedDuration = SignedDuration::from_hours(24);
/// So many sources and servers are remembered to have lost something when they are gone.
const MAX_LOST: usize = 4096;
/// An export that is older than this is stale: the scheduled task that writes it has stopped.
pub const STALE_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What was wrong at the last look, and since when.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Health {
    #[serde(with = "pairs")]
    unreadable: BTreeMap<(String, Arc<str>), Unreadable>,
    #[serde(with = "pairs")]
    lost: BTreeMap<(String, Arc<str>), Lost>,
}

/// A source that cannot be read.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Unreadable {
    since: Timestamp,
    trouble: String,
}

/// Bytes that a source has lost.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
struct Lost {
    bytes: u64,
    /// When the first and the last of them were noticed, since it was last quiet for [`TOLD_FOR`].
    noticed: Option<(Timestamp, Timestamp)>,
}

impl Health {
    /// What holds now. `recovered`: when the state was found damaged and set aside.
    pub fn conditions(
        &mut self,
        sources: &[SourceStatus],
        exports: &[ExportStatus],
        recovered: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<(Place, Confirmed)> {
        let mut held = Vec::new();
        held.extend(self.unreadable(sources, now));
        held.extend(self.losing(sources, now));
        held.extend(exports.iter().filter_map(|export| stale(export, now)));
        held.extend(recovered.and_then(|at| recovered_state(at, now)));
        held
    }

    fn unreadable(&mut self, sources: &[SourceStatus], now: Timestamp) -> Vec<(Place, Confirmed)> {
        let key = |status: &SourceStatus| (status.source.clone(), Arc::clone(&status.server));
        let mut known = std::mem::take(&mut self.unreadable);
        let mut held = Vec::new();
        for status in sources {
            let before = known.remove(&key(status));
            let found = match (&status.trouble, before) {
                (Some(trouble), before) => Unreadable {
                    // A clock that was ahead and is set back must not make the wait longer.
                    since: before.map_or(now, |before| before.since.min(now)),
                    trouble: trouble.clone(),
                },
                // Nobody has looked since the start: what was wrong then still is, for all that is known.
                (None, Some(before)) if !status.up => Unreadable {
                    since: before.since.min(now),
                    ..before
                },
                (None, _) => continue,
            };
            let Unreadable { since, trouble } = found.clone();
            self.unreadable.insert(key(status), found);
            if now.duration_since(since) >= UNREADABLE_FOR {
                let action = "# The message names the remedy. On the machine of certdrift: ls -l of the path, mount, and the access rights of its account.".to_owned();
                let code = ReasonCode::SourceUnreadable;
                let reason = verdict::state(code, "logs that can be read", trouble, action);
                held.extend(confirmed(&status.server, reason, since));
            }
        }
        held
    }

    fn losing(&mut self, sources: &[SourceStatus], now: Timestamp) -> Vec<(Place, Confirmed)> {
        let mut held = Vec::new();
        let mut known = std::mem::take(&mut self.lost);
        for status in sources {
            let key = (status.source.clone(), Arc::clone(&status.server));
            let bytes = status.lost_bytes();
            // What is lost at the very first look is news as well.
            let mut lost = known.remove(&key).unwrap_or_default();
            lost.notice(bytes, now);
            self.lost.insert(key, lost);
            if let Some((first, _)) = lost.noticed {
                let observed = format!("{}: {} bytes in all", status.source, bytes);
                let server = powershell_quote(&status.server);
                let action = format!(
                    "Get-TransportService {server} | Format-List SendProtocolLogPath,SendProtocolLogMaxAge,SendProtocolLogMaxDirectorySize,SendProtocolLogMaxFileSize\n# Deleted unread: let the logs live longer, or find out why they were not read in time. Damaged: the server crashed, or its disk was full."
                );
                let code = ReasonCode::SourceLosingData;
                let reason = verdict::state(code, "every row read", observed, action);
                held.extend(confirmed(&status.server, reason, first));
            }
        }
        // A source that comes back with what it lost before has been told of.
        known.retain(|_, lost| lost.bytes > 0);
        let room = MAX_LOST.saturating_sub(self.lost.len());
        self.lost.extend(known.into_iter().take(room));
        held
    }
}

impl Lost {
    fn notice(&mut self, bytes: u64, now: Timestamp) {
        // What was noticed while the clock was ahead was noticed by now at the latest.
        let noticed = self.noticed;
        self.noticed = noticed.map(|(first, last)| (first.min(now), last.min(now)));
        if bytes > self.bytes {
            let first = self.noticed.map_or(now, |(first, _)| first);
            self.noticed = Some((first, now));
        }
        self.bytes = bytes;
        self.noticed = self
            .noticed
            .filter(|(_, last)| now.duration_since(*last) < TOLD_FOR);
    }
}

fn stale(export: &ExportStatus, now: Timestamp) -> Option<(Place, Confirmed)> {
    let run_again =
        "# On an Exchange server: .\\Export-CertDriftExpectation.ps1, and look at its scheduled task."
            .to_owned();
    if let Some(problem) = &export.problem {
        let since = export.since.unwrap_or(now);
        let observed = format!("{problem} (since {since})");
        let code = ReasonCode::ExportUnreadable;
        let reason = verdict::state(code, "an export that can be read", observed, run_again);
        return confirmed("", reason, since);
    }
    let exported = export.exported_at?;
    let became_stale = exported.checked_add(STALE_AFTER).ok()?;
    if now < became_stale {
        return None;
    }
    let observed = format!("{} of {exported}", export.file.display());
    let code = ReasonCode::ExportOld;
    let reason = verdict::state(code, "an export of the last 7 days", observed, run_again);
    confirmed("", reason, became_stale)
}

fn recovered_state(at: Timestamp, now: Timestamp) -> Option<(Place, Confirmed)> {
    if now.duration_since(at) >= TOLD_FOR {
        return None;
    }
    let action = "# Look for the cause on the machine of certdrift: its disk, its file system, a crash. The damaged database stands beside the new one.".to_owned();
    let observed = format!("recovered at {at}");
    let code = ReasonCode::StateRecovered;
    let reason = verdict::state(code, "an undamaged database", observed, action);
    confirmed("", reason, at)
}

fn confirmed(server: &str, reason: Reason, since: Timestamp) -> Option<(Place, Confirmed)> {
    let place = Place {
        server: Arc::from(server),
        connector: Arc::from(""),
    };
    let confirmed = Confirmed {
        alert: reason.alert()?,
        since,
        reason,
    };
    Some((place, confirmed))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
    }

    fn source(server: &str, trouble: Option<&str>, lost: u64) -> SourceStatus {
        SourceStatus {
            up: trouble.is_none(),
            trouble: trouble.map(str::to_owned),
            directories: 1,
            files: 1,
            deleted_unread_bytes: lost,
            ..SourceStatus::new("/logs".to_owned(), Arc::from(server))
        }
    }

    /// Alerts with the minute of their beginning.
    fn told(health: &mut Health, sources: &[SourceStatus], minute: i64) -> Vec<(String, i64)> {
        let held = health.conditions(sources, &[], None, at(minute));
        held.into_iter()
            .map(|(place, held)| {
                let minute = held.since.as_second() / 60;
                (format!("{} {place}", held.alert.as_str()), minute)
            })
            .collect()
    }

    #[test]
    fn a_share_that_stays_away_is_told_after_a_while() {
        let mut health = Health::default();
        let down = [source("EX01", Some("gone"), 0), source("EX02", None, 0)];
        let up = [source("EX01", None, 0), source("EX02", None, 0)];
        assert_eq!(told(&mut health, &down, 0), []);
        assert_eq!(told(&mut health, &down, 4), []);
        let gone = ("SourceUnreadable EX01".to_owned(), 0);
        assert_eq!(told(&mut health, &down, 5), [gone]);
        assert_eq!(told(&mut health, &up, 6), []);
        assert_eq!(told(&mut health, &down, 7), [], "a new beginning");
        assert_eq!(told(&mut health, &down, 12).len(), 1);
    }

    #[test]
    fn lost_data_is_told_for_a_day() {
        let mut health = Health::default();
        let lost = |bytes| [source("EX01", None, bytes)];
        assert_eq!(told(&mut health, &lost(0), 0), []);
        assert_eq!(told(&mut health, &lost(0), 1), []);
        let losing = [("SourceLosingData EX01".to_owned(), 2)];
        assert_eq!(told(&mut health, &lost(8), 2), losing);
        assert_eq!(told(&mut health, &lost(9), 60), losing);
        assert_eq!(told(&mut health, &lost(9), 59 + 24 * 60), losing);
        assert_eq!(told(&mut health, &lost(9), 60 + 24 * 60), []);
    }

    #[test]
    fn what_is_lost_at_the_first_look_is_told_and_only_once() {
        let mut health = Health::default();
        let lossy = [source("EX01", None, 7)];
        let losing = [("SourceLosingData EX01".to_owned(), 0)];
        assert_eq!(told(&mut health, &lossy, 0), losing);
        let day = 24 * 60;
        assert_eq!(told(&mut health, &lossy, day), []);
        assert_eq!(
            told(&mut health, &[], day + 1),
            [],
            "out of the configuration"
        );
        assert_eq!(told(&mut health, &lossy, day + 2), [], "and back in it");
        // A state of before: every source that was looked at stands in it.
        let text = serde_json::to_string(&health).unwrap();
        let mut health: Health = serde_json::from_str(&text).unwrap();
        assert_eq!(told(&mut health, &lossy, day + 3), []);
    }

    #[test]
    fn a_clock_that_is_set_back_by_a_day_puts_off_nothing() {
        let day = 24 * 60;
        let down = [source("EX01", Some("gone"), 0)];
        let not_looked = down.clone().map(|status| SourceStatus {
            trouble: None,
            ..status
        });
        for after in [&down, &not_looked] {
            let mut health = Health::default();
            assert_eq!(told(&mut health, &down, day), []);
            assert_eq!(told(&mut health, after, 10), [], "set back");
            assert_eq!(told(&mut health, after, 14), []);
            let gone = ("SourceUnreadable EX01".to_owned(), 10);
            assert_eq!(told(&mut health, after, 15), [gone]);
        }
        let mut health = Health::default();
        let lossy = [source("EX01", None, 7)];
        for (minute, count) in [(day, 1), (10, 1), (9 + day, 1), (10 + day, 0)] {
            assert_eq!(told(&mut health, &lossy, minute).len(), count, "{minute}");
        }
    }

    #[test]
    fn stale_exports_and_a_recovered_state_are_told() {
        let export = |problem: Option<&str>, exported: i64| ExportStatus {
            name: "inbound_connectors",
            file: "inbound.json".into(),
            exported_at: Some(at(exported)),
            problem: problem.map(str::to_owned),
            since: Some(at(3)),
        };
        let week = 7 * 24 * 60;
        let told = |export: &ExportStatus, minute| {
            let exports = std::slice::from_ref(export);
            let held = Health::default().conditions(&[], exports, None, at(minute));
            held.first()
                .map(|(_, held)| (held.reason.code, held.since.as_second() / 60))
        };
        let unreadable = Some((ReasonCode::ExportUnreadable, 3));
        assert_eq!(told(&export(Some("broken"), 0), 4), unreadable);
        assert_eq!(told(&export(None, 0), week - 1), None);
        let old = Some((ReasonCode::ExportOld, week));
        assert_eq!(told(&export(None, 0), week), old);
        for (minute, count) in [(10, 1), (9 + 24 * 60, 1), (10 + 24 * 60, 0)] {
            let recovered = Some(at(10));
            let held = Health::default().conditions(&[], &[], recovered, at(minute));
            assert_eq!(held.len(), count, "{minute}");
        }
    }

    #[test]
    fn what_was_wrong_stays_so_over_a_restart_until_somebody_has_looked() {
        let mut health = Health::default();
        let gone = source("EX01", Some("gone"), 0);
        let lossy = source("EX02", None, 0);
        told(&mut health, &[gone.clone(), lossy], 0);
        let lossy = source("EX02", None, 7);
        let sources = [gone, lossy];
        let before = told(&mut health, &sources, 6);
        assert_eq!(before.len(), 2);
        let text = serde_json::to_string(&health).unwrap();
        let mut health: Health = serde_json::from_str(&text).unwrap();
        let not_looked = sources.clone().map(|status| SourceStatus {
            up: false,
            trouble: None,
            ..status
        });
        assert_eq!(told(&mut health, &not_looked, 7), before);
        assert_eq!(told(&mut health, &sources, 8), before);
        let well = sources.map(|status| SourceStatus {
            up: true,
            trouble: None,
            ..status
        });
        assert_eq!(
            told(&mut health, &well, 9).len(),
            1,
            "only the loss is still told"
        );
    }
}
