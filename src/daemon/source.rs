//! Where the logs are: paths → directories with log files, and the server that each belongs to.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use jiff::civil::Date;

use crate::config::PathPattern;
use crate::config::SourceConfig;

/// How deep directories are searched below a given one; Exchange's own tree is six deep.
pub const MAX_DEPTH: usize = 32;
/// How many directories one search enters.
pub const MAX_DIRECTORIES: usize = 10_000;

/// Names of folders in Exchange's own tree: none of them tells one server from another.
const EXCHANGE_FOLDERS: [&str; 20] = [
    "c$",
    "d$",
    "delivery",
    "e$",
    "edge",
    "exchange server",
    "exchsrvr",
    "frontend",
    "hub",
    "logs",
    "mailbox",
    "microsoft",
    "program files",
    "protocollog",
    "smtpreceive",
    "smtpsend",
    "submission",
    "transportroles",
    "v14",
    "v15",
];

/// Names of folders that no search enters.
const SET_APART: [&str; 4] = [
    "~snapshot",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
];

/// A directory that holds log files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogDirectory {
    /// Where it is.
    pub path: PathBuf,
    /// Whose logs these are.
    pub server: String,
    /// The files, in the order in which they were written.
    pub files: Vec<LogPath>,
}

/// A log file; files order as they were written.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct LogPath {
    /// What the name says.
    pub name: LogName,
    /// Where it is.
    pub path: PathBuf,
}

/// What the name of a log file says: `SENDyyyyMMdd-n.LOG` up to Exchange 2013, `SENDyyyyMMddHH-n.LOG` after. Files
/// with other names come last.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum LogName {
    /// A name that Exchange gives.
    Dated {
        /// Day (UTC) of the first row.
        date: Date,
        /// Hour, 0 when the name has none.
        hour: u8,
        /// Number within the hour or day, counted from 1. It is not padded: 10 comes after 9.
        number: u32,
        /// Whether the name has no hour, so that the file covers a day.
        whole_day: bool,
    },
    /// Any other name.
    Other,
}

impl LogName {
    /// Reads a file name.
    pub fn read(name: &OsStr) -> Self {
        name.to_str().and_then(Self::dated).unwrap_or(Self::Other)
    }

    fn dated(name: &str) -> Option<Self> {
        let stem = strip_ignoring_case(name, "SEND")?;
        let (digits, rest) = stem.split_once('-')?;
        let number = rest.get(..rest.len().checked_sub(4)?)?;
        let is_log = rest[number.len()..].eq_ignore_ascii_case(".LOG");
        let all_digits = digits
            .bytes()
            .chain(number.bytes())
            .all(|byte| byte.is_ascii_digit());
        if !is_log || !all_digits {
            return None;
        }
        let (day, hour) = match digits.len() {
            8 => (digits, 0),
            10 => (
                &digits[..8],
                digits[8..].parse().ok().filter(|hour| *hour < 24)?,
            ),
            _ => return None,
        };
        let date = Date::new(
            day[..4].parse().ok()?,
            day[4..6].parse().ok()?,
            day[6..].parse().ok()?,
        );
        Some(Self::Dated {
            date: date.ok()?,
            hour,
            number: number.parse().ok()?,
            whole_day: digits.len() == 8,
        })
    }
}

fn strip_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let start = text.get(..prefix.len())?;
    start
        .eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}

/// Why a path gives no logs.
#[derive(Debug)]
pub enum FindError {
    /// The path cannot be looked at.
    Unreadable {
        /// Which path.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// There is no log file at or below it.
    NoLogs {
        /// Which path.
        path: PathBuf,
    },
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => {
                write!(f, "{}: {}", path.display(), remedy(error))
            }
            Self::NoLogs { path } => write!(
                f,
                "{}: holds no log file (*.LOG), nor does any folder below it. Give the SmtpSend folder of a server; \
                 `Get-TransportService | Format-List Name, SendProtocolLogPath` and `Get-FrontendTransportService | \
                 Format-List Name, SendProtocolLogPath` name it. Protocol logging is off by default: turn it on with \
                 `Set-SendConnector '…' -ProtocolLoggingLevel Verbose`",
                path.display()
            ),
        }
    }
}

impl std::error::Error for FindError {}

/// An I/O error in words that say what to do.
pub fn remedy(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "does not exist. Is the path spelled right, and the share mounted?".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "may not be read by this account. Give it read access, or run as one that has it"
                .to_owned()
        }
        _ => format!("cannot be read: {error}"),
    }
}

/// Finds the log files at the given paths: files as they are, directories searched through. The server is `server` if
/// that is given; otherwise the path tells.
///
/// # Errors
/// The first path that cannot be read or holds no logs.
pub fn find(paths: &[PathBuf], server: Option<&str>) -> Result<Vec<LogDirectory>, FindError> {
    let mut files: BTreeSet<PathBuf> = BTreeSet::new();
    // Whatever ways lead to a file, it is read once.
    let mut known: BTreeSet<PathBuf> = BTreeSet::new();
    for path in paths {
        let found = logs_at(path).map_err(|error| FindError::Unreadable {
            path: path.clone(),
            error,
        })?;
        if found.is_empty() {
            return Err(FindError::NoLogs { path: path.clone() });
        }
        for file in found {
            let real = std::fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
            if known.insert(real) {
                files.insert(file);
            }
        }
    }
    Ok(by_directory(files, server))
}

/// A file as it is, or all log files at and below a directory.
fn logs_at(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for directory in directories_below(path, &mut subdirectories)? {
        found.extend(list(&directory, is_log)?);
    }
    Ok(found)
}

/// A directory that a configured source means, and the server that its path names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// The part of the path that stands in the place of `{server}`.
    pub server: Option<String>,
}

/// All directories that a configured path means, and all below them.
///
/// # Errors
/// The system's, when the directory at which the search starts cannot be read. One further down that cannot be read is
/// left out, because Exchange's trees hold folders that a reader of logs has no business in.
pub fn expand(pattern: &PathPattern) -> io::Result<Vec<Found>> {
    expand_by(pattern, &mut subdirectories)
}

/// The same, with the directories directly below one as the caller sees them.
///
/// # Errors
/// The caller's, of the directory at which the search starts.
pub fn expand_by(
    pattern: &PathPattern,
    subdirectories: &mut impl FnMut(&Path) -> io::Result<Vec<PathBuf>>,
) -> io::Result<Vec<Found>> {
    if pattern.is_literal() {
        let below = directories_below(pattern.root(), subdirectories)?;
        return Ok(below
            .into_iter()
            .map(|path| Found { path, server: None })
            .collect());
    }
    let mut found: Vec<Found> = Vec::new();
    let mut open = vec![pattern.root().to_owned()];
    subdirectories(pattern.root())?;
    let mut entered = 0;
    while let Some(directory) = open.pop() {
        entered += 1;
        if entered > MAX_DIRECTORIES {
            break;
        }
        if let Some(fit) = pattern.fit(&directory) {
            let below = directories_below(&directory, subdirectories).unwrap_or_default();
            found.extend(below.into_iter().map(|path| Found {
                path,
                server: fit.server.clone(),
            }));
        } else if pattern.may_lead_to_fit(&directory) {
            open.extend(
                entered_below(&directory, subdirectories)
                    .into_iter()
                    .flatten(),
            );
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup_by(|a, b| a.path == b.path);
    Ok(found)
}

/// The send logs of a configured source, as they are now.
///
/// # Errors
/// When the source cannot be read or holds no logs.
pub fn find_configured(source: &SourceConfig) -> Result<Vec<LogDirectory>, FindError> {
    let root = source.path.root();
    let unreadable = |error| FindError::Unreadable {
        path: root.to_owned(),
        error,
    };
    let mut directories = Vec::new();
    for found in expand(&source.path).map_err(unreadable)? {
        let files: BTreeSet<PathBuf> = send_logs(&found.path)
            .map_err(unreadable)?
            .into_iter()
            .collect();
        let server = source.server.as_deref().or(found.server.as_deref());
        directories.extend(by_directory(files, server));
    }
    if directories.is_empty() {
        return Err(FindError::NoLogs {
            path: source.path.as_path().to_owned(),
        });
    }
    if source.server.is_none() && !source.path.names_server() {
        let paths: Vec<PathBuf> = directories
            .iter()
            .map(|directory| directory.path.clone())
            .collect();
        for (directory, server) in directories.iter_mut().zip(server_names(&paths)) {
            directory.server = server;
        }
    }
    Ok(directories)
}

/// Paths of the send logs in a directory, in no particular order.
///
/// # Errors
/// The system's, when the directory cannot be read.
pub fn send_logs(directory: &Path) -> io::Result<Vec<PathBuf>> {
    list(directory, is_send_log)
}

/// Whether a file of this name is a send log.
pub fn is_send_log(name: &str) -> bool {
    is_log(name) && strip_ignoring_case(name, "SEND").is_some()
}

/// The servers of directories, by their paths: for each the innermost folder that is none of Exchange's own. Where
/// different folders have the same name, the part of their paths in which they differ names them.
pub fn server_names(directories: &[PathBuf]) -> Vec<String> {
    let roots: Vec<Vec<String>> = directories.iter().map(|path| server_root(path)).collect();
    let distinct: BTreeSet<&Vec<String>> = roots.iter().collect();
    let mut owners: BTreeMap<String, BTreeSet<&Vec<String>>> = BTreeMap::new();
    for root in &roots {
        let name = server_name(root, &distinct);
        owners.entry(name).or_default().insert(root);
    }
    roots
        .iter()
        .map(|root| {
            let name = server_name(root, &distinct);
            // The part that tells two namesakes apart can be the name of a third.
            let is_shared = owners.get(&name).is_some_and(|owners| owners.len() > 1);
            if is_shared { root.join("/") } else { name }
        })
        .collect()
}

fn server_name(root: &[String], all: &BTreeSet<&Vec<String>>) -> String {
    let Some(last) = root.last() else {
        return "local".to_owned();
    };
    let namesakes: Vec<&&Vec<String>> = all
        .iter()
        .filter(|other| other.last() == Some(last))
        .collect();
    // How many folders at the end say nothing, because every namesake has them.
    let common = (1..root.len())
        .take_while(|&depth| {
            namesakes
                .iter()
                .all(|other| other.ends_with(&root[root.len() - depth..]))
        })
        .count();
    if namesakes.len() == 1 {
        return last.clone();
    }
    let kept = &root[..root.len() - common];
    let is_unique = |depth: &usize| {
        let tail = &root[root.len() - common - depth..];
        namesakes
            .iter()
            .filter(|other| other.ends_with(tail))
            .count()
            == 1
    };
    let depth = (1..=kept.len()).find(is_unique).unwrap_or(kept.len());
    kept[kept.len() - depth..].join("/")
}

/// The path down to the folder that names the server.
fn server_root(directory: &Path) -> Vec<String> {
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let mut names: Vec<String> = absolute
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            Component::Prefix(prefix) => Some(prefix.as_os_str().to_string_lossy().into_owned()),
            Component::RootDir | Component::CurDir | Component::ParentDir => None,
        })
        .collect();
    let is_exchange = |name: &String| EXCHANGE_FOLDERS.contains(&name.to_lowercase().as_str());
    while names.last().is_some_and(is_exchange) {
        names.pop();
    }
    names
}

fn by_directory(files: BTreeSet<PathBuf>, server: Option<&str>) -> Vec<LogDirectory> {
    let mut directories: BTreeMap<PathBuf, Vec<LogPath>> = BTreeMap::new();
    for path in files {
        let name = LogName::read(path.file_name().unwrap_or_default());
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        directories
            .entry(parent)
            .or_default()
            .push(LogPath { name, path });
    }
    let paths: Vec<PathBuf> = directories.keys().cloned().collect();
    let servers = match server {
        Some(server) => vec![server.to_owned(); paths.len()],
        None => server_names(&paths),
    };
    directories
        .into_iter()
        .zip(servers)
        .map(|((path, mut files), server)| {
            files.sort();
            LogDirectory {
                path,
                server,
                files,
            }
        })
        .collect()
}

fn is_log(name: &str) -> bool {
    name.len() > 4
        && name
            .get(name.len() - 4..)
            .is_some_and(|end| end.eq_ignore_ascii_case(".LOG"))
}

/// The regular files of a directory whose names are wanted.
fn list(directory: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let is_wanted = entry.file_name().to_str().is_some_and(&wanted);
        // Follows a link to a file; pipes and sockets would block whoever opens them.
        if is_wanted && std::fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file()) {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// A directory and all below it.
fn directories_below(
    root: &Path,
    subdirectories: &mut impl FnMut(&Path) -> io::Result<Vec<PathBuf>>,
) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![root.to_owned()];
    let mut open: Vec<(PathBuf, usize)> = entered_below(root, subdirectories)?
        .map(|path| (path, 1))
        .collect();
    while let Some((directory, depth)) = open.pop() {
        if depth < MAX_DEPTH && found.len() < MAX_DIRECTORIES {
            if let Ok(below) = entered_below(&directory, subdirectories) {
                open.extend(below.map(|path| (path, depth + 1)));
            }
            found.push(directory);
        }
    }
    found.sort();
    Ok(found)
}

fn entered_below(
    directory: &Path,
    subdirectories: &mut impl FnMut(&Path) -> io::Result<Vec<PathBuf>>,
) -> io::Result<impl Iterator<Item = PathBuf>> {
    let below = subdirectories(directory)?;
    Ok(below.into_iter().filter(|path| !is_set_apart(path)))
}

/// Hidden folders, snapshots and bins: they hold earlier states of the same logs.
fn is_set_apart(directory: &Path) -> bool {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.')
        || SET_APART
            .iter()
            .any(|apart| name.eq_ignore_ascii_case(apart))
}

/// The directories directly below one. Links to directories are not followed: they could lead around in circles.
fn subdirectories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
