//! The engine's side of reading: which directory a message belongs to, how far each file was read, and how each source
//! is doing.

mod kept;
mod source;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::mpsc::Sender;
use tracing::debug;
use tracing::info;
use tracing::warn;

use crate::config::PathPattern;
use crate::config::SourceConfig;
use crate::daemon::clock;
use crate::daemon::run::reader::kept::KeptDirectory;
use crate::daemon::run::reader::source::Source;
use crate::daemon::tail;
use crate::daemon::tail::Change;
use crate::daemon::tail::Directory;
use crate::daemon::tail::Event;
use crate::daemon::tail::Look;
use crate::daemon::tail::Loss;
use crate::daemon::tail::LossReason;
use crate::daemon::tail::Message;
use crate::daemon::tail::places::Places;
use crate::daemon::tail::position::FileId;
use crate::daemon::tail::position::Position;
use crate::daemon::watch::Watch;
use crate::pipeline::engine::Engine;
use crate::pipeline::file::LogFile;
use crate::pipeline::file::Tally;
use crate::pipeline::saved::Written;
use crate::pipeline::session::StreamId;
use crate::pipeline::snapshot::SourceStatus;

/// Everything that is being read.
pub(super) struct Reader {
    messages: Sender<Message>,
    sources: BTreeMap<u64, Source>,
    streams: HashMap<Directory, Stream>,
    /// How far each file was read, by source; also of sources that are no longer followed, should they come back.
    positions: HashMap<Arc<str>, BTreeMap<FileId, Position>>,
    changed: BTreeSet<(Arc<str>, FileId)>,
    /// Directories that are known from before the start, by name, as long as nothing was heard of them.
    unheard: BTreeMap<String, KeptDirectory>,
    /// What is on disk of the directories.
    written: Written,
    last_number: u64,
    /// Where the sources find their directories.
    places: Arc<Places>,
    watch: Option<Watch>,
}

/// A position that is to be kept, or no longer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Kept {
    /// In the place of the one that this file had.
    Position(Position),
    /// Nothing needs to be known of this file any more.
    Forgotten {
        /// The source, as its positions name it.
        source: Arc<str>,
        /// Which file of it.
        file: FileId,
    },
}

/// A directory as the engine knows it.
struct Stream {
    id: StreamId,
    /// By what its directory is known again.
    name: String,
    source: u64,
    tally: Tally,
    lost: Lost,
    behind: bool,
    /// Whether it is behind only because nobody has looked at it since the start.
    unheard: bool,
}

/// Bytes that were lost otherwise than by the NUL bytes of a crash, which are in the tally.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
struct Lost {
    long_line: u64,
    deleted: u64,
    rewritten: u64,
}

impl Reader {
    /// `saved`: how far the files of all sources were read before. A source without any is read for the first time.
    pub(super) fn new(messages: Sender<Message>, saved: Vec<Position>) -> Self {
        let mut reader = Self {
            messages,
            sources: BTreeMap::new(),
            streams: HashMap::new(),
            positions: HashMap::new(),
            changed: BTreeSet::new(),
            unheard: BTreeMap::new(),
            written: Written::default(),
            last_number: 0,
            places: Arc::default(),
            watch: None,
        };
        for position in saved {
            reader.keep(position);
        }
        reader.changed.clear();
        reader
    }

    /// The positions that changed since this was last asked, each as it is now. They belong to what the engine has been
    /// fed so far: both are to be kept together, or neither.
    pub(super) fn take_changes(&mut self) -> Vec<Kept> {
        let kept = |(source, file): (Arc<str>, FileId)| match self
            .positions
            .get(&source)
            .and_then(|files| files.get(&file))
        {
            Some(position) => Kept::Position(position.clone()),
            None => Kept::Forgotten { source, file },
        };
        std::mem::take(&mut self.changed)
            .into_iter()
            .map(kept)
            .collect()
    }

    fn keep(&mut self, position: Position) {
        let mut sources = self.sources.values_mut();
        if let Some(source) = sources.find(|it| it.key == position.source) {
            source.keep(&position);
        }
        let (source, file) = (Arc::clone(&position.source), position.file);
        self.changed.insert((Arc::clone(&source), file));
        self.positions
            .entry(source)
            .or_default()
            .insert(file, position);
    }

    fn forget(&mut self, source: &Arc<str>, file: FileId) {
        let mut sources = self.sources.values_mut();
        if let Some(source) = sources.find(|it| it.key == *source) {
            source.forget(file);
        }
        if let Some(files) = self.positions.get_mut(source) {
            files.remove(&file);
        }
        self.changed.insert((Arc::clone(source), file));
    }

    /// Follows these sources and no others. One that stays as it was goes on where it is.
    pub(super) fn follow(
        &mut self,
        wanted: &[SourceConfig],
        engine: &mut Engine,
        now: Timestamp,
    ) -> Result<(), String> {
        let is_same = |index: usize, source: &Source| {
            same(&wanted[index], &source.config) && source.follows(&earlier(wanted, index))
        };
        let is_wanted = |source: &Source| (0..wanted.len()).any(|index| is_same(index, source));
        let (stay, gone): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.sources)
            .into_iter()
            .partition(|(_, source)| is_wanted(source));
        self.sources = stay;
        for (number, source) in &gone {
            self.places.remove(*number);
            source.waker.stop();
            // Only what comes before it has changed: it starts anew, and knows what it knew.
            let goes_on = wanted.iter().any(|it| same(it, &source.config));
            if !goes_on {
                info!(source = %source.config.path.as_path().display(), "no longer following a source");
            }
            self.leave_streams(*number, goes_on.then_some(&source.key), engine, now);
        }
        let is_new = |index: &usize| !self.sources.values().any(|it| is_same(*index, it));
        let new: Vec<usize> = (0..wanted.len()).filter(is_new).collect();
        // All of them, before the first one looks.
        for number in self.last_number + 1..=self.last_number + new.len() as u64 {
            self.places.add(number, clock::instant());
        }
        for index in new {
            let config = &wanted[index];
            self.last_number += 1;
            let key = tail::source_key(config);
            let saved = self
                .positions
                .get(&key)
                .into_iter()
                .flat_map(BTreeMap::values);
            let saved = saved.cloned().collect();
            let messages = self.messages.clone();
            let earlier = earlier(wanted, index);
            let number = self.last_number;
            let places = Arc::clone(&self.places);
            let waker = tail::start(
                number,
                config.clone(),
                earlier.clone(),
                saved,
                places,
                messages,
            )
            .map_err(|error| format!("cannot start a thread for a source: {error}"))?;
            let mut source = Source::new(Arc::clone(&key), config.clone(), earlier, waker);
            let positions = self.positions.get(&key).into_iter();
            positions
                .flat_map(BTreeMap::values)
                .for_each(|position| source.keep(position));
            self.sources.insert(self.last_number, source);
        }
        self.forget_unfollowed(engine, now);
        let targets = self.sources.values().map(|source| {
            (
                source.config.path.root().to_owned(),
                Arc::clone(&source.waker),
            )
        });
        self.watch = Some(Watch::new(targets.collect()));
        Ok(())
    }

    /// The directories of a source are not followed any more by the thread that did. `key`: another one goes on with them, and
    /// until it has looked, what is known of them is as after a start.
    fn leave_streams(
        &mut self,
        number: u64,
        key: Option<&Arc<str>>,
        engine: &mut Engine,
        now: Timestamp,
    ) {
        let unheard = &mut self.unheard;
        self.streams.retain(|directory, stream| {
            if stream.source != number {
                return true;
            }
            if let Some(key) = key {
                engine.set_behind(stream.id, true);
                unheard.insert(stream.name.clone(), stream.kept(key, directory));
            } else {
                // What was not read any more must not hold back the alerts of what is, nor keep any of its own.
                engine.forget_stream(stream.id, now);
            }
            false
        });
    }

    /// Tells the threads to end; nobody waits for them.
    pub(super) fn stop(&self) {
        for source in self.sources.values() {
            source.waker.stop();
        }
    }

    /// Gives the engine what a thread has read. Whether that can change anything: mostly a thread only says that it is
    /// alive, and has seen what it saw before.
    pub(super) fn take(
        &mut self,
        message: Message,
        engine: &mut Engine,
        now: Timestamp,
        instant: Instant,
    ) -> bool {
        let Some(source) = self.sources.get_mut(&message.source) else {
            return false;
        };
        let was_silent = source.is_silent(instant);
        source.heard = instant;
        match message.event {
            Event::Bytes {
                directory,
                bytes,
                more,
                position,
            } => {
                let stream = stream(
                    &mut self.streams,
                    &mut self.unheard,
                    &directory,
                    message.source,
                    engine,
                );
                stream.unheard = false;
                stream.set_behind(more, engine);
                self.read(message.source, &directory, &bytes, position, engine, now);
            }
            Event::Finished {
                directory,
                bytes,
                position,
            } => self.read(message.source, &directory, &bytes, position, engine, now),
            Event::Lost {
                directory,
                loss,
                position,
            } => {
                let position = self.refused_as_before(position);
                let stream = stream(
                    &mut self.streams,
                    &mut self.unheard,
                    &directory,
                    message.source,
                    engine,
                );
                if position.refused.is_none() {
                    stream.lose(&directory, loss, &position);
                }
                self.keep(position);
            }
            Event::Changed {
                directory,
                change,
                position,
            } => {
                let file = directory.path.join(&*position.name);
                if let Change::Returned { found: 1.. } = change {
                    info!(file = %file.display(), "a log file is back of which bytes were counted as lost");
                }
                debug!(file = %file.display(), ?change, "a log file changed");
                let position = self.refused_as_before(position);
                self.keep(position);
            }
            Event::PassedOver { positions } => {
                for position in positions {
                    self.keep(position);
                }
            }
            Event::Forgotten { file } => {
                let key = Arc::clone(&source.key);
                self.forget(&key, file);
            }
            Event::CaughtUp { directory } => {
                let stream = stream(
                    &mut self.streams,
                    &mut self.unheard,
                    &directory,
                    message.source,
                    engine,
                );
                stream.set_behind(false, engine);
            }
            Event::Alive => return was_silent,
            Event::Looked { look, began } => {
                let is_known = source.looked(look.clone(), began, now);
                self.settle(message.source, &look, engine);
                return was_silent || !is_known;
            }
        }
        true
    }

    /// Gives the engine bytes of a file: whole lines, or its last one without newline.
    fn read(
        &mut self,
        number: u64,
        directory: &Directory,
        bytes: &[u8],
        position: Position,
        engine: &mut Engine,
        now: Timestamp,
    ) {
        let mut position = self.refused_as_before(position);
        if !bytes.is_empty() {
            let begin = position
                .offset
                .unwrap_or_default()
                .saturating_sub(bytes.len() as u64);
            let mut log = LogFile::from(begin, position.refused);
            let stream = stream(
                &mut self.streams,
                &mut self.unheard,
                directory,
                number,
                engine,
            );
            engine.feed(stream.id, &mut log, bytes, now);
            engine.finish(stream.id, &mut log, now);
            stream.tally += log.tally();
            if let Some(refusal) = log.refused().filter(|_| position.refused.is_none()) {
                position.refused = Some(refusal);
                let path = directory.path.join(&*position.name);
                warn!(file = %path.display(), "not reading a file: {refusal}");
            }
        }
        self.keep(position);
    }

    /// A position with what is known here, and not where it comes from: whether the file is refused.
    fn refused_as_before(&self, mut position: Position) -> Position {
        let files = self.positions.get(&position.source);
        if let Some(known) = files.and_then(|files| files.get(&position.file))
            && known.generation == position.generation
        {
            position.refused = known.refused;
        }
        position
    }

    /// Whether every source has been looked at, and every directory read up to its end.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        let has_looked = |source: &Source| source.look.is_some() || source.is_silent(now);
        let is_behind = |stream: &Stream| stream.behind && !stream.unheard;
        self.sources.values().all(has_looked) && !self.streams.values().any(is_behind)
    }

    /// Nobody listens to the threads now. That is no fault of their sources; but what a look that is waiting to be told has
    /// seen is old by then, so nothing is concluded before one that begins later.
    pub(super) fn hold(&mut self, now: Instant) {
        for source in self.sources.values_mut() {
            source.heard = now;
            source.held = Some(now);
        }
    }

    /// Whether a source has not looked since nobody listened, and does not hang either.
    pub(super) fn is_held(&self, now: Instant) -> bool {
        let is_held = |source: &Source| source.held.is_some() && !source.is_silent(now);
        self.sources.values().any(is_held)
    }

    /// Until when every source has been looked at and read up to its end without trouble; `None`: one was not.
    pub(super) fn passed(&self, now: Instant) -> Option<Timestamp> {
        let mut sources = self.sources.values();
        if !self.is_ready(now) || !sources.all(|source| source.is_seen(now)) {
            return None;
        }
        self.sources
            .values()
            .map(|source| source.looked)
            .min()
            .flatten()
    }

    /// Tells the engine which directories nothing can be seen of, and up to when the others have been looked at, so that it
    /// concludes nothing from a silence that may be none.
    pub(super) fn tell_unreadable(&self, engine: &mut Engine, now: Instant) {
        for (directory, stream) in &self.streams {
            let source = self.sources.get(&stream.source);
            let is_seen = source.is_some_and(|source| source.sees(&directory.server, now));
            engine.set_unreadable(stream.id, !is_seen);
            if let Some(until) = source.and_then(|source| source.seen_until) {
                engine.set_seen(stream.id, until);
            }
        }
    }

    /// One entry per source and server, ordered by both.
    pub(super) fn statuses(&self, engine: &Engine, now: Instant) -> Vec<SourceStatus> {
        let mut heard: HashMap<u64, Vec<(&Directory, &Stream)>> = HashMap::new();
        for (directory, stream) in &self.streams {
            let of_source = heard.entry(stream.source).or_default();
            of_source.push((directory, stream));
        }
        let nothing = Look::default();
        let mut statuses = Vec::new();
        for (number, source) in &self.sources {
            let mut by_server: BTreeMap<Arc<str>, SourceStatus> = BTreeMap::new();
            let look = source.look.as_ref().unwrap_or(&nothing);
            for look_at in &look.directories {
                let status = source.status_in(&mut by_server, now, look, &look_at.directory.server);
                status.directories += usize::from(look_at.files > 0);
                status.files += look_at.files;
                status.lag_bytes += look_at.unread;
            }
            // What was counted stays counted, whether or not the directory is there now.
            for (directory, stream) in heard.get(number).into_iter().flatten() {
                let status = source.status_in(&mut by_server, now, look, &directory.server);
                stream.add_to(status, engine);
            }
            for (name, kept) in self
                .unheard
                .iter()
                .filter(|(_, it)| it.source == source.key)
            {
                let status = source.status_in(&mut by_server, now, look, &kept.server);
                kept.add_to(status, name, engine);
            }
            if by_server.is_empty() {
                let server = source.config.server.as_deref().unwrap_or_default();
                let status = source.status(now, look, Arc::from(server));
                by_server.insert(Arc::from(server), status);
            }
            for status in by_server.values_mut() {
                status.files = status.files.saturating_sub(status.refused_files);
                if status.trouble.is_none() && status.up {
                    status.trouble = status.without_rows();
                    status.up = status.trouble.is_none();
                }
            }
            statuses.extend(by_server.into_values());
        }
        statuses.sort_by(|a, b| (&a.source, &a.server).cmp(&(&b.source, &b.server)));
        statuses
    }
}

impl Stream {
    /// Something could not be read.
    fn lose(&mut self, directory: &Directory, loss: Loss, position: &Position) {
        let file = directory.path.join(&*position.name);
        let file = file.display();
        let (from, bytes) = (loss.from, loss.bytes);
        let why = match loss.reason {
            LossReason::Nul => {
                self.tally.bytes += bytes;
                self.tally.malformed_rows += 1;
                self.tally.lost_bytes += bytes;
                "a crash left NUL bytes"
            }
            LossReason::LongLine => {
                self.tally.bytes += bytes;
                self.tally.malformed_rows += 1;
                self.lost.long_line += bytes;
                "a line is too long for a row"
            }
            LossReason::Deleted => {
                self.lost.deleted += bytes;
                "it was deleted before it was read"
            }
            LossReason::Rewritten => {
                self.lost.rewritten += bytes;
                "it was rewritten before it was read"
            }
        };
        warn!(%file, from, bytes, "a part of a log file is lost: {why}");
    }

    fn set_behind(&mut self, behind: bool, engine: &mut Engine) {
        if self.behind != behind {
            self.behind = behind;
            engine.set_behind(self.id, behind);
        }
    }

    fn add_to(&self, status: &mut SourceStatus, engine: &Engine) {
        self.lost.add_to(status, self.tally);
        if let Some(known) = engine.sessions().stream(self.id) {
            status.add_stream(known);
        }
    }
}

impl Lost {
    fn add_to(self, status: &mut SourceStatus, tally: Tally) {
        status.tally += tally;
        status.long_line_bytes += self.long_line;
        status.deleted_unread_bytes += self.deleted;
        status.rewritten_unread_bytes += self.rewritten;
    }
}

fn stream<'a>(
    streams: &'a mut HashMap<Directory, Stream>,
    unheard: &mut BTreeMap<String, KeptDirectory>,
    directory: &Directory,
    source: u64,
    engine: &mut Engine,
) -> &'a mut Stream {
    streams.entry(directory.clone()).or_insert_with(|| {
        let name = kept::name(directory);
        let known = unheard.remove(&name);
        Stream {
            id: engine.resume_stream(&name, &directory.server),
            name,
            source,
            tally: known.as_ref().map(|known| known.tally).unwrap_or_default(),
            lost: known.as_ref().map(|known| known.lost).unwrap_or_default(),
            behind: known.is_some(),
            unheard: known.is_some(),
        }
    })
}

/// How far back the first reading went is history: a source is not read again because it changed.
fn same(a: &SourceConfig, b: &SourceConfig) -> bool {
    a.path.as_path() == b.path.as_path() && a.server == b.server
}

/// The sources before this one that may read a directory of it.
fn earlier(wanted: &[SourceConfig], index: usize) -> Vec<PathPattern> {
    let root = wanted[index].path.root();
    let before = wanted[..index].iter().map(|config| &config.path);
    before
        .filter(|path| path.root().starts_with(root) || root.starts_with(path.root()))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests;
