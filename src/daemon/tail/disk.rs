//! What reading needs of a file system. Tests put one in its place that lies.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::path::Path;

use crate::daemon::mounts;
use crate::daemon::mounts::Mount;
use crate::daemon::tail::places::Real;

/// A file system.
pub(super) trait Disk {
    /// An open file; it is closed when it is dropped.
    type Handle: Handle;

    /// What a directory holds. A file that cannot be looked at is none of it, but the rest of the directory is.
    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>>;

    /// Opens a file to read; others may go on writing, renaming and deleting it.
    fn open(&self, file: &Path) -> io::Result<Self::Handle>;

    /// How long a file is, without opening it. `None`: this system does not say so without perhaps being out of date.
    fn size(&self, file: &Path) -> io::Result<Option<u64>>;

    /// On which device a directory is: it changes when a share is mounted or goes. `None`: the system does not say.
    fn device(&self, directory: &Path) -> io::Result<Option<u64>>;

    /// Where a directory really is, whatever links and mounts lead to it.
    fn real(&self, directory: &Path) -> io::Result<Real>;
}

/// An open file.
pub(super) trait Handle {
    /// How long it is: asked of the open file, because listings of directories lag behind.
    fn size(&self) -> io::Result<u64>;

    /// Reads from an offset; fewer bytes than wanted, or none, when there are no more.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// One entry of a directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    /// Its name.
    pub(super) name: OsString,
    /// What it is.
    pub(super) kind: Kind,
}

/// What an entry of a directory is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A regular file, or a link to one.
    File,
    /// A directory.
    Directory,
    /// A pipe or socket, which would block whoever opens it, or a link to a directory, which could lead in circles.
    Other,
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalDisk;

impl Disk for LocalDisk {
    type Handle = File;

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            // Mostly part of the listing itself: asking for each file would be a round trip to the share.
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_file() => Kind::File,
                Ok(kind) if kind.is_dir() => Kind::Directory,
                Ok(kind) if kind.is_symlink() => match std::fs::metadata(entry.path()) {
                    Ok(target) if target.is_file() => Kind::File,
                    _ => Kind::Other,
                },
                _ => Kind::Other,
            };
            entries.push(Entry {
                name: entry.file_name(),
                kind,
            });
        }
        Ok(entries)
    }

    /// The standard library shares reading, writing and deleting on Windows.
    fn open(&self, file: &Path) -> io::Result<File> {
        File::open(file)
    }

    fn size(&self, file: &Path) -> io::Result<Option<u64>> {
        size(file)
    }

    fn device(&self, directory: &Path) -> io::Result<Option<u64>> {
        Ok(device(&std::fs::metadata(directory)?))
    }

    /// Where there is no table of mounts, directories that are mounted twice cannot be told.
    fn real(&self, directory: &Path) -> io::Result<Real> {
        let path = std::fs::canonicalize(directory)?;
        let table = mounts::table().unwrap_or_default();
        Ok(match Mount::of(&table, &path) {
            Some(mount) => Real {
                device: mount.device.to_owned(),
                path: mount.within(&path),
            },
            None => Real {
                device: String::new(),
                path,
            },
        })
    }
}

/// A share is asked anew, whatever is remembered of its last answer.
#[cfg(target_os = "linux")]
fn size(file: &Path) -> io::Result<Option<u64>> {
    use rustix::fs::AtFlags;
    use rustix::fs::CWD;
    use rustix::fs::StatxFlags;
    use rustix::io::Errno;
    match rustix::fs::statx(CWD, file, AtFlags::STATX_FORCE_SYNC, StatxFlags::SIZE) {
        Ok(answer) => {
            let is_known = StatxFlags::from_bits_retain(answer.stx_mask).contains(StatxFlags::SIZE);
            Ok(is_known.then_some(answer.stx_size))
        }
        // Old kernels, and what some sandboxes say.
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// On Windows, what a path says of a file lags behind what an open file says of itself.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "Linux may have an error to tell")]
fn size(_: &Path) -> io::Result<Option<u64>> {
    Ok(None)
}

#[cfg(unix)]
#[expect(
    clippy::unnecessary_wraps,
    reason = "other systems have no such number"
)]
fn device(metadata: &std::fs::Metadata) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    Some(metadata.dev())
}

#[cfg(not(unix))]
fn device(_: &std::fs::Metadata) -> Option<u64> {
    None
}

impl Handle for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.seek(SeekFrom::Start(offset))?;
        self.read(buffer)
    }
}

/// Reads behind what `bytes` already holds of a file from `offset` on, until it holds `wanted` bytes or there are no
/// more.
pub(super) fn fill(
    handle: &mut impl Handle,
    offset: u64,
    bytes: &mut Vec<u8>,
    wanted: usize,
) -> io::Result<()> {
    let mut filled = bytes.len();
    bytes.resize(wanted.max(filled), 0);
    while filled < wanted {
        match handle.read_at(offset + filled as u64, &mut bytes[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                bytes.truncate(filled);
                return Err(error);
            }
        }
    }
    bytes.truncate(filled);
    Ok(())
}

/// At most `wanted` bytes from an offset on.
pub(super) fn piece(handle: &mut impl Handle, offset: u64, wanted: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fill(handle, offset, &mut bytes, wanted)?;
    Ok(bytes)
}
