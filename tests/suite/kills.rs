//! Killed at any moment, nothing is lost and nothing counts twice: the state goes on from the last commit, reading from
//! the position that was committed with it, and in the end everything is as if nothing had happened.

use std::fs;
use std::path::{Path, PathBuf};

use certdrift::pipeline::engine::Engine;
use certdrift::pipeline::file::LogFile;
use certdrift::pipeline::saved::Saved;
use certdrift::pipeline::session::StreamId;
use certdrift::render::json;
use certdrift::render::report::Report;
use jiff::Timestamp;

/// Lives and deaths of each folder of logs.
const RUNS: u64 = 6;
/// After so many kills a run is left in peace: a line that is longer than any life would never be read to its end.
const MAX_KILLS: u32 = 30;

#[test]
fn a_kill_at_any_moment_changes_nothing() {
    let folders = folders(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"));
    assert!(folders.len() >= 50, "{} folders found", folders.len());
    let mut kills = 0;
    for logs in folders {
        let undisturbed = World::new(&logs).read(&mut Dice(0), 0);
        for run in 1..=RUNS {
            let mut world = World::new(&logs);
            let answer = world.read(&mut Dice(run), 20);
            assert_eq!(answer, undisturbed, "{} run {run}", logs[0].path.display());
            kills += world.kills;
        }
    }
    assert!(kills > 1000, "{kills} kills");
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        // Knuth's MMIX generator; its upper bits are good.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }
}

/// A log file and what it holds.
struct Log {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// What is on disk, and what is in memory.
struct World<'a> {
    logs: &'a [Log],
    saved: Saved,
    /// How far each log was read when `saved` was committed.
    positions: Vec<Option<usize>>,
    engine: Engine,
    streams: Vec<StreamId>,
    kills: u32,
}

impl<'a> World<'a> {
    fn new(logs: &'a [Log]) -> Self {
        let mut world = Self {
            logs,
            saved: Saved::default(),
            positions: vec![Some(0); logs.len()],
            engine: Engine::default(),
            streams: Vec::new(),
            kills: 0,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        self.engine = Engine::restore(&self.saved).unwrap();
        let names = self
            .logs
            .iter()
            .map(|log| log.path.parent().unwrap().to_str().unwrap());
        self.streams = names
            .map(|name| {
                let server = name.rsplit('/').next().unwrap();
                self.engine.resume_stream(name, server)
            })
            .collect();
    }

    /// Reads all logs, one after the other, in pieces; after each, the process may be killed, with this chance.
    fn read(&mut self, dice: &mut Dice, chance: usize) -> String {
        let now = Timestamp::UNIX_EPOCH;
        for index in 0..self.logs.len() {
            while let Some(start) = self.positions[index] {
                self.read_file(index, start, dice, chance);
            }
        }
        for stream in self.streams.clone() {
            self.engine.end_stream(stream, now);
        }
        let (first_row, last_row) = (None, None);
        json::check(&Report {
            files: 1,
            refused: Vec::new(),
            unread: Vec::new(),
            tally: LogFile::default().tally(),
            first_row,
            last_row,
            snapshot: self.engine.snapshot(now),
            sources: Vec::new(),
            judged: false,
        })
    }

    /// Reads a log from here to its end, or until the process is killed. What was read since the last commit is read
    /// again then.
    fn read_file(&mut self, index: usize, start: usize, dice: &mut Dice, chance: usize) {
        let now = Timestamp::UNIX_EPOCH;
        let bytes = &self.logs[index].bytes;
        let longest = (bytes.len() / 100).max(400);
        let mut file = LogFile::default();
        let mut at = start;
        while at < bytes.len() {
            let length = (dice.below(longest) + 1).min(bytes.len() - at);
            let piece = &bytes[at..at + length];
            self.engine.feed(self.streams[index], &mut file, piece, now);
            at += length;
            if dice.percent(50) {
                let unfinished = usize::try_from(file.unfinished_from()).unwrap();
                self.commit(index, Some(start + unfinished));
            }
            // A refused file is told by its header, which is not read again; its position says so in the daemon.
            if file.refused().is_none() && self.kills < MAX_KILLS && dice.percent(chance) {
                self.kills += 1;
                self.start();
                return;
            }
        }
        self.engine.finish(self.streams[index], &mut file, now);
        self.commit(index, None);
    }

    fn commit(&mut self, index: usize, position: Option<usize>) {
        self.saved.apply(&self.engine.take_changes());
        self.positions[index] = position;
    }
}

/// The folders that hold logs, each with its logs in the order of their names.
fn folders(folder: &Path) -> Vec<Vec<Log>> {
    let mut found = Vec::new();
    let mut logs = Vec::new();
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            found.extend(folders(&path));
        } else if path.extension().is_some_and(|ending| ending == "LOG") {
            let bytes = fs::read(&path).unwrap();
            logs.push(Log { path, bytes });
        }
    }
    if !logs.is_empty() {
        found.push(logs);
    }
    found
}
