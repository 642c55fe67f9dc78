//! The directory that holds the state: made if missing, on a disk of this machine, and for one process only.

use std::fmt;
use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::daemon::mounts;
use crate::daemon::mounts::Mount;
use crate::daemon::store::lock::Lock;
use crate::daemon::store::lock::LockError;

/// The database within the directory.
const DATABASE: &str = "certdrift.db";
/// Locked by the process that uses the directory.
const LOCK: &str = "certdrift.lock";

/// File systems whose files live on another machine. A lock or an fsync there is only a promise of that machine, and
/// `SQLite` asks not to be used on them. (`9p`, `vboxsf`, `virtiofs` and their like are directories of a virtual machine's host.)
/// Those of a cluster (`gfs2`, `ocfs2`, `gpfs`) stand here, too: whether a lock there binds other machines is up to how they
/// are mounted.
const NETWORK: &[&str] = &[
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "davfs",
    "fuse.ceph",
    "fuse.ceph-fuse",
    "fuse.cephfs",
    "fuse.curlftpfs",
    "fuse.davfs2",
    "fuse.gcsfuse",
    "fuse.glusterfs",
    "fuse.goofys",
    "fuse.gvfsd-fuse",
    "fuse.juicefs",
    "fuse.mfs",
    "fuse.mount-s3",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.seaweedfs",
    "fuse.smbnetfs",
    "fuse.sshfs",
    "fuse.vmhgfs-fuse",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "prl_fs",
    "pvfs2",
    "smb2",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
    "vmhgfs",
];

/// Why a directory cannot hold the state.
#[derive(Debug)]
pub enum FolderError {
    /// The system says no.
    System {
        /// The directory, or the file in it.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// It lies on another machine.
    Network {
        /// The directory.
        path: PathBuf,
        /// The kind of file system.
        file_system: String,
    },
    /// Another process uses it.
    InUse {
        /// The directory.
        path: PathBuf,
        /// That process's number, if it could be read.
        process: Option<String>,
    },
}

impl fmt::Display for FolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { path, error } => write!(
                f,
                "{}: {error}. Give a directory that certdrift may write to with --storage.path",
                path.display()
            ),
            Self::Network { path, file_system } => write!(
                f,
                "{}: the state cannot lie on a network file system ({file_system}), because what is written there may \
                 be lost or shared. Give a directory on a local disk with --storage.path",
                path.display()
            ),
            Self::InUse { path, process } => {
                let who = process
                    .as_ref()
                    .map_or(String::new(), |process| format!(" (process {process})"));
                write!(
                    f,
                    "{}: another certdrift{who} uses this state. Stop it, or give this one a directory of its own \
                     with --storage.path",
                    path.display()
                )
            }
        }
    }
}

/// A directory that is ours for as long as this lives.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    lock: Lock,
}

impl Folder {
    /// Takes the directory. `file_system` says on what kind of file system a path lies, if it can be told.
    pub(super) fn take(
        path: &Path,
        file_system: impl Fn(&Path) -> Option<String>,
    ) -> Result<Self, FolderError> {
        let system = |path: &Path| {
            let path = path.to_owned();
            move |error| FolderError::System { path, error }
        };
        create(path).map_err(system(path))?;
        let path = fs::canonicalize(path).map_err(system(path))?;
        if let Some(file_system) = file_system(&path).filter(|kind| NETWORK.contains(&&**kind)) {
            return Err(FolderError::Network { path, file_system });
        }
        let lock_path = path.join(LOCK);
        match Lock::take(&lock_path) {
            Ok(lock) => Ok(Self { path, lock }),
            Err(LockError::Held(process)) => Err(FolderError::InUse { path, process }),
            Err(LockError::System(error)) => Err(system(&lock_path)(error)),
        }
    }

    /// Whether there is a database in a directory, whoever may use it.
    pub(super) fn holds_database(path: &Path) -> io::Result<bool> {
        path.join(DATABASE).try_exists()
    }

    /// Where the database is.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Which file the database is now.
    pub(super) fn database_file(&self) -> io::Result<FileNumber> {
        fs::metadata(self.database()).map(|metadata| FileNumber::of(&metadata))
    }

    /// Whether the database is still this file. Where the system does not tell, nothing says otherwise.
    pub(super) fn still_has(&self, file: FileNumber) -> bool {
        match self.database_file() {
            Ok(found) => found == file,
            Err(error) => !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ),
        }
    }

    /// The newest commit that is known to have been made, by the lock file; 0: none is.
    pub(super) fn noted(&self) -> u64 {
        self.lock.noted()
    }

    /// This commit is on disk.
    pub(super) fn note(&mut self, commit: u64) {
        self.lock.note(commit);
    }

    /// Makes sure that the names in the directory outlive a loss of power.
    pub(super) fn sync(&self) -> io::Result<()> {
        // Windows can open no directory, and needs no such thing.
        if cfg!(unix) {
            File::open(&self.path)?.sync_all()?;
        }
        Ok(())
    }
}

/// What tells a file from every other, also from one that was put in its place: device and inode. Windows lets nobody
/// remove a database that is open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FileNumber(u64, u64);

impl FileNumber {
    #[cfg(unix)]
    fn of(metadata: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self(metadata.dev(), metadata.ino())
    }

    #[cfg(not(unix))]
    fn of(_: &fs::Metadata) -> Self {
        Self(0, 0)
    }
}

/// Makes the directory, for its owner only.
fn create(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Options for a file that only its owner may read.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// The kind of file system on which a path lies; `None`: it cannot be told.
pub(super) fn file_system(path: &Path) -> Option<String> {
    if is_share(path) {
        return Some("cifs".to_owned());
    }
    let table = mounts::table()?;
    Mount::of(&table, path).map(|mount| mount.kind.to_owned())
}

/// Whether the path is `\\server\share` of Windows.
fn is_share(path: &Path) -> bool {
    use std::path::Component;
    use std::path::Prefix;
    matches!(
        path.components().next(),
        Some(Component::Prefix(prefix)) if matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..))
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_network_file_system_is_refused_and_others_are_not() {
        for (kind, refused) in [
            (Some("nfs4"), true),
            (Some("cifs"), true),
            (Some("smb3"), true),
            (Some("9p"), true),
            (Some("fuse.sshfs"), true),
            (Some("fuse.mount-s3"), true),
            (Some("virtiofs"), true),
            (Some("ocfs2"), true),
            (Some("ext4"), false),
            (Some("overlay"), false),
            (Some("fuse.lxcfs"), false),
            (None, false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let taken = Folder::take(folder.path(), |_| kind.map(str::to_owned));
            match taken {
                Err(FolderError::Network { file_system, .. }) => {
                    assert!(refused && Some(file_system.as_str()) == kind);
                }
                other => assert!(other.is_ok() && !refused, "{kind:?}"),
            }
            let left = fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(left, usize::from(!refused), "nothing is written there");
        }
    }

    #[test]
    fn a_second_taker_learns_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/state");
        let first = Folder::take(&path, |_| None).unwrap();
        let message = Folder::take(&path, |_| None).unwrap_err().to_string();
        let process = format!("(process {})", std::process::id());
        assert!(message.contains(&process), "{message}");
        drop(first);
        assert!(Folder::take(&path, |_| None).is_ok());
    }

    #[test]
    fn a_lock_file_that_holds_something_else_names_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Folder::take(folder.path(), |_| None).unwrap();
        fs::write(folder.path().join(LOCK), "rm -rf /\n").unwrap();
        let error = Folder::take(folder.path(), |_| None).unwrap_err();
        assert!(matches!(error, FolderError::InUse { process: None, .. }));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let _taken = Folder::take(&path, |_| None).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join(LOCK))), (0o700, 0o600));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Folder::take(&file.join("state"), |_| None).unwrap_err();
        assert!(error.to_string().contains("file/state: "), "{error}");
    }
}
