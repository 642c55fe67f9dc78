//! The one place where the stages are chained: bytes go in, messages to send come out.
//!
//! ```text
//! bytes → lines → rows → sessions → observations → ledger
//!                                              ↘ findings → alerts → outbox
//! ```
//!
//! [`judging`] is the second half, from observations on. The engine does nothing by itself. Whoever owns it feeds it bytes, tells it the time, sends what is due and reports
//! the answers. While a stream is still behind (at the first start, or after an outage), findings wait: what was wrong
//! yesterday and is right today is no news.

mod judging;
mod kept;

use std::sync::Arc;

use jiff::Timestamp;

use crate::pipeline::alert::findings::Confirmed;
use crate::pipeline::engine::judging::Judging;
use crate::pipeline::expectation::Expectations;
use crate::pipeline::expectation::Settings;
use crate::pipeline::file::LogFile;
use crate::pipeline::inventory::Inventory;
use crate::pipeline::ledger::Ledger;
use crate::pipeline::outbox::Delivery;
use crate::pipeline::outbox::Dropped;
use crate::pipeline::outbox::Outcome;
use crate::pipeline::outbox::Receiver;
use crate::pipeline::outbox::Ticket;
use crate::pipeline::outbox::heartbeat::Ailment;
use crate::pipeline::outbox::heartbeat::Vitals;
use crate::pipeline::outbox::resend::Round;
use crate::pipeline::outbox::wish::Reply;
use crate::pipeline::outbox::wish::Wish;
use crate::pipeline::record;
use crate::pipeline::record::Row;
use crate::pipeline::session::Listener;
use crate::pipeline::session::Observation;
use crate::pipeline::session::Place;
use crate::pipeline::session::Rows;
use crate::pipeline::session::Sessions;
use crate::pipeline::session::StreamId;
use crate::pipeline::snapshot::ExpectedConnector;
use crate::pipeline::snapshot::Snapshot;

pub use crate::pipeline::engine::judging::NEWS_AGE;

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
    /// The day when history was last looked through, in days since 1970.
    day: i64,
}

impl Engine {
    /// Takes over what is expected, at the start and when the configuration or an export changes. Alerts of connectors
    /// that are no longer judged end.
    pub fn set_expectations(&mut self, expectations: Expectations, now: Timestamp) {
        let ledger = Arc::clone(&self.reading.ledger);
        let sessions = &self.reading.sessions;
        self.judging.expect(expectations, &ledger, sessions, now);
        self.judging
            .follow_relay(&mut self.reading.sessions.relay_watch);
    }

    /// Takes over the certificates that are known apart from the log. What follows shows at the next tick.
    pub fn set_inventory(&mut self, inventory: Arc<Inventory>) {
        self.judging.set_inventory(inventory);
    }

    /// Takes over what the operator finds urgent. What follows shows at the next tick.
    pub fn set_settings(&mut self, settings: Settings) {
        self.judging.set_settings(settings);
    }

    /// Takes over what is wrong with certdrift itself: sources, exports, state. What is no longer among it is over.
    pub fn set_conditions(&mut self, conditions: Vec<(Place, Confirmed)>) {
        self.judging.conditions = conditions;
    }

    /// Takes over the list of receivers, at the start and when the configuration changes, and says which messages were
    /// dropped by that. Who is new hears at the next tick of what fires.
    pub fn set_receivers(&mut self, receivers: Vec<Receiver>, now: Timestamp) -> Vec<Dropped> {
        self.judging.outbox.set_receivers(receivers, now)
    }

    /// Announces a directory of one server: the scope in which session ids are unique.
    pub fn open_stream(&mut self, server: &str) -> StreamId {
        self.reading.sessions.open(Arc::from(server))
    }

    /// Reads the next bytes of a file. Of a stream that is not open, nothing is read.
    pub fn feed(&mut self, stream: StreamId, file: &mut LogFile, chunk: &[u8], now: Timestamp) {
        if let Some(mut pass) = self.pass(stream, now) {
            file.feed(chunk, |row| pass.row(row));
        }
    }

    /// Nothing more will come in this file: takes its unfinished last line for a row, if it is a whole one.
    pub fn finish(&mut self, stream: StreamId, file: &mut LogFile, now: Timestamp) -> bool {
        let pass = self.pass(stream, now);
        pass.is_some_and(|mut pass| file.take_unfinished(|row| pass.row(row)))
    }

    /// A ledger that a snapshot shares is copied here, once, and not at each observation.
    fn pass(&mut self, stream: StreamId, now: Timestamp) -> Option<Pass<'_>> {
        let Self { reading, judging } = self;
        let observer = Observer {
            stream,
            now,
            ledger: Arc::make_mut(&mut reading.ledger),
            judging,
        };
        let rows = reading.sessions.rows(stream, observer)?;
        Some(Pass { rows })
    }

    /// Nothing more will come in this directory: what its sessions still hold is said.
    pub fn end_stream(&mut self, stream: StreamId, now: Timestamp) {
        let Self { reading, judging } = self;
        let observer = Observer {
            stream,
            now,
            ledger: Arc::make_mut(&mut reading.ledger),
            judging,
        };
        reading.sessions.end(stream, observer);
    }

    /// The directory is no longer followed: connectors that no other directory tells of are not judged any more.
    pub fn forget_stream(&mut self, stream: StreamId, now: Timestamp) {
        let Self { reading, judging } = self;
        let server = reading
            .sessions
            .stream(stream)
            .map(|known| Arc::clone(&known.server));
        let ledger = Arc::make_mut(&mut reading.ledger);
        let observer = Observer {
            stream,
            now,
            ledger,
            judging,
        };
        reading.sessions.forget(stream, observer);
        if let Some(server) = server
            && !reading
                .sessions
                .streams()
                .any(|(_, other)| other.server == server)
        {
            ledger.forget(&server);
        }
        self.set_behind(stream, false);
        self.set_unreadable(stream, false);
        self.judging.forget_stream(stream, now);
    }

    /// Says whether a stream has bytes that were there at the last look and are not read yet. Until it has caught up,
    /// what it tells raises no alerts, and those that are firing stay as they are.
    pub fn set_behind(&mut self, stream: StreamId, behind: bool) {
        self.judging.behind.retain(|&known| known != stream);
        if behind {
            self.judging.behind.push(stream);
        }
    }

    /// Says whether the logs of a stream cannot be read at all. As long as they cannot, nothing is concluded from their
    /// silence.
    pub fn set_unreadable(&mut self, stream: StreamId, unreadable: bool) {
        self.judging.unreadable.retain(|&known| known != stream);
        if unreadable {
            self.judging.unreadable.push(stream);
        }
    }

    /// Says up to when the logs of a stream have been looked at: what is written later may not have been read yet. A stream
    /// of which nobody says so has been read up to now.
    pub fn set_seen(&mut self, stream: StreamId, until: Timestamp) {
        self.judging.seen.insert(stream, until);
    }

    /// A pass over the logs is done, or time has passed: brings alerts in line with the findings and says what to
    /// send.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Delivery> {
        self.update(now);
        self.due(now)
    }

    /// Brings alerts in line with the findings.
    pub fn update(&mut self, now: Timestamp) {
        let reading = &mut self.reading;
        let day = now.as_second().div_euclid(24 * 60 * 60);
        if day != reading.day {
            reading.day = day;
            Ledger::forget_history(&mut reading.ledger, now);
        }
        self.judging.look_for_unseen(&reading.sessions, now);
        self.judging
            .reconsider(&reading.ledger, &reading.sessions, now);
        self.judging.follow_relay(&mut reading.sessions.relay_watch);
    }

    /// What to send now, of what is on disk.
    pub fn due(&mut self, now: Timestamp) -> Vec<Delivery> {
        self.judging.outbox.due(now)
    }

    /// What to tell Alertmanagers now of how things stand, as far as it is on disk.
    pub fn rounds(&mut self, now: Timestamp) -> Vec<Round> {
        self.judging.outbox.rounds(now)
    }

    /// Why nothing is to be said to a dead man's switch, if there is one and there is a reason.
    pub fn ailment(&self, vitals: Vitals, now: Timestamp) -> Option<Ailment> {
        let outbox = &self.judging.outbox;
        let ailment = outbox.ailment(vitals, now);
        ailment.filter(|_| outbox.has_heartbeat())
    }

    /// The dead man's switches to give a sign of life now.
    pub fn beats(&mut self, vitals: Vitals, now: Timestamp) -> Vec<Arc<str>> {
        self.judging.outbox.beats(vitals, now)
    }

    /// Reports what came of a delivery; `spread` lies between -1 and 1 and keeps retries from marching in step.
    pub fn answered(&mut self, number: u64, outcome: Outcome, now: Timestamp, spread: f64) {
        self.judging.outbox.answered(number, outcome, now, spread);
    }

    /// Reports what came of anything that was sent.
    pub fn returned(&mut self, ticket: &Ticket, outcome: Outcome, now: Timestamp, spread: f64) {
        self.judging.outbox.returned(ticket, outcome, now, spread);
    }

    /// Does what somebody asks of the messages that wait or are dead.
    pub fn grant(&mut self, wish: &Wish, now: Timestamp) -> Reply {
        self.judging.outbox.grant(wish, now)
    }

    /// Times of the earliest and the latest row that the open streams have shown since the start.
    pub fn row_times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let streams = || self.reading.sessions.streams().map(|(_, stream)| stream);
        let first = streams().filter_map(|stream| stream.first_millis).min();
        let last = streams().filter_map(|stream| stream.last_millis).max();
        (first.map(record::timestamp), last.map(record::timestamp))
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
            inventory: Arc::clone(&self.judging.inventory),
            judged: self.judging.judged(&self.reading.ledger),
            expected: expected_connectors(&self.judging.expectations),
            alerts: self.judging.alerts.firing().cloned().collect(),
            evicted_sessions: self.reading.sessions.evicted,
            receivers: self.judging.outbox.status(),
        }
    }
}

/// The engine while rows of one directory come in.
struct Pass<'a> {
    rows: Rows<'a, Observer<'a>>,
}

/// Enters what sessions show in the ledger and has it judged: the second half of the way.
struct Observer<'a> {
    stream: StreamId,
    now: Timestamp,
    ledger: &'a mut Ledger,
    judging: &'a mut Judging,
}

impl Pass<'_> {
    fn row(&mut self, row: &Row<'_>) {
        self.rows.row(row);
        // The very next row may show that relay works again.
        let (observer, relay_watch) = self.rows.listener();
        if observer.judging.relay_changed {
            observer.judging.follow_relay(relay_watch);
        }
    }
}

impl Listener for Observer<'_> {
    fn hear(&mut self, observation: Observation<'_>) {
        self.ledger.enter(&observation);
        self.judging.observe(self.stream, &observation, self.now);
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
