//! The one place where the stages are chained: bytes go in, messages to send come out.
//!
//! ```text
//! bytes → lines → rows → sessions → observations → ledger
//!                                              ↘ findings → alerts → outbox
//! ```
//!
//! The engine does nothing by itself. Whoever owns it feeds it bytes, tells it the time, sends what is due and reports
//! the answers. While a stream is still behind (at the first start, or after an outage), findings wait: what was wrong
//! yesterday and is right today is no news.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::Timestamp;

use crate::pipeline::alert::Alerts;
use crate::pipeline::alert::Notice;
use crate::pipeline::alert::findings::Bench;
use crate::pipeline::alert::findings::Findings;
use crate::pipeline::expectation::Expectations;
use crate::pipeline::file::LogFile;
use crate::pipeline::ledger::Ledger;
use crate::pipeline::ledger::MAX_CONNECTORS;
use crate::pipeline::outbox::Delivery;
use crate::pipeline::outbox::Outbox;
use crate::pipeline::outbox::Outcome;
use crate::pipeline::outbox::Receiver;
use crate::pipeline::record;
use crate::pipeline::record::Row;
use crate::pipeline::reply::ReplyClass;
use crate::pipeline::session::Fact;
use crate::pipeline::session::Observation;
use crate::pipeline::session::Place;
use crate::pipeline::session::Refused;
use crate::pipeline::session::Sessions;
use crate::pipeline::session::StreamId;
use crate::pipeline::snapshot::ExpectedConnector;
use crate::pipeline::snapshot::Judged;
use crate::pipeline::snapshot::Snapshot;
use crate::pipeline::verdict::Verdict;

/// A finding older than this changes the state but is not told on its own; the state that it leads to is.
pub const NEWS_AGE: SignedDuration = SignedDuration::from_hours(1);

/// Everything that certdrift knows.
#[derive(Debug, Default)]
pub struct Engine {
    reading: Reading,
    judging: Judging,
}

/// From bytes to the ledger.
#[derive(Debug, Default)]
struct Reading {
    sessions: Sessions,
    ledger: Arc<Ledger>,
    first_millis: Option<i64>,
    last_millis: Option<i64>,
}

/// From observations to messages. As many connectors are judged as the ledger keeps.
#[derive(Debug, Default)]
struct Judging {
    expectations: Expectations,
    watched: BTreeMap<Place, Watched>,
    alerts: Alerts,
    outbox: Outbox,
    behind: Vec<StreamId>,
}

/// A connector that is judged.
#[derive(Debug)]
struct Watched {
    findings: Findings,
    /// The streams that told of it.
    streams: Vec<StreamId>,
    /// Whether relay is followed in the sessions.
    follows_relay: bool,
}

impl Engine {
    /// Takes over what is expected, at the start and when the configuration changes. Alerts of connectors that are no
    /// longer judged end.
    pub fn set_expectations(&mut self, expectations: Expectations, now: Timestamp) {
        let before = std::mem::replace(&mut self.judging.expectations, expectations);
        let ledger = Arc::clone(&self.reading.ledger);
        self.judging.expectations_changed(&before, &ledger, now);
    }

    /// Takes over the list of receivers, at the start and when the configuration changes.
    pub fn set_receivers(&mut self, receivers: Vec<Receiver>, now: Timestamp) {
        self.judging.outbox.set_receivers(receivers, now);
    }

    /// Announces a directory of one server: the scope in which session ids are unique.
    pub fn open_stream(&mut self, server: &str) -> StreamId {
        self.reading.sessions.open(Arc::from(server))
    }

    /// Reads the next bytes of a file.
    pub fn feed(&mut self, stream: StreamId, file: &mut LogFile, chunk: &[u8], now: Timestamp) {
        file.feed(chunk, |row| self.row(stream, &row, now));
    }

    /// Nothing more will come in this file: takes its unfinished last line for a row, if it is a whole one.
    pub fn finish(&mut self, stream: StreamId, file: &mut LogFile, now: Timestamp) -> bool {
        file.take_unfinished(|row| self.row(stream, &row, now))
    }

    /// Nothing more will come in this directory: what its sessions still hold is said.
    pub fn end_stream(&mut self, stream: StreamId, now: Timestamp) {
        let Self { reading, judging } = self;
        let ledger = Arc::make_mut(&mut reading.ledger);
        reading.sessions.end(stream, &mut |observation| {
            ledger.enter(&observation);
            judging.observe(stream, &observation, now);
        });
    }

    /// A directory is no longer read: says what its sessions still hold, and ends the alerts of connectors of which no
    /// other directory tells, because nothing could ever end them.
    pub fn close_stream(&mut self, stream: StreamId, now: Timestamp) {
        self.end_stream(stream, now);
        self.judging.close(stream, now);
    }

    /// Says whether a stream has bytes that were there at the last look and are not read yet. Until it has caught up,
    /// what it tells raises no alerts, and those that are firing stay as they are.
    pub fn set_behind(&mut self, stream: StreamId, behind: bool) {
        self.judging.behind.retain(|&known| known != stream);
        if behind {
            self.judging.behind.push(stream);
        }
    }

    /// A pass over the logs is done, or time has passed: brings alerts in line with the findings and says what to
    /// send.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Delivery> {
        self.judging.reconsider(now);
        self.judging.follow_relay(&mut self.reading.sessions);
        self.judging.outbox.due(now)
    }

    /// Reports what came of a delivery; `spread` lies between -1 and 1 and keeps retries from marching in step.
    pub fn answered(&mut self, number: u64, outcome: Outcome, now: Timestamp, spread: f64) {
        self.judging.outbox.answered(number, outcome, now, spread);
    }

    /// Times of the earliest and the latest row.
    pub fn row_times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let reading = &self.reading;
        (
            reading.first_millis.map(record::timestamp),
            reading.last_millis.map(record::timestamp),
        )
    }

    /// The live sessions and the counts of each stream.
    pub fn sessions(&self) -> &Sessions {
        &self.reading.sessions
    }

    /// The state of everything.
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        Snapshot {
            at: now,
            ledger: Arc::clone(&self.reading.ledger),
            judged: self.judging.judged(&self.reading.ledger),
            expected: expected_connectors(&self.judging.expectations),
            alerts: self.judging.alerts.firing().cloned().collect(),
            evicted_sessions: self.reading.sessions.evicted,
            receivers: self.judging.outbox.status(),
        }
    }

    fn row(&mut self, stream: StreamId, row: &Row<'_>, now: Timestamp) {
        let Self { reading, judging } = self;
        reading.first_millis = Some(
            reading
                .first_millis
                .map_or(row.millis, |first| first.min(row.millis)),
        );
        reading.last_millis = reading.last_millis.max(Some(row.millis));
        let ledger = &mut reading.ledger;
        reading.sessions.row(stream, row, &mut |observation| {
            Arc::make_mut(ledger).enter(&observation);
            judging.observe(stream, &observation, now);
        });
    }
}

impl Judging {
    /// Only sessions with Exchange Online on a connector that somebody expects something of are judged.
    fn observe(&mut self, stream: StreamId, observation: &Observation<'_>, now: Timestamp) {
        if !observation.exchange_online || !observation.fact.is_evidence() {
            return;
        }
        let connector = observation.connector;
        let Some(expectation) = self.expectations.for_connector(connector) else {
            return;
        };
        let place = Place {
            server: Arc::clone(observation.server),
            connector: Arc::clone(connector),
        };
        if self.watched.len() >= MAX_CONNECTORS && !self.watched.contains_key(&place) {
            return;
        }
        let bench = Bench {
            connector,
            expectation,
            now,
        };
        let watched = self
            .watched
            .entry(place.clone())
            .or_insert_with(Watched::new);
        if !watched.streams.contains(&stream) {
            watched.streams.push(stream);
        }
        watched.enter(observation, bench);
        let is_news = now.duration_since(observation.time) <= NEWS_AGE;
        if is_news && !watched.waits(&self.behind) {
            let notices = self
                .alerts
                .update(&place, &watched.findings.confirmed(), now);
            self.send(notices, now);
        }
    }

    fn close(&mut self, stream: StreamId, now: Timestamp) {
        let mut notices = Vec::new();
        self.watched.retain(|place, watched| {
            let told = watched.streams.contains(&stream);
            watched.streams.retain(|&known| known != stream);
            let ends = told && watched.streams.is_empty();
            if ends {
                notices.extend(self.alerts.update(place, &[], now));
            }
            !ends
        });
        self.send(notices, now);
    }

    fn reconsider(&mut self, now: Timestamp) {
        let mut notices = Vec::new();
        for (place, watched) in &mut self.watched {
            let Some(expectation) = self.expectations.for_connector(&place.connector) else {
                continue;
            };
            if watched.waits(&self.behind) {
                continue;
            }
            watched.findings.reconsider(Bench {
                connector: &place.connector,
                expectation,
                now,
            });
            notices.extend(
                self.alerts
                    .update(place, &watched.findings.confirmed(), now),
            );
        }
        self.send(notices, now);
    }

    /// Judges anew where something else is expected than before; what is expected as before goes on undisturbed.
    fn expectations_changed(&mut self, before: &Expectations, ledger: &Ledger, now: Timestamp) {
        let gone: Vec<Place> = self
            .watched
            .keys()
            .filter(|place| self.expectations.for_connector(&place.connector).is_none())
            .cloned()
            .collect();
        let mut notices = Vec::new();
        for place in gone {
            self.watched.remove(&place);
            notices.extend(self.alerts.update(&place, &[], now));
        }
        for (place, watched) in &mut self.watched {
            if let Some(expectation) = self.expectations.for_connector(&place.connector)
                && before.for_connector(&place.connector) != Some(expectation)
            {
                watched.findings.expectation_changed(Bench {
                    connector: &place.connector,
                    expectation,
                    now,
                });
            }
        }
        self.watch_known(ledger, now);
        self.send(notices, now);
    }

    /// A connector that is judged from now on has been observed before: its last session is known from the ledger.
    fn watch_known(&mut self, ledger: &Ledger, now: Timestamp) {
        for (place, entry) in ledger.connectors() {
            let Some(expectation) = self.expectations.for_connector(&place.connector) else {
                continue;
            };
            if self.watched.contains_key(place) {
                continue;
            }
            let Some((presentation, time)) = entry.last_presentation() else {
                continue;
            };
            let mut watched = Watched::new();
            if let Some(address) = entry.current_egress() {
                watched.findings.egress(address);
            }
            let bench = Bench {
                connector: &place.connector,
                expectation,
                now,
            };
            watched.findings.session(&presentation, time, bench);
            watched.findings.expectation_changed(bench);
            self.watched.insert(place.clone(), watched);
        }
    }

    /// Where relay is denied, and only there, sessions tell whether a recipient outside the accepted domains gets
    /// through again.
    fn follow_relay(&mut self, sessions: &mut Sessions) {
        for (place, watched) in &mut self.watched {
            let denied = watched.findings.is_denied();
            if denied == watched.follows_relay {
                continue;
            }
            watched.follows_relay = denied;
            let domains = self
                .expectations
                .for_connector(&place.connector)
                .and_then(|expectation| expectation.accepted_domains.as_deref())
                .filter(|_| denied)
                .map(Arc::from);
            sessions.watch_relay(place, domains);
        }
    }

    fn send(&mut self, notices: Vec<Notice>, now: Timestamp) {
        for notice in notices {
            self.outbox.add(&Arc::new(notice), now);
        }
    }

    fn judged(&self, ledger: &Ledger) -> Vec<Judged> {
        ledger
            .connectors()
            .map(|(place, _)| {
                let findings = self.watched.get(place).map(|watched| &watched.findings);
                Judged {
                    place: place.clone(),
                    expected: self.expectations.for_connector(&place.connector).is_some(),
                    verdict: findings.map_or(Verdict::Unknown, Findings::verdict),
                    reasons: findings.map(Findings::reasons).unwrap_or_default(),
                }
            })
            .collect()
    }
}

impl Watched {
    fn new() -> Self {
        Self {
            findings: Findings::default(),
            streams: Vec::new(),
            follows_relay: false,
        }
    }

    /// Whether a stream that told of it has not caught up.
    fn waits(&self, behind: &[StreamId]) -> bool {
        self.streams.iter().any(|stream| behind.contains(stream))
    }

    fn enter(&mut self, observation: &Observation<'_>, bench: Bench<'_>) {
        let findings = &mut self.findings;
        match &observation.fact {
            Fact::Secured {
                presented: Some(presentation),
                ..
            } => findings.session(presentation, observation.time, bench),
            Fact::Egress { address, .. } => findings.egress(*address),
            Fact::Refused(refused) => findings.denied(
                reply_text(refused),
                refused.presented,
                observation.session,
                observation.time,
                bench.now,
            ),
            Fact::Relayed => findings.relayed(observation.time),
            _ => {}
        }
    }
}

impl Fact<'_> {
    /// Whether a verdict may rest on it.
    fn is_evidence(&self) -> bool {
        match self {
            Fact::Secured { presented, .. } => presented.is_some(),
            Fact::Egress { .. } | Fact::Relayed => true,
            Fact::Refused(refused) => refused.class == ReplyClass::Attribution,
            Fact::Started | Fact::Offered { .. } | Fact::TlsFailed { .. } | Fact::BannerMasked => {
                false
            }
        }
    }
}

/// A reply as one line, without addresses and ids.
fn reply_text(refused: &Refused<'_>) -> String {
    match refused.enhanced {
        Some(enhanced) => format!("{} {enhanced} {}", refused.code, refused.text),
        None => format!("{} {}", refused.code, refused.text),
    }
}

fn expected_connectors(expectations: &Expectations) -> Vec<ExpectedConnector> {
    expectations
        .entries()
        .iter()
        .flat_map(|entry| {
            entry
                .inbound_connectors
                .iter()
                .map(|inbound| ExpectedConnector {
                    connector: entry.pattern.as_str().to_owned(),
                    inbound_connector: inbound.name.clone(),
                    tls_sender_certificate_name: inbound
                        .tls_sender_certificate_name
                        .clone()
                        .unwrap_or_default(),
                })
        })
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
