//! What of the reading outlives the process: how far each file was read, and what each directory counted.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::mpsc::Sender;

use crate::daemon::run::reader::Kept;
use crate::daemon::run::reader::Lost;
use crate::daemon::run::reader::Reader;
use crate::daemon::run::reader::Stream;
use crate::daemon::run::reader::stream;
use crate::daemon::tail::Directory;
use crate::daemon::tail::Look;
use crate::daemon::tail::Message;
use crate::daemon::tail::position::FileId;
use crate::daemon::tail::position::Position;
use crate::pipeline::engine::Engine;
use crate::pipeline::file::Tally;
use crate::pipeline::saved::Changes;
use crate::pipeline::saved::Saved;
use crate::pipeline::saved::Table;
use crate::pipeline::saved::Unreadable;
use crate::pipeline::saved::Written;
use crate::pipeline::snapshot::SourceStatus;

/// A directory as it is written down.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct KeptDirectory {
    /// The source, as positions name it.
    pub(super) source: Arc<str>,
    pub(super) server: Arc<str>,
    pub(super) tally: Tally,
    pub(super) lost: Lost,
}

impl Reader {
    /// Goes on where a saved state ends.
    ///
    /// # Errors
    /// When a row holds something else than it should.
    pub(in crate::daemon::run) fn restore(
        messages: Sender<Message>,
        saved: &Saved,
    ) -> Result<Self, Unreadable> {
        // Hundreds of thousands of files share their sources, directories and servers.
        let mut known: HashSet<Arc<str>> = HashSet::new();
        let mut positions = Vec::new();
        for row in saved.rows::<Position>(Table::File) {
            let (_, mut position) = row?;
            for text in [
                &mut position.source,
                &mut position.directory,
                &mut position.server,
            ] {
                match known.get(text) {
                    Some(same) => *text = Arc::clone(same),
                    None => {
                        known.insert(Arc::clone(text));
                    }
                }
            }
            positions.push(position);
        }
        let mut reader = Self::new(messages, positions);
        for row in saved.rows::<KeptDirectory>(Table::Directory) {
            let (name, kept) = row?;
            reader.unheard.insert(name.to_owned(), kept);
        }
        reader.written = Written::of(saved);
        Ok(reader)
    }

    /// Adds what changed since the last time. It belongs to what the engine has been fed so far.
    pub(in crate::daemon::run) fn add_changes(&mut self, changes: &mut Changes) {
        for kept in self.take_changes() {
            match kept {
                Kept::Position(position) => {
                    let key = row_key(&position.source, position.file);
                    changes.put(Table::File, key, &position);
                }
                Kept::Forgotten { source, file } => {
                    changes.remove(Table::File, row_key(&source, file));
                }
            }
        }
        let heard = self.streams.iter().filter_map(|(directory, stream)| {
            let source = self.sources.get(&stream.source)?;
            Some((stream.name.as_str(), stream.kept(&source.key, directory)))
        });
        let unheard = self.unheard.iter();
        let unheard = unheard.map(|(name, kept)| (name.as_str(), kept.clone()));
        let rows = heard.chain(unheard);
        self.written.rows(Table::Directory, rows, changes);
    }

    /// Makes the next [`Self::add_changes`] give everything.
    pub(in crate::daemon::run) fn change_everything(&mut self) {
        self.written = Written::default();
        for (source, files) in &self.positions {
            let files = files.keys();
            let files = files.map(|file| (Arc::clone(source), *file));
            self.changed.extend(files);
        }
    }

    /// What was saved of sources that are no longer followed is forgotten, all but how far their files were read: should
    /// they come back, nothing is read twice.
    pub(super) fn forget_unfollowed(&mut self, engine: &mut Engine, now: Timestamp) {
        let sources = &self.sources;
        self.unheard.retain(|name, kept| {
            let stays = sources.values().any(|source| source.key == kept.source);
            if !stays {
                let stream = engine.resume_stream(name, &kept.server);
                engine.forget_stream(stream, now);
            }
            stays
        });
    }

    /// A source has been looked at since the start: what is known from before is as new as what its logs say. A
    /// directory that could not be looked at stays as it is.
    pub(super) fn settle(&mut self, number: u64, look: &Look, engine: &mut Engine) {
        for directory in look.directories.iter().map(|look| &*look.directory) {
            if self.unheard.contains_key(&name(directory)) {
                stream(
                    &mut self.streams,
                    &mut self.unheard,
                    directory,
                    number,
                    engine,
                );
            }
            if let Some(stream) = self.streams.get_mut(directory)
                && std::mem::take(&mut stream.unheard)
            {
                stream.set_behind(false, engine);
            }
        }
        let Some(source) = self.sources.get(&number) else {
            return;
        };
        if look.trouble.is_none() {
            for (name, kept) in &self.unheard {
                if kept.source == source.key {
                    let stream = engine.resume_stream(name, &kept.server);
                    engine.set_behind(stream, false);
                }
            }
        }
    }
}

impl KeptDirectory {
    /// Adds what was counted before the start.
    pub(super) fn add_to(&self, status: &mut SourceStatus, name: &str, engine: &Engine) {
        self.lost.add_to(status, self.tally);
        let mut streams = engine.sessions().streams();
        let stream = streams.find(|(_, stream)| stream.name.as_deref() == Some(name));
        if let Some((_, known)) = stream {
            status.add_stream(known);
        }
    }
}

impl Stream {
    pub(super) fn kept(&self, source: &Arc<str>, directory: &Directory) -> KeptDirectory {
        KeptDirectory {
            source: Arc::clone(source),
            server: Arc::clone(&directory.server),
            tally: self.tally,
            lost: self.lost,
        }
    }
}

/// By what a directory of a server is known again. Paths that are no text are told apart by their bytes.
pub(super) fn name(directory: &Directory) -> String {
    let path = directory.path.as_os_str();
    match path.to_str() {
        Some(path) => serde_json::json!([directory.server, path]).to_string(),
        None => serde_json::json!([directory.server, path.as_encoded_bytes()]).to_string(),
    }
}

fn row_key(source: &str, file: FileId) -> String {
    serde_json::json!([source, file]).to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::path::Path;
    use std::path::PathBuf;

    use super::*;
    use crate::daemon::clock;
    use crate::daemon::tail::DirectoryLook;
    use crate::daemon::tail::Event;
    use crate::daemon::tail::Moment;
    use crate::pipeline::snapshot::SourceStatus;

    const ROW: &[u8] =
        b"2026-01-01T00:00:01.000Z,c,08DE41A5B3C2D100,0,,,*,,attempting to connect\r\n";

    /// A daemon without threads, as it is after a start.
    struct Life {
        folder: PathBuf,
        engine: Engine,
        reader: Reader,
    }

    impl Life {
        fn begin(folder: &Path, saved: &Saved, follows: bool) -> Self {
            let (messages, _) = tokio::sync::mpsc::channel(1);
            let mut life = Self {
                folder: folder.to_owned(),
                engine: Engine::restore(saved).unwrap(),
                reader: Reader::restore(messages, saved).unwrap(),
            };
            let text = format!("sources:\n  - path: {}\n", folder.display());
            let config = crate::config::parse(&text, Path::new("/certdrift.yml"), None).unwrap();
            let sources = if follows { &config.sources[..] } else { &[] };
            let now = clock::now();
            life.reader.follow(sources, &mut life.engine, now).unwrap();
            life
        }

        fn directory(&self) -> Arc<Directory> {
            Arc::new(Directory {
                path: self.folder.clone(),
                server: Arc::from("EX01"),
            })
        }

        fn take(&mut self, event: Event) {
            let message = Message { source: 1, event };
            self.reader
                .take(message, &mut self.engine, clock::now(), clock::instant());
        }

        fn row(&mut self, more: bool) {
            let position = Position {
                source: Arc::from(self.folder.to_str().unwrap()),
                file: FileId(7),
                directory: Arc::from(""),
                name: Arc::from("SEND2026010100-1.LOG"),
                server: Arc::from("EX01"),
                generation: 0,
                fingerprint: None,
                offset: Some(ROW.len() as u64),
                anchor: None,
                resume: None,
                size: ROW.len() as u64,
                finished: false,
                refused: None,
                vanished: None,
            };
            self.take(Event::Bytes {
                directory: self.directory(),
                bytes: ROW.to_vec(),
                more,
                position,
            });
        }

        fn looked(&mut self, is_there: bool, trouble: Option<&str>) {
            let look = DirectoryLook {
                directory: self.directory(),
                files: 1,
                unread: 0,
                trouble: None,
            };
            self.take(Event::Looked {
                look: Look {
                    trouble: trouble.map(str::to_owned),
                    directories: Vec::from_iter(is_there.then_some(look)),
                },
                began: Moment {
                    instant: clock::instant(),
                    wall: clock::now(),
                },
            });
        }

        fn save(&mut self, saved: &mut Saved) {
            let mut changes = self.engine.take_changes();
            self.reader.add_changes(&mut changes);
            saved.apply(&changes);
        }

        fn status(&self) -> SourceStatus {
            self.reader
                .statuses(&self.engine, clock::instant())
                .remove(0)
        }
    }

    /// What is left of a life in which one row was read.
    fn one_row(folder: &Path) -> Saved {
        let mut saved = Saved::default();
        let mut life = Life::begin(folder, &saved, true);
        life.row(false);
        life.looked(true, None);
        life.save(&mut saved);
        saved
    }

    #[test]
    fn counts_are_there_before_anybody_has_looked_and_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut saved = one_row(folder.path());
        for rows in 1..4 {
            let mut life = Life::begin(folder.path(), &saved, true);
            let status = life.status();
            assert_eq!((status.tally.rows, &*status.server), (rows, "EX01"));
            assert_eq!(status.duplicate_rows, rows - 1);
            life.row(false);
            assert_eq!(life.status().tally.rows, rows + 1);
            life.save(&mut saved);
        }
    }

    #[test]
    fn nothing_is_concluded_before_a_directory_was_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let saved = one_row(folder.path());
        for (is_there, trouble, behind) in [
            (true, None, false),
            (true, Some("another file cannot be read"), false),
            (false, None, false),
            (false, Some("the share is gone"), true),
        ] {
            let mut life = Life::begin(folder.path(), &saved, true);
            assert!(life.engine.is_behind() && !life.reader.is_ready(clock::instant()));
            life.looked(is_there, trouble);
            assert_eq!(life.engine.is_behind(), behind, "{is_there} {trouble:?}");
            assert!(
                life.reader.is_ready(clock::instant()),
                "what cannot be read holds nothing up"
            );
        }
        let mut life = Life::begin(folder.path(), &saved, true);
        life.row(true);
        life.looked(true, None);
        assert!(life.engine.is_behind() && !life.reader.is_ready(clock::instant()));
        let directory = life.directory();
        life.take(Event::CaughtUp { directory });
        assert!(!life.engine.is_behind() && life.reader.is_ready(clock::instant()));
    }

    #[test]
    fn of_a_source_that_is_gone_only_the_positions_stay() {
        let folder = tempfile::tempdir().unwrap();
        let mut saved = one_row(folder.path());
        let count = |saved: &Saved, table| saved.texts(table).count();
        let tables = [
            Table::Directory,
            Table::Stream,
            Table::Session,
            Table::Ledger,
        ];
        for table in tables {
            assert_eq!(count(&saved, table), 1, "{table:?}");
        }
        let mut life = Life::begin(folder.path(), &saved, false);
        assert!(!life.engine.is_behind());
        life.save(&mut saved);
        for table in tables {
            assert_eq!(count(&saved, table), 0, "{table:?}");
        }
        assert_eq!(count(&saved, Table::File), 1);
    }

    #[test]
    fn everything_can_be_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let saved = one_row(folder.path());
        let mut life = Life::begin(folder.path(), &saved, true);
        life.engine.change_everything();
        life.reader.change_everything();
        let mut anew = Saved::default();
        life.save(&mut anew);
        assert_eq!(anew, saved);
    }

    #[test]
    fn every_directory_has_a_name_of_its_own() {
        let name = |server: &str, path: &str| {
            name(&Directory {
                path: PathBuf::from(path),
                server: Arc::from(server),
            })
        };
        assert_eq!(name("EX01", "/a"), name("EX01", "/a"));
        assert_ne!(name("EX01", "/a"), name("EX02", "/a"));
        assert_ne!(name("EX01", "/a"), name("EX01", "/a,"));
        assert_ne!(name("EX01\",\"", "/a"), name("EX01", "\",\"/a"));
    }
}
