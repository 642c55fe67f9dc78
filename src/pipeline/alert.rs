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
mod tests;
