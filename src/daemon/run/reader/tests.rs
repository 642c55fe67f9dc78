//! Events told by hand, and what becomes of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::daemon::run::reader::source::SILENT;
use crate::daemon::tail::DirectoryLook;
use crate::daemon::tail::Moment;
use crate::pipeline::file::Refusal;

const ROW: &[u8] = b"2026-01-01T00:00:01.000Z,c,08DE41A5B3C2D100,0,,,*,,attempting to connect\r\n";

fn present() -> Moment {
    Moment {
        instant: clock::instant(),
        wall: clock::now(),
    }
}

fn looked(look: Look) -> Event {
    Event::Looked {
        look,
        began: present(),
    }
}

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
            reader: Reader::new(messages, Vec::new()),
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
                let text = format!("sources:\n  - path: {path}\n    first_read: {first_read}\n");
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

    /// Whether it is news.
    fn take(&mut self, source: u64, event: Event) -> bool {
        self.take_after(source, event, 0)
    }

    fn take_after(&mut self, source: u64, event: Event, seconds: u64) -> bool {
        let message = Message { source, event };
        let instant = clock::instant() + Duration::from_secs(seconds);
        self.reader
            .take(message, &mut self.engine, clock::now(), instant)
    }

    /// The position behind this many bytes of the only file.
    fn position(offset: usize) -> Position {
        Position {
            source: Arc::from("logs"),
            file: FileId(7),
            directory: Arc::from(""),
            name: Arc::from("SEND2026010100-1.LOG"),
            server: Arc::from("EX01"),
            generation: 0,
            fingerprint: None,
            offset: Some(offset as u64),
            anchor: None,
            resume: None,
            size: offset as u64,
            finished: false,
            refused: None,
            vanished: None,
        }
    }

    fn bytes(&mut self, source: u64, bytes: &[u8], more: bool) {
        let event = Event::Bytes {
            directory: self.directory(),
            bytes: bytes.to_vec(),
            more,
            position: Self::position(bytes.len()),
        };
        self.take(source, event);
    }

    fn finished(&mut self, bytes: &[u8]) {
        let event = Event::Finished {
            directory: self.directory(),
            bytes: bytes.to_vec(),
            position: Self::position(1000),
        };
        self.take(1, event);
    }

    /// What the directory gave so far.
    fn tally(&self) -> Tally {
        self.reader.streams[&*self.directory()].tally
    }

    fn looked(&mut self, source: u64) -> bool {
        let look = self.look();
        self.take(source, looked(look))
    }

    fn look(&self) -> Look {
        Look {
            directories: vec![DirectoryLook {
                directory: self.directory(),
                files: 1,
                unread: 0,
                trouble: None,
            }],
            ..Look::default()
        }
    }
}

#[test]
fn what_was_seen_before_is_no_news() {
    let mut story = Story::begin();
    assert!(story.looked(1), "the first look");
    assert!(!story.looked(1));
    assert!(!story.take(1, Event::Alive));
    let fuller = Look {
        directories: vec![DirectoryLook {
            unread: 1,
            ..story.look().directories.remove(0)
        }],
        ..Look::default()
    };
    assert!(story.take(1, looked(fuller)));
    assert!(story.looked(1));
    let directory = story.directory();
    assert!(story.take(1, Event::CaughtUp { directory }));
    // Nobody listened for a while, or it hung: that ends with this look.
    story.reader.hold(clock::instant());
    assert!(story.looked(1));
    assert!(!story.looked(1));
    assert!(story.take_after(1, Event::Alive, SILENT.as_secs()));
    let look = story.look();
    assert!(story.take_after(1, looked(look), 3 * SILENT.as_secs()));
}

#[test]
fn a_thread_that_says_nothing_hangs() {
    let mut story = Story::begin();
    story.looked(1);
    let source = story.reader.sources.get_mut(&1).unwrap();
    assert!(!source.is_silent(source.heard + SILENT / 2));
    assert!(source.is_silent(source.heard + SILENT));
    source.heard = source.heard.checked_sub(SILENT).unwrap();
    let status = story
        .reader
        .statuses(&story.engine, clock::instant())
        .remove(0);
    assert!(!status.up);
    assert!(status.trouble.unwrap().contains("no answer for 30 s"));
}

#[test]
fn a_server_is_down_for_its_own_trouble_or_that_of_the_whole_source() {
    let mut story = Story::begin();
    let look = |whole: Option<&str>| Look {
        trouble: whole.map(str::to_owned),
        directories: [("EX01", None), ("EX02", Some("EX02: does not exist"))]
            .map(|(server, trouble)| DirectoryLook {
                directory: Arc::new(Directory {
                    path: Path::new("/logs").join(server),
                    server: Arc::from(server),
                }),
                files: 1,
                unread: 0,
                trouble: trouble.map(str::to_owned),
            })
            .into(),
    };
    for (whole, up) in [(None, [true, false]), (Some("away"), [false, false])] {
        story.take(1, looked(look(whole)));
        let statuses = story.reader.statuses(&story.engine, clock::instant());
        let is_up: Vec<_> = statuses.iter().map(|status| status.up).collect();
        assert_eq!(is_up, up);
        let source = &story.reader.sources[&1];
        let sees = ["EX01", "EX02"].map(|server| source.sees(server, clock::instant()));
        assert_eq!(sees, up);
        assert_eq!(
            story.reader.passed(clock::instant()),
            None,
            "not all was read"
        );
    }
}

#[test]
fn a_directory_is_behind_until_it_has_caught_up() {
    let mut story = Story::begin();
    assert!(
        !story.reader.is_ready(clock::instant()),
        "nobody has looked yet"
    );
    story.looked(1);
    assert!(story.reader.is_ready(clock::instant()));
    story.bytes(1, ROW, true);
    assert!(!story.reader.is_ready(clock::instant()));
    let directory = story.directory();
    story.take(1, Event::CaughtUp { directory });
    assert!(story.reader.is_ready(clock::instant()));
}

#[test]
fn a_source_that_goes_holds_up_nothing_and_counts_when_it_comes_back() {
    let mut story = Story::begin();
    story.bytes(1, ROW, true);
    story.follow(&[]);
    assert!(story.reader.is_ready(clock::instant()));
    story.bytes(1, ROW, true);
    assert!(
        story.reader.is_ready(clock::instant()),
        "its last words are not heard"
    );
    story.follow(&["24h"]);
    story.looked(2);
    story.bytes(2, ROW, false);
    let statuses = story.reader.statuses(&story.engine, clock::instant());
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
    story.finished(b"");
    story.bytes(1, ROW, false);
    assert_eq!(story.tally().rows, 0);
    let [Kept::Position(position)] = &story.reader.take_changes()[..] else {
        panic!("one file has one position");
    };
    assert_eq!(position.refused, Some(Refusal::ReceiveLog));
}

#[test]
fn a_file_that_was_refused_before_the_start_stays_refused() {
    let (messages, _) = tokio::sync::mpsc::channel(1);
    let mut story = Story::begin();
    let mut saved = Story::position(10);
    saved.refused = Some(Refusal::Utf16);
    let sources = std::mem::take(&mut story.reader.sources);
    story.reader = Reader::new(messages, vec![saved]);
    story.reader.sources = sources;
    assert_eq!(story.reader.take_changes(), []);
    story.bytes(1, ROW, false);
    assert_eq!(story.tally().rows, 0);
}

#[test]
fn refused_files_are_told_of_their_server_for_as_long_as_they_are_there() {
    let mut story = Story::begin();
    story.reader.sources.get_mut(&1).unwrap().key = Arc::from("logs");
    story.bytes(1, b"#Log-type: SMTP Receive Protocol Log\r\n", false);
    let refused = |story: &Story| {
        let statuses = story.reader.statuses(&story.engine, clock::instant());
        let told: Vec<_> = statuses
            .iter()
            .map(|it| (it.server.to_string(), it.refused_files))
            .collect();
        (told, statuses)
    };
    story.looked(1);
    let (told, statuses) = refused(&story);
    assert_eq!(told, [("EX01".to_owned(), 1)]);
    let trouble = statuses[0].trouble.as_deref().unwrap_or_default();
    assert!(
        trouble.starts_with("EX01: no file is a send protocol log. "),
        "{trouble}"
    );
    assert!(!statuses[0].up);
    let mut position = Story::position(38);
    position.vanished = Some(Timestamp::UNIX_EPOCH);
    let event = Event::Changed {
        directory: story.directory(),
        change: Change::Vanished,
        position,
    };
    story.take(1, event);
    let (told, statuses) = refused(&story);
    assert_eq!(told, [("EX01".to_owned(), 0)]);
    assert_eq!(statuses[0].trouble, None);
}

#[test]
fn a_source_that_is_put_before_another_takes_nothing_from_it() {
    let mut story = Story::begin();
    story.bytes(1, ROW, false);
    story.looked(1);
    let counted = |story: &Story| {
        let statuses = story.reader.statuses(&story.engine, clock::instant());
        let rows: u64 = statuses.iter().map(|it| it.tally.rows).sum();
        let snapshot = story.engine.snapshot(clock::now());
        (rows, snapshot.connectors().count())
    };
    assert_eq!(counted(&story), (1, 1));
    let path = story.folder.path().display();
    let text = format!("sources: [{{ path: '{path}/{{server}}/Hub' }}, {{ path: '{path}' }}]");
    let config = crate::config::parse(&text, Path::new("/certdrift.yml"), None).unwrap();
    let engine = &mut story.engine;
    let reader = &mut story.reader;
    reader
        .follow(&config.sources, engine, clock::now())
        .unwrap();
    assert_eq!(counted(&story), (1, 1));
    assert!(story.engine.is_behind(), "nobody has looked again");
    story.looked(3);
    assert_eq!(counted(&story), (1, 1));
    assert!(!story.engine.is_behind());
    story.bytes(3, ROW, false);
    assert_eq!(story.tally().rows, 2);
    // One that is taken out is forgotten.
    let engine = &mut story.engine;
    let first = &config.sources[..1];
    story.reader.follow(first, engine, clock::now()).unwrap();
    assert_eq!(counted(&story), (0, 0));
}

#[test]
fn a_finished_file_gives_its_last_row() {
    let mut story = Story::begin();
    story.bytes(1, ROW, false);
    story.finished(ROW.trim_ascii_end());
    let tally = story.tally();
    assert_eq!((tally.rows, tally.malformed_rows), (2, 0));
}

#[test]
fn positions_are_kept_once_each_and_forgotten() {
    let mut story = Story::begin();
    story.bytes(1, ROW, true);
    story.bytes(1, &[ROW, ROW].concat(), false);
    let changes = story.reader.take_changes();
    assert_eq!(changes, [Kept::Position(Story::position(2 * ROW.len()))]);
    assert_eq!(story.reader.take_changes(), []);
    story.reader.sources.get_mut(&1).unwrap().key = Arc::from("logs");
    story.take(1, Event::Forgotten { file: FileId(7) });
    let source = Arc::from("logs");
    let file = FileId(7);
    assert_eq!(
        story.reader.take_changes(),
        [Kept::Forgotten { source, file }]
    );
}

#[test]
fn what_is_lost_is_counted_by_its_reason() {
    let mut story = Story::begin();
    for (reason, bytes) in [
        (LossReason::Nul, 1000),
        (LossReason::LongLine, 200),
        (LossReason::Deleted, 30),
        (LossReason::Rewritten, 4),
    ] {
        let from = 0;
        let event = Event::Lost {
            directory: story.directory(),
            loss: Loss {
                from,
                bytes,
                reason,
            },
            position: Story::position(0),
        };
        story.take(1, event);
    }
    story.looked(1);
    let status = story
        .reader
        .statuses(&story.engine, clock::instant())
        .remove(0);
    assert_eq!(status.tally.lost_bytes, 1000);
    assert_eq!(status.tally.malformed_rows, 2);
    assert_eq!(status.long_line_bytes, 200);
    assert_eq!(status.deleted_unread_bytes, 30);
    assert_eq!(status.rewritten_unread_bytes, 4);
}
