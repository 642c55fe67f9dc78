//! Log lines that say the same again and again: told once, then counted.
//!
//! A receiver that is away is tried for a day, a full disk each minute; a line for each try would hide everything else
//! and fill the disk further. So of each cause the first line is written at once, those that follow within [`WINDOW`] are
//! counted, and at its end one line says how many there were. A cause that has been quiet for a window is news again.
//!
//! A line that informs mostly says that something is well again. So it makes the troubles of its module news, too: the
//! last line of a share that comes and goes is about what it is now. After [`FLAPS`] times that is only counted as well.
//!
//! Lines about alerts are limited by what raises them, and whoever asks for something gets an answer each time: neither
//! is ever left out.

use std::collections::HashMap;
use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tracing::Event;
use tracing::Level;
use tracing::Metadata;
use tracing::Subscriber;
use tracing::callsite::Identifier;
use tracing::error;
use tracing::field::Field;
use tracing::field::Visit;
use tracing::info;
use tracing::warn;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::daemon::clock;

/// For so long the same is counted rather than written.
pub const WINDOW: Duration = Duration::from_secs(600);
/// How many causes one place in the program may tell within a window; the rest is counted together. A directory of
/// unreadable files is one trouble, not ten thousand.
pub const MAX_CAUSES: usize = 50;
/// How often within a window a trouble is told anew after something was well again, and how often one line may inform
/// besides its first time.
pub const FLAPS: u32 = 5;
/// How many places in the program are known at once; there are about thirty.
const MAX_PLACES: usize = 256;
/// So many characters of a cause tell it apart.
const MAX_CAUSE: usize = 300;
/// How often it is looked whether a window is over.
const LOOK: Duration = Duration::from_secs(60);

/// Fields that belong to a cause. The others are measurements: how many bytes, how many seconds, which message.
const CAUSE_FIELDS: [&str; 13] = [
    "address",
    "cause",
    "connector",
    "directory",
    "error",
    "export",
    "file",
    "instance",
    "receiver",
    "server",
    "source",
    "status",
    "why",
];
/// Fields whose lines are never left out: alerts, answers to somebody's request, and the counts of lines that were.
const EXEMPT_FIELDS: [&str; 3] = ["alertname", "repeated", "request"];

/// The layer that leaves lines out, and whoever tells how many there were.
pub fn limiter() -> (Limiter, Repeats) {
    let known = Arc::new(Mutex::new(Known::default()));
    (Limiter(Arc::clone(&known)), Repeats(known))
}

/// Leaves out what was said a short time ago.
pub struct Limiter(Arc<Mutex<Known>>);

/// Tells how often it was.
pub struct Repeats(Arc<Mutex<Known>>);

impl<S: Subscriber> Layer<S> for Limiter {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO {
            return true;
        }
        let mut cause = Cause::default();
        event.record(&mut cause);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *metadata.level() == Level::INFO {
            known.make_news(metadata.target());
        }
        cause.is_exempt || known.admit(metadata, cause.words(), clock::instant())
    }
}

impl Repeats {
    /// Tells what was left out, for as long as it is polled.
    pub async fn tell_for_ever(self: Arc<Self>) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            self.tell(Some(clock::instant()));
        }
    }

    /// Tells what was left out in windows that are over by now; `None`: in all of them, because this is the end.
    pub fn tell(&self, now: Option<Instant>) {
        // Not while it is locked: these lines come back to the limiter.
        let over = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .over(now);
        for Repeated {
            level,
            words,
            count,
        } in over
        {
            let minutes = WINDOW.as_secs() / 60;
            match level {
                Level::ERROR => error!(repeated = count, minutes, "repeated: {words}"),
                Level::WARN => warn!(repeated = count, minutes, "repeated: {words}"),
                _ => info!(repeated = count, minutes, "repeated: {words}"),
            }
        }
    }
}

/// The words of an event that tell its cause.
#[derive(Default)]
struct Cause {
    message: String,
    fields: String,
    is_exempt: bool,
}

impl Cause {
    fn words(self) -> String {
        let words = format!("{}{}", self.message, self.fields);
        words.chars().take(MAX_CAUSE).collect()
    }
}

impl Visit for Cause {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let name = field.name();
        if name == "message" {
            let _ = write!(self.message, "{value:?}");
        } else if CAUSE_FIELDS.contains(&name) {
            let _ = write!(self.fields, " {name}={value:?}");
        }
        self.is_exempt |= EXEMPT_FIELDS.contains(&name);
    }
}

/// What was said of late, by the place in the program that said it.
#[derive(Default)]
struct Known {
    places: HashMap<Identifier, Place>,
}

/// A place in the program.
struct Place {
    level: Level,
    /// Its module.
    target: &'static str,
    causes: HashMap<String, Said>,
    /// Causes beyond the limit.
    others: Option<Said>,
}

#[derive(Clone, Copy)]
struct Said {
    since: Instant,
    /// How often it was written since, or since it became news.
    written: u32,
    /// How often it became news, as long as it goes on.
    flaps: u32,
    /// How often it was left out since.
    repeated: u64,
}

/// A cause whose window is over.
#[derive(Debug, Eq, PartialEq)]
struct Repeated {
    level: Level,
    words: String,
    count: u64,
}

impl Known {
    /// Whether a line of this cause is to be written.
    fn admit(&mut self, metadata: &'static Metadata<'static>, words: String, now: Instant) -> bool {
        let key = metadata.callsite();
        if self.places.len() >= MAX_PLACES && !self.places.contains_key(&key) {
            return true;
        }
        let level = *metadata.level();
        let place = self.places.entry(key).or_insert_with(|| Place {
            level,
            target: metadata.target(),
            causes: HashMap::new(),
            others: None,
        });
        let allowed = if level == Level::INFO { 1 + FLAPS } else { 1 };
        if let Some(said) = place.causes.get_mut(&words) {
            let is_allowed = said.written < allowed;
            said.written += u32::from(is_allowed);
            said.repeated += u64::from(!is_allowed);
            return is_allowed;
        }
        let first = Said {
            since: now,
            written: 1,
            flaps: 0,
            repeated: 0,
        };
        if place.causes.len() < MAX_CAUSES {
            place.causes.insert(words, first);
            return true;
        }
        // Many beginnings are not one trouble.
        if level == Level::INFO {
            return true;
        }
        place.others.get_or_insert(first).repeated += 1;
        false
    }

    /// Something in a module is well again, perhaps: its troubles are news.
    fn make_news(&mut self, target: &str) {
        let places = self.places.values_mut();
        let of_module = places.filter(|it| it.target == target && it.level != Level::INFO);
        for said in of_module.flat_map(|place| place.causes.values_mut()) {
            if said.written > 0 && said.flaps < FLAPS {
                said.written = 0;
                said.flaps += 1;
            }
        }
    }

    /// What was left out in windows that are over. One in which something was goes on with the next; others end.
    fn over(&mut self, now: Option<Instant>) -> Vec<Repeated> {
        let is_over =
            |said: &Said| now.is_none_or(|now| now.saturating_duration_since(said.since) >= WINDOW);
        let mut told = Vec::new();
        for place in self.places.values_mut() {
            let level = place.level;
            let mut tell = |words: &str, said: &mut Said| {
                let count = std::mem::take(&mut said.repeated);
                said.since = now.unwrap_or(said.since);
                if count > 0 {
                    let words = words.to_owned();
                    told.push(Repeated {
                        level,
                        words,
                        count,
                    });
                }
                count > 0
            };
            place
                .causes
                .retain(|words, said| !is_over(said) || tell(words, said));
            let others = place.others.take_if(|said| is_over(said));
            if let Some(mut said) = others {
                tell("more of the same kind, of other causes", &mut said);
            }
        }
        self.places
            .retain(|_, place| !place.causes.is_empty() || place.others.is_some());
        told.sort_by(|a, b| a.words.cmp(&b.words));
        told
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::Write;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Lines as they are written.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        /// The lines since the last time.
        fn take(&self) -> Vec<String> {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap());
            let text = String::from_utf8(bytes).unwrap();
            text.lines().map(|line| line.trim().to_owned()).collect()
        }
    }

    /// Runs the program with a log that it can look at.
    fn logged(run: impl FnOnce(&Lines, &Repeats)) {
        let lines = Lines::default();
        let writer = lines.clone();
        let (limiter, repeats) = limiter();
        let format = tracing_subscriber::fmt::layer()
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .with_writer(move || writer.clone());
        let log = tracing_subscriber::registry().with(limiter).with(format);
        tracing::subscriber::with_default(log, || run(&lines, &repeats));
    }

    fn fail(receiver: &str, bytes: u64) {
        warn!(receiver, bytes, "cannot be reached");
    }

    #[test]
    fn a_cause_is_told_once_and_then_counted() {
        logged(|lines, repeats| {
            let start = clock::instant();
            (0..5).for_each(|bytes| fail("oncall", bytes));
            fail("chat", 0);
            let first = "WARN cannot be reached receiver=\"oncall\" bytes=0";
            let other = "WARN cannot be reached receiver=\"chat\" bytes=0";
            assert_eq!(lines.take(), [first, other]);
            repeats.tell(Some(start + WINDOW / 2));
            assert!(lines.take().is_empty(), "not yet");
            repeats.tell(Some(start + WINDOW + WINDOW / 2));
            let count =
                "WARN repeated: cannot be reached receiver=\"oncall\" repeated=4 minutes=10";
            assert_eq!(lines.take(), [count]);
            fail("oncall", 9);
            fail("chat", 9);
            assert_eq!(
                lines.take(),
                ["WARN cannot be reached receiver=\"chat\" bytes=9"],
                "quiet for a window: news"
            );
            repeats.tell(None);
            assert_eq!(lines.take().len(), 1, "at the end nothing is left untold");
            repeats.tell(Some(start + WINDOW * 9));
            fail("oncall", 10);
            assert_eq!(
                lines.take(),
                ["WARN cannot be reached receiver=\"oncall\" bytes=10"]
            );
        });
    }

    #[test]
    fn many_causes_at_one_place_are_one_trouble() {
        logged(|lines, repeats| {
            for number in 0..10_000 {
                let file = format!("{number}.LOG");
                error!(file, "cannot be read");
            }
            assert_eq!(lines.take().len(), MAX_CAUSES);
            fail("oncall", 0);
            assert_eq!(lines.take().len(), 1, "another place is another trouble");
            repeats.tell(None);
            let left_out = 10_000 - MAX_CAUSES;
            let told = format!(
                "ERROR repeated: more of the same kind, of other causes repeated={left_out} minutes=10"
            );
            assert_eq!(lines.take(), [told]);
        });
    }

    #[test]
    fn alerts_and_answers_are_never_left_out() {
        logged(|lines, _| {
            for _ in 0..200 {
                warn!(alertname = "ConnectorSilent", "alert is firing");
                error!(request = "reload", "the configuration was not changed");
            }
            assert_eq!(lines.take().len(), 400);
        });
    }

    #[test]
    fn many_beginnings_are_all_told() {
        logged(|lines, _| {
            for number in 0..500 {
                info!(directory = number.to_string(), "following the logs");
            }
            assert_eq!(lines.take().len(), 500);
        });
    }

    #[test]
    fn the_last_line_of_what_comes_and_goes_says_how_it_is() {
        logged(|lines, repeats| {
            let flap = || {
                (0..2).for_each(|_| warn!("the share is gone"));
                info!("the share is back");
            };
            flap();
            let both = ["WARN the share is gone", "INFO the share is back"];
            assert_eq!(lines.take(), both);
            for _ in 0..FLAPS {
                flap();
                assert_eq!(lines.take(), both);
            }
            (0..20).for_each(|_| flap());
            assert!(lines.take().is_empty(), "that is enough");
            repeats.tell(Some(clock::instant() + WINDOW));
            let told = lines.take();
            assert_eq!(told.len(), 2, "{told:?}");
            assert!(told[0].starts_with("INFO repeated: the share is back repeated=20"));
            assert!(told[1].starts_with("WARN repeated: the share is gone repeated=46"));
            flap();
            flap();
            assert!(
                lines.take().is_empty(),
                "it goes on: counted with the next window"
            );
        });
    }

    #[test]
    fn causes_are_told_apart_by_what_went_wrong_not_by_how_much() {
        logged(|lines, _| {
            for (status, bytes) in [(503, 1), (503, 2), (401, 3), (503, 4)] {
                warn!(receiver = "oncall", status, bytes, "not ready");
            }
            for why in ["disk full", "disk full", "I/O error"] {
                error!(seconds = 1, "the state cannot be written: {why}");
            }
            assert_eq!(lines.take().len(), 4);
        });
    }
}
