//! Many alerts of one cause → one message.
//!
//! A certificate that stops fitting on forty servers is one thing to mend, not forty pages. When one alert begins at
//! more than [`MAX_SINGLE`] places within one pass over the logs, one notice tells of all of them, and one tells when
//! all of them are over. What happens at such a place in between is told neither.

mod standing;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::pipeline::alert::Notice;
use crate::pipeline::alert::REPEAT;
use crate::pipeline::alert::hex;
use crate::pipeline::alert::id;
use crate::pipeline::session::Place;
use crate::pipeline::verdict::reason::AlertName;

/// So many places are told one by one.
pub const MAX_SINGLE: usize = 5;

/// So many places are named in a summary; the others are counted.
pub const MAX_NAMED: usize = 50;

/// The summaries that are open.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Summaries {
    open: BTreeMap<String, Open>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Open {
    notice: Notice,
    /// Keys of the alerts that are not over yet.
    keys: BTreeSet<String>,
    told: Timestamp,
    repeats: u32,
    /// The id of its first message.
    #[serde(default)]
    first_id: String,
}

impl Summaries {
    /// Takes the notices of one pass, in order, and hands out what to tell.
    pub fn gather(&mut self, notices: Vec<Notice>, now: Timestamp) -> Vec<Notice> {
        let mut begun: BTreeMap<AlertName, usize> = BTreeMap::new();
        for notice in notices.iter().filter(|notice| self.is_new(notice)) {
            *begun.entry(notice.name).or_default() += 1;
        }
        begun.retain(|_, count| *count > MAX_SINGLE);
        let mut told = Vec::new();
        let mut gathered: BTreeMap<AlertName, Vec<Notice>> = BTreeMap::new();
        for notice in notices {
            if let Some(summary) = self.summary_of(&notice.key) {
                told.extend(self.follow(&summary, notice, now));
            } else if self.is_new(&notice) && begun.contains_key(&notice.name) {
                gathered.entry(notice.name).or_default().push(notice);
            } else if let Some(begun) = gathered.get_mut(&notice.name)
                && let Some(index) = begun.iter().position(|it| it.key == notice.key)
            {
                if notice.is_resolved() {
                    // Begun and over within one pass: neither is told.
                    begun.remove(index);
                } else {
                    // What has grown graver within the pass is told as it is now, for some receivers get nothing less.
                    begun[index].severity = notice.severity;
                    begun[index].reasons = notice.reasons;
                }
            } else {
                told.push(notice);
            }
        }
        for notices in gathered.into_values().filter(|it| !it.is_empty()) {
            told.push(self.open(&notices, now));
        }
        told
    }

    /// Whether the notice is the first one of an alert that no summary tells of.
    fn is_new(&self, notice: &Notice) -> bool {
        !notice.is_resolved() && notice.is_first && self.summary_of(&notice.key).is_none()
    }

    fn summary_of(&self, key: &str) -> Option<String> {
        let mut open = self.open.iter();
        let (summary, _) = open.find(|(_, open)| open.keys.contains(key))?;
        Some(summary.clone())
    }

    /// What becomes of a summary when one of its alerts goes on or ends. One that grows graver leaves it: that is news.
    fn follow(&mut self, summary: &str, notice: Notice, now: Timestamp) -> Vec<Notice> {
        let Some(open) = self.open.get_mut(summary) else {
            return vec![notice];
        };
        let leaves = notice.is_resolved() || notice.severity > open.notice.severity;
        if !leaves {
            return Vec::from_iter(open.repeat(now));
        }
        open.keys.remove(&notice.key);
        let mut told = Vec::new();
        if open.keys.is_empty()
            && let Some(open) = self.open.remove(summary)
        {
            let ends_at = now.max(open.notice.starts_at);
            told.push(Notice {
                id: id(&[&open.first_id, "resolved"]),
                ends_at: Some(ends_at),
                ..open.notice
            });
        }
        if !notice.is_resolved() {
            told.push(notice);
        }
        told
    }

    fn open(&mut self, notices: &[Notice], now: Timestamp) -> Notice {
        let keys: BTreeSet<String> = notices.iter().map(|notice| notice.key.clone()).collect();
        let joined: Vec<&str> = keys.iter().map(String::as_str).collect();
        let digest = hex(&Sha256::digest(joined.join("\n")));
        let first = &notices[0];
        let key = format!(
            "certdrift/{}/summary/{}",
            first.name.as_str(),
            &digest[..16]
        );
        let starts_at = notices.iter().map(|notice| notice.starts_at).min();
        let starts_at = starts_at.unwrap_or(first.starts_at);
        let severity = notices.iter().map(|notice| notice.severity).max();
        let severity = severity.unwrap_or(first.severity);
        let mut reason = first.reasons.first().cloned();
        if let Some(reason) = &mut reason {
            let _ = write!(
                reason.message,
                " This holds at {} places: {}",
                notices.len(),
                places(notices)
            );
        }
        // The ids tell the episodes of the alerts.
        let mut ids: Vec<&str> = notices.iter().map(|notice| notice.id.as_str()).collect();
        ids.sort_unstable();
        let notice = Notice {
            id: id(&[&key, &ids.join(" ")]),
            key: key.clone(),
            severity,
            starts_at,
            reasons: reason.into_iter().collect(),
            place: common_place(notices),
            places: notices.len(),
            ..first.clone()
        };
        let open = Open {
            notice: notice.clone(),
            keys,
            told: now,
            repeats: 0,
            first_id: notice.id.clone(),
        };
        self.open.insert(key, open);
        notice
    }
}

impl Open {
    /// The summary again, when it is as old as an alert that is told again.
    fn repeat(&mut self, now: Timestamp) -> Option<Notice> {
        // A clock that was ahead and is set back must not put it off.
        self.told = self.told.min(now);
        if now.duration_since(self.told) < REPEAT {
            return None;
        }
        self.told = now;
        self.repeats += 1;
        let transition = format!("firing {}", self.repeats);
        Some(Notice {
            id: id(&[&self.first_id, &transition]),
            is_first: false,
            ..self.notice.clone()
        })
    }
}

/// What the places have in common; the rest is empty.
fn common_place(notices: &[Notice]) -> Place {
    let common = |part: fn(&Place) -> &Arc<str>| {
        let mut parts = notices.iter().map(|notice| part(&notice.place));
        let first = parts.next();
        first
            .filter(|first| parts.all(|other| other == *first))
            .map_or_else(|| Arc::from(""), Arc::clone)
    };
    Place {
        server: common(|place| &place.server),
        connector: common(|place| &place.connector),
    }
}

fn places(notices: &[Notice]) -> String {
    let mut named: Vec<String> = notices
        .iter()
        .map(|notice| notice.place.to_string())
        .collect();
    named.sort_unstable();
    let more = named.len().saturating_sub(MAX_NAMED);
    named.truncate(MAX_NAMED);
    let mut text = named.join("; ");
    if more > 0 {
        let _ = write!(text, "; and {more} more");
    }
    text.push('.');
    text
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::pipeline::verdict;
    use crate::pipeline::verdict::reason::ReasonCode;
    use crate::pipeline::verdict::reason::Severity;

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }

    fn notice(name: AlertName, server: usize) -> Notice {
        let place = Place {
            server: Arc::from(format!("EX{server:02}")),
            connector: Arc::from("Outbound"),
        };
        Notice {
            key: format!("certdrift/{}/Outbound/{}", name.as_str(), place.server),
            id: format!("msg_{server}"),
            name,
            place,
            severity: Severity::Warning,
            starts_at: at(10),
            ends_at: None,
            is_first: true,
            places: 1,
            reasons: vec![verdict::state(ReasonCode::Silent, "", "", String::new())],
        }
    }

    const SILENT: AlertName = AlertName::ConnectorSilent;

    fn begun(servers: usize) -> Vec<Notice> {
        (1..=servers).map(|server| notice(SILENT, server)).collect()
    }

    fn over(server: usize) -> Notice {
        Notice {
            ends_at: Some(at(50)),
            ..notice(SILENT, server)
        }
    }

    #[test]
    fn few_are_told_one_by_one_and_other_alerts_are_not_swallowed() {
        let mut summaries = Summaries::default();
        let few = begun(MAX_SINGLE);
        assert_eq!(summaries.gather(few, at(20)).len(), MAX_SINGLE);
        let mut many = begun(MAX_SINGLE + 1);
        many.push(notice(AlertName::ConnectorRelayDenied, 1));
        let told = summaries.gather(many, at(20));
        let names: Vec<_> = told.iter().map(|it| (it.name, it.places)).collect();
        assert_eq!(
            names,
            [
                (AlertName::ConnectorRelayDenied, 1),
                (SILENT, MAX_SINGLE + 1)
            ]
        );
    }

    #[test]
    fn a_summary_names_the_places_and_is_over_when_all_are() {
        let mut summaries = Summaries::default();
        let told = summaries.gather(begun(6), at(20));
        assert_eq!(told.len(), 1);
        let text = &told[0].reasons[0].message;
        for server in 1..=6 {
            assert!(text.contains(&format!("EX{server:02}")), "{text}");
        }
        for server in 1..=5 {
            assert!(summaries.gather(vec![over(server)], at(30)).is_empty());
        }
        let last = summaries.gather(vec![over(6)], at(30));
        assert_eq!(last.len(), 1);
        assert_eq!(last[0].key, told[0].key);
        assert_ne!(last[0].id, told[0].id);
        assert!(last[0].is_resolved());
        // What begins now is news of its own.
        assert_eq!(summaries.gather(begun(1), at(40)).len(), 1);
    }

    #[test]
    fn one_that_grows_graver_leaves_and_the_rest_is_repeated_once_a_day() {
        let mut summaries = Summaries::default();
        let summary = summaries.gather(begun(6), at(20)).remove(0);
        let again = |server, severity| Notice {
            is_first: false,
            severity,
            ..notice(SILENT, server)
        };
        let told = summaries.gather(vec![again(1, Severity::Critical)], at(30));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].severity, Severity::Critical);
        let day = REPEAT.as_secs();
        let repeats: Vec<Notice> = (2..=6).map(|it| again(it, Severity::Warning)).collect();
        assert!(summaries.gather(repeats.clone(), at(19 + day)).is_empty());
        let told = summaries.gather(repeats, at(20 + day));
        assert_eq!(told.len(), 1, "once, not for each");
        assert_eq!(told[0].key, summary.key);
        assert_ne!(told[0].id, summary.id);
        // The clock is set back by a day, and it is told again a day later.
        let repeats: Vec<Notice> = (2..=6).map(|it| again(it, Severity::Warning)).collect();
        assert!(summaries.gather(repeats.clone(), at(20)).is_empty());
        assert_eq!(summaries.gather(repeats, at(20 + day)).len(), 1);
        assert_eq!(
            summaries.gather(vec![over(1)], at(30)).len(),
            1,
            "its own end"
        );
    }

    #[test]
    fn what_grows_graver_within_the_pass_is_told_as_it_is_by_then() {
        let text = |text: &str| vec![verdict::state(ReasonCode::Silent, text, "", String::new())];
        for grown in 1..=6 {
            let mut notices = begun(6);
            notices.extend((1..=grown).map(|server| Notice {
                id: format!("msg_{server} graver"),
                is_first: false,
                severity: Severity::Critical,
                reasons: text("graver"),
                ..notice(SILENT, server)
            }));
            let mut summaries = Summaries::default();
            let told = summaries.gather(notices, at(20));
            let said: Vec<_> = told.iter().map(|it| (it.severity, it.places)).collect();
            assert_eq!(said, [(Severity::Critical, 6)]);
            assert_eq!(told[0].reasons[0].expected, "graver");
            let without = Summaries::default().gather(begun(6), at(20));
            assert_eq!(told[0].id, without[0].id, "the same beginnings");
        }
    }

    #[test]
    fn a_summary_says_the_gravest_the_first_and_what_all_have_in_common() {
        let mut notices = begun(6);
        notices[3].severity = Severity::Critical;
        notices[4].starts_at = at(5);
        let mut summaries = Summaries::default();
        let told = summaries.gather(notices.clone(), at(20)).remove(0);
        assert_eq!(told.severity, Severity::Critical);
        assert_eq!(told.starts_at, at(5));
        assert_eq!(
            (&*told.place.server, &*told.place.connector),
            ("", "Outbound")
        );
        assert!(told.key.contains("/summary/"), "{}", told.key);
        assert!(told.is_first);
        let again: Vec<Notice> = notices
            .into_iter()
            .map(|notice| Notice {
                is_first: false,
                ..notice
            })
            .collect();
        let mut ids = BTreeSet::from([told.id]);
        for day in 1..=3 {
            let later = at(20) + REPEAT * day;
            let told = summaries.gather(again.clone(), later).remove(0);
            assert!(!told.is_first);
            assert!(ids.insert(told.id), "a message of its own on day {day}");
        }
    }

    #[test]
    fn ten_places_are_named() {
        let text = places(&begun(MAX_NAMED));
        assert!(
            text.ends_with(&format!("EX{MAX_NAMED:02}, connector Outbound.")),
            "{text}"
        );
        let text = places(&begun(MAX_NAMED + 2));
        assert!(text.ends_with("; and 2 more."), "{text}");
    }

    #[test]
    fn what_begins_and_ends_within_one_pass_is_not_told() {
        let mut summaries = Summaries::default();
        let mut notices = begun(6);
        notices.push(over(3));
        let told = summaries.gather(notices, at(20));
        assert_eq!(told.len(), 1);
        assert!(!told[0].reasons[0].message.contains("EX03"));
        assert_eq!(told[0].places, 5);
    }

    #[test]
    fn the_same_alerts_make_the_same_summary() {
        let told = |mut notices: Vec<Notice>| {
            let mut summaries = Summaries::default();
            notices.rotate_left(2);
            summaries.gather(notices, at(20)).remove(0).id
        };
        assert_eq!(told(begun(6)), told(begun(6)));
        assert_ne!(told(begun(6)), told(begun(7)));
    }
}
