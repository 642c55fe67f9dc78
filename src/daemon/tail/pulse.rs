//! A file system that shows, while a look takes long, that it still answers.
//!
//! A look at hundreds of thousands of files on a share can take minutes. That is no share that hangs: each answer of it
//! is a sign of life.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use crate::daemon::tail::disk::Disk;
use crate::daemon::tail::disk::Entry;
use crate::daemon::tail::places::Real;

/// How often a look that takes long says that it goes on.
const BEAT: Duration = Duration::from_secs(5);

/// A file system, and who is told that it answers.
pub(super) struct Pulse<D, C, B> {
    disk: D,
    clock: C,
    beat: B,
    last: Cell<Instant>,
}

impl<D: Disk, C: Fn() -> Instant, B: Fn()> Pulse<D, C, B> {
    pub(super) fn new(disk: D, clock: C, beat: B) -> Self {
        let last = Cell::new(clock());
        Self {
            disk,
            clock,
            beat,
            last,
        }
    }

    /// A look begins: the time before it was no silence.
    pub(super) fn rest(&self) {
        self.last.set((self.clock)());
    }

    /// Passes on what the file system answered.
    fn answered<T>(&self, answer: io::Result<T>) -> io::Result<T> {
        let now = (self.clock)();
        if now.duration_since(self.last.get()) >= BEAT {
            self.last.set(now);
            (self.beat)();
        }
        answer
    }
}

impl<D: Disk, C: Fn() -> Instant, B: Fn()> Disk for Pulse<D, C, B> {
    type Handle = D::Handle;

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.answered(self.disk.list(directory))
    }

    fn open(&self, file: &Path) -> io::Result<D::Handle> {
        self.answered(self.disk.open(file))
    }

    fn size(&self, file: &Path) -> io::Result<Option<u64>> {
        self.answered(self.disk.size(file))
    }

    fn device(&self, directory: &Path) -> io::Result<Option<u64>> {
        self.answered(self.disk.device(directory))
    }

    fn real(&self, directory: &Path) -> io::Result<Real> {
        self.answered(self.disk.real(directory))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::daemon::clock;
    use crate::daemon::tail::disk::LocalDisk;

    #[test]
    fn a_long_look_shows_that_the_share_answers() {
        let folder = tempfile::tempdir().unwrap();
        let (time, beats) = (Cell::new(clock::instant()), Cell::new(0));
        let disk = Pulse::new(LocalDisk, || time.get(), || beats.set(beats.get() + 1));
        let look = |seconds| {
            time.set(time.get() + Duration::from_secs(seconds));
            disk.list(folder.path()).unwrap();
            beats.get()
        };
        assert_eq!(
            [look(0), look(4), look(1), look(4), look(5)],
            [0, 0, 1, 1, 2]
        );
        time.set(time.get() + BEAT);
        disk.rest();
        assert_eq!(look(1), 2, "the pause between two looks is no part of one");
    }
}
