//! Which paths lead to the same directory.
//!
//! A directory can be found twice: by a link, or because its file system, or a part of it, is mounted twice. Read twice,
//! every row of it would count twice. So each source says where its directories really are, and of several paths to one
//! directory one is read: that which was read before, or else the one of the source that comes first.
//!
//! Inode numbers play no part in this: shares make them up, anew with each mount, and different directories of a share
//! can have the same.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// How long a directory that was never read waits for the sources that have not looked for theirs yet. A share that hangs
/// must not hold it up for longer; and if it leads to the same directory, that hangs as well.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a directory really is, whatever links and mounts lead to it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Real {
    /// The device, as far as the system tells.
    pub(super) device: String,
    /// The path within it.
    pub(super) path: PathBuf,
}

/// A directory that a source has found.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) real: Real,
    /// Whether something of it was read under this path.
    pub(super) known: bool,
}

/// What is to be done with a directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    /// It is read under this path.
    Read,
    /// It is read under another path, this one.
    Leave(PathBuf),
    /// That is not clear yet.
    Wait,
}

/// Where all sources find their directories.
#[derive(Debug, Default)]
pub struct Places(Mutex<Finds>);

#[derive(Debug, Default)]
struct Finds {
    sources: BTreeMap<u64, Source>,
    /// All paths to a directory; the first one is read.
    claims: BTreeMap<Real, BTreeSet<Claim>>,
}

/// What one source has found.
#[derive(Debug)]
struct Source {
    since: Instant,
    has_looked: bool,
    places: BTreeMap<PathBuf, Place>,
}

/// A path to a directory, and who found it; what was read before comes first, then whoever does.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Claim {
    is_new: bool,
    source: u64,
    path: PathBuf,
}

impl Places {
    /// A source is followed from now on. Those with smaller numbers come first.
    pub fn add(&self, source: u64, now: Instant) {
        let new = Source {
            since: now,
            has_looked: false,
            places: BTreeMap::new(),
        };
        self.finds().sources.insert(source, new);
    }

    /// A source is no longer followed.
    pub fn remove(&self, source: u64) {
        let mut finds = self.finds();
        finds.set(source, BTreeMap::new());
        finds.sources.remove(&source);
    }

    /// A source has looked for its directories, and found these. Of those that it found before, and does not see now, it
    /// keeps some: a share that is away does not leave its directories to others.
    pub(super) fn found(
        &self,
        source: u64,
        mut places: BTreeMap<PathBuf, Place>,
        keeps: impl Fn(&PathBuf) -> bool,
    ) {
        let mut finds = self.finds();
        // One that was removed while it looked has no say any more.
        if let Some(known) = finds.sources.get_mut(&source) {
            known.has_looked = true;
            for (path, place) in &known.places {
                if keeps(path) {
                    places.entry(path.clone()).or_insert_with(|| place.clone());
                }
            }
            finds.set(source, places);
        }
    }

    /// What to do with a directory that a source has found, and said so. One that it is to read is its own from then on.
    pub(super) fn turn(&self, source: u64, path: &Path, now: Instant) -> Turn {
        let mut finds = self.finds();
        let places = finds.sources.get(&source).map(|source| &source.places);
        let Some(place) = places.and_then(|places| places.get(path)).cloned() else {
            return Turn::Read;
        };
        let first = finds.claims.get(&place.real).and_then(BTreeSet::first);
        if let Some(first) = first.filter(|first| **first != place.claim(source, path)) {
            return Turn::Leave(first.path.clone());
        }
        let is_awaited = |source: &Source| {
            !source.has_looked && now.saturating_duration_since(source.since) < PATIENCE
        };
        if !place.known && finds.sources.values().any(is_awaited) {
            return Turn::Wait;
        }
        finds.own(source, path);
        Turn::Read
    }

    fn finds(&self) -> MutexGuard<'_, Finds> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Finds {
    fn set(&mut self, source: u64, places: BTreeMap<PathBuf, Place>) {
        let Some(known) = self.sources.get_mut(&source) else {
            return;
        };
        for (path, place) in &known.places {
            if let Some(claims) = self.claims.get_mut(&place.real) {
                claims.remove(&place.claim(source, path));
                if claims.is_empty() {
                    self.claims.remove(&place.real);
                }
            }
        }
        for (path, place) in &places {
            let claims = self.claims.entry(place.real.clone()).or_default();
            claims.insert(place.claim(source, path));
        }
        known.places = places;
    }

    fn own(&mut self, source: u64, path: &Path) {
        let Some(known) = self.sources.get_mut(&source) else {
            return;
        };
        if let Some(place) = known.places.get_mut(path)
            && let Some(claims) = self.claims.get_mut(&place.real)
        {
            claims.remove(&place.claim(source, path));
            place.known = true;
            claims.insert(place.claim(source, path));
        }
    }
}

impl Place {
    fn claim(&self, source: u64, path: &Path) -> Claim {
        Claim {
            is_new: !self.known,
            source,
            path: path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::clock;

    fn finds(places: &[(&str, &str, bool)]) -> BTreeMap<PathBuf, Place> {
        let place = |(path, real, known): &(&str, &str, bool)| {
            let real = Real {
                device: "8:1".to_owned(),
                path: PathBuf::from(real),
            };
            let known = *known;
            (PathBuf::from(path), Place { real, known })
        };
        places.iter().map(place).collect()
    }

    #[test]
    fn one_path_to_a_directory_is_read() {
        let now = clock::instant();
        for (first, second, turns) in [
            // The source that comes first.
            (
                ("/a", "/real", false),
                ("/b", "/real", false),
                [true, false],
            ),
            // What was read before.
            (("/a", "/real", false), ("/b", "/real", true), [false, true]),
            // If both were: the source that comes first.
            (("/a", "/real", true), ("/b", "/real", true), [true, false]),
            (("/a", "/real", true), ("/b", "/other", true), [true, true]),
        ] {
            let places = Places::default();
            places.add(1, now);
            places.add(2, now);
            places.found(2, finds(&[second]), |_| false);
            let wait = if second.2 { Turn::Read } else { Turn::Wait };
            assert_eq!(places.turn(2, Path::new("/b"), now), wait, "{first:?}");
            places.found(1, finds(&[first]), |_| false);
            for (source, path, other, reads) in
                [(1, "/a", "/b", turns[0]), (2, "/b", "/a", turns[1])]
            {
                let expected = if reads {
                    Turn::Read
                } else {
                    Turn::Leave(other.into())
                };
                let turn = places.turn(source, Path::new(path), now);
                assert_eq!(turn, expected, "{first:?} {second:?}");
            }
            places.remove(1);
            assert_eq!(places.turn(2, Path::new("/b"), now), Turn::Read);
            places.found(1, finds(&[first]), |_| false);
            assert_eq!(
                places.turn(2, Path::new("/b"), now),
                Turn::Read,
                "it is gone"
            );
        }
    }

    #[test]
    fn two_paths_of_one_source_are_one_directory_as_well() {
        let (places, now) = (Places::default(), clock::instant());
        places.add(1, now);
        let both = finds(&[("/a", "/real", false), ("/b", "/real", false)]);
        places.found(1, both, |_| false);
        assert_eq!(places.turn(1, Path::new("/a"), now), Turn::Read);
        let left = Turn::Leave("/a".into());
        assert_eq!(places.turn(1, Path::new("/b"), now), left);
    }

    #[test]
    fn a_share_that_is_away_keeps_its_directory() {
        let (places, now) = (Places::default(), clock::instant());
        places.add(1, now);
        places.add(2, now);
        places.found(1, finds(&[("/a", "/real", true)]), |_| true);
        places.found(2, finds(&[("/b", "/real", false)]), |_| false);
        let left = Turn::Leave("/a".into());
        assert_eq!(places.turn(2, Path::new("/b"), now), left);
        places.found(1, finds(&[]), |_| true);
        assert_eq!(places.turn(2, Path::new("/b"), now), left);
        places.found(1, finds(&[("/a", "/other", true)]), |_| true);
        assert_eq!(places.turn(2, Path::new("/b"), now), Turn::Read);
        places.found(1, finds(&[("/a", "/real", true)]), |_| true);
        places.found(1, finds(&[]), |_| false);
        assert_eq!(places.turn(2, Path::new("/b"), now), Turn::Read);
    }

    #[test]
    fn a_share_that_hangs_holds_up_nobody_for_long() {
        let (places, now) = (Places::default(), clock::instant());
        places.add(1, now);
        places.add(2, now);
        places.found(2, finds(&[("/b", "/real", false)]), |_| false);
        assert_eq!(places.turn(2, Path::new("/b"), now), Turn::Wait);
        let later = now + PATIENCE;
        assert_eq!(places.turn(2, Path::new("/b"), later), Turn::Read);
        // When it answers at last, the directory is taken.
        places.found(1, finds(&[("/a", "/real", false)]), |_| false);
        let left = Turn::Leave("/b".into());
        assert_eq!(places.turn(1, Path::new("/a"), later), left);
    }
}
