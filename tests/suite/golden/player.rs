//! Plays a story: sessions go in as bytes of a log, and what people are told comes out, one line for each message.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use certdrift::config::Config;
use certdrift::pipeline::alert::Notice;
use certdrift::pipeline::engine::Engine;
use certdrift::pipeline::export::{Exports, Kind};
use certdrift::pipeline::file::LogFile;
use certdrift::pipeline::inventory::Inventory;
use certdrift::pipeline::outbox::{Outcome, Receiver};
use certdrift::pipeline::session::StreamId;
use certdrift::pipeline::verdict::reason::Severity;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::log::{Handshake, rows};
use super::story::{Logs, Step, Story, duration, moment};

/// Between what happens, certdrift looks so often.
const LOOK: SignedDuration = SignedDuration::from_mins(10);
/// And once more so long after something has happened: a lone session counts by then.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// What people were told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// One line for each message, in order.
    pub(super) lines: Vec<String>,
    /// The ids of the messages, each with what it says.
    pub(super) ids: BTreeSet<String>,
}

struct Player<'a> {
    story: &'a Story,
    engine: Engine,
    config: Config,
    exports: Exports,
    servers: BTreeMap<String, Server>,
    /// `Some`: the logs are read only so often.
    reads_every: Option<SignedDuration>,
    local_time: SignedDuration,
    sessions: u64,
    now: Timestamp,
    happened: Timestamp,
    firing: BTreeSet<String>,
    told: Told,
}

/// The log directory of a server.
struct Server {
    stream: StreamId,
    file: LogFile,
    unread: String,
}

/// Plays the story from its beginning to its end.
pub(super) fn play(story: &Story, reads_every: Option<SignedDuration>) -> Result<Told, String> {
    let mut player = Player::new(story, reads_every)?;
    for (time, step) in story.timeline()? {
        player.wait_until(time)?;
        player
            .take(step)
            .map_err(|error| format!("step at {}: {error}", shown(time)))?;
        player.happened = time;
        player.look()?;
    }
    player.wait_until(moment(&story.ends, None)?)?;
    player.look()?;
    Ok(player.told)
}

impl<'a> Player<'a> {
    fn new(story: &'a Story, reads_every: Option<SignedDuration>) -> Result<Self, String> {
        let now = moment(&story.starts, None)?;
        let local_time = story.local_time.as_deref().map(duration).transpose()?;
        let mut player = Self {
            story,
            engine: Engine::default(),
            config: configuration(story, &story.configuration)?,
            exports: Exports::default(),
            servers: BTreeMap::new(),
            reads_every,
            local_time: local_time.unwrap_or_default(),
            sessions: 0,
            now,
            happened: now,
            firing: BTreeSet::new(),
            told: Told::default(),
        };
        let everyone = Receiver::new(
            "everyone",
            "webhook",
            &[Severity::Critical, Severity::Warning, Severity::Information],
        );
        player.engine.set_receivers(vec![everyone], now);
        player.export(&story.exports)?;
        player.expect();
        player.stock(&story.inventory)?;
        Ok(player)
    }

    fn take(&mut self, step: &Step) -> Result<(), String> {
        let certificate = match step.presents.as_deref() {
            None | Some("nothing") => None,
            Some(name) => Some(self.story.certificate(name)?),
        };
        let handshake = match (&step.presents, &certificate, &step.tls_fails) {
            (Some(_), Some(certificate), None) => Some(Handshake::Certificate(certificate)),
            (Some(_), None, None) => Some(Handshake::Nothing),
            (None, _, Some(error)) => Some(Handshake::Failed(error)),
            (None, _, None) => None,
            (Some(_), _, Some(_)) => return Err("either `presents` or `tls_fails`".to_owned()),
        };
        let about_certdrift = [
            step.configuration.is_some(),
            step.exports.is_some(),
            step.inventory.is_some(),
            step.logs.is_some(),
        ];
        if handshake.is_some() == about_certdrift.contains(&true) {
            return Err("a step is a session or a change, not both and not neither".to_owned());
        }
        if let Some(handshake) = handshake {
            self.session(step, &handshake)?;
        }
        if let Some(text) = &step.configuration {
            self.config = configuration(self.story, text)?;
        }
        if let Some(exports) = &step.exports {
            self.export(exports)?;
        }
        if step.configuration.is_some() || step.exports.is_some() {
            self.expect();
        }
        if let Some(inventory) = &step.inventory {
            self.stock(inventory)?;
        }
        if let Some(logs) = step.logs {
            for server in servers(step) {
                self.logs(server, logs);
            }
        }
        Ok(())
    }

    fn session(&mut self, step: &Step, handshake: &Handshake<'_>) -> Result<(), String> {
        let dated = step.dated.as_deref();
        let dated = dated.map(|text| moment(text, Some(self.now))).transpose()?;
        for name in servers(step) {
            self.sessions += 1;
            let time = dated.unwrap_or(self.now);
            let rows = rows(self.sessions, time, step, handshake, self.local_time);
            self.server(name).unread.push_str(&rows);
        }
        if self.reads_every.is_none() {
            self.read()?;
        }
        Ok(())
    }

    fn server(&mut self, name: &str) -> &mut Server {
        let engine = &mut self.engine;
        self.servers
            .entry(name.to_owned())
            .or_insert_with(|| Server {
                stream: engine.open_stream(name),
                file: LogFile::default(),
                unread: String::new(),
            })
    }

    fn read(&mut self) -> Result<(), String> {
        for server in self.servers.values_mut() {
            let text = std::mem::take(&mut server.unread);
            let before = server.file.tally();
            self.engine
                .feed(server.stream, &mut server.file, text.as_bytes(), self.now);
            let read = server.file.tally() - before;
            if read.rows != text.lines().count() as u64 || read.malformed_rows > 0 {
                return Err(format!("the rows of the session cannot be read:\n{text}"));
            }
        }
        Ok(())
    }

    fn logs(&mut self, server: &str, logs: Logs) {
        let stream = self.server(server).stream;
        match logs {
            Logs::Behind => self.engine.set_behind(stream, true),
            Logs::CaughtUp => self.engine.set_behind(stream, false),
            Logs::Unreadable => self.engine.set_unreadable(stream, true),
            Logs::Readable => self.engine.set_unreadable(stream, false),
            Logs::Forgotten => {
                self.engine.forget_stream(stream, self.now);
                self.servers.remove(server);
            }
        }
    }

    fn export(&mut self, exports: &BTreeMap<String, Value>) -> Result<(), String> {
        for (name, objects) in exports {
            let kind = Kind::ALL.iter().find(|kind| kind.as_str() == name);
            let kind = kind.ok_or_else(|| format!("no export is called {name:?}"))?;
            let taken = self.exports.take(*kind, objects.to_string().as_bytes());
            taken.map_err(|problem| format!("export {name}: {problem}"))?;
        }
        Ok(())
    }

    fn expect(&mut self) {
        self.engine.set_settings(self.config.settings);
        let expectations = self.config.expectations(&self.exports);
        self.engine.set_expectations(expectations, self.now);
    }

    fn stock(&mut self, names: &[String]) -> Result<(), String> {
        let certificates = names
            .iter()
            .map(|name| self.story.inventory_certificate(name));
        let certificates: Result<Vec<_>, String> = certificates.collect();
        self.engine
            .set_inventory(Arc::new(Inventory::new(certificates?)));
        Ok(())
    }

    /// Time passes; every ten minutes, and a minute after something has happened, certdrift looks.
    fn wait_until(&mut self, time: Timestamp) -> Result<(), String> {
        loop {
            let mut next = after(self.now, LOOK);
            if self.now < self.happened + LOOK_AGAIN {
                next = next.min(self.happened + LOOK_AGAIN);
            }
            if let Some(every) = self.reads_every {
                next = next.min(after(self.now, every));
            }
            if time <= next {
                self.now = time;
                return Ok(());
            }
            self.now = next;
            self.look()?;
        }
    }

    fn look(&mut self) -> Result<(), String> {
        let is_due = |every: SignedDuration| self.now.as_second() % every.as_secs() == 0;
        if self.reads_every.is_some_and(is_due) {
            self.read()?;
        }
        loop {
            let due = self.engine.tick(self.now);
            if due.is_empty() {
                return Ok(());
            }
            for delivery in due {
                self.hear(&delivery.notice)?;
                self.engine
                    .answered(delivery.number, Outcome::Delivered, self.now, 0.0);
            }
        }
    }

    /// Writes the message down. Whatever the story, no id comes twice, and what ends has begun.
    fn hear(&mut self, notice: &Notice) -> Result<(), String> {
        let what = match (notice.is_resolved(), notice.is_first) {
            (true, _) => "over",
            (false, true) => "begins",
            (false, false) => "again",
        };
        let codes: Vec<&str> = notice.reasons.iter().map(|it| it.code.as_str()).collect();
        let places = match notice.places {
            1 => String::new(),
            places => format!(" ({places} places)"),
        };
        let said = format!(
            "{} {what} | {} | {}{places} | since {} | {}",
            notice.severity.as_str(),
            notice.name.as_str(),
            notice.place,
            shown(notice.starts_at),
            codes.join(", "),
        );
        let line = format!("{} | {said}", shown(self.now));
        if !self.told.ids.insert(format!("{} {said}", notice.id)) {
            return Err(format!("a message came twice: {line}"));
        }
        let is_sound = match what {
            "over" => self.firing.remove(&notice.key),
            _ => self.firing.insert(notice.key.clone()) || what == "again",
        };
        if !is_sound {
            return Err(format!("ends without beginning, or begins twice: {line}"));
        }
        self.told.lines.push(line);
        Ok(())
    }
}

fn servers(step: &Step) -> Vec<&str> {
    if step.servers.is_empty() {
        vec!["EX01"]
    } else {
        step.servers.iter().map(String::as_str).collect()
    }
}

fn configuration(story: &Story, text: &str) -> Result<Config, String> {
    let text = story.configuration(text);
    certdrift::config::parse(&text, Path::new("configuration"), None)
        .map_err(|error| error.to_string())
}

/// The next full ten minutes, say.
fn after(time: Timestamp, step: SignedDuration) -> Timestamp {
    let step = step.as_secs();
    Timestamp::from_second((time.as_second() / step + 1) * step).unwrap_or(Timestamp::MAX)
}

/// `2026-11-23 08:00`, with seconds where there are any.
fn shown(time: Timestamp) -> String {
    let local = TimeZone::UTC.to_datetime(time);
    let text = local.strftime("%Y-%m-%d %H:%M:%S").to_string();
    text.strip_suffix(":00").unwrap_or(&text).to_owned()
}
