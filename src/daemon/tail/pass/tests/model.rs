//! Random programs against a model: whatever happens to the files, to the share and to the process, every row that
//! could be read is applied once, and what could not is reported.
//!
//! A commit is modelled by one struct that holds positions and what was applied with them; a crash keeps it and
//! nothing else.

mod alike;
mod copied;
mod order;
mod programs;
mod steps;
mod still;
mod unwritten;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use proptest::test_runner::Config;
use proptest::test_runner::RngAlgorithm;
use proptest::test_runner::TestRng;
use proptest::test_runner::TestRunner;

use self::steps::Step;
use super::effects::Committed;
use super::effects::begin;
use super::effects::is_known_by;
use super::effects::known_by;
use super::effects::rows_in;
use super::effects::told;
use super::world::Content;
use super::world::Fault;
use super::world::Inode;
use super::world::World;
use super::*;
use crate::daemon::clock;
use crate::daemon::source::LogName;
use crate::daemon::tail::Loss;
use crate::daemon::tail::position::Fingerprint;

/// The directory that Exchange writes to, and one to which files are moved and text.
const LOGS: &str = "/logs/a";
const OTHER: &str = "/logs/b";

/// What the model knows of a file apart from its bytes.
#[derive(Default)]
struct Pen {
    /// What completes the line at the end.
    rest: Vec<u8>,
    /// What the NUL bytes at the end will turn into, and when they were written.
    fill: Option<(Vec<u8>, u64)>,
}

struct Model {
    world: World,
    pass: Option<Pass<World>>,
    committed: Committed,
    pens: BTreeMap<PathBuf, Pen>,
    /// Content as it was before it was destroyed, and how much of it anybody had been told of.
    graves: Vec<(PathBuf, Vec<u8>, u64)>,
    copies: BTreeSet<PathBuf>,
    /// Since when a file is seen with an old size.
    stale: BTreeMap<PathBuf, u64>,
    seconds: u64,
    start: Moment,
    next_row: u64,
    next_number: u32,
    crash: Option<usize>,
    trace: Vec<String>,
}

impl Model {
    fn new() -> Self {
        let world = World::default();
        for (device, path) in [(1, "/logs"), (2, LOGS), (1, OTHER)] {
            world
                .0
                .borrow_mut()
                .directories
                .insert(PathBuf::from(path), device);
        }
        let mut model = Self {
            world,
            pass: None,
            committed: Committed::default(),
            pens: BTreeMap::new(),
            graves: Vec::new(),
            copies: BTreeSet::new(),
            stale: BTreeMap::new(),
            seconds: 0,
            start: Moment {
                instant: clock::instant(),
                wall: "2026-01-01T00:00:00Z".parse().unwrap(),
            },
            next_row: 1,
            next_number: 8,
            crash: None,
            trace: Vec::new(),
        };
        model.roll(2);
        model
    }

    fn moment(&self) -> Moment {
        let since = Duration::from_secs(self.seconds);
        Moment {
            instant: self.start.instant + since,
            wall: self.start.wall + since,
        }
    }

    // -- the writer

    fn row(&mut self) -> Vec<u8> {
        let id = self.next_row;
        self.next_row += 1;
        let text = "x".repeat(usize::try_from(id % 7).unwrap() * 40);
        format!("2026-01-01T00:00:01.000Z,c,{id:016X},0,,,*,{text},attempting to connect\r\n")
            .into_bytes()
    }

    fn rows(&mut self, count: u8) -> Vec<u8> {
        (0..count).flat_map(|_| self.row()).collect()
    }

    fn fresh(&mut self, count: u8) -> Vec<u8> {
        // Headers are alike in different files, and sometimes the same.
        let mut bytes =
            format!("#Software: Exchange\r\n#Date: {}\r\n", self.next_number / 3).into_bytes();
        bytes.extend(self.rows(count));
        bytes
    }

    fn create(&mut self, path: PathBuf, bytes: Vec<u8>) {
        let content = Content::new(
            Inode {
                bytes,
                ..Inode::default()
            }
            .into(),
        );
        self.pens.insert(path.clone(), Pen::default());
        self.copies.remove(&path);
        self.world.0.borrow_mut().files.insert(path, content);
    }

    fn log(directory: &str, number: u32) -> PathBuf {
        Path::new(directory).join(format!("SEND2026010100-{number}.LOG"))
    }

    fn roll(&mut self, count: u8) {
        let path = Self::log(LOGS, self.next_number);
        self.next_number += 1;
        let bytes = self.fresh(count % 4);
        self.create(path, bytes);
    }

    /// Files that are not copies of others.
    fn originals(&self) -> Vec<PathBuf> {
        let tree = self.world.0.borrow();
        tree.files
            .keys()
            .filter(|path| !self.copies.contains(*path))
            .cloned()
            .collect()
    }

    fn pick(&self, choice: u8) -> Option<PathBuf> {
        let originals = self.originals();
        // Mostly the newest is written.
        let newest = originals
            .iter()
            .filter(|path| path.starts_with(LOGS))
            .max_by_key(|path| LogName::read(path.file_name().unwrap()))
            .cloned();
        if choice < 160 {
            newest
        } else {
            originals
                .get(usize::from(choice) % originals.len().max(1))
                .cloned()
        }
    }

    fn content(&self, path: &Path) -> Content {
        Rc::clone(&self.world.0.borrow().files[path])
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) {
        let content = self.content(path);
        let pen = self.pens.get_mut(path).unwrap();
        // Nothing fills these any more.
        pen.fill = None;
        let mut content = content.borrow_mut();
        let rest = std::mem::take(&mut pen.rest);
        if rest.is_empty()
            && !content.bytes.ends_with(b"\n")
            && !content.bytes.ends_with(b"\0")
            && !content.bytes.is_empty()
        {
            content.bytes.extend(b"\r\n");
        }
        content.bytes.extend(rest);
        content.bytes.extend(bytes);
    }

    /// Whose size it was that was seen while nothing could be read is not always clear, so such bytes need not be
    /// reported; there is a story of its own for the plain case.
    fn bury(&mut self, path: &Path) {
        let content = self.content(path);
        let content = content.borrow();
        let told = content.told.min(content.shown);
        // What was not even known to be another file cannot be missed.
        let fingerprint = known_by(&content.bytes);
        let is_known = fingerprint.is_some()
            && self.committed.positions.values().any(|position| {
                let at = Path::new("/logs")
                    .join(&*position.directory)
                    .join(&*position.name);
                position.fingerprint == fingerprint && at == path
            });
        let told = if content.cut || !is_known { 0 } else { told };
        self.graves
            .push((path.to_owned(), content.bytes.clone(), told));
    }

    fn delete(&mut self, path: &Path) {
        self.bury(path);
        self.world.0.borrow_mut().files.remove(path);
        self.pens.remove(path);
        if !self.copies.remove(path) {
            self.promote();
        }
    }

    /// A copy whose original is gone takes its part.
    fn promote(&mut self) {
        let begins: BTreeSet<Vec<u8>> = self
            .originals()
            .iter()
            .map(|path| begin(&self.content(path).borrow().bytes))
            .collect();
        let copies = self.copies.clone();
        for path in copies {
            let text = self.content(&path).borrow().bytes.clone();
            let begin = begin(&text);
            let known = known_by(&text);
            let is_old = |(_, bytes, _): &(PathBuf, Vec<u8>, u64)| {
                let has_holes = text.contains(&0) && *bytes != text;
                let begins_alike = known.is_none_or(|known| is_known_by(bytes, known));
                begins_alike && (bytes.len() > text.len() || has_holes)
            };
            // What somebody appends to an old state of a file cannot be told from what was there before.
            if !begins.contains(&begin) && !self.graves.iter().any(is_old) {
                self.copies.remove(&path);
                self.promote();
                return;
            }
        }
    }

    fn has_copies(&self, path: &Path) -> bool {
        let own = begin(&self.content(path).borrow().bytes);
        self.copies
            .iter()
            .any(|copy| begin(&self.content(copy).borrow().bytes) == own)
    }

    /// What replaces a file while nothing of it can be read, nobody can tell from the file itself.
    fn is_faulty(&self, path: &Path) -> bool {
        let content = self.content(path);
        let content = content.borrow();
        self.world.0.borrow().faults.contains_key(path) || content.told > content.shown
    }

    // -- the reader

    fn wait(&mut self, seconds: u64) {
        let looks = seconds.min(14);
        // What stays the same for that long is the truth, also when it does so over several waits.
        let ends = self.seconds + seconds;
        let is_old = |path: &PathBuf| self.stale.get(path).is_none_or(|since| ends - since > 300);
        let is_over =
            |path: &PathBuf, fault: &Fault| matches!(fault, Fault::Stale(_)) && is_old(path);
        let mut tree = self.world.0.borrow_mut();
        tree.faults.retain(|path, fault| !is_over(path, fault));
        drop(tree);
        self.seconds += seconds - looks;
        for _ in 0..looks {
            self.look();
        }
    }

    fn look(&mut self) {
        self.seconds += 1;
        let at = self.moment();
        let mut pass = self.pass.take().unwrap_or_else(|| {
            let saved = self.committed.positions.values().cloned().collect();
            Pass::new(self.world.clone(), source(), Vec::new(), saved, at)
        });
        let crash = self.crash.take();
        let mut events = 0;
        let mut order: BTreeMap<PathBuf, LogName> = BTreeMap::new();
        let (committed, trace, seconds) = (&mut self.committed, &mut self.trace, self.seconds);
        let listens = pass.look(at, None, &mut |event| {
            if crash == Some(events) {
                return false;
            }
            events += 1;
            if let Event::Bytes {
                directory,
                position,
                ..
            } = &event
            {
                let name = LogName::read((*position.name).as_ref());
                let last = order.insert(directory.path.clone(), name);
                assert!(
                    last.is_none_or(|last| last <= name),
                    "{last:?} was read before {name:?}"
                );
            }
            trace.push(format!("{seconds} {}", told(&event)));
            committed.apply(event);
            true
        });
        if listens && crash.is_none() {
            self.pass = Some(pass);
        } else {
            trace.push(format!("{seconds} crash"));
            self.forget();
        }
    }

    /// After a crash only what was committed is known of sizes.
    fn forget(&mut self) {
        let mut graves = std::mem::take(&mut self.graves);
        for (_, bytes, told) in &mut graves {
            *told = (*told).min(self.kept_size(bytes));
        }
        self.graves = graves;
        for content in self.world.0.borrow().files.values() {
            let mut content = content.borrow_mut();
            let kept = self.kept_size(&content.bytes);
            content.told = content.told.min(kept);
            content.shown = content.shown.min(kept);
        }
    }

    /// The size of a file that was committed.
    fn kept_size(&self, bytes: &[u8]) -> u64 {
        let fingerprint = known_by(bytes);
        let mut positions = self.committed.positions.values();
        let known = positions.find(|it| fingerprint.is_some() && it.fingerprint == fingerprint);
        known.map_or(0, |position| position.size)
    }

    // -- the judge

    fn settle(&mut self) {
        self.crash = None;
        {
            let mut tree = self.world.0.borrow_mut();
            tree.faults.clear();
            tree.unmounted.clear();
        }
        self.roll(1);
        for _ in 0..5 {
            self.wait(700);
        }
    }

    fn judge(&self) {
        let applied = &self.committed.applied;
        let twice: Vec<_> = applied.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "applied twice: {twice:?}");
        let tree = self.world.0.borrow();
        let mut there = BTreeSet::new();
        for content in tree.files.values() {
            there.extend(rows_in(&content.borrow().bytes, 0, u64::MAX));
        }
        let missing: Vec<_> = there
            .iter()
            .filter(|row| !applied.contains_key(row))
            .collect();
        assert!(missing.is_empty(), "missing: {missing:?}");
        let mut reported = BTreeSet::new();
        for (fingerprint, name, _, loss) in self.committed.joined_losses() {
            let fingerprint = &fingerprint;
            reported.extend(self.reported(*fingerprint, &name, loss));
        }
        for (path, bytes, told) in &self.graves {
            if self.is_awaited(path) {
                continue;
            }
            for row in rows_in(bytes, 0, *told) {
                assert!(
                    applied.contains_key(&row) || reported.contains(&row),
                    "row {row} of {} was lost and nobody said so",
                    path.display()
                );
            }
        }
    }

    /// Whether nothing is concluded of this file, because its directory is in doubt. That is told as trouble, and its
    /// position is kept as it was.
    fn is_awaited(&self, path: &Path) -> bool {
        let Some(pass) = &self.pass else { return false };
        let is_in_doubt = |folder: &Folder| {
            let file = folder
                .files
                .iter()
                .find(|file| path.ends_with(&*file.file_name));
            let position = file.and_then(|file| self.committed.positions.get(&file.id));
            folder.suspect.is_some() && position.is_some_and(|position| position.vanished.is_none())
        };
        let folder = path.parent().and_then(|folder| pass.folders.get(folder));
        folder.is_some_and(is_in_doubt)
    }

    /// The rows that a report of a loss speaks of. None of them may have been read.
    fn reported(&self, fingerprint: Option<Fingerprint>, name: &str, loss: Loss) -> BTreeSet<u64> {
        let tree = self.world.0.borrow();
        let live = tree
            .files
            .iter()
            .map(|(path, content)| (path.clone(), content.borrow().bytes.clone()));
        let graves = self
            .graves
            .iter()
            .map(|(path, bytes, _)| (path.clone(), bytes.clone()));
        let mut any = false;
        let mut rows = BTreeSet::new();
        for (path, bytes) in live.chain(graves) {
            let fits = match fingerprint {
                Some(known) => is_known_by(&bytes, known),
                None => path.ends_with(name),
            };
            if !fits || (bytes.len() as u64) < loss.from + loss.bytes {
                continue;
            }
            // A row of which the beginning is still there is lost with the rest of it.
            let before = &bytes[..usize::try_from(loss.from).unwrap()];
            let begin = memchr::memrchr(b'\n', before).map_or(0, |newline| newline as u64 + 1);
            let found: BTreeSet<u64> = rows_in(&bytes, begin, loss.from + loss.bytes).collect();
            let applied = &self.committed.applied;
            let gone = |row: &&u64| !applied.contains_key(row);
            let gone: BTreeSet<u64> = found.iter().filter(gone).copied().collect();
            // One that could never be read may be known from a copy, but nobody can tell that. All that is gone of it is
            // what the copy did not have.
            let is_told = fingerprint.is_none() && !gone.is_empty();
            if is_told || gone.len() == found.len() {
                any = true;
                rows.extend(gone);
            }
        }
        assert!(
            any || self.committed.found > 0,
            "reported as lost, but read: {name} {loss:?}"
        );
        rows
    }
}

fn source() -> SourceConfig {
    let text = "sources: [{ path: /logs, server: EX01, first_read: all }]";
    crate::config::parse(text, Path::new("/certdrift.yml"), None)
        .unwrap()
        .sources[0]
        .clone()
}

fn run(steps: &[(u8, u8, u8)]) -> Model {
    let mut model = Model::new();
    for step in steps {
        let step = Step::read(*step);
        model.trace.push(format!("{} {step:?}", model.seconds));
        model.step(step);
        model.look();
    }
    model.settle();
    model
}

#[test]
fn a_file_that_grows_and_goes_while_it_cannot_be_read_is_reported() {
    let mut model = Model::new();
    model.look();
    model.roll(1);
    let path = model.pick(0).unwrap();
    model.wait(3);
    let read = model.content(&path).borrow().bytes.len() as u64;
    model
        .world
        .0
        .borrow_mut()
        .faults
        .insert(path.clone(), Fault::Read);
    model.step(Step::Append(0, 1));
    model.wait(2);
    let bytes = model.content(&path).borrow().bytes.len() as u64 - read;
    model.delete(&path);
    model.wait(3);
    let loss = Loss {
        from: read,
        bytes,
        reason: crate::daemon::tail::LossReason::Deleted,
    };
    let losses: Vec<Loss> = model
        .committed
        .losses
        .iter()
        .map(|(.., loss)| *loss)
        .collect();
    assert_eq!(losses, [loss]);
}

#[test]
fn what_was_cut_off_behind_what_was_read_is_told_though_reads_fail() {
    let mut model = Model::new();
    model.look();
    let path = model.pick(0).unwrap();
    let read = model.content(&path).borrow().bytes.len();
    let rows: Vec<Vec<u8>> = (0..3).map(|_| model.row()).collect();
    model.write(&path, &rows.concat());
    // What stands before the offset can be read, and what stands behind it cannot.
    let fault = Fault::Flaky(2);
    model
        .world
        .0
        .borrow_mut()
        .faults
        .insert(path.clone(), fault);
    model.look();
    let kept = read + rows[0].len();
    model.content(&path).borrow_mut().bytes.truncate(kept);
    model.wait(2);
    model.world.0.borrow_mut().faults.clear();
    for _ in 0..3 {
        model.wait(700);
    }
    let losses = model.committed.losses.iter();
    let losses: Vec<_> = losses.map(|(.., loss)| (loss.from, loss.bytes)).collect();
    let gone = rows[1].len() + rows[2].len();
    assert_eq!(losses, [(kept as u64, gone as u64)]);
}

#[test]
fn whatever_happens_every_row_is_applied_once_or_reported() {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seed = number("CERTDRIFT_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: u32::try_from(number("CERTDRIFT_CASES").unwrap_or(2_000)).unwrap(),
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let steps = proptest::collection::vec(
        (0..64_u8, proptest::num::u8::ANY, proptest::num::u8::ANY),
        1..40,
    );
    let outcome = TestRunner::new_with_rng(config, rng).run(&steps, |steps| {
        run(&steps).judge();
        Ok(())
    });
    if let Err(error) = outcome {
        if let proptest::test_runner::TestError::Fail(_, steps) = &error {
            let model = run(steps);
            panic!("CERTDRIFT_SEED={seed}\n{}\n{error}", model.trace.join("\n"));
        }
        panic!("CERTDRIFT_SEED={seed}\n{error}");
    }
}
