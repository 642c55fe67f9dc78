//! The loop: bytes from the logs go into the engine, messages come out and are sent, and the last snapshot is there for
//! whoever asks.

mod batch;
mod commits;
mod expectation;
mod posts;
mod reader;
mod restored;
mod servers;
mod wishes;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::config::Config;
use crate::daemon::clock;
use crate::daemon::control::Control;
use crate::daemon::control::Question;
use crate::daemon::expected;
use crate::daemon::expected::ExpectedFiles;
use crate::daemon::expected::Follower;
use crate::daemon::expected::Known;
use crate::daemon::post;
use crate::daemon::post::Poster;
use crate::daemon::run::batch::take_waiting;
use crate::daemon::run::commits::Commits;
use crate::daemon::run::commits::Outcome;
use crate::daemon::run::commits::until_kept;
use crate::daemon::run::expectation::Expectation;
use crate::daemon::run::posts::Errand;
use crate::daemon::run::posts::Posts;
use crate::daemon::run::reader::Reader;
use crate::daemon::run::restored::Restored;
use crate::daemon::run::servers::Servers;
use crate::daemon::run::wishes::Wishes;
use crate::daemon::server;
use crate::daemon::server::ReloadRequest;
use crate::daemon::service;
use crate::daemon::service::Service;
use crate::daemon::signals::Signal;
use crate::daemon::signals::Signals;
use crate::daemon::store::Store;
use crate::daemon::tail::Message;
use crate::daemon::web;
use crate::daemon::web::Web;
use crate::pipeline::alert::Firing;
use crate::pipeline::engine::Engine;
use crate::pipeline::health::Health;
use crate::pipeline::outbox;
use crate::pipeline::outbox::Dropped;
use crate::pipeline::outbox::Ticket;
use crate::pipeline::outbox::heartbeat::Ailment;
use crate::pipeline::outbox::heartbeat::Vitals;
use crate::pipeline::saved::Changes;
use crate::pipeline::saved::Table;
use crate::pipeline::saved::Written;
use crate::pipeline::snapshot::ReloadStatus;
use crate::pipeline::snapshot::Snapshot;
use crate::pipeline::snapshot::SourceStatus;
use crate::pipeline::snapshot::State;

/// How often time itself is a reason to look.
const TICK: Duration = Duration::from_secs(1);
/// How many messages are read in one go before the outcome is shown: at most 8 MiB, some milliseconds.
const MAX_BATCH: usize = 32;
/// How long the start waits for exports and certificate files; a share that hangs does not keep it from judging.
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// How long messages that are under way may take at the end.
const LAST_WORDS: Duration = Duration::from_millis(1500);

/// How the daemon was started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration.
    pub config_file: PathBuf,
    /// Where to listen.
    pub listen_addresses: Vec<String>,
    /// TLS, passwords and headers of the HTTP server; `None`: plain HTTP for everybody.
    pub web_config_file: Option<PathBuf>,
    /// Where the metrics are.
    pub telemetry_path: String,
    /// The directory of the state.
    pub storage_path: PathBuf,
    /// Where people reach this certdrift; `None`: at the first listening address.
    pub external_url: Option<String>,
}

/// Runs until it is told to stop.
///
/// # Errors
/// What kept it from starting, in words for whoever started it.
pub async fn run(options: Options) -> Result<(), String> {
    let config = crate::config::load(&options.config_file).map_err(|error| error.to_string())?;
    let mut signals =
        Signals::new().map_err(|error| format!("cannot listen to signals: {error}"))?;
    let web = Web::open(options.web_config_file.as_deref(), web::Limits::default())?;
    let mut listeners = service::listeners()?;
    if listeners.is_empty() {
        for address in &options.listen_addresses {
            listeners.push(server::listen(address).await?);
        }
    }
    let external_url = match &options.external_url {
        Some(url) => url.clone(),
        None => default_url(web.scheme(), &listeners),
    };
    web.warn_of_plain_passwords(&listeners);
    let (messages, mut tailed) = mpsc::channel(crate::daemon::tail::MAX_MESSAGES);
    let (reload, mut reloads) = mpsc::channel::<ReloadRequest>(4);
    let (news, mut exported) = mpsc::channel(expected::MAX_CHANGES);
    let resumed = || ExpectedFiles::resumed(&config, &options.storage_path, clock::now());
    let follower = Follower::start(resumed(), news)
        .map_err(|error| format!("cannot start the thread that reads exports: {error}"))?;
    let first = tokio::time::timeout(FIRST_LOOK, exported.recv()).await;
    let known = first.ok().flatten().unwrap_or_else(|| {
        warn!("the exports could not be read in time; what they said before the start holds until they can");
        resumed().unanswered(clock::now())
    });
    let mut daemon = Daemon::new(
        options,
        config,
        known,
        follower,
        external_url,
        web,
        messages,
    )?;
    daemon.follower.keep_in(&daemon.options.storage_path);
    let mut servers = daemon.serve(listeners, &reload)?;
    let (question, mut questions) = mpsc::channel::<Question>(4);
    let _control = Control::offer(&daemon.options.storage_path, question);
    daemon.service.started();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut posts = Posts::default();
    let end = loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop => break Ok(()),
                Signal::Reload => { let _ = daemon.reload(); }
            },
            broken = servers.ended() => break Err(broken),
            Some(request) = reloads.recv() => { let _ = request.send(daemon.reload()); }
            Some(question) = questions.recv() => daemon.asked(question),
            Some(first) = posts.next() => {
                // A turn looks at everything; it must not be the price of each single answer.
                for (ticket, outcome) in std::iter::once(first).chain(std::iter::from_fn(|| posts.ready())) {
                    daemon.answered(&ticket, outcome);
                }
            }
            Some(message) = tailed.recv(), if !daemon.commits.is_failing() => {
                // The tick looks after what only time changes.
                if !daemon.read(message, &mut tailed, clock::now(), clock::instant()) {
                    continue;
                }
            }
            () = pause(daemon.commits.wait(clock::instant())) => {}
            Some(known) = exported.recv() => daemon.files_changed(known),
            _ = tick.tick() => {}
        }
        for errand in daemon.turn(clock::now(), clock::instant())? {
            posts.send(&daemon.poster, errand);
        }
    };
    info!("stopping");
    daemon.service.stopping();
    daemon.reader.stop();
    let last_words = async {
        while let Some((ticket, outcome)) = posts.next().await {
            daemon.answered(&ticket, outcome);
        }
    };
    if tokio::time::timeout(LAST_WORDS, last_words).await.is_err() {
        warn!("some notifications were still under way; they are sent again");
    }
    daemon.commit(clock::instant())?;
    end
}

/// Waits until a commit is due; for ever, if none waits.
async fn pause(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// Where people reach a server that listens here. On every interface, that is under the machine's own name.
fn default_url(scheme: &str, listeners: &[TcpListener]) -> String {
    let address = listeners
        .first()
        .and_then(|listener| listener.local_addr().ok());
    match address {
        Some(address) if address.ip().is_unspecified() => {
            format!("{scheme}://{}:{}/", host_name(), address.port())
        }
        Some(address) => format!("{scheme}://{address}/"),
        None => format!("{scheme}://localhost/"),
    }
}

/// The machine's name, as far as the system tells it without asking the network.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// The task's own belongings.
struct Daemon {
    options: Options,
    external_url: String,
    web: Arc<Web>,
    engine: Engine,
    reader: Reader,
    commits: Commits,
    /// What is on disk of `health`.
    written: Written,
    expectation: Expectation,
    health: Health,
    follower: Follower,
    poster: Arc<Poster>,
    state: Arc<ArcSwap<State>>,
    reload: ReloadStatus,
    service: Service,
    /// Whether every source has been read up to its end once.
    is_ready: bool,
    recovered_at: Option<Timestamp>,
    /// What was asked for and is not on disk yet.
    wishes: Wishes,
    /// Why a dead man's switch gets no sign of life.
    ailment: Option<Ailment>,
}

impl Daemon {
    fn new(
        options: Options,
        config: Config,
        known: Known,
        follower: Follower,
        external_url: String,
        web: Arc<Web>,
        messages: mpsc::Sender<Message>,
    ) -> Result<Self, String> {
        let now = clock::now();
        let opened = Store::open(&options.storage_path, now).map_err(|error| error.to_string())?;
        let Restored {
            mut engine,
            mut reader,
            commits,
            health,
            written,
            recovered_at,
        } = restored::restore(opened, messages, now)?;
        let restored = engine.snapshot(now);
        log_dropped(&engine.set_receivers(post::receivers(&config.receivers), now));
        let poster = Arc::new(Poster::new(&config.receivers, &external_url)?);
        reader.follow(&config.sources, &mut engine, now)?;
        let expectation = Expectation::new(config, known, &mut engine, now);
        let reload = ReloadStatus {
            successful: true,
            succeeded_at: now,
        };
        let snapshot = engine.snapshot(now);
        log_restored(&restored);
        log_alerts(&restored, &snapshot);
        let state = State {
            snapshot,
            sources: reader.statuses(&engine, clock::instant()),
            ready: false,
            writable: true,
            expectation: expectation.known().status.clone(),
            reload,
            configuration: expectation.summary(),
            started_at: now,
            recovered_at,
            web_certificate: web.certificate(),
        };
        Ok(Self {
            options,
            external_url,
            web,
            engine,
            reader,
            expectation,
            health,
            written,
            follower,
            commits,
            is_ready: false,
            recovered_at,
            wishes: Wishes::default(),
            ailment: None,
            poster,
            state: Arc::new(ArcSwap::from_pointee(state)),
            reload,
            service: Service::new(TICK),
        })
    }

    /// Serves on every listener, until what is returned is dropped.
    fn serve(
        &self,
        listeners: Vec<TcpListener>,
        reload: &mpsc::Sender<ReloadRequest>,
    ) -> Result<Servers, String> {
        let web = &self.web;
        let mut servers = Servers::default();
        for listener in listeners {
            let mut name = "listening".to_owned();
            if let Ok(address) = listener.local_addr() {
                name = format!("listening on {address}");
                let url = default_url(web.scheme(), std::slice::from_ref(&listener));
                let url = self.options.external_url.as_ref().unwrap_or(&url);
                info!(%address, url, "listening");
            }
            let path = &self.options.telemetry_path;
            let router = server::router(Arc::clone(&self.state), reload.clone(), path)?;
            servers.spawn(name, web::serve(listener, router, Arc::clone(web)));
        }
        let name = "following the web configuration".to_owned();
        servers.spawn(name, web::follow(Arc::clone(web)));
        Ok(servers)
    }

    fn answered(&mut self, ticket: &Ticket, outcome: outbox::Outcome) {
        let (now, spread) = (clock::now(), clock::spread());
        self.engine.returned(ticket, outcome, now, spread);
        self.commits.touch(0);
    }

    /// Does what somebody asks of the messages. The answer waits until it is on disk.
    fn asked(&mut self, question: Question) {
        let reply = self.engine.grant(&question.wish, clock::now());
        self.wishes.granted(question, reply);
        self.commits.hurry();
    }

    /// Takes over what the files of Exchange say.
    fn files_changed(&mut self, known: Known) {
        let now = clock::now();
        self.expectation.files_changed(known, &mut self.engine, now);
    }

    /// Takes a message from the logs, and those that wait behind it. Whether one of them can change anything.
    fn read(
        &mut self,
        first: Message,
        waiting: &mut mpsc::Receiver<Message>,
        now: Timestamp,
        instant: Instant,
    ) -> bool {
        let mut is_news = false;
        take_waiting(first, waiting, MAX_BATCH, |message| {
            let bytes = message.event.bytes();
            if self.reader.take(message, &mut self.engine, now, instant) {
                self.commits.touch(bytes);
                is_news = true;
            }
            !self.commits.is_full()
        });
        is_news
    }

    /// Brings everything up to date, keeps it, shows it, and says what to send.
    ///
    /// # Errors
    /// When the process has to end, in words for the operator.
    fn turn(&mut self, now: Timestamp, instant: Instant) -> Result<Vec<Errand>, String> {
        if self.commits.is_failing() {
            self.reader.hold(instant);
        }
        self.reader.tell_unreadable(&mut self.engine, instant);
        let sources = self.reader.statuses(&self.engine, instant);
        let exports = &self.expectation.known().status.exports;
        // A clock that was ahead and is set back must not make that be told for longer.
        self.recovered_at = self.recovered_at.map(|at| at.min(now));
        let recovered = self.recovered_at;
        // While nothing can be written nothing is read, and the threads that wait for room are not heard of. That is no
        // fault of their sources; what held before holds on until they have looked anew.
        if !self.commits.is_failing() && !self.reader.is_held(instant) {
            let conditions = self.health.conditions(&sources, exports, recovered, now);
            self.engine.set_conditions(conditions);
        }
        self.engine.update(now);
        let is_due = self.commits.is_due(self.engine.is_urgent(), instant);
        if is_due && self.commit(instant)? {
            self.show(sources, now, instant);
            self.wishes.answer();
        } else if self.commits.is_failing() && self.state.load().writable {
            let shown = State::clone(&self.state.load());
            self.state.store(Arc::new(State {
                ready: false,
                writable: false,
                ..shown
            }));
        }
        if self.commits.is_failing() {
            self.wishes.answer_unkept();
        }
        self.service.progressed(&self.state.load());
        Ok(self.errands(now, instant))
    }

    /// What to send now.
    fn errands(&mut self, now: Timestamp, instant: Instant) -> Vec<Errand> {
        let vitals = Vitals {
            passed: self.reader.passed(instant),
            is_kept: !self.commits.is_failing(),
        };
        let ailment = self.engine.ailment(vitals, now);
        match ailment {
            Some(ailment) if self.ailment != Some(ailment) => {
                warn!(
                    "the dead man's switch gets no sign of life: {}",
                    ailment.as_str()
                );
            }
            None if self.ailment.is_some() => {
                info!("the dead man's switch gets signs of life again");
            }
            _ => {}
        }
        self.ailment = ailment;
        let messages = self.engine.due(now).into_iter().map(Errand::Message);
        let mut errands: Vec<Errand> = messages.collect();
        errands.extend(self.engine.rounds(now).into_iter().map(Errand::Round));
        let beats = self.engine.beats(vitals, now);
        errands.extend(beats.into_iter().map(Errand::Beat));
        errands
    }

    /// Writes down what has changed. Whether all of it is on disk.
    fn commit(&mut self, now: Instant) -> Result<bool, String> {
        let changes = take_changes(
            &mut self.engine,
            &mut self.reader,
            &mut self.written,
            &self.health,
        );
        let Self {
            commits,
            engine,
            reader,
            written,
            health,
            recovered_at,
            ..
        } = self;
        let outcome = until_kept(
            changes,
            |changes| commits.commit(changes, now),
            || {
                *recovered_at = Some(clock::now());
                engine.change_everything();
                reader.change_everything();
                *written = Written::default();
                take_changes(engine, reader, written, health)
            },
        )?;
        if outcome == Outcome::Done {
            self.engine.committed();
        }
        Ok(outcome == Outcome::Done)
    }

    /// Shows the state, which is on disk.
    fn show(&mut self, sources: Vec<SourceStatus>, now: Timestamp, instant: Instant) {
        let before = self.state.load();
        let snapshot = self.engine.snapshot(now);
        log_alerts(&before.snapshot, &snapshot);
        if !self.is_ready && self.reader.is_ready(instant) {
            self.is_ready = true;
            info!("every source has been read up to its end");
        }
        self.state.store(Arc::new(State {
            snapshot,
            sources,
            ready: self.is_ready,
            writable: true,
            expectation: self.expectation.known().status.clone(),
            reload: self.reload,
            configuration: self.expectation.summary(),
            started_at: before.started_at,
            recovered_at: self.recovered_at,
            web_certificate: self.web.certificate(),
        }));
    }

    /// Reads the configuration again. A bad one changes nothing.
    fn reload(&mut self) -> Result<(), String> {
        self.service.reloading();
        let outcome = self.try_reload();
        self.service.reloaded();
        self.commits.hurry();
        let now = clock::now();
        match &outcome {
            Ok(()) => {
                self.reload = ReloadStatus {
                    successful: true,
                    succeeded_at: now,
                };
                info!(request = "reload", file = %self.options.config_file.display(), "the configuration was read again");
            }
            Err(message) => {
                self.reload.successful = false;
                error!(request = "reload", file = %self.options.config_file.display(), "the configuration was not changed: {message}");
            }
        }
        outcome
    }

    fn try_reload(&mut self) -> Result<(), String> {
        let config =
            crate::config::load(&self.options.config_file).map_err(|error| error.to_string())?;
        let poster = Poster::new(&config.receivers, &self.external_url)?;
        let now = clock::now();
        self.reader.follow(&config.sources, &mut self.engine, now)?;
        self.poster = Arc::new(poster);
        let receivers = post::receivers(&config.receivers);
        log_dropped(&self.engine.set_receivers(receivers, now));
        self.follower.reconfigure(&config);
        self.expectation
            .configuration_changed(config, &mut self.engine, now);
        Ok(())
    }
}

fn take_changes(
    engine: &mut Engine,
    reader: &mut Reader,
    written: &mut Written,
    health: &Health,
) -> Changes {
    let mut changes = engine.take_changes();
    reader.add_changes(&mut changes);
    written.row(Table::Whole, restored::HEALTH, health, &mut changes);
    changes
}

/// An alert that was told before the restart is no news, but whoever reads the log from here on should know of it.
fn log_restored(restored: &Snapshot) {
    for alert in &restored.alerts {
        info!(alertname = alert.name.as_str(), severity = alert.severity.as_str(), server = %alert.place.server, connector = %alert.place.connector, since = %alert.since, reasons = reasons(alert), "alert is still firing");
    }
}

/// A message that nobody will get must not vanish without a word.
fn log_dropped(dropped: &[Dropped]) {
    for Dropped { receiver, messages } in dropped {
        warn!(%receiver, messages, "the receiver is no longer configured: the messages that waited for it are dropped");
    }
}

fn reasons(alert: &Firing) -> String {
    let codes = alert.reasons.iter().map(|reason| reason.code.as_str());
    codes.collect::<Vec<_>>().join(",")
}

/// One line for each alert that begins or ends: somebody without receivers has nothing else.
fn log_alerts(before: &Snapshot, after: &Snapshot) {
    let is_in = |snapshot: &Snapshot, alert: &Firing| {
        snapshot
            .alerts
            .iter()
            .any(|other| other.name == alert.name && other.place == alert.place)
    };
    for alert in after.alerts.iter().filter(|alert| !is_in(before, alert)) {
        warn!(alertname = alert.name.as_str(), severity = alert.severity.as_str(), server = %alert.place.server, connector = %alert.place.connector, since = %alert.since, reasons = reasons(alert), "alert is firing");
    }
    for alert in before.alerts.iter().filter(|alert| !is_in(after, alert)) {
        info!(alertname = alert.name.as_str(), server = %alert.place.server, connector = %alert.place.connector, "alert is over");
    }
}

#[cfg(test)]
mod tests;
