//! What the program must print about the rows written.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::Form;
use crate::dialogue::{
    Dialogue, Dialogues, FAILURES, Fact, PROTOCOLS, REJECTIONS, Row, VALIDITY, stamp,
};

const SERVER: &str = "EX01";

/// How often something was seen, and when.
#[derive(Clone, Copy)]
struct Span {
    count: u64,
    first: u64,
    last: u64,
}

/// The counts; entries of the lists by connector and what is listed.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    pub(crate) malformed_rows: u64,
    sessions: u64,
    times: Option<(u64, u64)>,
    presented: BTreeMap<(usize, usize), Span>,
    without_certificate: BTreeMap<(usize, usize), Span>,
    egress: BTreeMap<(usize, usize), Span>,
    replies: BTreeMap<(usize, usize), Span>,
    tls: BTreeMap<(usize, &'static str), Span>,
    failures: BTreeMap<(usize, &'static str), Span>,
    /// Copied at the first row: names to print instead of numbers.
    connectors: Vec<String>,
    certificates: Vec<Value>,
}

impl Tally {
    /// Counts a row that was just written.
    pub(crate) fn note(&mut self, now: u64, session: &Dialogue, row: &Row, dialogues: &Dialogues) {
        if self.connectors.is_empty() {
            self.connectors.clone_from(&dialogues.connectors);
            self.certificates = certificates(dialogues);
        }
        self.rows += 1;
        self.sessions += u64::from(session.sequence == 1);
        self.times = Some((self.times.map_or(now, |(first, _)| first), now));
        let connector = session.connector;
        match row.fact {
            Fact::None => {}
            Fact::Offered(at) => see(&mut self.presented, (connector, at), now, true),
            Fact::Egress { first } => see(&mut self.egress, (connector, 0), now, first),
            Fact::Tls {
                protocol,
                without_certificate,
            } => {
                see(&mut self.tls, (connector, PROTOCOLS[protocol].1), now, true);
                if without_certificate {
                    see(&mut self.without_certificate, (connector, 0), now, true);
                }
            }
            Fact::Failed(at) => see(&mut self.failures, (connector, FAILURES[at]), now, true),
            Fact::Rejected(at) => see(&mut self.replies, (connector, at), now, true),
        }
    }

    /// The document that `check --format=json --server=EX01` must print.
    pub(crate) fn document(&self) -> Value {
        json!({
            "files": self.files,
            "bytes": self.bytes,
            "rows": self.rows,
            "malformed_rows": self.malformed_rows,
            "sessions": self.sessions,
            "first_row": self.times.map(|(first, _)| stamp(first)),
            "last_row": self.times.map(|(_, last)| stamp(last)),
            "lost_bytes": 0,
            "refused": [],
            "unattributed": [],
            "masked_banners": [],
            "verdicts": [],
            "presented": self.listed(&self.presented, "sessions", |key, span| self.certificate(key, span)),
            "without_certificate": self.listed(&self.without_certificate, "sessions", |_, _| json!({})),
            "egress": self.listed(&self.egress, "sessions", |key, _| json!({ "address": Dialogues::address(key.0) })),
            "replies": self.listed(&self.replies, "count", |key, _| {
                let [class, code, enhanced, text] = REJECTIONS[key.1].1;
                json!({ "class": class, "code": code, "enhanced": enhanced, "text": text })
            }),
            "tls": self.listed_by_name(&self.tls, "protocol", "sessions"),
            "tls_failures": self.listed_by_name(&self.failures, "error", "count"),
        })
    }

    fn certificate(&self, (connector, at): (usize, usize), span: Span) -> Value {
        let internal = connector + 1 == self.connectors.len();
        let rivals = self
            .presented
            .iter()
            .filter(|((other, _), _)| *other == connector);
        let newest = rivals.map(|(_, rival)| rival.last).max();
        let mut entry = self.certificates[at].clone();
        entry["exchange_online"] = (!internal).into();
        entry["handshake"] = if internal {
            "anonymous_tls"
        } else {
            "starttls"
        }
        .into();
        entry["current"] = (newest == Some(span.last)).into();
        entry
    }

    fn listed(
        &self,
        entries: &BTreeMap<(usize, usize), Span>,
        counter: &str,
        rest: impl Fn((usize, usize), Span) -> Value,
    ) -> Value {
        let mut sorted: Vec<_> = entries.iter().collect();
        sorted.sort_by_key(|((connector, _), span)| (&self.connectors[*connector], span.first));
        let entries = sorted.into_iter().map(|(key, span)| {
            let mut entry = self.place(key.0);
            entry.extend([
                (counter.to_owned(), span.count.into()),
                ("first_seen".to_owned(), stamp(span.first).into()),
                ("last_seen".to_owned(), stamp(span.last).into()),
            ]);
            if let Value::Object(rest) = rest(*key, *span) {
                entry.extend(rest);
            }
            Value::Object(entry)
        });
        entries.collect()
    }

    fn listed_by_name(
        &self,
        entries: &BTreeMap<(usize, &'static str), Span>,
        name: &str,
        counter: &str,
    ) -> Value {
        let mut sorted: Vec<_> = entries.iter().collect();
        sorted.sort_by_key(|((connector, what), _)| (&self.connectors[*connector], *what));
        let entries = sorted.into_iter().map(|((connector, what), span)| {
            let mut entry = self.place(*connector);
            entry.insert(name.to_owned(), (*what).into());
            entry.insert(counter.to_owned(), span.count.into());
            Value::Object(entry)
        });
        entries.collect()
    }

    fn place(&self, connector: usize) -> Map<String, Value> {
        let connector = self.connectors[connector].as_str();
        [("server", SERVER), ("connector", connector)]
            .map(|(key, value)| (key.to_owned(), value.into()))
            .into_iter()
            .collect()
    }
}

fn see<K: Ord>(entries: &mut BTreeMap<K, Span>, key: K, now: u64, counts: bool) {
    let span = entries.entry(key).or_insert(Span {
        count: 0,
        first: now,
        last: now,
    });
    span.count += u64::from(counts);
    span.last = now;
}

/// The certificates as far as they do not depend on who presents them.
fn certificates(dialogues: &Dialogues) -> Vec<Value> {
    let dated = dialogues.form == Form::C;
    let date = |date: &str| dated.then(|| format!("{date}Z"));
    dialogues
        .certificates
        .iter()
        .map(|certificate| {
            json!({
                "thumbprint": certificate.thumbprint,
                "subject": certificate.subject,
                "issuer": certificate.issuer,
                "serial": certificate.serial,
                "names": certificate.names,
                "not_before": date(VALIDITY.0),
                "not_after": date(VALIDITY.1),
                "validity_from": dated.then_some("log"),
            })
        })
        .collect()
}
