//! From observations to messages: what is known of every connector that is judged, which alerts fire because of it,
//! and what is to be told.
//!
//! A connector's alerts come from four places: its findings (what a session presents), its troubles (sessions that
//! fail), its rhythm (sessions that stay away), and what its servers present together. All of them say what is
//! confirmed; [`Alerts`] says what begins and ends by it.

mod fitting;
mod kept;
mod watched;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use jiff::Timestamp;

use crate::pipeline::alert::Alerts;
use crate::pipeline::alert::Firing;
use crate::pipeline::alert::Notice;
use crate::pipeline::alert::disagreement::Disagreements;
use crate::pipeline::alert::disagreement::Vote;
use crate::pipeline::alert::findings::Confirmed;
use crate::pipeline::alert::summary::Summaries;
use crate::pipeline::alert::unseen::Read;
use crate::pipeline::alert::unseen::Unseen;
use crate::pipeline::engine::judging::fitting::Fitting;
use crate::pipeline::engine::judging::watched::Watched;
use crate::pipeline::expectation::Expectation;
use crate::pipeline::expectation::Expectations;
use crate::pipeline::expectation::Settings;
use crate::pipeline::inventory::Inventory;
use crate::pipeline::ledger::ConnectorLedger;
use crate::pipeline::ledger::Ledger;
use crate::pipeline::ledger::MAX_CONNECTORS;
use crate::pipeline::outbox::Outbox;
use crate::pipeline::saved::Written;
use crate::pipeline::session::Handshake;
use crate::pipeline::session::Observation;
use crate::pipeline::session::Place;
use crate::pipeline::session::RelayWatch;
use crate::pipeline::session::Sessions;
use crate::pipeline::session::StreamId;
use crate::pipeline::snapshot::Judged;
use crate::pipeline::verdict::Bench;
use crate::pipeline::verdict::Verdict;

/// A finding older than this changes the state but is not told on its own; the state that it leads to is.
pub const NEWS_AGE: SignedDuration = SignedDuration::from_hours(1);

/// As many connectors are judged as the ledger keeps.
#[derive(Debug, Default)]
pub(super) struct Judging {
    pub(super) expectations: Expectations,
    fitting: Fitting,
    pub(super) inventory: Arc<Inventory>,
    settings: Settings,
    /// What is wrong with certdrift itself.
    pub(super) conditions: Vec<(Place, Confirmed)>,
    pub(super) alerts: Alerts,
    pub(super) outbox: Outbox,
    pub(super) behind: Vec<StreamId>,
    pub(super) unreadable: Vec<StreamId>,
    /// Up to when each stream has been looked at.
    pub(super) seen: BTreeMap<StreamId, Timestamp>,
    watched: BTreeMap<Place, Watched>,
    /// What is on disk of them.
    kept: BTreeMap<Place, Watched>,
    disagreements: Disagreements,
    summaries: Summaries,
    unseen: Unseen,
    /// Places of alerts that belong to no connector of one server.
    elsewhere: BTreeSet<Place>,
    /// Notices since the last tick.
    news: Vec<Notice>,
    /// Whether relay began or ceased to be denied somewhere, so that other sessions are to be followed.
    pub(super) relay_changed: bool,
    /// What is on disk of the rest.
    written: Written,
    /// Whether something is to be told that is not on disk yet.
    pub(super) is_urgent: bool,
}

/// What a [`Bench`] needs of the whole, apart from the connectors.
#[derive(Clone, Copy)]
struct Standards<'a> {
    expectations: &'a Expectations,
    inventory: &'a Inventory,
    settings: &'a Settings,
    now: Timestamp,
}

impl<'a> Standards<'a> {
    /// `None`: nothing is expected of the connector.
    fn bench(self, place: &'a Place) -> Option<Bench<'a>> {
        let expectation = self.expectations.for_connector(&place.connector)?;
        Some(self.bench_by(expectation, place))
    }

    fn bench_by(self, expectation: &'a Expectation, place: &'a Place) -> Bench<'a> {
        Bench {
            server: &place.server,
            connector: &place.connector,
            expectation,
            inventory: self.inventory,
            settings: self.settings,
            now: self.now,
        }
    }
}

impl Judging {
    /// Only sessions with Exchange Online on a connector that somebody expects something of are judged.
    pub(super) fn observe(
        &mut self,
        stream: StreamId,
        observation: &Observation<'_>,
        now: Timestamp,
    ) {
        if !observation.exchange_online || !observation.fact.is_evidence() {
            return;
        }
        let fitting = &mut self.fitting;
        let Some(expectation) = fitting.find(&self.expectations, observation.connector) else {
            return;
        };
        let place = Place {
            server: Arc::clone(observation.server),
            connector: Arc::clone(observation.connector),
        };
        if self.watched.len() >= MAX_CONNECTORS && !self.watched.contains_key(&place) {
            return;
        }
        let standards = Standards {
            expectations: &self.expectations,
            inventory: &self.inventory,
            settings: &self.settings,
            now,
        };
        let bench = standards.bench_by(expectation, &place);
        let watched = self
            .watched
            .entry(place.clone())
            .or_insert_with(|| Watched::new(expectation));
        watched.told_by(stream);
        watched.enter(observation, bench);
        self.relay_changed |= watched.findings.is_denied() != watched.follows_relay;
        let is_news = now.duration_since(observation.time) <= NEWS_AGE;
        if is_news && !watched.is_among(&self.behind) {
            let confirmed = watched.confirmed(&place.connector);
            self.news
                .extend(self.alerts.update(&place, &confirmed, now));
        }
    }

    /// Brings alerts in line with what is known now, and puts what is to be told into the outbox.
    pub(super) fn reconsider(&mut self, ledger: &Ledger, sessions: &Sessions, now: Timestamp) {
        let standards = Standards {
            expectations: &self.expectations,
            inventory: &self.inventory,
            settings: &self.settings,
            now,
        };
        for (place, watched) in &mut self.watched {
            let Some(bench) = standards.bench(place) else {
                continue;
            };
            if watched.is_among(&self.behind) {
                continue;
            }
            watched.findings.reconsider(bench);
            if !watched.is_among(&self.unreadable) {
                let streams = watched.streams.iter();
                let until = streams.filter_map(|stream| self.seen.get(stream)).min();
                watched.listen(bench, sessions, until.map_or(now, |until| now.min(*until)));
            }
            let confirmed = watched.confirmed(&place.connector);
            self.news.extend(self.alerts.update(place, &confirmed, now));
        }
        self.compare_servers(ledger, now);
        self.send(now);
    }

    /// Looks for connectors that nobody has seen. As long as some logs are not read up to now, nothing new is concluded.
    pub(super) fn look_for_unseen(&mut self, sessions: &Sessions, now: Timestamp) {
        if !self.behind.is_empty() || !self.unreadable.is_empty() {
            return;
        }
        let seen = self.seen.values().min();
        let until = seen.map_or(now, |until| now.min(*until));
        let read = Read::new(sessions, self.watched.keys(), until);
        self.unseen.look(&self.expectations, &read);
    }

    /// The certificates that are known apart from the log.
    pub(super) fn set_inventory(&mut self, inventory: Arc<Inventory>) {
        self.inventory = inventory;
        self.forget_judgements();
    }

    /// What the operator finds urgent.
    pub(super) fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
        self.forget_judgements();
    }

    fn forget_judgements(&mut self) {
        for watched in self.watched.values_mut() {
            watched.findings.forget_judgements();
        }
    }

    /// Judges anew where something else is expected than before; what is expected as before goes on undisturbed.
    pub(super) fn expect(
        &mut self,
        expectations: Expectations,
        ledger: &Ledger,
        sessions: &Sessions,
        now: Timestamp,
    ) {
        self.expectations = expectations;
        self.fitting = Fitting::default();
        self.forget_judgements();
        let expectations = &self.expectations;
        let is_judged = |connector: &str| expectations.for_connector(connector).is_some();
        self.disagreements.retain(is_judged);
        let gone: Vec<Place> = self
            .watched
            .keys()
            .filter(|place| !is_judged(&place.connector))
            .cloned()
            .collect();
        for place in gone {
            self.watched.remove(&place);
            self.news.extend(self.alerts.update(&place, &[], now));
        }
        let standards = Standards {
            expectations,
            inventory: &self.inventory,
            settings: &self.settings,
            now,
        };
        for (place, watched) in &mut self.watched {
            if let Some(bench) = standards.bench(place)
                && watched.expected != bench.expectation.fingerprint()
            {
                watched.expected = bench.expectation.fingerprint();
                watched.findings.expectation_changed(bench);
            }
            watched.forget_patience();
        }
        self.watch_known(ledger, sessions, now);
    }

    /// The logs of a stream are none of certdrift's business any more: a connector that no other logs tell of is not
    /// watched any longer, and its alerts are over.
    pub(super) fn forget_stream(&mut self, stream: StreamId, now: Timestamp) {
        self.seen.remove(&stream);
        let mut gone = Vec::new();
        for (place, watched) in &mut self.watched {
            let told = watched.streams.contains(&stream);
            watched.streams.retain(|&known| known != stream);
            if told && watched.streams.is_empty() {
                gone.push(place.clone());
            }
        }
        for place in gone {
            self.watched.remove(&place);
            self.news.extend(self.alerts.update(&place, &[], now));
        }
    }

    /// A connector that is judged from now on has been observed before: its last session is known from the ledger. The
    /// ledger does not say which logs told of it, so until they do again it is all of its server.
    fn watch_known(&mut self, ledger: &Ledger, sessions: &Sessions, now: Timestamp) {
        let standards = Standards {
            expectations: &self.expectations,
            inventory: &self.inventory,
            settings: &self.settings,
            now,
        };
        for (place, entry) in ledger.connectors() {
            let Some(bench) = standards.bench(place) else {
                continue;
            };
            if self.watched.contains_key(place) {
                continue;
            }
            let Some((presentation, time)) = entry.last_presentation() else {
                continue;
            };
            let mut watched = Watched::new(bench.expectation);
            if let Some(address) = entry.current_egress() {
                watched.findings.egress(address);
            }
            watched.findings.session(&presentation, time, bench);
            watched.findings.expectation_changed(bench);
            watched.rhythm.session(time, now);
            let of_server = sessions
                .streams()
                .filter(|(_, stream)| stream.server == place.server);
            watched.streams = of_server.map(|(stream, _)| stream).collect();
            watched.streams_are_guessed = true;
            self.watched.insert(place.clone(), watched);
        }
    }

    /// Where relay is denied, and only there, sessions tell whether a recipient outside the accepted domains gets
    /// through again.
    pub(super) fn follow_relay(&mut self, relay_watch: &mut RelayWatch) {
        self.relay_changed = false;
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
            relay_watch.set(place, domains);
        }
    }

    /// Rule L4, and what is wrong with certdrift itself: alerts whose place is no connector of one server.
    fn compare_servers(&mut self, ledger: &Ledger, now: Timestamp) {
        let mut held: BTreeMap<Place, Vec<Confirmed>> = BTreeMap::new();
        let behind = self.watched.iter();
        let behind: BTreeSet<Arc<str>> = behind
            .filter(|(_, watched)| watched.is_among(&self.behind))
            .map(|(place, _)| Arc::clone(&place.connector))
            .collect();
        for (connector, votes) in self.votes(ledger) {
            // What servers present now is known when all of their logs are read.
            if behind.contains(&connector) {
                if let Some(told) = self.disagreements.told(&connector) {
                    let of_connector = held.entry(of_all_servers(connector)).or_default();
                    of_connector.push(told.clone());
                }
                continue;
            }
            let window = self.settings.rollout_window;
            let expectation = self.expectations.for_connector(&connector);
            let is_excused = expectation.is_some_and(|expectation| is_excused(expectation, now));
            let votes = if is_excused { Vec::new() } else { votes };
            if let Some(told) = self.disagreements.consider(&connector, &votes, window, now) {
                held.entry(of_all_servers(connector))
                    .or_default()
                    .push(told);
            }
        }
        for (place, confirmed) in self.unseen.told() {
            held.entry(place).or_default().push(confirmed.clone());
        }
        let mut own: BTreeMap<Place, Vec<Confirmed>> = BTreeMap::new();
        for (place, confirmed) in &self.conditions {
            own.entry(place.clone())
                .or_default()
                .push(confirmed.clone());
        }
        let mut places = std::mem::take(&mut self.elsewhere);
        let now_held = held.keys().chain(own.keys());
        self.elsewhere = now_held.cloned().collect();
        places.extend(self.elsewhere.iter().cloned());
        let of = |found: &BTreeMap<Place, Vec<Confirmed>>, place| {
            found.get(place).cloned().unwrap_or_default()
        };
        for place in &places {
            let own = of(&own, place);
            self.news.extend(self.alerts.update_own(place, &own, now));
            // Rows may name no connector, and what they show is judged where it was found.
            if !self.watched.contains_key(place) {
                let held = of(&held, place);
                self.news.extend(self.alerts.update(place, &held, now));
            }
        }
    }

    /// What every server presents to Exchange Online now, by connector.
    fn votes(&self, ledger: &Ledger) -> BTreeMap<Arc<str>, Vec<Vote>> {
        let mut votes: BTreeMap<Arc<str>, Vec<Vote>> = BTreeMap::new();
        for place in self.watched.keys() {
            let of_connector = votes.entry(Arc::clone(&place.connector)).or_default();
            let entry = ledger.connector(place);
            of_connector.extend(entry.and_then(|entry| vote(&place.server, entry)));
        }
        votes
    }

    fn send(&mut self, now: Timestamp) {
        let news = std::mem::take(&mut self.news);
        self.is_urgent |= !news.is_empty();
        for notice in &news {
            self.outbox.add_single(notice, now);
        }
        for notice in self.summaries.gather(news, now) {
            self.outbox.add(&Arc::new(notice), now);
        }
        if self.outbox.has_newcomers() {
            self.catch_up(now);
        }
        self.outbox.stand(self.alerts.firing(), now);
        self.outbox.expire(now);
    }

    /// Tells receivers that are new, or want more than before, of what fires. What a summary tells of is told by it.
    fn catch_up(&mut self, now: Timestamp) {
        for notice in self.alerts.firing().map(Firing::standing) {
            let notice = Arc::new(notice);
            self.is_urgent |= self.outbox.catch_up_single(&notice, now);
            if !self.summaries.tell_of(&notice.key) {
                self.is_urgent |= self.outbox.catch_up(&notice, now);
            }
        }
        for notice in self.summaries.standing() {
            let notice = Arc::new(notice.clone());
            self.is_urgent |= self.outbox.catch_up(&notice, now);
        }
    }

    /// The verdict on every connector of the ledger, and on those that are sought in vain, ordered by server and connector.
    pub(super) fn judged(&self, ledger: &Ledger) -> Vec<Judged> {
        let unseen = self.unseen.shown().map(|(place, reason)| Judged {
            place,
            expected: true,
            verdict: Verdict::Unknown,
            reasons: vec![reason.clone()],
            silent_after: None,
            planned: Vec::new(),
        });
        let known = ledger.connectors().map(|(place, _)| {
            let watched = self.watched.get(place);
            let expectation = self.expectations.for_connector(&place.connector);
            Judged {
                place: place.clone(),
                expected: expectation.is_some(),
                verdict: watched.map_or(Verdict::Unknown, |watched| watched.findings.verdict()),
                reasons: watched
                    .map(|watched| watched.reasons(&place.connector))
                    .unwrap_or_default(),
                silent_after: watched.and_then(Watched::silent_after),
                planned: expectation.map_or_else(Vec::new, |it| it.planned.clone()),
            }
        });
        // Without a server they come first, so the order is kept.
        unseen.chain(known).collect()
    }
}

fn of_all_servers(connector: Arc<str>) -> Place {
    Place {
        server: Arc::from(""),
        connector,
    }
}

/// What one server presents to Exchange Online now, since it last presented anything else.
fn vote(server: &Arc<str>, entry: &ConnectorLedger) -> Option<Vote> {
    let handshake = Some(Handshake::StartTls);
    let current = entry.current(handshake);
    let current = current.filter(|presented| presented.exchange_online)?;
    let thumbprint = current.certificate.thumbprint;
    let others = entry.presented.iter().filter(|presented| {
        let other = presented.certificate.thumbprint;
        presented.handshake == handshake
            && presented.exchange_online
            && other.is_some()
            && other != thumbprint
    });
    let changed = others.map(|presented| presented.span.last_seen).max();
    Some(Vote {
        server: Arc::clone(server),
        certificate: Arc::clone(&current.certificate),
        since: changed.map_or(current.span.first_seen, |changed| {
            changed.max(current.span.first_seen)
        }),
        last: current.span.last_seen,
    })
}

/// Whether the servers of a connector may disagree for now, or for ever.
fn is_excused(expectation: &Expectation, now: Timestamp) -> bool {
    let accepts = expectation.accept.iter().any(|it| it == "servers_disagree");
    let planned = expectation
        .planned
        .iter()
        .any(|renewal| renewal.from <= now && now <= renewal.until);
    accepts || planned
}
