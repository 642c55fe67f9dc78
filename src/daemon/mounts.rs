//! Linux's table of mounts (proc(5), `/proc/pid/mountinfo`): which file system a path lies on, and where in it. Unlike
//! `statfs` it tells one FUSE file system from another, and unlike inode numbers, which shares make up anew, it always says
//! the same.

use std::path::Path;
use std::path::PathBuf;

/// A line of the table.
#[derive(Debug)]
pub struct Mount<'a> {
    /// The device's numbers, `major:minor`. All mounts of one file system have the same.
    pub device: &'a str,
    /// The kind of file system.
    pub kind: &'a str,
    /// The directory of the file system that is mounted.
    root: String,
    /// Where.
    point: String,
}

/// The table; `None`: this system has none.
pub fn table() -> Option<String> {
    let table = std::fs::read("/proc/self/mountinfo").ok()?;
    Some(String::from_utf8_lossy(&table).into_owned())
}

impl<'a> Mount<'a> {
    /// The mount on which a path lies that leads through no link. Of several on one directory the last one is seen.
    pub fn of(table: &'a str, path: &Path) -> Option<Self> {
        let mut found: Option<(usize, Self)> = None;
        for mount in table.lines().filter_map(Self::read) {
            let depth = Path::new(&mount.point).components().count();
            if path.starts_with(&mount.point)
                && found.as_ref().is_none_or(|(deepest, _)| depth >= *deepest)
            {
                found = Some((depth, mount));
            }
        }
        found.map(|(_, mount)| mount)
    }

    fn read(line: &'a str) -> Option<Self> {
        let mut fields = line.split(' ');
        let device = fields.nth(2)?;
        let root = unescaped(fields.next()?);
        let point = unescaped(fields.next()?);
        let kind = fields.skip_while(|field| *field != "-").nth(1)?;
        Some(Self {
            device,
            kind,
            root,
            point,
        })
    }

    /// Where a path on this mount lies within its file system.
    pub fn within(&self, path: &Path) -> PathBuf {
        let below = path.strip_prefix(&self.point).unwrap_or(path);
        Path::new(&self.root).join(below)
    }
}

/// Blanks and backslashes stand in the table as `\040` and the like.
fn unescaped(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(byte) = byte {
            plain.push(char::from(byte));
            plain.push_str(&part[3..]);
        } else {
            plain.push('\\');
            plain.push_str(part);
        }
    }
    plain
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /srv rw - nfs4 nas:/srv rw
31 30 0:26 / /srv/local\\040disk rw shared:4 master:2 - xfs /dev/vdb rw
32 22 0:27 / /mnt rw - ext4 /dev/vdc rw
33 32 0:28 / /mnt rw - fuse.sshfs host: rw
34 22 254:0 /data/logs\\040of/EX01 /bound rw - ext4 /dev/vda rw
no mount at all
";

    #[test]
    fn a_path_lies_on_the_deepest_and_last_mount() {
        for (path, kind) in [
            ("/var/lib/certdrift", "ext4"),
            ("/srv/certdrift", "nfs4"),
            ("/srv", "nfs4"),
            ("/srvx", "ext4"),
            ("/srv/local disk/certdrift", "xfs"),
            ("/srv/local", "nfs4"),
            ("/mnt/x", "fuse.sshfs"),
        ] {
            let found = Mount::of(MOUNTS, Path::new(path)).unwrap();
            assert_eq!(found.kind, kind, "{path}");
        }
        assert!(Mount::of("", Path::new("/x")).is_none());
    }

    #[test]
    fn two_paths_to_one_directory_have_one_place() {
        let place = |path: &str| {
            let mount = Mount::of(MOUNTS, Path::new(path)).unwrap();
            (mount.device.to_owned(), mount.within(Path::new(path)))
        };
        assert_eq!(
            place("/bound/SmtpSend"),
            place("/data/logs of/EX01/SmtpSend")
        );
        assert_eq!(place("/bound"), place("/data/logs of/EX01"));
        assert_ne!(place("/bound"), place("/data/logs of/EX02"));
        assert_ne!(place("/srv/EX01"), place("/mnt/EX01"));
    }
}
