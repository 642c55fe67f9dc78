//! Which file is which: files that move, copies, and files that are gone.
//!
//! A file is known by its server and its fingerprint. Wherever that turns up, it is the same file, and it is read once:
//! the place where it was first seen is read as long as it is there, and a copy takes its part when it is not, or when
//! the copy goes on and the first place does not.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tracing::info;
use tracing::warn;

use crate::daemon::source::LogName;
use crate::daemon::tail::Change;
use crate::daemon::tail::Event;
use crate::daemon::tail::Loss;
use crate::daemon::tail::LossReason;
use crate::daemon::tail::Moment;
use crate::daemon::tail::beginning::Beginning;
use crate::daemon::tail::disk::Disk;
use crate::daemon::tail::disk::Handle;
use crate::daemon::tail::file::Followed;
use crate::daemon::tail::file::before;
use crate::daemon::tail::file::ends_with_row;
use crate::daemon::tail::file::line_end;
use crate::daemon::tail::folder::Copied;
use crate::daemon::tail::folder::Say;
use crate::daemon::tail::pass::Pass;
use crate::daemon::tail::position::FileId;
use crate::daemon::tail::position::Fingerprint;
use crate::daemon::tail::position::Hash;

/// Where the file with a given fingerprint is known to be.
enum Twin {
    /// Nowhere.
    None,
    /// It was gone.
    Absent(Box<Followed>),
    /// It should be here.
    At(PathBuf, FileId),
}

/// What was seen of a file in its new place.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    /// How long it is.
    pub(super) size: u64,
    /// Whether the bytes before the offset are there, so that all of it belongs to the file.
    pub(super) fits: bool,
}

impl<D: Disk> Pass<D> {
    /// Finds out which files those are of which nothing was read yet. No row of a file is read before that. Whether
    /// somebody listens.
    pub(super) fn identify(&mut self, now: Instant, say: &mut Say<'_>) -> bool {
        let mut unknown = Vec::new();
        for (path, folder) in self.folders.iter().filter(|(_, it)| it.left.is_none()) {
            let files = folder.files.iter();
            let files = files.filter(|file| {
                file.fingerprint.is_none()
                    && !file.missing
                    && !file.replaced
                    && file.is_due(false, now)
            });
            unknown.extend(files.map(|file| (path.clone(), file.id)));
        }
        for (path, id) in unknown {
            let outcome = self.identify_one(&path, id, now, say);
            let Some(folder) = self.folders.get_mut(&path) else {
                continue;
            };
            match outcome {
                Ok(false) => return false,
                Ok(true) => {
                    if let Some(file) = folder.file(id) {
                        file.recover();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    if let Some(index) = folder.files.iter().position(|file| file.id == id) {
                        folder.back_off(index, &error, now);
                    }
                }
            }
        }
        true
    }

    fn identify_one(
        &mut self,
        path: &PathBuf,
        id: FileId,
        now: Instant,
        say: &mut Say<'_>,
    ) -> io::Result<bool> {
        let Some(folder) = self.folders.get_mut(path) else {
            return Ok(true);
        };
        let Some(index) = folder.files.iter().position(|file| file.id == id) else {
            return Ok(true);
        };
        let newer = folder.has_newer(index);
        let server = Arc::clone(&folder.directory.server);
        let mut handle = self
            .disk
            .open(&folder.path_of(&folder.files[index].file_name))?;
        let size = handle.size()?;
        let file = &mut folder.files[index];
        file.sized(size, now);
        file.glimpse();
        let fingerprint = match file.begin(&mut handle, newer, now) {
            Ok(Beginning::Waits) => return Ok(true),
            Ok(Beginning::Odd(fingerprint)) => {
                // Others may begin alike, so the beginning alone does not say that it was read.
                if !self.was_read(&server, fingerprint, &mut handle, now)? {
                    if let Some(file) = self.followed(path, id) {
                        file.know(fingerprint);
                    }
                    return Ok(true);
                }
                fingerprint
            }
            Ok(Beginning::Known(fingerprint)) => fingerprint,
            Err(error) => {
                file.size = file.size.max(size);
                return Err(error);
            }
        };
        // If it is a file that is known, its bytes are not at stake here.
        let glimpsed = self.followed(path, id).map_or(0, Followed::forget_glimpse);
        match self.twin(&server, fingerprint, now) {
            Twin::None => {
                if let Some(file) = self.followed(path, id) {
                    file.know(fingerprint);
                    file.is_odd = false;
                    file.size = file.size.max(glimpsed);
                }
                Ok(true)
            }
            Twin::Absent(twin) => {
                let fits = twin.has_anchor(&mut handle)?;
                self.absent.remove(&server, &twin);
                Ok(self.adopt(*twin, path, id, Seen { size, fits }, say))
            }
            Twin::At(at, twin) => {
                // If nothing is there, it may be away with its share: then this is a copy until that is clear.
                if self.is_at(&at, twin, fingerprint)? {
                    return Ok(self.set_aside(path, id, twin, now, say));
                }
                match self
                    .folders
                    .get_mut(&at)
                    .and_then(|folder| folder.remove(twin))
                {
                    Some(twin) => {
                        // What cannot be read now is compared at the next look.
                        let fits = twin.has_anchor(&mut handle).unwrap_or(false);
                        Ok(self.adopt(twin, path, id, Seen { size, fits }, say))
                    }
                    None => Ok(true),
                }
            }
        }
    }

    pub(super) fn followed(&mut self, path: &PathBuf, id: FileId) -> Option<&mut Followed> {
        self.folders.get_mut(path)?.file(id)
    }

    /// Whether some file with this beginning was read, and its last row stands in this one, or the other way round.
    fn was_read(
        &self,
        server: &Arc<str>,
        fingerprint: Fingerprint,
        handle: &mut D::Handle,
        now: Instant,
    ) -> io::Result<bool> {
        match self.twin(server, fingerprint, now) {
            Twin::None => Ok(false),
            Twin::Absent(file) => file.has_last_row(handle),
            Twin::At(path, id) => {
                let folder = self.folders.get(&path);
                let file = folder.and_then(|folder| folder.files.iter().find(|file| file.id == id));
                let (Some(folder), Some(file)) = (folder, file) else {
                    return Ok(false);
                };
                Ok(file.has_last_row(handle)?
                    || self.ends_within(handle, &folder.path_of(&file.file_name))?)
            }
        }
    }

    /// Whether the last row of a file stands in another one, at the same place: then it is an old copy of that.
    fn ends_within(&self, handle: &mut D::Handle, other: &Path) -> io::Result<bool> {
        let size = handle.size()?;
        let end = line_end(handle, size)?;
        let Some(last) = before(handle, end)?.filter(|last| ends_with_row(last)) else {
            return Ok(false);
        };
        match self.disk.open(other) {
            Ok(mut other) => Ok(before(&mut other, end)? == Some(last)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn twin(&self, server: &Arc<str>, fingerprint: Fingerprint, now: Instant) -> Twin {
        if let Some(file) = self.absent.find(server, fingerprint, now) {
            return Twin::Absent(Box::new(file));
        }
        for (path, folder) in &self.folders {
            if folder.directory.server == *server
                && let Some(file) = folder
                    .files
                    .iter()
                    .find(|file| file.fingerprint == Some(fingerprint))
            {
                return Twin::At(path.clone(), file.id);
            }
        }
        Twin::None
    }

    /// Whether a file may still be where it was: nothing else is.
    fn is_at(&mut self, path: &PathBuf, id: FileId, fingerprint: Fingerprint) -> io::Result<bool> {
        let Some(folder) = self.folders.get_mut(path) else {
            return Ok(false);
        };
        let Some(file) = folder.files.iter().find(|file| file.id == id) else {
            return Ok(false);
        };
        if file.replaced {
            return Ok(false);
        }
        let mut handle = match self.disk.open(&folder.path_of(&file.file_name)) {
            Ok(handle) => handle,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        // If it ends too early, it may be an old state of it: the next look tells.
        let is_it = fingerprint.is_in(&mut handle)?;
        is_it.ok_or_else(|| io::Error::other("ends before its first row does"))
    }

    /// A file with a beginning that is known is not followed, as long as the other one is there.
    fn set_aside(
        &mut self,
        path: &PathBuf,
        id: FileId,
        of: FileId,
        now: Instant,
        say: &mut Say<'_>,
    ) -> bool {
        let Some(folder) = self.folders.get_mut(path) else {
            return true;
        };
        let Some(file) = folder.remove(id) else {
            return true;
        };
        info!(file = %folder.path_of(&file.file_name).display(), "not reading a copy of another log file");
        folder.copies.push(Copied {
            name: Arc::clone(&file.file_name),
            of,
            looked: Some(now),
            trouble: None,
        });
        !file.announced || say(Event::Forgotten { file: id })
    }

    /// A known file is found in the place of one of which nothing was read.
    fn adopt(
        &mut self,
        file: Followed,
        path: &PathBuf,
        place_of: FileId,
        seen: Seen,
        say: &mut Say<'_>,
    ) -> bool {
        let Some(folder) = self.folders.get_mut(path) else {
            return true;
        };
        let Some(stranger) = folder.remove(place_of) else {
            return true;
        };
        let listens = !stranger.announced || say(Event::Forgotten { file: place_of });
        listens && self.place(file, path, &stranger.file_name, seen, say)
    }

    /// Follows a file in another place than before.
    pub(super) fn place(
        &mut self,
        mut file: Followed,
        path: &PathBuf,
        name: &Arc<str>,
        seen: Seen,
        say: &mut Say<'_>,
    ) -> bool {
        let Some(folder) = self.folders.get_mut(path) else {
            return true;
        };
        info!(file = %folder.path_of(name).display(), before = &*file.file_name, "a log file has moved");
        file.take_glimpse();
        let offset = file.offset.unwrap_or_default();
        let change = match file.vanished.take() {
            Some(_) => Change::Returned {
                found: file.size.min(seen.size).saturating_sub(offset),
            },
            None => Change::Moved,
        };
        if matches!(change, Change::Returned { .. }) {
            file.size = file.size.min(seen.size.max(offset));
        }
        if seen.size < offset {
            // It is an older state; where the other one was cut off says nothing about it.
            file.resume = None;
        }
        file.rename(name);
        if seen.fits {
            file.size = file.size.max(seen.size);
        }
        // How long it is in this place, the next look tells.
        file.current = file.size;
        let (directory, position) = (Arc::clone(&folder.directory), folder.position(&file));
        folder.insert(file);
        say(Event::Changed {
            directory,
            change,
            position,
        })
    }

    /// A file is not where it was, and the place is sound: it is gone, unless there is a copy. Whether somebody
    /// listens.
    pub(super) fn conclude(
        &mut self,
        path: &PathBuf,
        id: FileId,
        at: Moment,
        say: &mut Say<'_>,
    ) -> bool {
        let file = self.folders.get_mut(path).and_then(|it| it.remove(id));
        let Some(mut file) = file else {
            return true;
        };
        file.take_glimpse();
        let Some(copy) = self.best_copy(&file) else {
            return match self.place_of_rowless(&file, path) {
                Some((to, stranger, seen)) => self.adopt(file, &to, stranger, seen, say),
                None => self.vanish(file, path, at, say),
            };
        };
        self.drop_copy(&copy.path, &copy.name);
        if copy.looked != Some(at.instant) {
            // Where the file itself was cut off says nothing about a copy that was there before.
            file.resume = None;
        }
        if copy.seen.size < file.size {
            return self.vanish(file, path, at, say);
        }
        self.place(file, &copy.path, &copy.name, copy.seen, say)
    }

    /// Where a file without a row has gone, by which it would be known: to where one stands that begins as it did, holds as
    /// much, and waits for its first row as well. Nothing of the two was read but header lines.
    fn place_of_rowless(&self, file: &Followed, path: &PathBuf) -> Option<(PathBuf, FileId, Seen)> {
        let known = file
            .fingerprint
            .filter(|_| file.is_odd && file.unread() == 0)?;
        let server = &self.folders.get(path)?.directory.server;
        let folders = self.folders.iter();
        let folders = folders.filter(|(_, folder)| folder.directory.server == *server);
        folders
            .flat_map(|(at, folder)| folder.files.iter().map(move |other| (at, folder, other)))
            .filter(|(.., other)| other.fingerprint.is_none() && !other.missing)
            .find_map(|(at, folder, other)| {
                let mut handle = self.disk.open(&folder.path_of(&other.file_name)).ok()?;
                let size = handle.size().ok()?;
                let begins_so = known.is_in(&mut handle).ok()? == Some(true);
                let fits = begins_so && file.has_anchor(&mut handle).unwrap_or(false);
                let seen = Seen { size, fits };
                (fits && size >= file.size).then(|| (at.clone(), other.id, seen))
            })
    }

    /// A file is gone, and what of it was not read is lost.
    fn vanish(
        &mut self,
        mut file: Followed,
        path: &PathBuf,
        at: Moment,
        say: &mut Say<'_>,
    ) -> bool {
        let Some(folder) = self.folders.get_mut(path) else {
            return true;
        };
        let reason = if file.replaced {
            LossReason::Rewritten
        } else {
            LossReason::Deleted
        };
        let loss = Loss {
            from: file.offset.unwrap_or_default(),
            bytes: file.at_stake(),
            reason,
        };
        file.vanished = Some(at.wall);
        // It may come back as it was before it was cut off.
        file.resume = None;
        file.size = loss.from + loss.bytes;
        let is_known = file.fingerprint.is_some();
        let directory = Arc::clone(&folder.directory);
        let position = folder.position(&file);
        let name = folder.path_of(&file.file_name);
        if loss.bytes > 0 {
            warn!(file = %name.display(), from = loss.from, bytes = loss.bytes, "a log file is gone that was not read to its end");
        }
        let listens = if loss.bytes > 0 {
            say(Event::Lost {
                directory: Arc::clone(&directory),
                loss,
                position,
            })
        } else if is_known {
            say(Event::Changed {
                directory: Arc::clone(&directory),
                change: Change::Vanished,
                position,
            })
        } else {
            true
        };
        if is_known {
            file.missing = false;
            file.replaced = false;
            self.forgotten
                .extend(self.absent.add(&directory.server, file));
            return listens;
        }
        let was_announced = file.announced || loss.bytes > 0;
        listens && (!was_announced || say(Event::Forgotten { file: file.id }))
    }
}

impl Followed {
    /// It is known now which file it is.
    fn know(&mut self, fingerprint: Fingerprint) {
        self.fingerprint = Some(fingerprint);
        self.verified = false;
        // What was looked through for something to know it by holds NUL bytes, and they may have become text.
        self.scanned = None;
        if self.offset == Some(0) {
            self.anchor = Some(Hash::of(&[]));
        }
    }

    /// It is found under this name, perhaps somewhere else.
    fn rename(&mut self, name: &Arc<str>) {
        self.name = LogName::read((**name).as_ref());
        self.file_name = Arc::clone(name);
        self.announced = true;
        self.missing = false;
        self.replaced = false;
        self.fresh = true;
        self.mistrust();
    }
}
