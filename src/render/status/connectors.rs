//! What each server presents on each connector, and how it is judged.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde::Serialize;

use crate::pipeline::certificate;
use crate::pipeline::certificate::Thumbprint;
use crate::pipeline::certificate::ValiditySource;
use crate::pipeline::certificate::dn::DistinguishedName;
use crate::pipeline::ledger::ConnectorLedger;
use crate::pipeline::ledger::Presented;
use crate::pipeline::ledger::history;
use crate::pipeline::session::Handshake;
use crate::pipeline::session::Presentation;
use crate::pipeline::shown::shown;
use crate::pipeline::snapshot::Judged;
use crate::pipeline::snapshot::Snapshot;
use crate::pipeline::verdict::LOGGED_DATE_MARGIN;
use crate::pipeline::verdict::Verdict;
use crate::pipeline::verdict::reason::Severity;
use crate::render::status::Counts;
use crate::render::status::Reason;
use crate::render::status::Selection;
use crate::render::status::history_since;
use crate::render::status::reason;

/// So many names of a certificate are listed.
const MAX_NAMES: usize = 20;

/// One send connector of one server.
#[derive(Clone, Debug, Serialize)]
pub struct Connector {
    /// The server.
    pub server: String,
    /// The send connector.
    pub connector: String,
    /// Whether anything is expected of it.
    pub judged: bool,
    /// `match`, `fragile`, `unknown` or `mismatch`.
    pub verdict: &'static str,
    /// Why, gravest first.
    pub reasons: Vec<Reason>,
    /// Distinct sessions, failed connects included.
    pub sessions: u64,
    /// Time of the newest row of one.
    pub last_session: Option<Timestamp>,
    /// For how long it may be silent; `null`: not known yet.
    pub silent_after_seconds: Option<i64>,
    /// The address that Exchange Online saw last.
    pub egress_address: Option<String>,
    /// The client certificate presented last; `null`: none seen yet.
    pub certificate: Option<Certificate>,
    /// Whether the newest session with Exchange Online presented no client certificate.
    pub presents_none: bool,
    /// How often another certificate was presented than before, since ever.
    pub certificate_changes: u64,
    /// What was presented when, over the last 90 days.
    pub history: History,
}

/// A client certificate that is presented.
#[derive(Clone, Debug, Serialize)]
pub struct Certificate {
    /// SHA-1 thumbprint, 40 digits; `null`: the log broke off before it.
    pub thumbprint: Option<String>,
    /// Common name of the subject.
    pub subject_cn: Option<String>,
    /// Common name of the issuer.
    pub issuer_cn: Option<String>,
    /// Serial number, upper-case hex.
    pub serial: Option<String>,
    /// DNS names; at most 20.
    pub names: Vec<String>,
    /// How many DNS names it has.
    pub names_total: usize,
    /// Start of validity.
    pub not_before: Option<Timestamp>,
    /// End of validity.
    pub not_after: Option<Timestamp>,
    /// How far both dates may be off, in seconds: 0 if the inventory holds the certificate, 14 h if only the log shows
    /// them.
    pub validity_margin_seconds: Option<i64>,
    /// How long it is valid in all.
    pub lifetime_seconds: Option<i64>,
    /// How much of that is left; negative: it has expired.
    pub left_seconds: Option<i64>,
    /// The same as a share of the lifetime, from 0 to 1.
    pub left_ratio: Option<f64>,
    /// First session that presented it.
    pub first_seen: Timestamp,
    /// Last session that presented it.
    pub last_seen: Timestamp,
    /// Sessions that presented it.
    pub sessions: u64,
}

/// What was presented when.
#[derive(Clone, Debug, Serialize)]
pub struct History {
    /// Since when it is complete, if certdrift has read that far back.
    pub since: Timestamp,
    /// Times in which the same was presented, ordered by their beginning. One that began before `since` is given in full.
    pub spells: Vec<Spell>,
    /// When something else was presented than before.
    pub changes: Vec<Change>,
    /// How often Exchange Online refused to relay, by day (UTC).
    pub rejections: Vec<Rejections>,
    /// Planned renewals.
    pub planned: Vec<Planned>,
}

/// A time in which the same was presented, without a pause of more than a day.
#[derive(Clone, Debug, Serialize)]
pub struct Spell {
    /// The certificate; `null`: no client certificate.
    pub thumbprint: Option<String>,
    /// Common name of its subject, if it is still known.
    pub subject_cn: Option<String>,
    /// The first session.
    pub first_seen: Timestamp,
    /// The last session.
    pub last_seen: Timestamp,
    /// How many.
    pub sessions: u64,
}

/// Another certificate than before.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// The first session that presented something else.
    pub at: Timestamp,
    /// What was presented before; `null`: no client certificate.
    pub before: Option<String>,
    /// What is presented from then on; `null`: no client certificate.
    pub after: Option<String>,
}

/// Rejections of one day.
#[derive(Clone, Debug, Serialize)]
pub struct Rejections {
    /// Its start.
    pub day: Timestamp,
    /// How many.
    pub count: u64,
}

/// A renewal under way.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Planned {
    /// The certificate that will be presented.
    pub thumbprint: String,
    /// Start of the window.
    pub from: Timestamp,
    /// End of the window.
    pub until: Timestamp,
    /// A change number, say.
    pub reason: Option<String>,
}

/// How bad it is; judged or not, gravest alert, verdict, gravest reason.
type Badness = (bool, Option<Severity>, Verdict, Option<Severity>);

/// The connectors that are selected: those of one name together, names and servers with problems first.
pub(super) fn ranked<'a>(snapshot: &'a Snapshot, selection: &Selection) -> Vec<&'a Judged> {
    let mut alerts: BTreeMap<(&str, &str), Severity> = BTreeMap::new();
    for alert in &snapshot.alerts {
        let place = (&*alert.place.server, &*alert.place.connector);
        let gravest = alerts.entry(place).or_insert(alert.severity);
        *gravest = (*gravest).max(alert.severity);
    }
    let badness = |judged: &Judged| -> Badness {
        let place = (&*judged.place.server, &*judged.place.connector);
        let reason = judged.reasons.first().map(|reason| reason.severity);
        let alert = alerts.get(&place).copied();
        (judged.expected, alert, judged.verdict, reason)
    };
    let is_meant = |judged: &&Judged| match &selection.server {
        Some(server) => shown(&judged.place.server) == *server,
        None => true,
    };
    let mut worst: BTreeMap<&str, Badness> = BTreeMap::new();
    let mut ranked = Vec::new();
    for judged in snapshot.judged.iter().filter(is_meant) {
        let own = badness(judged);
        let of_name = worst.entry(&judged.place.connector).or_insert(own);
        *of_name = (*of_name).max(own);
        ranked.push((own, judged));
    }
    ranked.sort_by_cached_key(|(own, judged)| {
        let place = &judged.place;
        let of_name = worst.get(&*place.connector).copied();
        (
            Reverse(of_name),
            &*place.connector,
            Reverse(*own),
            &*place.server,
        )
    });
    ranked.into_iter().map(|(_, judged)| judged).collect()
}

pub(super) fn count(snapshot: &Snapshot, counts: &mut Counts) {
    for judged in &snapshot.judged {
        let count = match judged.verdict {
            _ if !judged.expected => &mut counts.not_judged,
            Verdict::Mismatch => &mut counts.mismatch,
            Verdict::Unknown => &mut counts.unknown,
            Verdict::Fragile => &mut counts.fragile,
            Verdict::Match => &mut counts.matching,
        };
        *count += 1;
    }
}

pub(super) fn connector(judged: &Judged, snapshot: &Snapshot) -> Connector {
    let unseen = ConnectorLedger::default();
    let entry = snapshot.ledger.connector(&judged.place).unwrap_or(&unseen);
    let current = entry.current(Some(Handshake::StartTls));
    let last = entry.last_presentation();
    Connector {
        server: shown(&judged.place.server),
        connector: shown(&judged.place.connector),
        judged: judged.expected,
        verdict: judged.verdict.as_str(),
        reasons: judged.reasons.iter().map(reason).collect(),
        sessions: entry.sessions.map_or(0, |span| span.count),
        last_session: entry.sessions.map(|span| span.last_seen),
        silent_after_seconds: judged.silent_after.map(|it| it.as_secs()),
        egress_address: entry.current_egress().map(|address| address.to_string()),
        certificate: current.map(|presented| certificate(presented, snapshot)),
        presents_none: last.is_some_and(|(it, _)| it == Presentation::NoCertificate),
        certificate_changes: entry.certificate_changes,
        history: history(judged, entry, snapshot),
    }
}

fn certificate(presented: &Presented, snapshot: &Snapshot) -> Certificate {
    let certificate = snapshot.inventory.completed(&presented.certificate);
    let margin = certificate.validity_from.map(|source| match source {
        ValiditySource::Inventory => SignedDuration::ZERO,
        ValiditySource::Log => LOGGED_DATE_MARGIN,
    });
    let lifetime = certificate
        .not_before
        .zip(certificate.not_after)
        .map(|(from, until)| until.duration_since(from))
        .filter(SignedDuration::is_positive);
    let left = certificate
        .not_after
        .map(|until| until.duration_since(snapshot.at));
    let ratio = |(left, lifetime): (SignedDuration, SignedDuration)| {
        let ratio = left.as_secs_f64() / lifetime.as_secs_f64();
        // Three digits are more than anybody needs.
        (ratio.clamp(0.0, 1.0) * 1000.0).round() / 1000.0
    };
    let names = certificate.names.iter().take(MAX_NAMES);
    Certificate {
        thumbprint: certificate.thumbprint.map(|it| it.to_string()),
        subject_cn: certificate.common_name().map(|name| shown(&name)),
        issuer_cn: issuer_cn(certificate),
        serial: certificate.serial.clone(),
        names: names.map(|name| shown(name)).collect(),
        names_total: certificate.names.len(),
        not_before: certificate.not_before,
        not_after: certificate.not_after,
        validity_margin_seconds: margin.map(|it| it.as_secs()),
        lifetime_seconds: lifetime.map(|it| it.as_secs()),
        left_seconds: left.map(|it| it.as_secs()),
        left_ratio: left.zip(lifetime).map(ratio),
        first_seen: presented.span.first_seen,
        last_seen: presented.span.last_seen,
        sessions: presented.span.count,
    }
}

fn issuer_cn(certificate: &certificate::Certificate) -> Option<String> {
    let issuer = DistinguishedName::parse(certificate.issuer.as_deref()?)?;
    issuer.common_name().map(shown)
}

fn history(judged: &Judged, entry: &ConnectorLedger, snapshot: &Snapshot) -> History {
    let since = history_since(snapshot.at);
    let text = |thumbprint: Option<Thumbprint>| thumbprint.map(|it| it.to_string());
    let spell = |spell: &history::Spell| Spell {
        thumbprint: text(spell.thumbprint),
        subject_cn: spell
            .thumbprint
            .and_then(|it| common_name(it, entry, snapshot)),
        first_seen: spell.span.first_seen,
        last_seen: spell.span.last_seen,
        sessions: spell.span.count,
    };
    let change = |change: history::Change| Change {
        at: change.at,
        before: text(change.before),
        after: text(change.after),
    };
    let planned = judged.planned.iter().map(|planned| Planned {
        thumbprint: planned.thumbprint.to_string(),
        from: planned.from,
        until: planned.until,
        reason: planned.reason.as_deref().map(shown),
    });
    History {
        since,
        spells: entry.history.spells(since).map(spell).collect(),
        changes: entry.history.changes(since).map(change).collect(),
        rejections: entry
            .history
            .rejections(since)
            .map(|(day, count)| Rejections { day, count })
            .collect(),
        planned: planned.collect(),
    }
}

fn common_name(
    thumbprint: Thumbprint,
    entry: &ConnectorLedger,
    snapshot: &Snapshot,
) -> Option<String> {
    let of_ledger = entry
        .presented
        .iter()
        .map(|presented| &*presented.certificate)
        .find(|certificate| certificate.thumbprint == Some(thumbprint));
    let of_inventory = snapshot.inventory.find(thumbprint);
    let known = of_ledger.or_else(|| Some(&*of_inventory?.certificate))?;
    known.common_name().map(|name| shown(&name))
}
