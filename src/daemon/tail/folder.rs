//! One directory that holds logs, and one look after the other at its files.

use std::cell::Cell;
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use foldhash::fast::FixedState;
use tracing::warn;

use crate::daemon::source;
use crate::daemon::tail::Change;
use crate::daemon::tail::Directory;
use crate::daemon::tail::DirectoryLook;
use crate::daemon::tail::Event;
use crate::daemon::tail::Loss;
use crate::daemon::tail::LossReason;
use crate::daemon::tail::disk::Disk;
use crate::daemon::tail::disk::Handle;
use crate::daemon::tail::disk::Kind;
use crate::daemon::tail::file::Evidence;
use crate::daemon::tail::file::Followed;
use crate::daemon::tail::file::NUL_PATIENCE;
use crate::daemon::tail::file::line_end;
use crate::daemon::tail::position::FileId;
use crate::daemon::tail::position::Fingerprint;
use crate::daemon::tail::position::Position;
use crate::daemon::tail::reading::Piece;

/// Says an event; whether somebody still listens.
pub(super) type Say<'a> = dyn FnMut(Event) -> bool + 'a;

/// A directory and the files that were seen in it, in the order in which they were written.
pub(super) struct Folder {
    pub(super) directory: Arc<Directory>,
    /// The source's name in positions, and the directory's.
    pub(super) source: Arc<str>,
    pub(super) relative: Arc<str>,
    pub(super) files: Vec<Followed>,
    /// Files with the beginning of another one, which is read instead.
    pub(super) copies: Vec<Copied>,
    /// It has come to be the same directory as another one, which is read instead; why that is, in words.
    pub(super) left: Option<String>,
    /// What kept the last listing from succeeding.
    pub(super) unlisted: Option<String>,
    /// Since when there is no such directory.
    pub(super) absent: Option<Instant>,
    /// Why nothing is concluded from what is missing here.
    pub(super) suspect: Option<String>,
    /// Since when it is on another device than before, and no known file was found there.
    pub(super) strange: Option<Instant>,
    device: Option<u64>,
    /// Of the names in the last listing.
    digest: Option<u64>,
}

/// A file that begins as another one does.
pub(super) struct Copied {
    pub(super) name: Arc<str>,
    pub(super) of: FileId,
    /// When it was found, or compared last; `None`: it is to be compared.
    pub(super) looked: Option<Instant>,
    /// Why it could not be compared at the last look, if it could not.
    pub(super) trouble: Option<String>,
}

/// The position of a file in a folder, borrowed apart from the folder's files.
struct Place<'a> {
    directory: &'a Arc<Directory>,
    source: &'a Arc<str>,
    relative: &'a Arc<str>,
}

impl Folder {
    pub(super) fn new(directory: Directory, source: &Arc<str>, relative: &str) -> Self {
        Self {
            directory: Arc::new(directory),
            source: Arc::clone(source),
            relative: Arc::from(relative),
            files: Vec::new(),
            copies: Vec::new(),
            left: None,
            unlisted: None,
            absent: None,
            suspect: None,
            strange: None,
            device: None,
            digest: None,
        }
    }

    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.directory.path.join(name)
    }

    pub(super) fn position(&self, file: &Followed) -> Position {
        Place {
            directory: &self.directory,
            source: &self.source,
            relative: &self.relative,
        }
        .position(file)
    }

    pub(super) fn insert(&mut self, file: Followed) {
        let place = self
            .files
            .partition_point(|other| (other.name, &other.file_name) < (file.name, &file.file_name));
        self.files.insert(place, file);
        self.digest = None;
    }

    pub(super) fn remove(&mut self, id: FileId) -> Option<Followed> {
        let index = self.files.iter().position(|file| file.id == id)?;
        self.digest = None;
        Some(self.files.remove(index))
    }

    pub(super) fn file(&mut self, id: FileId) -> Option<&mut Followed> {
        self.files.iter_mut().find(|file| file.id == id)
    }

    /// The next listing is looked at name by name.
    pub(super) fn relist(&mut self) {
        self.digest = None;
    }

    /// Whether something newer than this file is there.
    pub(super) fn has_newer(&self, index: usize) -> bool {
        self.files[index + 1..].iter().any(|file| !file.missing)
    }

    pub(super) fn report(&self) -> DirectoryLook {
        DirectoryLook {
            directory: Arc::clone(&self.directory),
            files: self.files.iter().filter(|file| !file.missing).count(),
            unread: self.files.iter().map(Followed::unread).sum(),
            trouble: self.trouble(),
        }
    }

    /// What is wrong with the directory or one of its files.
    fn trouble(&self) -> Option<String> {
        let of_files = || {
            let file = self
                .files
                .iter()
                .find(|file| !file.missing && file.trouble().is_some())?;
            file.trouble().map(str::to_owned)
        };
        // One that cannot be read may have more than the file itself.
        let of_copies = || self.copies.iter().find_map(|copy| copy.trouble.clone());
        let suspect = || self.suspect.clone();
        let unlisted = self.unlisted.clone();
        unlisted
            .or_else(suspect)
            .or_else(of_files)
            .or_else(of_copies)
    }

    /// Sees which files are there. Names that are new; and whether one is missing that was there before.
    pub(super) fn list(&mut self, disk: &impl Disk, now: Instant) -> (Vec<String>, bool) {
        if self.left.is_some() {
            self.unlisted.clone_from(&self.left);
            self.digest = None;
            return (Vec::new(), false);
        }
        let entries = match disk.list(&self.directory.path) {
            Ok(entries) => entries,
            Err(error) => {
                let path = self.directory.path.display();
                self.unlisted = Some(format!("{path}: {}", source::remedy(&error)));
                let is_absent = error.kind() == io::ErrorKind::NotFound;
                self.absent = is_absent.then(|| self.absent.unwrap_or(now));
                self.digest = None;
                return (Vec::new(), false);
            }
        };
        self.unlisted = None;
        self.absent = None;
        self.compare_device(disk, now);
        let logs = entries.iter().filter_map(|entry| {
            let name = entry.name.to_str()?;
            (entry.kind == Kind::File && source::is_send_log(name)).then_some(name)
        });
        // Nearly always nothing has changed, and nothing has to be looked up.
        let hash = |name: &str| FixedState::default().hash_one(name);
        let digest = logs.clone().map(hash).fold(0, u64::wrapping_add);
        if self.digest == Some(digest) {
            for file in &mut self.files {
                file.fresh = false;
            }
            return (Vec::new(), false);
        }
        let mut names: HashSet<&str, FixedState> = logs.collect();
        let mut newly_missing = false;
        for file in &mut self.files {
            let is_there = !file.replaced && names.remove(&*file.file_name);
            newly_missing |= !is_there && !file.missing;
            if is_there && file.missing {
                file.mistrust();
            }
            file.missing = !is_there;
            file.fresh = false;
        }
        self.copies.retain(|copy| names.remove(&*copy.name));
        let is_settled = self.files.iter().all(|file| !file.missing);
        self.digest = is_settled.then_some(digest);
        (
            names.into_iter().map(str::to_owned).collect(),
            newly_missing,
        )
    }

    fn compare_device(&mut self, disk: &impl Disk, now: Instant) {
        let device = disk.device(&self.directory.path).ok().flatten();
        if let (Some(before), Some(device)) = (self.device, device)
            && before != device
        {
            self.strange = Some(now);
            self.files.iter_mut().for_each(Followed::mistrust);
        }
        self.device = device.or(self.device);
        let is_known = |file: &Followed| {
            !file.missing && !file.fresh && file.verified && file.fingerprint.is_some()
        };
        if self
            .strange
            .is_some_and(|since| now.duration_since(since) >= NUL_PATIENCE)
            || self.files.iter().any(is_known)
        {
            self.strange = None;
        }
    }

    /// Reads what is new. Whether somebody listens.
    pub(super) fn look(&mut self, disk: &impl Disk, now: Instant, say: &mut Say<'_>) -> bool {
        if self.left.is_some() {
            return true;
        }
        let more_promised = Cell::new(false);
        let mut say = |event| {
            if let Event::Bytes { more, .. } = &event {
                more_promised.set(*more);
            }
            say(event)
        };
        for index in 0..self.files.len() {
            let file = &self.files[index];
            if file.missing || file.replaced {
                continue;
            }
            // One that could not even be opened yet may hold rows as well.
            let is_due = file.is_due(self.has_newer(index), now);
            if file.fingerprint.is_none() || !is_due {
                if file.holds_up(now) {
                    break;
                }
                continue;
            }
            match self.visit(index, disk, now, &mut say) {
                Ok(true) => self.files[index].recover(),
                Ok(false) => return false,
                // The next listing tells whether it is gone for good.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.files[index].glimpse();
                    self.back_off(index, &error, now);
                    if self.files[index].holds_up(now) {
                        break;
                    }
                }
            }
        }
        if more_promised.get() {
            let directory = Arc::clone(&self.directory);
            return say(Event::CaughtUp { directory });
        }
        true
    }

    pub(super) fn back_off(&mut self, index: usize, error: &io::Error, now: Instant) {
        let path = self.path_of(&self.files[index].file_name);
        let trouble = format!("{}: {}", path.display(), source::remedy(error));
        self.files[index].back_off(trouble, now);
    }

    /// Opens, looks, reads, closes; or sees without opening it that the file is as it was.
    fn visit(
        &mut self,
        index: usize,
        disk: &impl Disk,
        now: Instant,
        say: &mut Say<'_>,
    ) -> io::Result<bool> {
        let newer = self.has_newer(index);
        let later = self.files[index + 1..].iter().map(Followed::unread).sum();
        let path = self.path_of(&self.files[index].file_name);
        let is_suspect =
            self.suspect.is_some() || self.unlisted.is_some() || self.strange.is_some();
        let place = Place {
            directory: &self.directory,
            source: &self.source,
            relative: &self.relative,
        };
        let file = &mut self.files[index];
        if file.need_not_be_opened(now)
            && let Some(size) = disk.size(&path)?
        {
            file.sized(size, now);
            if file.is_settled() && !file.is_done(newer, now) {
                return Ok(true);
            }
        }
        let mut handle = disk.open(&path)?;
        let size = handle.size()?;
        file.opened(now);
        file.sized(size, now);
        if file.offset.is_none() {
            let end = line_end(&mut handle, size)?;
            file.size = size;
            file.advance(&mut handle, end, &[])?;
            return Ok(place.changed(file, Change::PassedOver, say));
        }
        if file.is_settled() {
            return place.finish(file, &mut handle, newer, now, say);
        }
        let evidence = file.compare(&mut handle)?;
        let is_sure = file.weigh(evidence, now) && !is_suspect;
        if evidence == Evidence::Same {
            file.confirm(&mut handle)?;
        }
        match evidence {
            Evidence::Cropped if is_sure => Ok(place.cropped(file, say)),
            Evidence::Same | Evidence::Cropped => {
                let known = file.size;
                let listens = file.read(&mut handle, now, &mut |file, piece| {
                    place.read(file, piece, later, say)
                });
                if evidence == Evidence::Cropped {
                    file.size = known;
                    return listens;
                }
                if !listens? {
                    return Ok(false);
                }
                place.finish(file, &mut handle, newer, now, say)
            }
            Evidence::Unknown => {
                file.glimpse();
                Ok(true)
            }
            _ if !is_sure => Ok(true),
            Evidence::Shorter => place.shorter(file, &mut handle, now, say),
            Evidence::Rewritten => {
                let known = file.fingerprint.map_or(0, Fingerprint::end);
                place.rewritten(file, &mut handle, known, say)
            }
            // What stood there was read, wherever the NUL bytes come from.
            Evidence::Unwritten { another: false } => {
                let read = file.offset.unwrap_or_default();
                place.rewritten(file, &mut handle, read, say)
            }
            Evidence::Another | Evidence::Unwritten { another: true } => {
                file.settle();
                file.replaced = true;
                self.digest = None;
                Ok(true)
            }
        }
    }
}

impl Place<'_> {
    fn position(&self, file: &Followed) -> Position {
        Position {
            source: Arc::clone(self.source),
            file: file.id,
            directory: Arc::clone(self.relative),
            name: Arc::clone(&file.file_name),
            server: Arc::clone(&self.directory.server),
            generation: file.generation,
            fingerprint: file.fingerprint,
            offset: file.offset,
            anchor: file.anchor,
            resume: file.resume,
            size: file.size,
            finished: file.finished,
            refused: file.refused,
            vanished: file.vanished,
        }
    }

    fn changed(&self, file: &mut Followed, change: Change, say: &mut Say<'_>) -> bool {
        file.announced = true;
        say(Event::Changed {
            directory: Arc::clone(self.directory),
            change,
            position: self.position(file),
        })
    }

    fn lost(&self, file: &mut Followed, loss: Loss, say: &mut Say<'_>) -> bool {
        file.announced = true;
        say(Event::Lost {
            directory: Arc::clone(self.directory),
            loss,
            position: self.position(file),
        })
    }

    /// `later`: bytes that wait in later files of the directory.
    fn read(&self, file: &Followed, piece: Piece, later: u64, say: &mut Say<'_>) -> bool {
        let directory = Arc::clone(self.directory);
        let position = self.position(file);
        let (reason, from, bytes) = match piece {
            Piece::Lines(bytes) => {
                return say(Event::Bytes {
                    directory,
                    bytes,
                    more: file.unread() + later > 0,
                    position,
                });
            }
            Piece::Nul { from, bytes } => (LossReason::Nul, from, bytes),
            Piece::LongLine { from, bytes } => (LossReason::LongLine, from, bytes),
        };
        say(Event::Lost {
            directory,
            loss: Loss {
                from,
                bytes,
                reason,
            },
            position,
        })
    }

    fn finish(
        &self,
        file: &mut Followed,
        handle: &mut impl Handle,
        newer: bool,
        now: Instant,
        say: &mut Say<'_>,
    ) -> io::Result<bool> {
        if !file.is_done(newer, now) || file.unread() > 0 {
            return Ok(true);
        }
        let bytes = file.last_line(handle)?.unwrap_or_default();
        file.finished = true;
        file.announced = true;
        Ok(say(Event::Finished {
            directory: Arc::clone(self.directory),
            bytes,
            position: self.position(file),
        }))
    }

    /// What was seen behind the offset, but not read, is gone.
    fn cropped(&self, file: &mut Followed, say: &mut Say<'_>) -> bool {
        let from = file.current.max(file.seen);
        let loss = Loss {
            from,
            bytes: file.size.saturating_sub(from),
            reason: LossReason::Rewritten,
        };
        file.size = file.current;
        file.settle();
        self.lost(file, loss, say)
    }

    /// It ends before the offset. That may be an old state of it that will grow again; if it was cut off instead, this
    /// is the place from which on everything is new.
    fn shorter(
        &self,
        file: &mut Followed,
        handle: &mut impl Handle,
        now: Instant,
        say: &mut Say<'_>,
    ) -> io::Result<bool> {
        let end = line_end(handle, file.early_end())?;
        match file.resume.filter(|&at| at <= end) {
            None => {
                warn!(file = %self.directory.path.join(&*file.file_name).display(), bytes = end, "a log file ends before the place up to which it was read");
                file.resume = Some(end);
                Ok(self.changed(file, Change::Cut, say))
            }
            Some(at) if file.is_still_for(NUL_PATIENCE, now) => {
                if line_end(handle, file.current)? > at {
                    return self.rewritten(file, handle, at, say);
                }
                // What was seen behind the offset, and never read, is gone by now as well.
                Ok(self.lose_rest(file, say))
            }
            Some(_) => Ok(true),
        }
    }

    /// Says that what stood behind the offset is gone, if anything did. Whether somebody listens.
    fn lose_rest(&self, file: &mut Followed, say: &mut Say<'_>) -> bool {
        let bytes = file.at_stake();
        if bytes == 0 {
            return true;
        }
        let loss = Loss {
            from: file.offset.unwrap_or_default(),
            bytes,
            reason: LossReason::Rewritten,
        };
        file.size = loss.from;
        self.lost(file, loss, say)
    }

    /// Something else stands where it was read. `known`: up to here it is the same as before, or was read before, if
    /// nothing better is known.
    fn rewritten(
        &self,
        file: &mut Followed,
        handle: &mut impl Handle,
        known: u64,
        say: &mut Say<'_>,
    ) -> io::Result<bool> {
        let at = file.resume.unwrap_or(known);
        warn!(file = %self.directory.path.join(&*file.file_name).display(), byte = at, "a log file was rewritten; reading it again from this byte");
        if !self.lose_rest(file, say) {
            return Ok(false);
        }
        file.restart(handle, at)?;
        Ok(self.changed(file, Change::Rewritten, say))
    }
}
