//! The loop: bytes from the logs go into the engine, messages come out and are sent, and the last snapshot is there for
//! whoever asks.

mod expectation;
mod posts;
mod reader;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::config::Config;
use crate::config::ReceiverConfig;
use crate::daemon::clock;
use crate::daemon::expected;
use crate::daemon::expected::Follower;
use crate::daemon::expected::Known;
use crate::daemon::post::Poster;
use crate::daemon::run::expectation::Expectation;
use crate::daemon::run::posts::Posts;
use crate::daemon::run::reader::Reader;
use crate::daemon::server;
use crate::daemon::server::ReloadRequest;
use crate::daemon::service;
use crate::daemon::service::Service;
use crate::daemon::signals::Signal;
use crate::daemon::signals::Signals;
use crate::daemon::tail::Message;
use crate::pipeline::engine::Engine;
use crate::pipeline::health::Health;
use crate::pipeline::outbox::Delivery;
use crate::pipeline::outbox::Outcome;
use crate::pipeline::outbox::Receiver;
use crate::pipeline::snapshot::ReloadStatus;
use crate::pipeline::snapshot::Snapshot;
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
    /// Where the metrics are.
    pub telemetry_path: String,
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
    let mut listeners = service::listeners()?;
    if listeners.is_empty() {
        for address in &options.listen_addresses {
            listeners.push(server::listen(address).await?);
        }
    }
    let external_url = match &options.external_url {
        Some(url) => url.clone(),
        None => default_url(&listeners),
    };
    let (messages, mut tailed) = mpsc::channel(crate::daemon::tail::MAX_MESSAGES);
    let (reload, mut reloads) = mpsc::channel::<ReloadRequest>(4);
    let (news, mut exported) = mpsc::channel(expected::MAX_CHANGES);
    let follower = Follower::start(&config, news)
        .map_err(|error| format!("cannot start the thread that reads exports: {error}"))?;
    let first = tokio::time::timeout(FIRST_LOOK, exported.recv()).await;
    if first.is_err() {
        warn!("the exports could not be read in time; what they say is taken up later");
    }
    let known = first.ok().flatten().unwrap_or_default();
    let mut daemon = Daemon::new(options, config, known, follower, external_url, messages)?;
    let _servers = daemon.serve(listeners, &reload)?;
    daemon.service.started();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut posts = Posts::default();
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop => break,
                Signal::Reload => { let _ = daemon.reload(); }
            },
            Some(request) = reloads.recv() => { let _ = request.send(daemon.reload()); }
            Some((number, outcome)) = posts.next() => daemon.answered(number, outcome),
            Some(message) = tailed.recv() => daemon.read(message, &mut tailed),
            Some(known) = exported.recv() => daemon.files_changed(known),
            _ = tick.tick() => {}
        }
        for delivery in daemon.turn() {
            posts.send(&daemon.poster, delivery);
        }
    }
    info!("stopping");
    daemon.service.stopping();
    daemon.reader.stop();
    let last_words = async { while posts.next().await.is_some() {} };
    if tokio::time::timeout(LAST_WORDS, last_words).await.is_err() {
        warn!("some notifications were still under way");
    }
    Ok(())
}

/// Where people reach a server that listens here. On every interface, that is under the machine's own name.
fn default_url(listeners: &[TcpListener]) -> String {
    let address = listeners
        .first()
        .and_then(|listener| listener.local_addr().ok());
    match address {
        Some(address) if address.ip().is_unspecified() => {
            format!("http://{}:{}/", host_name(), address.port())
        }
        Some(address) => format!("http://{address}/"),
        None => "http://localhost/".to_owned(),
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
    engine: Engine,
    reader: Reader,
    expectation: Expectation,
    health: Health,
    follower: Follower,
    poster: Arc<Poster>,
    state: Arc<ArcSwap<State>>,
    reload: ReloadStatus,
    service: Service,
}

impl Daemon {
    fn new(
        options: Options,
        config: Config,
        known: Known,
        follower: Follower,
        external_url: String,
        messages: mpsc::Sender<Message>,
    ) -> Result<Self, String> {
        let now = clock::now();
        let mut engine = Engine::default();
        engine.set_receivers(receivers(&config.receivers), now);
        let poster = Arc::new(Poster::new(&config.receivers, &external_url)?);
        let mut reader = Reader::new(messages);
        reader.follow(&config.sources, &mut engine, now)?;
        let expectation = Expectation::new(config, known, &mut engine, now);
        let reload = ReloadStatus {
            successful: true,
            succeeded_at: now,
        };
        let state = State {
            snapshot: engine.snapshot(now),
            sources: Vec::new(),
            ready: false,
            expectation: expectation.known().status.clone(),
            reload,
            started_at: now,
        };
        Ok(Self {
            options,
            external_url,
            engine,
            reader,
            expectation,
            health: Health::default(),
            follower,
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
    ) -> Result<JoinSet<()>, String> {
        let mut servers = JoinSet::new();
        for listener in listeners {
            if let Ok(address) = listener.local_addr() {
                info!(%address, "listening");
            }
            let path = &self.options.telemetry_path;
            let router = server::router(Arc::clone(&self.state), reload.clone(), path)?;
            servers.spawn(server::serve(listener, router));
        }
        Ok(servers)
    }

    fn answered(&mut self, number: u64, outcome: Outcome) {
        let (now, spread) = (clock::now(), clock::spread());
        self.engine.answered(number, outcome, now, spread);
    }

    /// Takes over what the files of Exchange say.
    fn files_changed(&mut self, known: Known) {
        let now = clock::now();
        self.expectation.files_changed(known, &mut self.engine, now);
    }

    /// Takes a message from the logs, and those that wait behind it.
    fn read(&mut self, first: Message, waiting: &mut mpsc::Receiver<Message>) {
        let now = clock::now();
        self.reader.take(first, &mut self.engine, now);
        for _ in 1..MAX_BATCH {
            let Ok(message) = waiting.try_recv() else {
                break;
            };
            self.reader.take(message, &mut self.engine, now);
        }
    }

    /// Brings everything up to date, shows it, and says what to send.
    fn turn(&mut self) -> Vec<Delivery> {
        let now = clock::now();
        self.reader.tell_unreadable(&mut self.engine);
        let sources = self.reader.statuses(&self.engine);
        let expectation = self.expectation.known().status.clone();
        let conditions = self
            .health
            .conditions(&sources, &expectation.exports, None, now);
        self.engine.set_conditions(conditions);
        let due = self.engine.tick(now);
        let before = self.state.load();
        let snapshot = self.engine.snapshot(now);
        log_alerts(&before.snapshot, &snapshot);
        let ready = before.ready || self.reader.is_ready();
        if ready && !before.ready {
            info!("every source has been read up to its end");
        }
        self.state.store(Arc::new(State {
            snapshot,
            sources,
            ready,
            expectation,
            reload: self.reload,
            started_at: before.started_at,
        }));
        self.service.progressed(&self.state.load());
        due
    }

    /// Reads the configuration again. A bad one changes nothing.
    fn reload(&mut self) -> Result<(), String> {
        self.service.reloading();
        let outcome = self.try_reload();
        self.service.reloaded();
        let now = clock::now();
        match &outcome {
            Ok(()) => {
                self.reload = ReloadStatus {
                    successful: true,
                    succeeded_at: now,
                };
                info!(file = %self.options.config_file.display(), "the configuration was read again");
            }
            Err(message) => {
                self.reload.successful = false;
                error!(file = %self.options.config_file.display(), "the configuration was not changed: {message}");
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
        self.engine.set_receivers(receivers(&config.receivers), now);
        self.follower.reconfigure(&config);
        self.expectation
            .configuration_changed(config, &mut self.engine, now);
        Ok(())
    }
}

fn receivers(configured: &[ReceiverConfig]) -> Vec<Receiver> {
    configured
        .iter()
        .map(|receiver| Receiver {
            name: Arc::from(receiver.name.as_str()),
            integration: "webhook",
            severities: receiver.severities.clone(),
        })
        .collect()
}

/// One line for each alert that begins or ends: somebody without receivers has nothing else.
fn log_alerts(before: &Snapshot, after: &Snapshot) {
    let is_in = |snapshot: &Snapshot, alert: &crate::pipeline::alert::Firing| {
        snapshot
            .alerts
            .iter()
            .any(|other| other.name == alert.name && other.place == alert.place)
    };
    for alert in after.alerts.iter().filter(|alert| !is_in(before, alert)) {
        let reasons: Vec<&str> = alert
            .reasons
            .iter()
            .map(|reason| reason.code.as_str())
            .collect();
        warn!(alertname = alert.name.as_str(), severity = alert.severity.as_str(), server = %alert.place.server, connector = %alert.place.connector, since = %alert.since, reasons = reasons.join(","), "alert is firing");
    }
    for alert in before.alerts.iter().filter(|alert| !is_in(after, alert)) {
        info!(alertname = alert.name.as_str(), server = %alert.place.server, connector = %alert.place.connector, "alert is over");
    }
}
