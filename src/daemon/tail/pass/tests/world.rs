//! A file system that lies, and remembers what it was asked.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;

use crate::daemon::tail::disk::Disk;
use crate::daemon::tail::disk::Entry;
use crate::daemon::tail::disk::Handle;
use crate::daemon::tail::disk::Kind;
use crate::daemon::tail::places::Real;

/// What a file holds; shared by those who have it open.
pub(super) type Content = Rc<RefCell<Inode>>;

#[derive(Debug, Default)]
pub(super) struct Inode {
    pub(super) bytes: Vec<u8>,
    /// The largest size that was told to somebody.
    pub(super) told: u64,
    /// The same, when the content could be read as well.
    pub(super) shown: u64,
    /// Whether it was cut off: for some time nobody can know whether what follows is new.
    pub(super) cut: bool,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// Opening fails.
    Open(io::ErrorKind),
    /// Reading fails.
    Read,
    /// One of so many reads fails, however often the file is opened in between.
    Flaky(usize),
    /// At most this many bytes are read, and every other time none.
    Short(usize),
    /// The file seems to end here.
    Stale(u64),
    /// The directory cannot be listed.
    List(io::ErrorKind),
    /// The listing leaves the file out.
    Hidden,
}

#[derive(Clone, Debug, Default)]
pub(super) struct World(pub(super) Rc<RefCell<Tree>>);

#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) files: BTreeMap<PathBuf, Content>,
    /// Directories, and on which device they are.
    pub(super) directories: BTreeMap<PathBuf, u64>,
    /// Directories that are not mounted, and whether listing one fails.
    pub(super) unmounted: BTreeMap<PathBuf, bool>,
    pub(super) faults: BTreeMap<PathBuf, Fault>,
    pub(super) opens: usize,
    /// How often a file with [`Fault::Flaky`] was read.
    reads: Rc<Cell<usize>>,
}

impl Tree {
    fn is_away(&self, path: &Path) -> bool {
        self.unmounted.keys().any(|away| path.starts_with(away))
    }

    fn fault(&self, path: &Path) -> Option<Fault> {
        self.faults.get(path).copied()
    }

    fn opened(&self, file: &Path, fault: Option<Fault>) -> io::Result<Opened> {
        if self.is_away(file) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let content = self.files.get(file).ok_or(io::ErrorKind::NotFound)?;
        Ok(Opened {
            content: Rc::clone(content),
            fault,
            reads: 0,
            all_reads: Rc::clone(&self.reads),
        })
    }
}

pub(super) struct Opened {
    content: Content,
    fault: Option<Fault>,
    reads: usize,
    all_reads: Rc<Cell<usize>>,
}

impl Disk for World {
    type Handle = Opened;

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let tree = self.0.borrow();
        if let Some(Fault::List(kind)) = tree.fault(directory) {
            return Err(kind.into());
        }
        if let Some(fails) = tree.unmounted.get(directory) {
            return if *fails {
                Err(io::ErrorKind::StaleNetworkFileHandle.into())
            } else {
                Ok(Vec::new())
            };
        }
        if !tree.directories.contains_key(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut entries = Vec::new();
        let is_in = |path: &&PathBuf| path.parent() == Some(directory);
        for path in tree.directories.keys().filter(is_in) {
            entries.push((path, Kind::Directory));
        }
        for path in tree.files.keys().filter(is_in) {
            if tree.fault(path) != Some(Fault::Hidden) {
                entries.push((path, Kind::File));
            }
        }
        Ok(entries
            .into_iter()
            .map(|(path, kind)| Entry {
                name: path.file_name().unwrap().to_owned(),
                kind,
            })
            .collect())
    }

    fn open(&self, file: &Path) -> io::Result<Opened> {
        let mut tree = self.0.borrow_mut();
        tree.opens += 1;
        let fault = tree.fault(file);
        if let Some(Fault::Open(kind)) = fault {
            return Err(kind.into());
        }
        tree.opened(file, fault)
    }

    /// Somebody who may not read a file may still ask for its size.
    fn size(&self, file: &Path) -> io::Result<Option<u64>> {
        let tree = self.0.borrow();
        let fault = tree.fault(file);
        if let Some(Fault::Open(kind)) = fault
            && kind != io::ErrorKind::PermissionDenied
        {
            return Err(kind.into());
        }
        tree.opened(file, fault)?.size().map(Some)
    }

    fn device(&self, directory: &Path) -> io::Result<Option<u64>> {
        let tree = self.0.borrow();
        if tree.is_away(directory) {
            return Ok(Some(0));
        }
        tree.directories
            .get(directory)
            .map(|device| Some(*device))
            .ok_or(io::ErrorKind::NotFound.into())
    }

    fn real(&self, directory: &Path) -> io::Result<Real> {
        Ok(Real {
            device: String::new(),
            path: directory.to_owned(),
        })
    }
}

impl Handle for Opened {
    fn size(&self) -> io::Result<u64> {
        let mut content = self.content.borrow_mut();
        let size = content.bytes.len() as u64;
        if let Some(Fault::Stale(stale)) = self.fault {
            return Ok(size.min(stale));
        }
        content.told = size;
        if self.fault.is_none() {
            content.shown = size;
        }
        Ok(size)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads += 1;
        let content = self.content.borrow();
        let mut end = content.bytes.len();
        let mut most = buffer.len();
        match self.fault {
            Some(Fault::Read) => return Err(io::Error::other("input/output error")),
            Some(Fault::Flaky(one_of)) => {
                self.all_reads.set(self.all_reads.get() + 1);
                if self.all_reads.get().is_multiple_of(one_of) {
                    return Err(io::Error::other("input/output error"));
                }
            }
            Some(Fault::Short(_)) if self.reads.is_multiple_of(2) => return Ok(0),
            Some(Fault::Short(short)) => most = most.min(short),
            Some(Fault::Stale(stale)) => end = end.min(usize::try_from(stale).unwrap()),
            _ => {}
        }
        let start = usize::try_from(offset).unwrap().min(end);
        let read = most.min(end - start);
        buffer[..read].copy_from_slice(&content.bytes[start..start + read]);
        Ok(read)
    }
}
