//! The engine's side of reading: which file and directory a message belongs to, and how each source is doing.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::mpsc::Sender;
use tracing::info;
use tracing::warn;

use crate::config::SourceConfig;
use crate::daemon::clock;
use crate::daemon::tail;
use crate::daemon::tail::Directory;
use crate::daemon::tail::Event;
use crate::daemon::tail::FileId;
use crate::daemon::tail::Look;
use crate::daemon::tail::Message;
use crate::daemon::tail::Waker;
use crate::daemon::watch::Watch;
use crate::pipeline::engine::Engine;
use crate::pipeline::file::LogFile;
use crate::pipeline::file::Refusal;
use crate::pipeline::file::Tally;
use crate::pipeline::session::StreamId;
use crate::pipeline::snapshot::SourceStatus;

/// How many refused files are named for one source; the rest is only counted in the log.
const MAX_REFUSED: usize = 20;
/// A thread says at least every ten seconds that it is alive. One that has said nothing for this long hangs, in the
/// system's hands, on a share that does not answer.
const SILENT: Duration = Duration::from_secs(30);

/// Everything that is being read.
pub(super) struct Reader {
    messages: Sender<Message>,
    sources: BTreeMap<u64, Source>,
    streams: HashMap<Directory, Stream>,
    files: HashMap<FileId, LogFile>,
    last_number: u64,
    watch: Option<Watch>,
}

/// A source and the thread that follows it.
struct Source {
    config: SourceConfig,
    waker: Arc<Waker>,
    look: Option<Look>,
    /// When its thread was last heard of.
    heard: Instant,
    refused: Vec<(PathBuf, Refusal)>,
}

/// A directory as the engine knows it.
struct Stream {
    id: StreamId,
    source: u64,
    tally: Tally,
    behind: bool,
}

impl Reader {
    pub(super) fn new(messages: Sender<Message>) -> Self {
        Self {
            messages,
            sources: BTreeMap::new(),
            streams: HashMap::new(),
            files: HashMap::new(),
            last_number: 0,
            watch: None,
        }
    }

    /// Follows these sources and no others. One that stays as it was goes on where it is.
    pub(super) fn follow(
        &mut self,
        wanted: &[SourceConfig],
        engine: &mut Engine,
        now: Timestamp,
    ) -> Result<(), String> {
        let is_wanted = |source: &Source| wanted.iter().any(|config| same(config, &source.config));
        for source in self.sources.values().filter(|source| !is_wanted(source)) {
            info!(source = %source.config.path.as_path().display(), "no longer following a source");
            source.waker.stop();
        }
        self.sources.retain(|_, source| is_wanted(source));
        let sources = &self.sources;
        self.streams.retain(|_, stream| {
            let stays = sources.contains_key(&stream.source);
            if !stays {
                // What was not read any more must not hold back the alerts of what is.
                engine.forget_stream(stream.id, now);
            }
            stays
        });
        for config in wanted {
            if self
                .sources
                .values()
                .any(|source| same(config, &source.config))
            {
                continue;
            }
            self.last_number += 1;
            let waker = tail::start(self.last_number, config.clone(), self.messages.clone())
                .map_err(|error| format!("cannot start a thread for a source: {error}"))?;
            let source = Source {
                config: config.clone(),
                waker,
                look: None,
                heard: clock::instant(),
                refused: Vec::new(),
            };
            self.sources.insert(self.last_number, source);
        }
        let targets = self.sources.values().map(|source| {
            (
                source.config.path.root().to_owned(),
                Arc::clone(&source.waker),
            )
        });
        self.watch = Some(Watch::new(targets.collect()));
        Ok(())
    }

    /// Tells the threads to end; nobody waits for them.
    pub(super) fn stop(&self) {
        for source in self.sources.values() {
            source.waker.stop();
        }
    }

    /// Gives the engine what a thread has read.
    pub(super) fn take(&mut self, message: Message, engine: &mut Engine, now: Timestamp) {
        let Some(source) = self.sources.get_mut(&message.source) else {
            return;
        };
        source.heard = clock::instant();
        match message.event {
            Event::Bytes {
                directory,
                file,
                path,
                bytes,
                more,
            } => {
                let stream = stream(&mut self.streams, &directory, message.source, engine);
                let log = self.files.entry(file).or_default();
                let (before, was_refused) = (log.tally(), log.refused());
                engine.feed(stream.id, log, &bytes, now);
                stream.tally += log.tally() - before;
                if was_refused.is_none()
                    && let Some(refusal) = log.refused()
                {
                    warn!(file = %path.display(), "not reading a file: {refusal}");
                    if source.refused.len() < MAX_REFUSED {
                        source.refused.push((path.to_path_buf(), refusal));
                    }
                }
                stream.set_behind(more, engine);
            }
            Event::CaughtUp { directory } => {
                let stream = stream(&mut self.streams, &directory, message.source, engine);
                stream.set_behind(false, engine);
            }
            Event::Finished { directory, file } => {
                let stream = stream(&mut self.streams, &directory, message.source, engine);
                if let Entry::Occupied(mut log) = self.files.entry(file)
                    // What is refused stays so, should it grow after all.
                    && log.get().refused().is_none()
                {
                    let before = log.get().tally();
                    engine.finish(stream.id, log.get_mut(), now);
                    stream.tally += log.remove().tally() - before;
                }
            }
            Event::Rewritten { file } | Event::Gone { file } => {
                self.files.remove(&file);
            }
            Event::Looked(look) => source.looked(look),
        }
    }

    /// Whether every source has been looked at, and every directory read up to its end.
    pub(super) fn is_ready(&self) -> bool {
        let now = clock::instant();
        let has_looked = |source: &Source| source.look.is_some() || source.is_silent(now);
        self.sources.values().all(has_looked) && !self.streams.values().any(|stream| stream.behind)
    }

    /// Tells the engine which directories nothing can be seen of, so that it concludes nothing from their silence.
    pub(super) fn tell_unreadable(&self, engine: &mut Engine) {
        let now = clock::instant();
        for stream in self.streams.values() {
            let source = self.sources.get(&stream.source);
            let is_seen = source.is_some_and(|source| source.is_seen(now));
            engine.set_unreadable(stream.id, !is_seen);
        }
    }

    /// One entry per source and server, ordered by both.
    pub(super) fn statuses(&self, engine: &Engine) -> Vec<SourceStatus> {
        let mut statuses = Vec::new();
        for (number, source) in &self.sources {
            let mut by_server: BTreeMap<Arc<str>, SourceStatus> = BTreeMap::new();
            let look = source.look.clone().unwrap_or_default();
            for look_at in &look.directories {
                let directory = &look_at.directory;
                let status = by_server
                    .entry(Arc::clone(&directory.server))
                    .or_insert_with(|| source.status(&look, Arc::clone(&directory.server)));
                status.directories += 1;
                status.files += look_at.files;
                status.lag_bytes += look_at.unread;
                status.deleted_unread_bytes += look_at.deleted_unread;
                if let Some(stream) = self
                    .streams
                    .get(&**directory)
                    .filter(|stream| stream.source == *number)
                {
                    stream.add_to(status, engine);
                }
            }
            if by_server.is_empty() {
                let server = source.config.server.as_deref().unwrap_or_default();
                by_server.insert(Arc::from(server), source.status(&look, Arc::from(server)));
            }
            statuses.extend(by_server.into_values());
        }
        statuses.sort_by(|a, b| (&a.source, &a.server).cmp(&(&b.source, &b.server)));
        statuses
    }
}

impl Source {
    fn looked(&mut self, look: Look) {
        let known = self.look.as_ref().and_then(|look| look.trouble.as_ref());
        match &look.trouble {
            Some(trouble) if known != Some(trouble) => warn!("{trouble}"),
            None if known.is_some() => {
                info!(source = %self.config.path.as_path().display(), "a source can be read again");
            }
            _ => {}
        }
        self.look = Some(look);
    }

    /// Whether its thread has not been heard of for so long that it must hang.
    fn is_silent(&self, now: Instant) -> bool {
        now.duration_since(self.heard) >= SILENT
    }

    /// Whether everything could be read at the last look, and that was just now.
    fn is_seen(&self, now: Instant) -> bool {
        let had_no_trouble = |look: &Look| look.trouble.is_none();
        self.look.as_ref().is_some_and(had_no_trouble) && !self.is_silent(now)
    }

    fn status(&self, look: &Look, server: Arc<str>) -> SourceStatus {
        let path = self.config.path.as_path().display();
        let hangs = self.is_silent(clock::instant()).then(|| {
            format!(
                "{path}: no answer for {} s. Does the share hang?",
                SILENT.as_secs()
            )
        });
        let trouble = hangs.or_else(|| look.trouble.clone());
        SourceStatus {
            up: self.look.is_some() && trouble.is_none(),
            trouble,
            refused: self.refused.clone(),
            ..SourceStatus::new(path.to_string(), server)
        }
    }
}

impl Stream {
    fn set_behind(&mut self, behind: bool, engine: &mut Engine) {
        if self.behind != behind {
            self.behind = behind;
            engine.set_behind(self.id, behind);
        }
    }

    fn add_to(&self, status: &mut SourceStatus, engine: &Engine) {
        status.tally += self.tally;
        if let Some(known) = engine.sessions().stream(self.id) {
            status.add_stream(known);
        }
    }
}

fn stream<'a>(
    streams: &'a mut HashMap<Directory, Stream>,
    directory: &Directory,
    source: u64,
    engine: &mut Engine,
) -> &'a mut Stream {
    streams.entry(directory.clone()).or_insert_with(|| Stream {
        id: engine.open_stream(&directory.server),
        source,
        tally: Tally::default(),
        behind: false,
    })
}

/// How far back the first reading went is history: a source is not read again because it changed.
fn same(a: &SourceConfig, b: &SourceConfig) -> bool {
    a.path.as_path() == b.path.as_path() && a.server == b.server
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::daemon::tail::DirectoryLook;

    const ROW: &[u8] =
        b"2026-01-01T00:00:01.000Z,c,08DE41A5B3C2D100,0,,,*,,attempting to connect\r\n";

    struct Story {
        reader: Reader,
        engine: Engine,
        folder: tempfile::TempDir,
    }

    impl Story {
        fn begin() -> Self {
            let (messages, _) = tokio::sync::mpsc::channel(1);
            let folder = tempfile::tempdir().unwrap();
            let mut story = Self {
                reader: Reader::new(messages),
                engine: Engine::default(),
                folder,
            };
            story.follow(&["24h"]);
            story
        }

        /// Follows one source for each of the given `first_read`.
        fn follow(&mut self, first_reads: &[&str]) {
            let sources: Vec<_> = first_reads
                .iter()
                .map(|first_read| {
                    let path = self.folder.path().display();
                    let text =
                        format!("sources:\n  - path: {path}\n    first_read: {first_read}\n");
                    let config =
                        crate::config::parse(&text, Path::new("/certdrift.yml"), None).unwrap();
                    config.sources[0].clone()
                })
                .collect();
            let engine = &mut self.engine;
            self.reader.follow(&sources, engine, clock::now()).unwrap();
        }

        fn directory(&self) -> Arc<Directory> {
            Arc::new(Directory {
                path: self.folder.path().to_owned(),
                server: Arc::from("EX01"),
            })
        }

        fn take(&mut self, source: u64, event: Event) {
            let message = Message { source, event };
            self.reader.take(message, &mut self.engine, clock::now());
        }

        fn bytes(&mut self, source: u64, bytes: &[u8], more: bool) {
            let event = Event::Bytes {
                directory: self.directory(),
                file: FileId(7),
                path: Arc::new(PathBuf::from("SEND2026010100-1.LOG")),
                bytes: bytes.to_vec(),
                more,
            };
            self.take(source, event);
        }

        /// What the directory gave so far.
        fn tally(&self) -> Tally {
            self.reader.streams[&*self.directory()].tally
        }

        fn looked(&mut self, source: u64) {
            let look = Look {
                directories: vec![DirectoryLook {
                    directory: self.directory(),
                    files: 1,
                    unread: 0,
                    deleted_unread: 0,
                }],
                ..Look::default()
            };
            self.take(source, Event::Looked(look));
        }
    }

    #[test]
    fn a_thread_that_says_nothing_hangs() {
        let mut story = Story::begin();
        story.looked(1);
        let source = story.reader.sources.get_mut(&1).unwrap();
        assert!(!source.is_silent(source.heard + SILENT / 2));
        assert!(source.is_silent(source.heard + SILENT));
        source.heard = source.heard.checked_sub(SILENT).unwrap();
        let status = story.reader.statuses(&story.engine).remove(0);
        assert!(!status.up);
        assert!(status.trouble.unwrap().contains("no answer for 30 s"));
    }

    #[test]
    fn a_directory_is_behind_until_it_has_caught_up() {
        let mut story = Story::begin();
        assert!(!story.reader.is_ready(), "nobody has looked yet");
        story.looked(1);
        assert!(story.reader.is_ready());
        story.bytes(1, ROW, true);
        assert!(!story.reader.is_ready());
        let directory = story.directory();
        story.take(1, Event::CaughtUp { directory });
        assert!(story.reader.is_ready());
    }

    #[test]
    fn a_source_that_goes_holds_up_nothing_and_counts_when_it_comes_back() {
        let mut story = Story::begin();
        story.bytes(1, ROW, true);
        story.follow(&[]);
        assert!(story.reader.is_ready());
        story.bytes(1, ROW, true);
        assert!(story.reader.is_ready(), "its last words are not heard");
        story.follow(&["24h"]);
        story.looked(2);
        story.bytes(2, ROW, false);
        let statuses = story.reader.statuses(&story.engine);
        let rows: Vec<_> = statuses.iter().map(|status| status.tally.rows).collect();
        assert_eq!(rows, [1]);
    }

    #[test]
    fn another_first_read_reads_nothing_again() {
        let mut story = Story::begin();
        story.follow(&["all"]);
        assert_eq!(story.reader.last_number, 1);
    }

    #[test]
    fn a_refused_file_stays_refused() {
        let mut story = Story::begin();
        story.bytes(1, b"#Log-type: SMTP Receive Protocol Log\r\n", false);
        let directory = story.directory();
        let file = FileId(7);
        story.take(1, Event::Finished { directory, file });
        story.bytes(1, ROW, false);
        assert_eq!(story.tally().rows, 0);
    }

    #[test]
    fn a_finished_file_gives_its_last_row_and_goes_on_if_it_grows() {
        let mut story = Story::begin();
        story.bytes(1, ROW.trim_ascii_end(), false);
        let directory = story.directory();
        let file = FileId(7);
        story.take(1, Event::Finished { directory, file });
        assert_eq!(story.tally().rows, 1);
        story.bytes(1, b"\r\n", false);
        story.bytes(1, ROW, false);
        let tally = story.tally();
        assert_eq!((tally.rows, tally.malformed_rows), (2, 0));
    }
}
