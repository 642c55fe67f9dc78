//! One file of `tests/cases/stories`: what happens, and what people are told of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use certdrift::pipeline::certificate::{Certificate, Gaps, Thumbprint, ValiditySource};
use certdrift::pipeline::inventory::InventoryCertificate;
use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use sha1::{Digest, Sha1};

/// A story that names no other issuer means this one.
const ISSUER: &str = "CN=Contoso Issuing CA, O=Contoso, C=DE";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Story {
    /// What the story shows, for the reader.
    #[serde(rename = "story")]
    pub(super) _title: String,
    pub(super) starts: String,
    pub(super) ends: String,
    /// By how much the servers' clocks, and so the certificate dates that they log, are ahead of UTC.
    pub(super) local_time: Option<String>,
    #[serde(default)]
    pub(super) certificates: BTreeMap<String, Described>,
    pub(super) configuration: String,
    #[serde(default)]
    pub(super) exports: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) inventory: Vec<String>,
    /// Another certdrift reads the same logs, so late; it must send the same messages.
    pub(super) replica_reads_every: Option<String>,
    pub(super) steps: Vec<Step>,
    pub(super) tells: String,
}

/// A certificate as a story describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Described {
    names: Vec<String>,
    subject: Option<String>,
    issuer: Option<String>,
    from: String,
    until: String,
}

/// Something that happens, once or again and again.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Step {
    pub(super) at: String,
    pub(super) until: Option<String>,
    pub(super) every: Option<String>,
    /// Monday to Friday from 7 to 18 o'clock only.
    pub(super) office_hours: bool,
    pub(super) servers: Vec<String>,
    pub(super) connector: Option<String>,
    /// A session that presents this certificate, or `nothing`.
    pub(super) presents: Option<String>,
    /// A session whose handshake fails with this error.
    pub(super) tls_fails: Option<String>,
    /// The address that Exchange Online sees.
    pub(super) address: Option<IpAddr>,
    /// The sender in `MAIL FROM`; empty for the null sender.
    pub(super) sender: Option<String>,
    /// The recipient in `RCPT TO`, and Exchange Online's answer to it.
    pub(super) recipient: Option<String>,
    pub(super) reply: Option<String>,
    /// What the log says of the session's time, if it is not the present.
    pub(super) dated: Option<String>,
    pub(super) configuration: Option<String>,
    pub(super) exports: Option<BTreeMap<String, Value>>,
    pub(super) inventory: Option<Vec<String>>,
    pub(super) logs: Option<Logs>,
}

/// What becomes of the logs of some servers.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) enum Logs {
    #[serde(rename = "behind")]
    Behind,
    #[serde(rename = "caught up")]
    CaughtUp,
    #[serde(rename = "unreadable")]
    Unreadable,
    #[serde(rename = "readable")]
    Readable,
    #[serde(rename = "no longer followed")]
    Forgotten,
}

impl Story {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        serde_yaml::from_str(text).map_err(|error| error.to_string())
    }

    /// A certificate as a server presents it, and as the inventory may hold it: its thumbprint follows from its name.
    pub(super) fn certificate(&self, name: &str) -> Result<Certificate, String> {
        let Some(described) = self.certificates.get(name) else {
            return Err(format!("no certificate is called {name:?}"));
        };
        let common_name = described.names.first().map(|it| format!("CN={it}"));
        let subject = described.subject.clone().or(common_name);
        Ok(Certificate {
            thumbprint: Some(thumbprint(name)),
            subject: subject.unwrap_or_default(),
            issuer: Some(described.issuer.clone().unwrap_or(ISSUER.to_owned())),
            serial: Some("0A1B".to_owned()),
            names: described.names.clone(),
            not_before: Some(moment(&described.from, None)?),
            not_after: Some(moment(&described.until, None)?),
            validity_from: Some(ValiditySource::Inventory),
            gaps: Gaps::default(),
        })
    }

    /// `old`, or `old on EX01`.
    pub(super) fn inventory_certificate(&self, text: &str) -> Result<InventoryCertificate, String> {
        let (name, server) = match text.split_once(" on ") {
            Some((name, server)) => (name, Some(Arc::from(server))),
            None => (text, None),
        };
        Ok(InventoryCertificate {
            certificate: Arc::new(self.certificate(name)?),
            sha256: [0; 32],
            extended_key_usage: None,
            key_algorithm: "RSA 2048".to_owned(),
            signature_algorithm: "SHA-256 with RSA".to_owned(),
            server,
            origin: Arc::from("inventory"),
        })
    }

    /// A configuration in which `{old}` stands for the thumbprint of the certificate `old`.
    pub(super) fn configuration(&self, text: &str) -> String {
        let mut text = format!("sources: [{{ path: /logs }}]\n{text}");
        for name in self.certificates.keys() {
            text = text.replace(&format!("{{{name}}}"), &thumbprint(name).to_string());
        }
        text
    }

    /// When each step takes place, in order; steps of the same time as they are written.
    pub(super) fn timeline(&self) -> Result<Vec<(Timestamp, &Step)>, String> {
        let (starts, ends) = (moment(&self.starts, None)?, moment(&self.ends, None)?);
        let mut events = Vec::new();
        let mut before = starts;
        for (index, step) in self.steps.iter().enumerate() {
            let times = step.times(before);
            let times = times.map_err(|error| format!("step {}: {error}", index + 1))?;
            if times.iter().any(|time| *time < starts || ends < *time) {
                return Err(format!("step {}: not within the story", index + 1));
            }
            before = times.first().copied().unwrap_or(before);
            events.extend(times.into_iter().map(|time| (time, step)));
        }
        events.sort_by_key(|(time, _)| *time);
        Ok(events)
    }
}

impl Step {
    fn times(&self, before: Timestamp) -> Result<Vec<Timestamp>, String> {
        let first = moment(&self.at, Some(before))?;
        let (last, every) = match (&self.until, &self.every) {
            (Some(until), Some(every)) => (moment(until, Some(first))?, duration(every)?),
            (None, None) => (first, SignedDuration::from_secs(1)),
            _ => return Err("`until` and `every` belong together".to_owned()),
        };
        if !every.is_positive() || last < first {
            return Err("ends before it begins".to_owned());
        }
        let mut times = Vec::new();
        let mut time = first;
        while time <= last {
            if !self.office_hours || is_office_hour(time) {
                times.push(time);
            }
            time += every;
        }
        Ok(times)
    }
}

fn is_office_hour(time: Timestamp) -> bool {
    let local = TimeZone::UTC.to_datetime(time);
    let is_weekend = matches!(local.weekday(), Weekday::Saturday | Weekday::Sunday);
    !is_weekend && (7..18).contains(&local.hour())
}

/// `2026-11-23`, `2026-11-23 08:00`, or `08:00` on the day of the step before; UTC.
pub(super) fn moment(text: &str, before: Option<Timestamp>) -> Result<Timestamp, String> {
    let same_day = |time: Time| {
        let day = TimeZone::UTC.to_datetime(before?).date();
        Some(day.to_datetime(time))
    };
    let is_time = text.find(':').is_some_and(|colon| colon <= 2);
    let local = if is_time {
        text.parse().ok().and_then(same_day)
    } else {
        text.parse::<DateTime>().ok()
    };
    local
        .and_then(|local| TimeZone::UTC.to_timestamp(local).ok())
        .ok_or_else(|| format!("{text:?} is no time; it looks like 2026-11-23 08:00, or 08:00"))
}

pub(super) fn duration(text: &str) -> Result<SignedDuration, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is no duration; it looks like 10 min"))
}

fn thumbprint(name: &str) -> Thumbprint {
    Thumbprint(Sha1::digest(name).into())
}
