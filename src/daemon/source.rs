//! Where the logs are: paths → directories with log files, and the server that each belongs to.

pub mod others;
pub mod search;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use jiff::civil::Date;

use crate::config::SourceConfig;
use crate::daemon::source::others::Others;
use crate::daemon::source::search::directories_below;
use crate::daemon::source::search::entries;
use crate::daemon::source::search::search;

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

/// The logs that were found.
#[derive(Debug, Default)]
pub struct Logs {
    /// The directories that hold them.
    pub directories: Vec<LogDirectory>,
    /// What keeps others from being found, in words for an operator.
    pub troubles: Vec<String>,
    /// Servers that are named, but seem to have none, in words for an operator.
    pub without_logs: Vec<String>,
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

/// Where send logs are, and why there may be none.
const WHERE: &str = "`Get-TransportService | Format-List Name, SendProtocolLogPath` and \
    `Get-FrontendTransportService | Format-List Name, SendProtocolLogPath` name it. Protocol logging is off by default: turn \
    it on with `Set-SendConnector '…' -ProtocolLoggingLevel Verbose`";

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
    /// There are logs at or below it, but none of the send protocol.
    OtherLogs {
        /// Which path.
        path: PathBuf,
        /// What is there instead.
        others: String,
    },
    /// No server that it names has logs that can be read.
    Troubled {
        /// Why, in words for an operator.
        troubles: Vec<String>,
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
                "{}: holds no log file (*.LOG), nor does any folder below it. Give the SmtpSend folder of a server; {WHERE}",
                path.display()
            ),
            Self::OtherLogs { path, others } => {
                write!(f, "{}: {others}; {WHERE}", path.display())
            }
            Self::Troubled { troubles } => f.write_str(&troubles.join("\n")),
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
        io::ErrorKind::NotADirectory => {
            "is a file, or lies below one; name the folder that holds it".to_owned()
        }
        _ => format!("cannot be read: {error}"),
    }
}

/// Finds the log files at the given paths: files as they are, directories searched through. The server is `server` if
/// that is given; otherwise the path tells.
///
/// # Errors
/// When there is nothing to read: why not, of the first path.
pub fn find(paths: &[PathBuf], server: Option<&str>) -> Result<Logs, FindError> {
    let mut files: BTreeSet<PathBuf> = BTreeSet::new();
    // Whatever ways lead to a file, it is read once.
    let mut known: BTreeSet<PathBuf> = BTreeSet::new();
    let mut troubles = Vec::new();
    for path in paths {
        let told = troubles.len();
        let found = logs_at(path, &mut troubles);
        if found.is_empty() && troubles.len() == told {
            troubles.push(FindError::NoLogs { path: path.clone() });
        }
        for file in found {
            let real = std::fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
            if known.insert(real) {
                files.insert(file);
            }
        }
    }
    if files.is_empty() && !troubles.is_empty() {
        return Err(troubles.swap_remove(0));
    }
    Ok(Logs {
        directories: by_directory(files, server),
        troubles: troubles.iter().map(ToString::to_string).collect(),
        without_logs: Vec::new(),
    })
}

/// A file as it is, or all log files at and below a directory. What cannot be read is added to the troubles.
fn logs_at(path: &Path, troubles: &mut Vec<FindError>) -> Vec<PathBuf> {
    let mut or_trouble = |path: &Path, found: io::Result<Vec<PathBuf>>| {
        found.unwrap_or_else(|error| {
            let path = path.to_owned();
            troubles.push(FindError::Unreadable { path, error });
            Vec::new()
        })
    };
    let directories = match std::fs::metadata(path) {
        Ok(it) if !it.is_dir() => return vec![path.to_owned()],
        Ok(_) => directories_below(path, &mut entries),
        Err(error) => Err(error),
    };
    let mut found = Vec::new();
    for directory in or_trouble(path, directories) {
        found.extend(or_trouble(&directory, list(&directory, is_log)));
    }
    found
}

/// The send logs of a configured source, as they are now.
///
/// # Errors
/// When nothing can be read of the source, or it holds no logs.
pub fn find_configured(source: &SourceConfig) -> Result<Logs, FindError> {
    let unreadable = |error| FindError::Unreadable {
        path: source.path.root().to_owned(),
        error,
    };
    let search = search(&source.path, &mut entries).map_err(unreadable)?;
    let mut directories = Vec::new();
    let mut others = Others::default();
    for found in &search.found {
        let wanted = |name: &str| {
            others.see(name);
            is_send_log(name)
        };
        // What cannot be listed is told of, or no business of ours.
        let files = list(&found.path, wanted).unwrap_or_default();
        let server = source.server.as_deref().or(found.server.as_deref());
        directories.extend(by_directory(files.into_iter().collect(), server));
    }
    let troubles: Vec<String> = search.troubles().map(|it| it.text).collect();
    if directories.is_empty() {
        return Err(if troubles.is_empty() {
            let path = source.path.as_path().to_owned();
            match others.told() {
                Some(others) => FindError::OtherLogs { path, others },
                None => FindError::NoLogs { path },
            }
        } else {
            FindError::Troubled { troubles }
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
    let holds_logs = |path: &Path| {
        let mut with_logs = directories.iter().map(|directory| &directory.path);
        with_logs.any(|it| it.starts_with(path))
    };
    Ok(Logs {
        without_logs: search.without_logs(holds_logs),
        directories,
        troubles,
    })
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
fn list(directory: &Path, mut wanted: impl FnMut(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let is_wanted = entry.file_name().to_str().is_some_and(&mut wanted);
        // Follows a link to a file; pipes and sockets would block whoever opens them.
        if is_wanted && std::fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file()) {
            files.push(entry.path());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
