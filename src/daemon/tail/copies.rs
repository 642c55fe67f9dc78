//! Copies: files that begin as another one does, which is read instead for as long as it has everything that they have.

use std::cmp::Ordering;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use memchr::memchr;

use crate::daemon::source;
use crate::daemon::tail::beginning::has_beginning;
use crate::daemon::tail::disk::Disk;
use crate::daemon::tail::disk::Handle;
use crate::daemon::tail::disk::piece;
use crate::daemon::tail::file::Followed;
use crate::daemon::tail::file::before;
use crate::daemon::tail::folder::Copied;
use crate::daemon::tail::folder::Folder;
use crate::daemon::tail::folder::Say;
use crate::daemon::tail::identity::Seen;
use crate::daemon::tail::pass::Pass;
use crate::daemon::tail::pass::is_past;
use crate::daemon::tail::position::FileId;
use crate::pipeline::lines::MAX_LINE_BYTES;

/// How often a copy is compared with the file itself; well before NUL bytes in the file are given up.
const COPY_LOOK: Duration = Duration::from_secs(60);
/// The same as long as it cannot be read.
const TROUBLE_LOOK: Duration = Duration::from_secs(10);

/// A copy that may take the part of a file that is gone.
pub(super) struct BestCopy {
    pub(super) path: PathBuf,
    pub(super) name: Arc<str>,
    pub(super) looked: Option<Instant>,
    pub(super) seen: Seen,
}

/// How a copy compares with the file itself.
enum Copy {
    /// It has nothing that was not read.
    Behind,
    /// It has more than the file, or the file is away and it has what was not read.
    Ahead(Seen),
    /// It is no copy any more.
    Another,
}

impl Copied {
    fn pause(&self) -> Duration {
        let is_unread = self.trouble.is_some();
        if is_unread { TROUBLE_LOOK } else { COPY_LOOK }
    }
}

impl<D: Disk> Pass<D> {
    /// Looks whether a copy goes on where the file itself does not.
    pub(super) fn look_at_copies(&mut self, now: Instant, say: &mut Say<'_>) -> bool {
        let mut due = Vec::new();
        for (path, folder) in &mut self.folders {
            for copy in &mut folder.copies {
                let is_new = copy.looked == Some(now);
                if is_new || is_past(copy.looked, copy.pause(), now) {
                    copy.looked = Some(now);
                    due.push((path.clone(), Arc::clone(&copy.name), copy.of, is_new));
                }
            }
        }
        for (path, name, of, is_new) in due {
            let Some(at) = self.holder(of) else {
                // The file itself is gone: this one is looked at like any other.
                self.drop_copy(&path, &name);
                continue;
            };
            // One that was just found may go on where a file ends that is away, or hold text where it holds NUL bytes.
            if is_new
                && self
                    .followed(&at, of)
                    .is_some_and(|file| file.comes_first())
            {
                continue;
            }
            match self.weigh_copy(&path, &name, &at, of) {
                Ok(Copy::Behind) => self.set_trouble(&path, &name, None),
                Ok(Copy::Another) => self.drop_copy(&path, &name),
                Ok(Copy::Ahead(seen)) => {
                    self.drop_copy(&path, &name);
                    if !self.go_on(of, &at, &path, &name, seen, say) {
                        return false;
                    }
                }
                // It is gone, or it was cut off just now: the next look tells.
                Err(error) if is_passing(&error) => {}
                Err(error) => self.set_trouble(&path, &name, Some(&error)),
            }
        }
        true
    }

    /// A file goes on in a copy. What stands in its old place is the copy from now on, whether it can be read or not.
    fn go_on(
        &mut self,
        file: FileId,
        at: &PathBuf,
        path: &PathBuf,
        name: &Arc<str>,
        seen: Seen,
        say: &mut Say<'_>,
    ) -> bool {
        let Some(folder) = self.folders.get_mut(at) else {
            return true;
        };
        let Some(file) = folder.remove(file) else {
            return true;
        };
        if !file.missing && !file.replaced {
            folder.copies.push(Copied {
                name: Arc::clone(&file.file_name),
                of: file.id,
                looked: None,
                trouble: file.trouble().map(str::to_owned),
            });
        }
        self.place(file, path, name, seen, say)
    }

    fn set_trouble(&mut self, path: &PathBuf, name: &str, error: Option<&io::Error>) {
        let Some(folder) = self.folders.get_mut(path) else {
            return;
        };
        let file = folder.path_of(name);
        let told = |error| format!("{}: {}", file.display(), source::remedy(error));
        if let Some(copy) = folder.copies.iter_mut().find(|copy| &*copy.name == name) {
            copy.trouble = error.map(told);
        }
    }

    /// Where a file is followed.
    fn holder(&self, id: FileId) -> Option<PathBuf> {
        let holds = |(path, folder): (&PathBuf, &Folder)| {
            folder
                .files
                .iter()
                .any(|file| file.id == id)
                .then(|| path.clone())
        };
        self.folders.iter().find_map(holds)
    }

    pub(super) fn drop_copy(&mut self, path: &PathBuf, name: &Arc<str>) {
        if let Some(folder) = self.folders.get_mut(path) {
            folder.copies.retain(|copy| copy.name != *name);
            folder.relist();
        }
    }

    /// Compares a copy with the file itself.
    fn weigh_copy(
        &mut self,
        path: &PathBuf,
        name: &Arc<str>,
        at: &PathBuf,
        of: FileId,
    ) -> io::Result<Copy> {
        let copy = self.folders.get(path).map(|folder| folder.path_of(name));
        let Some((copy, folder)) = copy.zip(self.folders.get(at)) else {
            return Ok(Copy::Another);
        };
        let Some(file) = folder.files.iter().find(|file| file.id == of) else {
            return Ok(Copy::Another);
        };
        let own = folder.path_of(&file.file_name);
        let (Some(fingerprint), Some(offset)) = (file.fingerprint, file.offset) else {
            return Ok(Copy::Behind);
        };
        let mut handle = self.disk.open(&copy)?;
        let size = handle.size()?;
        if fingerprint.is_in(&mut handle)? != Some(true) {
            return Ok(if has_beginning(&mut handle, size)? {
                Copy::Another
            } else {
                Copy::Behind
            });
        }
        let own = file.resume.and_then(|_| self.disk.open(&own).ok());
        if own.is_some_and(|mut own| has_text_instead(file, &mut own, &mut handle).unwrap_or(false))
        {
            let fits = false;
            return Ok(Copy::Ahead(Seen { size, fits }));
        }
        let fits = file.has_anchor(&mut handle)?;
        let known = file.known_size();
        // What the file does not hold any more, as far as the copy does.
        let is_read = !file.fresh && file.current <= file.seen;
        let goes_on = is_read && size > file.current && has_line(&mut handle, offset)?;
        let is_ahead = match size.cmp(&known) {
            Ordering::Less | Ordering::Equal if goes_on => true,
            Ordering::Less => false,
            // As long as it is, but with text where NUL bytes are.
            Ordering::Equal if file.is_blank() => true,
            Ordering::Equal => {
                let text = if file.missing {
                    offset
                } else {
                    file.text_end()
                };
                text < known && has_line(&mut handle, text)?
            }
            Ordering::Greater => file.is_exhausted() || file.is_blank(),
        };
        Ok(if fits && is_ahead {
            Copy::Ahead(Seen { size, fits })
        } else {
            Copy::Behind
        })
    }

    /// The copy that a file can best go on with, if there is one that can be read.
    pub(super) fn best_copy(&self, file: &Followed) -> Option<BestCopy> {
        let copies = self.folders.iter().flat_map(|(path, folder)| {
            let copies = folder.copies.iter().filter(|copy| copy.of == file.id);
            copies.filter_map(|copy| {
                Some(BestCopy {
                    path: path.clone(),
                    name: Arc::clone(&copy.name),
                    looked: copy.looked,
                    seen: self.seen_at(path, &copy.name, file)?,
                })
            })
        });
        copies.max_by_key(|copy| (copy.seen.fits, copy.seen.size))
    }

    /// What can be seen of a file at another place; `None`: nothing for now.
    fn seen_at(&self, path: &PathBuf, name: &str, file: &Followed) -> Option<Seen> {
        let path = self.folders.get(path)?.path_of(name);
        let mut handle = self.disk.open(&path).ok()?;
        let size = handle.size().ok()?;
        let fits = file.has_anchor(&mut handle).unwrap_or(false);
        Some(Seen { size, fits })
    }
}

/// Whether an error comes from what somebody does with the file.
fn is_passing(error: &io::Error) -> bool {
    let kind = error.kind();
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
}

/// Whether a copy has text where the file itself has NUL bytes that were left out, and the same before them.
fn has_text_instead<H: Handle>(file: &Followed, own: &mut H, copy: &mut H) -> io::Result<bool> {
    let Some(resume) = file.resume else {
        return Ok(false);
    };
    if file.has_left_out_nuls(own)? != Some(true) || !has_line(copy, resume)? {
        return Ok(false);
    }
    let same = before(own, resume)?;
    Ok(same.is_some() && same == before(copy, resume)?)
}

/// Whether text stands at an offset, and a whole line ends behind it.
fn has_line(handle: &mut impl Handle, offset: u64) -> io::Result<bool> {
    let bytes = piece(handle, offset, MAX_LINE_BYTES + 1)?;
    Ok(bytes.first() != Some(&0) && memchr(b'\n', &bytes).is_some())
}
