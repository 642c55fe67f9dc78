//! What the service manager (systemd) is told, and what it hands over: that certdrift has started, reloads, stops, how
//! it goes in a line, and that its loop still turns. Without a service manager nothing happens here.
//!
//! The protocol is that of `sd_notify(3)` and `sd_listen_fds(3)`. The watchdog is fed by the loop itself and by nothing
//! else: a process whose threads live on while its loop hangs is to be ended and started again.

use std::time::Duration;
use std::time::Instant;

use tokio::net::TcpListener;

use crate::daemon::clock;
use crate::pipeline::snapshot::State;
use crate::pipeline::verdict::Verdict;

/// The line that says how it goes is told this often at most, and only when it is another one.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// The line until every source has been read once.
const READING: &str = "Reading the logs for the first time";
/// The line when it was ready and is no longer: nothing is read that cannot be kept.
const HALTED: &str = "The state cannot be written, so nothing more is read";

/// Something to tell.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Word {
    Ready,
    Reloading,
    Stopping,
    Watchdog,
    Status(String),
}

/// The side of the service manager.
pub(super) struct Service {
    watchdog: Option<Watchdog>,
    /// The last line, and when it was told.
    status: (String, Instant),
    has_been_ready: bool,
}

/// The service manager ends a process of which it has heard nothing for its limit.
struct Watchdog {
    every: Duration,
    fed: Instant,
}

impl Service {
    /// `tick` is the longest time between two rounds of a loop that has nothing to do.
    pub(super) fn new(tick: Duration) -> Self {
        Self::begin(platform::watchdog_limit(), tick, clock::instant())
    }

    fn begin(watchdog_limit: Option<Duration>, tick: Duration, now: Instant) -> Self {
        Self {
            watchdog: watchdog_limit.map(|limit| Watchdog {
                every: feed_every(limit, tick),
                fed: now,
            }),
            status: (READING.to_owned(), now),
            has_been_ready: false,
        }
    }

    /// certdrift listens and reads.
    pub(super) fn started(&mut self) {
        let line = self.status.0.clone();
        platform::tell(&[Word::Ready, Word::Status(line)]);
    }

    /// The configuration is being read again.
    #[expect(clippy::unused_self, reason = "it belongs to the same conversation")]
    pub(super) fn reloading(&self) {
        platform::tell(&[Word::Reloading]);
    }

    /// The configuration has been read again, or refused; either way certdrift goes on.
    #[expect(clippy::unused_self, reason = "it belongs to the same conversation")]
    pub(super) fn reloaded(&self) {
        platform::tell(&[Word::Ready]);
    }

    /// The loop has ended.
    #[expect(clippy::unused_self, reason = "it belongs to the same conversation")]
    pub(super) fn stopping(&self) {
        platform::tell(&[Word::Stopping, Word::Status("Stopping".to_owned())]);
    }

    /// The loop has turned once more.
    pub(super) fn progressed(&mut self, state: &State) {
        let words = self.due(state, clock::instant());
        if !words.is_empty() {
            platform::tell(&words);
        }
    }

    fn due(&mut self, state: &State, now: Instant) -> Vec<Word> {
        let mut words = Vec::new();
        if let Some(watchdog) = &mut self.watchdog
            && now.duration_since(watchdog.fed) >= watchdog.every
        {
            watchdog.fed = now;
            words.push(Word::Watchdog);
        }
        self.has_been_ready |= state.ready;
        let (line, told) = &self.status;
        if now.duration_since(*told) >= STATUS_EVERY {
            let present = how_it_goes(state, self.has_been_ready);
            if *line != present {
                words.push(Word::Status(present.clone()));
                self.status = (present, now);
            }
        }
        words
    }
}

/// Half the limit, as `sd_watchdog_enabled(3)` asks, and a tick early, because the loop looks only once in a tick.
fn feed_every(limit: Duration, tick: Duration) -> Duration {
    (limit / 2).saturating_sub(tick).max(limit / 4)
}

/// A line of numbers only: nothing in it comes from a log.
fn how_it_goes(state: &State, has_been_ready: bool) -> String {
    let mut parts = vec![match (state.ready, has_been_ready) {
        (true, _) => verdicts(state),
        (false, true) => HALTED.to_owned(),
        (false, false) => READING.to_owned(),
    }];
    let firing = state.snapshot.alerts.len();
    if firing > 0 {
        parts.push(format!("alerts firing: {firing}"));
    }
    let unreadable = state.sources.iter().filter(|source| !source.up).count();
    if unreadable > 0 {
        parts.push(format!("sources that cannot be read: {unreadable}"));
    }
    if !state.reload.successful {
        parts.push("the configuration was refused, the one before is in force".to_owned());
    }
    parts.join("; ")
}

fn verdicts(state: &State) -> String {
    let judged = state
        .snapshot
        .judged
        .iter()
        .filter(|judged| judged.expected);
    let mut counts = Vec::new();
    for verdict in Verdict::ALL {
        let with_it = judged.clone().filter(|judged| judged.verdict == verdict);
        match with_it.count() {
            0 => {}
            count => counts.push(format!("{count} {}", verdict.as_str())),
        }
    }
    if counts.is_empty() {
        counts.push("none judged".to_owned());
    }
    format!("Connectors: {}", counts.join(", "))
}

/// The sockets that the service manager has opened for certdrift; empty: it opens its own.
///
/// # Errors
/// When one of them cannot be listened on, in words that name what to do.
pub(super) fn listeners() -> Result<Vec<TcpListener>, String> {
    platform::sockets()?
        .into_iter()
        .map(|socket| {
            socket
                .set_nonblocking(true)
                .and_then(|()| TcpListener::from_std(socket))
                .map_err(|error| format!("cannot use a socket of the service manager: {error}"))
        })
        .collect()
}

#[cfg(unix)]
mod platform {
    use std::net::TcpListener;
    use std::time::Duration;

    use listenfd::ListenFd;
    use sd_notify::NotifyState;
    use tracing::debug;

    use crate::daemon::service::Word;

    /// Tells the service manager, if there is one. That it cannot be told is no reason to do anything else differently.
    pub(super) fn tell(words: &[Word]) {
        let mut states = Vec::new();
        for word in words {
            match word {
                Word::Ready => states.push(NotifyState::Ready),
                Word::Reloading => {
                    states.push(NotifyState::Reloading);
                    // Since systemd 253 a reload without the time of its beginning fails.
                    states.extend(NotifyState::monotonic_usec_now());
                }
                Word::Stopping => states.push(NotifyState::Stopping),
                Word::Watchdog => states.push(NotifyState::Watchdog),
                Word::Status(line) => states.push(NotifyState::Status(line)),
            }
        }
        if let Err(error) = sd_notify::notify(&states) {
            debug!(%error, "the service manager cannot be told");
        }
    }

    pub(super) fn watchdog_limit() -> Option<Duration> {
        sd_notify::watchdog_enabled()
    }

    /// This takes the variables that name the sockets out of the environment, so it comes before any thread is started
    /// that might read the environment.
    pub(super) fn sockets() -> Result<Vec<TcpListener>, String> {
        let mut handed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..handed.len() {
            let socket = handed.take_tcp_listener(index).map_err(|error| {
                format!(
                    "the service manager handed over a socket that is none of TCP ({error}). Give ListenStream=PORT in certdrift.socket"
                )
            })?;
            sockets.extend(socket);
        }
        Ok(sockets)
    }
}

#[cfg(not(unix))]
mod platform {
    use std::net::TcpListener;
    use std::time::Duration;

    use crate::daemon::service::Word;

    pub(super) fn tell(_: &[Word]) {}

    pub(super) fn watchdog_limit() -> Option<Duration> {
        None
    }

    #[expect(clippy::unnecessary_wraps, reason = "the Unix side can fail")]
    pub(super) fn sockets() -> Result<Vec<TcpListener>, String> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::pipeline::engine::Engine;
    use crate::pipeline::session::Place;
    use crate::pipeline::snapshot::ExpectationStatus;
    use crate::pipeline::snapshot::Judged;
    use crate::pipeline::snapshot::ReloadStatus;
    use crate::pipeline::snapshot::SourceStatus;

    const SECOND: Duration = Duration::from_secs(1);

    fn state(ready: bool) -> State {
        let epoch = Timestamp::UNIX_EPOCH;
        State {
            snapshot: Engine::default().snapshot(epoch),
            sources: Vec::new(),
            ready,
            writable: true,
            expectation: ExpectationStatus::default(),
            reload: ReloadStatus {
                successful: true,
                succeeded_at: epoch,
            },
            configuration: Arc::from(""),
            started_at: epoch,
            recovered_at: None,
            web_certificate: None,
        }
    }

    fn judged(expected: bool, verdict: Verdict) -> Judged {
        Judged {
            place: Place {
                server: Arc::from("EX01"),
                connector: Arc::from("Outbound"),
            },
            expected,
            verdict,
            reasons: Vec::new(),
            silent_after: None,
            planned: Vec::new(),
        }
    }

    #[test]
    fn the_watchdog_is_fed_twice_within_its_limit() {
        let begin = clock::instant();
        for (limit, fed_at) in [(2, vec![1, 2]), (8, vec![3, 6]), (60, vec![29, 58])] {
            let mut service = Service::begin(Some(SECOND * limit), SECOND, begin);
            let fed = (0..=limit).filter(|second| {
                let now = begin + SECOND * *second;
                service.due(&state(false), now).contains(&Word::Watchdog)
            });
            assert_eq!(fed.collect::<Vec<_>>(), fed_at, "{limit}");
        }
        let mut nobody_asks = Service::begin(None, SECOND, begin);
        let later = begin + SECOND * 3600;
        assert_eq!(nobody_asks.due(&state(false), later), []);
    }

    #[test]
    fn the_line_is_told_when_it_changes_but_not_too_often() {
        let begin = clock::instant();
        let mut service = Service::begin(None, SECOND, begin);
        let none_judged = [Word::Status("Connectors: none judged".to_owned())];
        assert_eq!(service.due(&state(true), begin + SECOND * 4), []);
        assert_eq!(service.due(&state(true), begin + SECOND * 5), none_judged);
        assert_eq!(service.due(&state(true), begin + SECOND * 99), []);
        let halted = [Word::Status(HALTED.to_owned())];
        let back = service.due(&state(false), begin + SECOND * 100);
        assert_eq!(back, halted);
        assert_eq!(service.due(&state(true), begin + SECOND * 104), []);
    }

    #[test]
    fn the_line_counts_what_matters() {
        let mut state = state(true);
        state.snapshot.judged = vec![
            judged(true, Verdict::Mismatch),
            judged(true, Verdict::Match),
            judged(true, Verdict::Match),
            judged(false, Verdict::Unknown),
        ];
        assert_eq!(how_it_goes(&state, true), "Connectors: 2 match, 1 mismatch");
        let away = SourceStatus {
            up: false,
            ..SourceStatus::new("/srv".to_owned(), Arc::from("EX01"))
        };
        state.sources = vec![
            away,
            SourceStatus::new("/srv".to_owned(), Arc::from("EX02")),
        ];
        state.reload.successful = false;
        state.ready = false;
        assert_eq!(
            how_it_goes(&state, false),
            "Reading the logs for the first time; sources that cannot be read: 1; \
             the configuration was refused, the one before is in force"
        );
    }

    #[test]
    fn without_a_service_manager_certdrift_listens_by_itself() {
        assert!(listeners().unwrap().is_empty());
    }
}
