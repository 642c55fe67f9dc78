//! Copies of the files whose content is in force, in the directory of the state: when certdrift starts while a share is
//! away or a file is broken, what was expected before is expected still, and no alert ends for want of it.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;
use sha2::Sha256;
use tempfile::NamedTempFile;
use tracing::warn;

/// Their directory, below that of the state.
const DIRECTORY: &str = "expected";
/// Most bytes of a copy; more than any file that is followed may have.
const MAX_COPY_BYTES: u64 = 128 * 1024 * 1024;

/// A file as it was when it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Copy {
    /// When it had been changed last.
    pub(super) modified: Option<SystemTime>,
    pub(super) bytes: Vec<u8>,
}

/// The first line of a copy.
#[derive(Deserialize, Serialize)]
struct Header {
    path: PathBuf,
    modified: Option<SystemTime>,
}

/// Where copies are kept.
#[derive(Debug, Default)]
pub(super) struct Copies {
    directory: Option<PathBuf>,
    /// What waits until somebody says that the directory of the state is ours.
    waiting: BTreeMap<PathBuf, Copy>,
    /// Whether it has been told that they cannot be kept.
    is_told: bool,
}

impl Copies {
    /// The copies in the directory of a state, by the path of what they are copies of. One that cannot be read is as good as
    /// none.
    pub(super) fn kept(state: &Path) -> BTreeMap<PathBuf, Copy> {
        let entries = fs::read_dir(state.join(DIRECTORY)).into_iter().flatten();
        let copies = entries.filter_map(|entry| read(&entry.ok()?.path()).ok());
        copies.collect()
    }

    /// From now on they are kept in the directory of this state, which nobody else has.
    pub(super) fn keep_in(&mut self, state: &Path) {
        self.directory = Some(state.join(DIRECTORY));
        for (path, copy) in std::mem::take(&mut self.waiting) {
            self.keep(&path, copy);
        }
    }

    /// This is in force.
    pub(super) fn keep(&mut self, path: &Path, copy: Copy) {
        let Some(directory) = &self.directory else {
            self.waiting.insert(path.to_owned(), copy);
            return;
        };
        match write(directory, path, &copy) {
            Ok(()) => self.is_told = false,
            Err(error) if !self.is_told => {
                self.is_told = true;
                warn!(directory = %directory.display(), "what is expected could not be kept for the next start: {error}");
            }
            Err(_) => {}
        }
    }

    /// These files are followed, and no others.
    pub(super) fn forget_others(&mut self, is_followed: impl Fn(&Path) -> bool) {
        self.waiting.retain(|path, _| is_followed(path));
        let entries = self.directory.iter().flat_map(fs::read_dir).flatten();
        for copy in entries.filter_map(io::Result::ok) {
            let path = copy.path();
            let is_wanted = read_header(&path).is_ok_and(|(header, _)| is_followed(&header.path));
            if !is_wanted {
                // What cannot be removed is not asked for either.
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn write(directory: &Path, path: &Path, copy: &Copy) -> io::Result<()> {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let target = directory.join(format!("{digest:x}"));
    if read(&target).is_ok_and(|(_, known)| known == *copy) {
        return Ok(());
    }
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let header = Header {
        path: path.to_owned(),
        modified: copy.modified,
    };
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(&serde_json::to_vec(&header)?)?;
    file.write_all(b"\n")?;
    file.write_all(&copy.bytes)?;
    file.as_file().sync_all()?;
    file.persist(target).map_err(|error| error.error)?;
    Ok(())
}

fn read(path: &Path) -> io::Result<(PathBuf, Copy)> {
    let (header, bytes) = read_header(path)?;
    let modified = header.modified;
    Ok((header.path, Copy { modified, bytes }))
}

fn read_header(path: &Path) -> io::Result<(Header, Vec<u8>)> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_COPY_BYTES)
        .read_to_end(&mut bytes)?;
    let end = memchr::memchr(b'\n', &bytes).ok_or(io::ErrorKind::UnexpectedEof)?;
    let header = serde_json::from_slice(&bytes[..end])?;
    bytes.drain(..=end);
    Ok((header, bytes))
}
