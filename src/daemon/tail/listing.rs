//! Which directories and files there are, and what their absence means.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::info;
use tracing::warn;

use crate::config::FirstRead;
use crate::config::PathPattern;
use crate::daemon::source;
use crate::daemon::source::LogName;
use crate::daemon::source::others::Others;
use crate::daemon::source::search::Entries;
use crate::daemon::source::search::Found;
use crate::daemon::source::search::Search;
use crate::daemon::source::search::search;
use crate::daemon::tail::Directory;
use crate::daemon::tail::DirectoryLook;
use crate::daemon::tail::Event;
use crate::daemon::tail::Moment;
use crate::daemon::tail::absent::MAX_ABSENT;
use crate::daemon::tail::disk::Disk;
use crate::daemon::tail::disk::Kind;
use crate::daemon::tail::file::Followed;
use crate::daemon::tail::folder::Folder;
use crate::daemon::tail::folder::Say;
use crate::daemon::tail::pass::Pass;
use crate::daemon::tail::pass::is_past;
use crate::daemon::tail::places::Place;
use crate::daemon::tail::places::Turn;

/// How often the tree is looked through for directories that are new.
const WALK: Duration = Duration::from_secs(30);
/// A directory that does not exist, while the one above it is there and holds something, is believed to be gone and not
/// just away after this long: its server is no more. One that is there but empty never is, for that is what a share
/// leaves behind when it is unmounted; nor is a source with nothing left. What comes back later is known all the same.
const REMOVED_AFTER: Duration = Duration::from_secs(60 * 60);
/// The clock of a machine that has just started may be wrong; nothing is forgotten in this time.
const CLOCK_SETTLES: Duration = Duration::from_secs(60 * 60);

impl<D: Disk> Pass<D> {
    /// Finds new files and notices those that are gone. A directory that cannot be read is trouble, but the others are
    /// followed all the same. Whether somebody listens.
    pub(super) fn list(&mut self, at: Moment, say: &mut Say<'_>) -> bool {
        let now = at.instant;
        if self.search || self.waits || is_past(self.walked, WALK, now) {
            self.walk(now);
        }
        let mut open: Vec<PathBuf> = self.folders.keys().cloned().collect();
        // What is missing may be in a directory that is new.
        if self.list_folders(&open, at) {
            self.search = true;
            self.walk(now);
            open = self
                .folders
                .keys()
                .filter(|path| !open.contains(path))
                .cloned()
                .collect();
            self.list_folders(&open, at);
        }
        if self.first && !self.folders.is_empty() && !self.waits {
            self.first = false;
            if !self.pass_over(say) {
                return false;
            }
        }
        self.identify(now, say) && self.conclude_all(at, say) && self.forget(at, say)
    }

    /// Whether a file is missing that was there before.
    fn list_folders(&mut self, paths: &[PathBuf], at: Moment) -> bool {
        let mut missing = false;
        for path in paths {
            let Some(folder) = self.folders.get_mut(path) else {
                continue;
            };
            let (names, newly_missing) = folder.list(&self.disk, at.instant);
            missing |= newly_missing;
            for name in names {
                let id = self.next_id();
                let log_name = LogName::read(name.as_ref());
                let is_old = self.first && is_too_old(log_name, self.source.first_read, at.wall);
                let is_forgotten = self.folders.get(path).is_some_and(|folder| {
                    let server = &folder.directory.server;
                    self.absent.is_forgotten(server, log_name)
                });
                if is_forgotten {
                    warn!(file = %path.join(&name).display(), "not reading what a log file holds that is older than {MAX_ABSENT} that are gone: it was read when it was new");
                }
                let offset = (!is_old && !is_forgotten).then_some(0);
                let file = Followed::new(id, &name, offset, at.instant);
                if let Some(folder) = self.folders.get_mut(path) {
                    folder.insert(file);
                }
            }
        }
        missing
    }

    /// Only at the first look ever does the date in a name decide whether a file is too old to be read; one that turns
    /// up later is read whatever its date.
    fn pass_over(&mut self, say: &mut Say<'_>) -> bool {
        let mut positions = Vec::new();
        for folder in self.folders.values_mut() {
            for file in folder.files.iter_mut().filter(|file| file.offset.is_none()) {
                file.announced = true;
            }
            let passed_over = folder.files.iter().filter(|file| file.offset.is_none());
            positions.extend(passed_over.map(|file| folder.position(file)));
        }
        positions.is_empty() || say(Event::PassedOver { positions })
    }

    /// Looks through the tree for directories that hold logs.
    fn walk(&mut self, now: Instant) {
        let mut with_logs = BTreeSet::new();
        let mut others = Others::default();
        let disk = &self.disk;
        let found = search(&self.source.path, &mut |directory: &Path| {
            let mut entries = Entries {
                is_empty: true,
                ..Entries::default()
            };
            for entry in disk.list(directory)? {
                entries.is_empty = false;
                match entry.kind {
                    Kind::Directory => entries.directories.push(directory.join(entry.name)),
                    Kind::File => match entry.name.to_str() {
                        Some(name) if source::is_send_log(name) => {
                            with_logs.insert(directory.to_owned());
                        }
                        name => others.see(name.unwrap_or_default()),
                    },
                    Kind::Other => {}
                }
            }
            Ok(entries)
        });
        let root = self.source.path.root().display().to_string();
        let search = match found {
            Ok(search) => search,
            Err(error) => {
                self.trouble = Some(format!("{root}: {}", source::remedy(&error)));
                self.walked = None;
                self.waits = false;
                self.settle_places(std::iter::empty(), now);
                return;
            }
        };
        self.trouble = None;
        self.walked = Some(now);
        self.search = false;
        let is_known = |found: &&Found| {
            with_logs.contains(&found.path) || self.folders.contains_key(&found.path)
        };
        let found = search.found.iter().filter(is_known);
        let servers: BTreeMap<PathBuf, Option<String>> = found
            .map(|found| (found.path.clone(), found.server.clone()))
            .collect();
        self.settle_places(servers.keys(), now);
        self.add_folders(&servers, now);
        self.tell_unseen(&search);
        if self.folders.is_empty() && self.left.is_empty() && !self.waits {
            self.trouble = Some(match others.told() {
                Some(others) => format!("{root}: {others}"),
                None => format!(
                    "{root}: no SEND*.LOG below it yet. Is protocol logging on (Set-SendConnector '…' -ProtocolLoggingLevel Verbose)?"
                ),
            });
        }
    }

    /// Says where the directories are that were found. One that is followed, and has come to be the same as another that
    /// comes first, rests.
    fn settle_places<'a>(&mut self, found: impl Iterator<Item = &'a PathBuf>, now: Instant) {
        let place = |path: &PathBuf| {
            let real = self.disk.real(path).ok()?;
            let known = self.folders.contains_key(path);
            Some((path.clone(), Place { real, known }))
        };
        let places = found
            .filter(|path| self.reader_of(path).is_none())
            .filter_map(place)
            .collect();
        let is_followed = |path: &PathBuf| self.folders.contains_key(path);
        self.places.found(self.number, places, is_followed);
        for (path, folder) in &mut self.folders {
            folder.left = match self.places.turn(self.number, path, now) {
                Turn::Leave(other) => Some(read_as(path, &other)),
                Turn::Read | Turn::Wait => None,
            };
        }
    }

    /// A server of which nothing can be seen must not be silent, as if it had no mail.
    fn tell_unseen(&mut self, search: &Search) {
        for trouble in search.troubles() {
            // What is followed tells of its own trouble.
            if !self.folders.contains_key(&trouble.path) {
                let server = self.source.server.as_ref().unwrap_or(&trouble.server);
                let look = left(&trouble.path, server, trouble.text);
                self.left.insert(trouble.path, look);
            }
        }
    }

    fn add_folders(&mut self, found: &BTreeMap<PathBuf, Option<String>>, now: Instant) {
        let paths: Vec<PathBuf> = found.keys().cloned().collect();
        let names = source::server_names(&paths);
        self.left.clear();
        self.waits = false;
        for ((path, named), derived) in found.iter().zip(names) {
            if self.folders.contains_key(path) {
                continue;
            }
            let Some(relative) = self.relative(path).map(str::to_owned) else {
                self.trouble = Some(format!(
                    "{}: its name is not Unicode, so it is not read. Rename it",
                    path.display()
                ));
                continue;
            };
            let server = self
                .source
                .server
                .clone()
                .or_else(|| named.clone())
                .unwrap_or(derived);
            let trouble = match self.reader_of(path) {
                Some(first) => Some(self.read_for(first, path)),
                None => match self.places.turn(self.number, path, now) {
                    Turn::Leave(other) => Some(read_as(path, &other)),
                    Turn::Wait => {
                        self.waits = true;
                        continue;
                    }
                    Turn::Read => None,
                },
            };
            if let Some(trouble) = trouble {
                self.left.insert(path.clone(), left(path, &server, trouble));
                continue;
            }
            info!(directory = %path.display(), %server, "following the logs of a directory");
            self.folder(path.clone(), Arc::from(server), &relative);
        }
    }

    /// Two sources that read the same directory would count each row twice.
    fn read_for(&self, first: &PathPattern, path: &Path) -> String {
        format!(
            "{}: read for the source {}, so not for {} as well. Change one of the two so that it no longer fits",
            path.display(),
            first.as_path().display(),
            self.source.path.as_path().display(),
        )
    }

    /// Draws conclusions from what is missing, where that is allowed.
    fn conclude_all(&mut self, at: Moment, say: &mut Say<'_>) -> bool {
        let others = self
            .folders
            .values()
            .filter(|folder| folder.is_alive())
            .count();
        let paths: Vec<PathBuf> = self.folders.keys().cloned().collect();
        for path in paths {
            let Some(folder) = self.folders.get_mut(&path) else {
                continue;
            };
            folder.suspect();
            folder.notice_replaced();
            let is_old = |since| at.instant.duration_since(since) >= REMOVED_AFTER;
            let is_removed = others > 0
                && folder.absent.is_some_and(is_old)
                && is_held_above(&self.disk, &path, self.source.path.root());
            let is_safe = folder.suspect.is_none() && self.trouble.is_none() && !self.search;
            if !is_safe && !is_removed {
                continue;
            }
            let is_missing = |file: &&Followed| file.missing || is_removed;
            let missing = folder.files.iter().filter(is_missing);
            let missing: Vec<_> = missing
                .filter(|file| {
                    file.replaced || is_gone(&self.disk, &folder.path_of(&file.file_name))
                })
                .map(|file| file.id)
                .collect();
            for id in missing {
                if !self.conclude(&path, id, at, say) {
                    return false;
                }
            }
            self.folders
                .retain(|_, folder| !folder.files.is_empty() || folder.unlisted.is_none());
        }
        true
    }

    fn forget(&mut self, at: Moment, say: &mut Say<'_>) -> bool {
        if at.instant.duration_since(self.began) >= CLOCK_SETTLES {
            self.forgotten.extend(self.absent.forget_old(at.wall));
        }
        std::mem::take(&mut self.forgotten)
            .into_iter()
            .all(|file| say(Event::Forgotten { file }))
    }
}

impl Folder {
    fn is_alive(&self) -> bool {
        self.unlisted.is_none() && self.files.iter().any(|file| !file.missing)
    }

    /// What is missing was replaced if another file is known to stand in its place. A file that was found to be another
    /// says so itself, but a restart can come before that is concluded.
    fn notice_replaced(&mut self) {
        for same_name in self.files.chunk_by_mut(|a, b| a.file_name == b.file_name) {
            if same_name.iter().any(Followed::is_confirmed) {
                let missing = same_name.iter_mut().filter(|file| file.missing);
                missing.for_each(|file| file.replaced = true);
            }
        }
    }

    /// Decides whether what is missing here may be away instead of gone.
    fn suspect(&mut self) {
        let known = || self.files.iter().filter(|file| !file.fresh);
        let path = self.directory.path.display();
        self.suspect = if let Some(unlisted) = &self.unlisted {
            Some(unlisted.clone())
        } else if known().next().is_some()
            && known().all(|file| file.missing)
            && self.copies.is_empty()
        {
            Some(format!(
                "{path}: all log files vanished at once. Is the share still mounted? What was read is kept. If the server is no more, remove the directory"
            ))
        } else if self.strange.is_some() {
            Some(format!(
                "{path}: another file system is mounted there, and no log in it is known. What was read is kept"
            ))
        } else {
            None
        };
    }
}

/// The same directory, read under two paths, would count each row twice.
fn read_as(path: &Path, other: &Path) -> String {
    format!(
        "{}: the same directory as {}, by a link or a second mount. It is read as {}, so not as {} as well. Take one of the \
         two out of the sources, or remove the link or mount",
        path.display(),
        other.display(),
        other.display(),
        path.display(),
    )
}

/// A directory of which nothing is read: another source reads it, or nobody can.
fn left(path: &Path, server: &str, trouble: String) -> DirectoryLook {
    DirectoryLook {
        directory: Arc::new(Directory {
            path: path.to_owned(),
            server: Arc::from(server),
        }),
        files: 0,
        unread: 0,
        trouble: Some(trouble),
    }
}

/// Whether a directory that does not exist is missing from one that is there, and not with all that was beside it. The
/// directories above it may have been removed with it, up to the root of the source.
fn is_held_above(disk: &impl Disk, directory: &Path, root: &Path) -> bool {
    for above in directory.ancestors().skip(1) {
        if !above.starts_with(root) {
            return false;
        }
        match disk.list(above) {
            Ok(entries) => return !entries.is_empty(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return false,
        }
    }
    false
}

/// A listing can leave something out. Only a file that is surely gone is gone.
fn is_gone(disk: &impl Disk, path: &Path) -> bool {
    disk.open(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Whether every row of a file with this name was written before the first reading begins.
fn is_too_old(name: LogName, first_read: FirstRead, now: Timestamp) -> bool {
    let FirstRead::Last(back) = first_read else {
        return false;
    };
    let LogName::Dated {
        date,
        hour,
        whole_day,
        ..
    } = name
    else {
        return false;
    };
    let length = SignedDuration::from_hours(if whole_day { 24 } else { 1 });
    let start = i8::try_from(hour).map_or(date.at(0, 0, 0, 0), |hour| date.at(hour, 0, 0, 0));
    let end = TimeZone::UTC
        .to_timestamp(start)
        .ok()
        .and_then(|start| start.checked_add(length).ok());
    let oldest = now.checked_sub(back).ok();
    matches!((end, oldest), (Some(end), Some(oldest)) if end <= oldest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_file_is_that_of_its_last_row() {
        let now: Timestamp = "2026-01-02T12:30:00Z".parse().unwrap_or_default();
        let back = FirstRead::Last(Duration::from_secs(24 * 3600));
        for (name, too_old) in [
            ("SEND2026010111-1.LOG", true),
            ("SEND2026010112-1.LOG", false),
            ("SEND20260101-1.LOG", false),
            ("SEND20251231-1.LOG", true),
            ("copy.LOG", false),
        ] {
            let read = LogName::read(name.as_ref());
            assert_eq!(is_too_old(read, back, now), too_old, "{name}");
            assert!(!is_too_old(read, FirstRead::All, now));
        }
    }
}
