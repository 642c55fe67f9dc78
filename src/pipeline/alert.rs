//! Confirmed findings → alerts: when one begins, is repeated, and ends.
//!
//! An alert is identified by its name, server and connector, and by nothing that may change while it lasts: thumbprint
//! and severity are what it tells, not what it is. So a resolve always meets its trigger, at every receiver and after a
//! restart.

pub mod disagreement;
pub mod episode;
pub mod findings;
pub mod recent;
pub mod rhythm;
pub mod silence;
pub mod summary;
pub mod troubles;
pub mod unseen;

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::pipeline::alert::episode::Episodes;
use crate::pipeline::alert::findings::Confirmed;
use crate::pipeline::saved::Saved;
use crate::pipeline::saved::Table;
use crate::pipeline::saved::Unreadable;
use crate::pipeline::session::Place;
use crate::pipeline::shown::is_deceptive;
use crate::pipeline::shown::shown;
use crate::pipeline::verdict::one_command;
use crate::pipeline::verdict::reason::AlertName;
use crate::pipeline::verdict::reason::Reason;
use crate::pipeline::verdict::reason::Severity;

/// A firing alert is told again after this time: drift is no outage, but it must not be forgotten either.
pub const REPEAT: SignedDuration = SignedDuration::from_hours(24);

/// The longest deduplication key, in bytes; a longer one, or one with characters that cannot be seen, is hashed. `PagerDuty` takes 255.
pub const MAX_KEY_BYTES: usize = 200;

/// The key of what is remembered of alerts that are over.
pub const EPISODES: &str = "episodes";

/// An alert that is firing.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Firing {
    /// Which alert.
    pub name: AlertName,
    /// Where.
    pub place: Place,
    /// The gravest of its reasons.
    pub severity: Severity,
    /// Since when, by the log's own time.
    pub since: Timestamp,
    /// What holds.
    pub reasons: Vec<Reason>,
    notified: Timestamp,
    /// The gravest severity that was told since it was told last as it stands: one that changes to and fro is no news.
    #[serde(default)]
    told: Option<Severity>,
    repeats: u32,
    /// Which of the episodes that began at the same time.
    #[serde(default, skip_serializing_if = "is_first_episode")]
    episode: u32,
}

/// Something to tell the receivers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Notice {
    /// The same for trigger and resolve, across restarts and replicas.
    pub key: String,
    /// Equal on every try and on every replica that reads the same logs; another one for every message.
    pub id: String,
    /// Which alert.
    pub name: AlertName,
    /// Where.
    pub place: Place,
    /// The gravest of its reasons.
    pub severity: Severity,
    /// Whether the alert begins with it; otherwise it is told again, or ends.
    pub is_first: bool,
    /// At how many places it holds; [`Self::place`] is the first of them.
    pub places: usize,
    /// Since when, by the log's own time.
    pub starts_at: Timestamp,
    /// When it ended; `None` while it fires.
    pub ends_at: Option<Timestamp>,
    /// What holds, or what held until now.
    pub reasons: Vec<Reason>,
}

impl Notice {
    /// Whether it says that the alert is over.
    pub fn is_resolved(&self) -> bool {
        self.ends_at.is_some()
    }
}

/// As people read it. What is wrong with certdrift itself, or with
/// several servers together, has a place with an empty server or connector.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (server, connector) = (shown(&self.server), shown(&self.connector));
        match (server.is_empty(), connector.is_empty()) {
            (true, true) => f.write_str("certdrift"),
            (false, true) => f.write_str(&server),
            (true, false) => write!(f, "connector {connector}"),
            (false, false) => write!(f, "{server}, connector {connector}"),
        }
    }
}

/// All alerts that are firing.
#[derive(Debug, Default)]
pub struct Alerts {
    firing: BTreeMap<(Place, AlertName), Firing>,
    episodes: Episodes,
}

impl Alerts {
    /// Brings the alerts of one connector in line with what is confirmed, and says what changed.
    pub fn update(
        &mut self,
        place: &Place,
        confirmed: &[Confirmed],
        now: Timestamp,
    ) -> Vec<Notice> {
        self.update_kind(place, confirmed, false, now)
    }

    /// The same for what is wrong with certdrift itself. Its place may be that of a connector without a name, whose alerts
    /// this leaves alone, as [`Self::update`] does these.
    pub fn update_own(
        &mut self,
        place: &Place,
        confirmed: &[Confirmed],
        now: Timestamp,
    ) -> Vec<Notice> {
        self.update_kind(place, confirmed, true, now)
    }

    fn update_kind(
        &mut self,
        place: &Place,
        confirmed: &[Confirmed],
        own: bool,
        now: Timestamp,
    ) -> Vec<Notice> {
        let mut notices = self.end_all_but(place, confirmed, own, now);
        let mut by_name: BTreeMap<AlertName, Vec<&Confirmed>> = BTreeMap::new();
        for finding in confirmed {
            by_name.entry(finding.alert).or_default().push(finding);
        }
        for (name, findings) in by_name {
            notices.extend(self.begin_or_repeat(place, name, &findings, now));
        }
        notices
    }

    /// The alerts that are firing, ordered by server, connector and name.
    pub fn firing(&self) -> impl Iterator<Item = &Firing> {
        self.firing.values()
    }

    /// What is remembered of alerts that are over.
    pub fn episodes(&self) -> &Episodes {
        &self.episodes
    }

    /// What was saved.
    ///
    /// # Errors
    /// When a row holds something else than it should.
    pub fn restore(saved: &Saved) -> Result<Self, Unreadable> {
        let rows = saved.rows::<Firing>(Table::Alert);
        let firing = rows.map(|row| row.map(|(_, it)| ((it.place.clone(), it.name), it)));
        Ok(Self {
            firing: firing.collect::<Result<_, _>>()?,
            episodes: saved.row(Table::Whole, EPISODES)?.unwrap_or_default(),
        })
    }

    fn end_all_but(
        &mut self,
        place: &Place,
        confirmed: &[Confirmed],
        own: bool,
        now: Timestamp,
    ) -> Vec<Notice> {
        let over: Vec<_> = self
            .firing
            .keys()
            .filter(|(at, name)| at == place && name.is_about_certdrift() == own)
            .filter(|(_, name)| confirmed.iter().all(|finding| finding.alert != *name))
            .cloned()
            .collect();
        let mut notices = Vec::new();
        for firing in over.iter().filter_map(|key| self.firing.remove(key)) {
            let (key, since) = (firing.key(), firing.since);
            self.episodes.end(key, since, firing.episode, now);
            notices.push(firing.ended(now));
        }
        notices
    }

    fn begin_or_repeat(
        &mut self,
        place: &Place,
        name: AlertName,
        findings: &[&Confirmed],
        now: Timestamp,
    ) -> Option<Notice> {
        let mut reasons: Vec<Reason> = findings.iter().map(|found| found.reason.clone()).collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.severity));
        one_command(reasons.iter_mut().map(|reason| &mut reason.action));
        let severity = reasons.iter().map(|reason| reason.severity).max()?;
        let since = findings.iter().map(|found| found.since).min()?;
        let Some(firing) = self.firing.get_mut(&(place.clone(), name)) else {
            let firing = Firing {
                name,
                place: place.clone(),
                severity,
                since,
                reasons,
                notified: now,
                told: Some(severity),
                repeats: 0,
                episode: self.episodes.begin(&key(name, place), since),
            };
            let notice = firing.notice(None);
            self.firing.insert((place.clone(), name), firing);
            return Some(notice);
        };
        let graver = severity > *firing.told.get_or_insert(firing.severity);
        firing.severity = severity;
        firing.reasons = reasons;
        // A clock that was ahead and is set back must not put off the repetition.
        firing.notified = firing.notified.min(now);
        if !graver && now.duration_since(firing.notified) < REPEAT {
            return None;
        }
        firing.notified = now;
        firing.told = Some(severity);
        firing.repeats += 1;
        Some(firing.notice(None))
    }
}

impl Firing {
    /// Its key in the saved state.
    pub fn row_key(&self) -> String {
        format!("{} {}", self.name.as_str(), self.place.key())
    }

    /// The same for trigger and resolve, across restarts and replicas.
    pub fn key(&self) -> String {
        key(self.name, &self.place)
    }

    /// What there is to tell while it fires.
    pub fn standing(&self) -> Notice {
        self.notice(None)
    }

    /// What there is to tell when it is over.
    pub fn ended(&self, now: Timestamp) -> Notice {
        self.notice(Some(now.max(self.since)))
    }

    fn notice(&self, ends_at: Option<Timestamp>) -> Notice {
        let key = self.key();
        let transition = match ends_at {
            Some(_) => "resolved".to_owned(),
            None => format!("firing {}", self.repeats),
        };
        let episode = match self.episode {
            0 => self.since.as_millisecond().to_string(),
            number => format!("{} {number}", self.since.as_millisecond()),
        };
        Notice {
            id: id(&[&key, &episode, &transition]),
            key,
            name: self.name,
            place: self.place.clone(),
            severity: self.severity,
            is_first: ends_at.is_none() && self.repeats == 0,
            places: 1,
            starts_at: self.since,
            ends_at,
            reasons: self.reasons.clone(),
        }
    }
}

fn key(name: AlertName, place: &Place) -> String {
    let key = format!(
        "certdrift/{}/{}/{}",
        name.as_str(),
        place.connector,
        place.server
    );
    // Receivers show the key to people; and what cannot be seen, some of them drop.
    if key.len() <= MAX_KEY_BYTES && !key.chars().any(is_deceptive) {
        return key;
    }
    let digest = hex(&Sha256::digest(&key));
    format!("certdrift/{}/{digest}", name.as_str())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
fn is_first_episode(number: &u32) -> bool {
    *number == 0
}

/// The id of a message: a hash of what it tells of.
fn id(parts: &[&str]) -> String {
    let digest = hex(&Sha256::digest(parts.join("\n")));
    format!("msg_{}", &digest[..32])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::pipeline::verdict::reason::ReasonCode;

    fn place(connector: &str) -> Place {
        Place {
            server: Arc::from("EX01"),
            connector: Arc::from(connector),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }

    fn confirmed(code: ReasonCode, severity: Severity, since: i64) -> Confirmed {
        Confirmed {
            alert: AlertName::ConnectorCertificateMismatch,
            reason: Reason {
                code,
                severity,
                since: None,
                expected: String::new(),
                observed: String::new(),
                message: String::new(),
                action: String::new(),
            },
            since: at(since),
        }
    }

    #[test]
    fn an_alert_is_told_when_it_begins_grows_graver_repeats_and_ends() {
        let one = confirmed(ReasonCode::NameMismatch, Severity::Warning, 0);
        let grave = confirmed(ReasonCode::Expired, Severity::Critical, 5);
        let both = [one.clone(), grave.clone()];
        let day = REPEAT.as_secs();
        let mut alerts = Alerts::default();
        let mut ids = std::collections::BTreeSet::new();
        for (second, found, told) in [
            (10, &[][..], None),
            (11, &both[..1], Some((Severity::Warning, None))),
            (12, &both[..1], None),
            (13, &both[..], Some((Severity::Critical, None))),
            (14, &both[1..], None),
            (13 + day - 1, &both[..], None),
            (13 + day, &both[..], Some((Severity::Critical, None))),
            (13 + day + 1, &both[..], None),
            (13 + 2 * day, &both[..1], Some((Severity::Warning, None))),
            (
                14 + 2 * day,
                &[],
                Some((Severity::Warning, Some(at(14 + 2 * day)))),
            ),
            (15 + 2 * day, &[], None),
        ] {
            let notices = alerts.update(&place("Outbound"), found, at(second));
            let said: Vec<_> = notices
                .iter()
                .map(|notice| (notice.severity, notice.ends_at))
                .collect();
            assert_eq!(said, Vec::from_iter(told), "at {second}");
            for notice in notices {
                let key = "certdrift/ConnectorCertificateMismatch/Outbound/EX01";
                assert_eq!((notice.key.as_str(), notice.starts_at), (key, at(0)));
                assert!(ids.insert(notice.id), "a message of its own at {second}");
            }
        }
    }

    #[test]
    fn a_severity_that_changes_to_and_fro_is_told_once() {
        let warning = [confirmed(ReasonCode::Expiring, Severity::Warning, 0)];
        let critical = [confirmed(ReasonCode::Expiring, Severity::Critical, 0)];
        let day = REPEAT.as_secs();
        let mut alerts = Alerts::default();
        for (second, found, told) in [
            (0, &warning, Some(Severity::Warning)),
            (1, &critical, Some(Severity::Critical)),
            (2, &warning, None),
            (3, &critical, None),
            (4, &warning, None),
            // From here on it was a warning for all that anybody was told.
            (1 + day, &warning, Some(Severity::Warning)),
            (2 + day, &critical, Some(Severity::Critical)),
            (3 + day, &warning, None),
            (4 + day, &critical, None),
        ] {
            let notices = alerts.update(&place("Outbound"), found, at(second));
            let said: Vec<_> = notices.iter().map(|notice| notice.severity).collect();
            assert_eq!(said, Vec::from_iter(told), "at {second}");
        }
        // Over, and another episode.
        assert_eq!(alerts.update(&place("Outbound"), &[], at(day * 2)).len(), 1);
        for found in [&warning, &critical] {
            let told = alerts.update(&place("Outbound"), found, at(day * 2 + 1));
            assert_eq!(told.len(), 1);
        }
    }

    #[test]
    fn what_an_older_certdrift_kept_is_told_when_it_grows_graver() {
        let warning = [confirmed(ReasonCode::Expiring, Severity::Warning, 0)];
        let critical = [confirmed(ReasonCode::Expiring, Severity::Critical, 0)];
        for (kept, told) in [(&warning, 1), (&critical, 0)] {
            let mut alerts = Alerts::default();
            alerts.update(&place("Outbound"), kept, at(0));
            for firing in alerts.firing.values_mut() {
                let mut row = serde_json::to_value(&*firing).unwrap();
                assert!(row.as_object_mut().unwrap().remove("told").is_some());
                *firing = serde_json::from_value(row).unwrap();
            }
            let said = alerts.update(&place("Outbound"), &critical, at(1));
            assert_eq!(said.len(), told);
        }
    }

    #[test]
    fn whoever_pastes_all_that_a_message_says_runs_the_gravest_remedy_only() {
        let with_action = |code, severity, action: &str| {
            let mut found = confirmed(code, severity, 0);
            action.clone_into(&mut found.reason.action);
            found
        };
        let found = [
            with_action(ReasonCode::BareDomain, Severity::Warning, "Set-A"),
            with_action(ReasonCode::NameMismatch, Severity::Critical, "Set-B"),
            with_action(ReasonCode::ThumbprintNotPinned, Severity::Critical, "Set-C"),
        ];
        let mut alerts = Alerts::default();
        let notices = alerts.update(&place("Outbound"), &found, at(10));
        let actions = notices[0].reasons.iter().map(|it| it.action.as_str());
        let expected = ["Set-B", "# or: Set-C", "# or: Set-A"];
        assert_eq!(actions.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_clock_that_is_set_back_by_days_puts_off_no_repetition() {
        let found = [confirmed(ReasonCode::NameMismatch, Severity::Critical, 0)];
        let day = REPEAT.as_secs();
        let mut alerts = Alerts::default();
        for (second, count) in [(3 * day, 1), (10, 0), (9 + day, 0), (10 + day, 1)] {
            let told = alerts.update(&place("Outbound"), &found, at(second));
            assert_eq!(told.len(), count, "at {second}");
        }
    }

    #[test]
    fn the_first_message_is_known_as_such() {
        let found = [confirmed(ReasonCode::NameMismatch, Severity::Critical, 0)];
        let mut alerts = Alerts::default();
        let mut told = |found: &[Confirmed], second| {
            let mut notices = alerts.update(&place("Outbound"), found, at(second));
            notices.remove(0).is_first
        };
        assert!(told(&found, 10));
        assert!(!told(&found, 10 + REPEAT.as_secs()), "a repetition");
        assert!(!told(&[], 11 + REPEAT.as_secs()), "the end");
        assert!(told(&found, 12 + REPEAT.as_secs()), "a new beginning");
        assert!(!told(&[], 13 + REPEAT.as_secs()), "its end, not repeated");
    }

    /// A restart between two episodes that began at the same time must not make their messages the same.
    #[test]
    fn episodes_are_counted_on_over_a_restart() {
        let found = [confirmed(ReasonCode::Expired, Severity::Critical, 0)];
        let restart = |alerts: &Alerts| {
            let firing: Vec<String> = alerts
                .firing()
                .map(|it| serde_json::to_string(it).unwrap())
                .collect();
            let episodes = serde_json::to_string(alerts.episodes()).unwrap();
            let kept = firing.iter().map(|it| {
                let firing: Firing = serde_json::from_str(it).unwrap();
                ((firing.place.clone(), firing.name), firing)
            });
            let kept = kept.collect();
            let episodes = serde_json::from_str(&episodes).unwrap();
            let kept = Alerts {
                firing: kept,
                episodes,
            };
            (kept, firing)
        };
        let mut alerts = Alerts::default();
        let mut ids = std::collections::BTreeSet::new();
        for second in 0..6 {
            let found = if second % 2 == 0 { &found[..] } else { &[] };
            for notice in alerts.update(&place("Outbound"), found, at(second)) {
                assert!(ids.insert(notice.id), "a message of its own at {second}");
            }
            let (kept, firing) = restart(&alerts);
            alerts = kept;
            // What an older certdrift wrote, and can read, stays as it was.
            let is_told = firing.first().map(|it| it.contains("episode"));
            assert_eq!(is_told, (second % 2 == 0).then_some(second > 0));
        }
        assert_eq!(ids.len(), 6);
    }

    #[test]
    fn two_that_read_the_same_logs_say_the_same() {
        let found = [confirmed(ReasonCode::NameMismatch, Severity::Critical, 0)];
        let told = |second: i64| {
            let mut alerts = Alerts::default();
            let trigger = alerts.update(&place("Outbound"), &found, at(second));
            let resolve = alerts.update(&place("Outbound"), &[], at(second + 1));
            (trigger[0].id.clone(), resolve[0].id.clone())
        };
        assert_eq!(told(10), told(20));
        assert_ne!(told(10).0, told(10).1);
    }

    #[test]
    fn what_was_so_before_is_news_when_it_comes_again() {
        // Expired since its end, whenever it is presented.
        let found = [confirmed(ReasonCode::Expired, Severity::Critical, 0)];
        let mut alerts = Alerts::default();
        let mut ids = std::collections::BTreeSet::new();
        for second in 0..6 {
            let found = if second % 2 == 0 { &found[..] } else { &[] };
            let notice = alerts
                .update(&place("Outbound"), found, at(second))
                .remove(0);
            assert_eq!(notice.starts_at, at(0));
            assert!(ids.insert(notice.id), "at {second}");
        }
        let mut other = Alerts::default();
        let notice = other.update(&place("Outbound"), &found, at(9)).remove(0);
        assert!(ids.contains(&notice.id), "the first one has the usual id");
    }

    #[test]
    fn one_connector_does_not_end_the_alert_of_another() {
        let found = [confirmed(ReasonCode::NameMismatch, Severity::Critical, 0)];
        let mut alerts = Alerts::default();
        assert_eq!(alerts.update(&place("one"), &found, at(1)).len(), 1);
        assert_eq!(alerts.update(&place("two"), &found, at(1)).len(), 1);
        assert_eq!(alerts.update(&place("two"), &[], at(2)).len(), 1);
        let firing: Vec<_> = alerts
            .firing()
            .map(|firing| &*firing.place.connector)
            .collect();
        assert_eq!(firing, ["one"]);
    }

    #[test]
    fn long_names_have_short_keys_of_their_own() {
        let key = |last: char| {
            let connector = format!("{}{last}", "ä".repeat(300));
            key(AlertName::ConnectorRelayDenied, &place(&connector))
        };
        assert!(
            key('a').len() <= MAX_KEY_BYTES
                && key('a').starts_with("certdrift/ConnectorRelayDenied/")
        );
        assert_eq!(key('a'), key('a'));
        let hidden = super::key(AlertName::ConnectorRelayDenied, &place("a\u{202e}b\u{7}"));
        assert!(!hidden.chars().any(is_deceptive), "{hidden}");
        assert_ne!(key('a'), key('b'));
    }

    #[test]
    fn an_alert_never_ends_before_it_begins() {
        let found = [confirmed(ReasonCode::NameMismatch, Severity::Critical, 100)];
        let mut alerts = Alerts::default();
        alerts.update(&place("one"), &found, at(50));
        let notice = alerts.update(&place("one"), &[], at(60)).pop().unwrap();
        assert_eq!(notice.ends_at, Some(at(100)));
    }
}
