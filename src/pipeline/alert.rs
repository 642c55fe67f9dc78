//! Confirmed findings → alerts: when one begins, is repeated, and ends.
//!
//! An alert is identified by its name, server and connector, and by nothing that may change while it lasts: thumbprint
//! and severity are what it tells, not what it is. So a resolve always meets its trigger, at every receiver and after a
//! restart.

pub mod findings;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::SignedDuration;
use jiff::Timestamp;
use sha2::Digest;
use sha2::Sha256;

use crate::pipeline::alert::findings::Confirmed;
use crate::pipeline::session::Place;
use crate::pipeline::verdict::reason::AlertName;
use crate::pipeline::verdict::reason::Reason;
use crate::pipeline::verdict::reason::Severity;

/// A firing alert is told again after this time: drift is no outage, but it must not be forgotten either.
pub const REPEAT: SignedDuration = SignedDuration::from_hours(24);

/// The longest deduplication key, in bytes; a longer one is hashed. `PagerDuty` takes 255.
pub const MAX_KEY_BYTES: usize = 200;

/// An alert that is firing.
#[derive(Clone, Debug)]
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
    repeats: u32,
}

/// Something to tell the receivers.
#[derive(Clone, Debug)]
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

/// All alerts that are firing.
#[derive(Debug, Default)]
pub struct Alerts {
    firing: BTreeMap<(Place, AlertName), Firing>,
}

impl Alerts {
    /// Brings the alerts of one connector in line with what is confirmed, and says what changed.
    pub fn update(
        &mut self,
        place: &Place,
        confirmed: &[Confirmed],
        now: Timestamp,
    ) -> Vec<Notice> {
        let mut notices = self.end_all_but(place, confirmed, now);
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

    fn end_all_but(
        &mut self,
        place: &Place,
        confirmed: &[Confirmed],
        now: Timestamp,
    ) -> Vec<Notice> {
        let over: Vec<_> = self
            .firing
            .keys()
            .filter(|(at, name)| {
                at == place && confirmed.iter().all(|finding| finding.alert != *name)
            })
            .cloned()
            .collect();
        over.iter()
            .filter_map(|key| self.firing.remove(key))
            .map(|firing| firing.notice(Some(now.max(firing.since))))
            .collect()
    }

    fn begin_or_repeat(
        &mut self,
        place: &Place,
        name: AlertName,
        findings: &[&Confirmed],
        now: Timestamp,
    ) -> Option<Notice> {
        let reasons: Vec<Reason> = findings.iter().map(|found| found.reason.clone()).collect();
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
                repeats: 0,
            };
            let notice = firing.notice(None);
            self.firing.insert((place.clone(), name), firing);
            return Some(notice);
        };
        let graver = severity > firing.severity;
        firing.severity = severity;
        firing.reasons = reasons;
        if !graver && now.duration_since(firing.notified) < REPEAT {
            return None;
        }
        firing.notified = now;
        firing.repeats += 1;
        Some(firing.notice(None))
    }
}

impl Firing {
    fn notice(&self, ends_at: Option<Timestamp>) -> Notice {
        let key = key(self.name, &self.place);
        let transition = match ends_at {
            Some(_) => "resolved".to_owned(),
            None => format!("firing {}", self.repeats),
        };
        let since = self.since.as_millisecond();
        let digest = hex(&Sha256::digest(format!("{key}\n{since}\n{transition}")));
        Notice {
            id: format!("msg_{}", &digest[..32]),
            key,
            name: self.name,
            place: self.place.clone(),
            severity: self.severity,
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
    if key.len() <= MAX_KEY_BYTES {
        return key;
    }
    let digest = hex(&Sha256::digest(&key));
    format!("certdrift/{}/{digest}", name.as_str())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
