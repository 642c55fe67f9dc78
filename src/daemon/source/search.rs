//! The search for directories that may hold logs, and what it tells of those that it could not look into.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::config::PathPattern;
use crate::daemon::source::remedy;
use crate::daemon::source::server_names;

/// How deep directories are searched below a given one; Exchange's own tree is six deep.
pub const MAX_DEPTH: usize = 32;
/// How many directories one search enters.
pub const MAX_DIRECTORIES: usize = 10_000;

/// Names of folders that no search enters.
const SET_APART: [&str; 4] = [
    "~snapshot",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
];

/// What a directory holds, as far as a search wants to know.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Entries {
    /// The directories directly below it.
    pub directories: Vec<PathBuf>,
    /// Whether nothing at all is in it.
    pub is_empty: bool,
}

/// A directory that a configured source means, and the server that its path names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// The part of the path that stands in the place of `{server}`.
    pub server: Option<String>,
}

/// What the search for a configured source has found.
#[derive(Debug, Default)]
pub struct Search {
    /// All directories that the path means, and all below them.
    pub found: Vec<Found>,
    /// A directory for each server that the path names, whether it holds logs or not.
    servers: BTreeMap<String, PathBuf>,
    /// Directories that the path means, or that lead to one, of which nothing can be seen.
    unseen: BTreeMap<PathBuf, Unseen>,
}

/// Why nothing can be seen of a directory.
#[derive(Debug)]
enum Unseen {
    /// Nothing is in it: it may be where a share is mounted when it is.
    Empty,
    /// The system's reason.
    Unreadable(io::Error),
}

/// A directory of which nothing is read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// Where it is.
    pub path: PathBuf,
    /// Whose logs should be there.
    pub server: String,
    /// Why, in words for an operator, with the path.
    pub text: String,
}

impl Search {
    /// The directories that cannot be read, and those in which a share is missing.
    pub fn troubles(&self) -> impl Iterator<Item = Trouble> {
        self.unseen.iter().map(|(path, why)| {
            let why = match why {
                Unseen::Unreadable(error) => remedy(error),
                Unseen::Empty => "is empty. Is the share mounted, and protocol logging on (Set-SendConnector '…' -ProtocolLoggingLevel Verbose)?".to_owned(),
            };
            // What ends with a question has its mark.
            let stop = if why.ends_with('?') { "" } else { "." };
            let mut servers = self.servers.iter();
            let named = servers.find(|(_, at)| path.starts_with(at));
            let derived = || server_names(std::slice::from_ref(path)).pop();
            Trouble {
                path: path.clone(),
                server: named.map(|(server, _)| server.clone()).or_else(derived).unwrap_or_default(),
                text: format!("{}: {why}{stop} If it is no server's, narrow the path of the source", path.display()),
            }
        })
    }

    /// The servers that the path names, and that are in no trouble, but have no logs: perhaps they are none. `holds_logs`:
    /// whether there are some at or below a directory.
    pub fn without_logs(&self, holds_logs: impl Fn(&Path) -> bool) -> Vec<String> {
        let is_told = |at: &Path| self.unseen.keys().any(|path| path.starts_with(at));
        let servers = self.servers.values();
        let without = servers.filter(|at| !is_told(at) && !holds_logs(at));
        without
            .map(|at| format!("{}: no SEND*.LOG where the path of the source says, and nothing is read of this server, if it is one", at.display()))
            .collect()
    }

    fn add(&mut self, directory: &Path, server: Option<&String>, looked: io::Result<Vec<PathBuf>>) {
        match looked {
            Ok(below) => self.found.extend(below.into_iter().map(|path| Found {
                path,
                server: server.cloned(),
            })),
            Err(error) => self.miss(directory, error),
        }
    }

    fn miss(&mut self, directory: &Path, error: io::Error) {
        // One that was removed meanwhile is no trouble.
        if error.kind() != io::ErrorKind::NotFound {
            let why = Unseen::Unreadable(error);
            self.unseen.insert(directory.to_owned(), why);
        }
    }
}

/// Searches for all directories that a configured path means, and all below them. `entries`: what a directory holds.
///
/// # Errors
/// The system's, when the directory at which the search starts cannot be read. One that is meant, or leads there, is among
/// the troubles of the search; one below that is left out, because Exchange's trees hold folders that a reader of logs has
/// no business in.
pub fn search(
    pattern: &PathPattern,
    entries: &mut impl FnMut(&Path) -> io::Result<Entries>,
) -> io::Result<Search> {
    let mut search = Search::default();
    let root = pattern.root();
    if pattern.is_literal() {
        let below = directories_below(root, entries)?;
        search.add(root, None, Ok(below));
        return Ok(search);
    }
    entries(root)?;
    let mut open = vec![root.to_owned()];
    let mut entered = 0;
    while let Some(directory) = open.pop() {
        entered += 1;
        if entered > MAX_DIRECTORIES {
            break;
        }
        let server = pattern.server_of(&directory);
        if let Some(server) = &server {
            // The outermost comes first.
            let at = || directory.clone();
            search.servers.entry(server.clone()).or_insert_with(at);
        }
        let fit = pattern.fit(&directory);
        if fit.is_none() && !pattern.may_lead_to_fit(&directory) {
            continue;
        }
        let is_meant = fit.is_some() || server.is_some();
        match entries(&directory) {
            Ok(entries) if entries.is_empty && is_meant && directory != root => {
                search.unseen.insert(directory.clone(), Unseen::Empty);
            }
            Ok(entries) if fit.is_none() => open.extend(entered_of(entries)),
            Ok(_) => {}
            Err(error) => search.miss(&directory, error),
        }
        if let Some(fit) = fit {
            let below = directories_below(&directory, entries);
            search.add(&directory, fit.server.as_ref(), below);
        }
    }
    search.found.sort_by(|a, b| a.path.cmp(&b.path));
    search.found.dedup_by(|a, b| a.path == b.path);
    Ok(search)
}

/// A directory and all below it.
pub(super) fn directories_below(
    root: &Path,
    entries: &mut impl FnMut(&Path) -> io::Result<Entries>,
) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![root.to_owned()];
    let mut open: Vec<(PathBuf, usize)> =
        entered_of(entries(root)?).map(|path| (path, 1)).collect();
    while let Some((directory, depth)) = open.pop() {
        if depth < MAX_DEPTH && found.len() < MAX_DIRECTORIES {
            if let Ok(entries) = entries(&directory) {
                open.extend(entered_of(entries).map(|path| (path, depth + 1)));
            }
            found.push(directory);
        }
    }
    found.sort();
    Ok(found)
}

fn entered_of(entries: Entries) -> impl Iterator<Item = PathBuf> {
    let below = entries.directories.into_iter();
    below.filter(|path| !is_set_apart(path))
}

/// Hidden folders, snapshots and bins: they hold earlier states of the same logs.
fn is_set_apart(directory: &Path) -> bool {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.')
        || SET_APART
            .iter()
            .any(|apart| name.eq_ignore_ascii_case(apart))
}

/// What a directory on the disk holds. Links to directories are not followed: they could lead around in circles.
pub(super) fn entries(directory: &Path) -> io::Result<Entries> {
    let mut found = Entries {
        is_empty: true,
        ..Entries::default()
    };
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        found.is_empty = false;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.directories.push(entry.path());
        }
    }
    Ok(found)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn folders_that_hold_earlier_states_are_not_entered() {
        for (name, apart) in [
            (".snapshot", true),
            ("~snapshot", true),
            ("$Recycle.Bin", true),
            ("System Volume Information", true),
            ("SmtpSend", false),
            ("backup", false),
        ] {
            assert_eq!(is_set_apart(&Path::new("/srv").join(name)), apart, "{name}");
        }
    }

    /// A tree of directories; a name that ends with `/` is empty, one that ends with `!` cannot be listed.
    fn tree<'a>(directories: &'a [&'a str]) -> impl FnMut(&Path) -> io::Result<Entries> + 'a {
        |directory| {
            let plain = |it: &str| PathBuf::from(it.trim_end_matches(['/', '!']));
            let is = |end: &str| {
                directories
                    .iter()
                    .any(|it| it.ends_with(end) && plain(it) == directory)
            };
            if is("!") {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            let below = directories.iter().map(|it| plain(it));
            Ok(Entries {
                directories: below.filter(|it| it.parent() == Some(directory)).collect(),
                is_empty: is("/"),
            })
        }
    }

    fn pattern(path: &str) -> PathPattern {
        let text = format!("sources: [{{ path: '{path}' }}]");
        let config = crate::config::parse(&text, Path::new("/certdrift.yml"), None);
        config.unwrap().sources.remove(0).path
    }

    #[test]
    fn every_server_that_a_path_names_is_found_or_told() {
        let mut below = tree(&[
            "/srv/EX01",
            "/srv/EX01/SmtpSend",
            "/srv/EX01/SmtpSend/old!",
            "/srv/EX02!",
            "/srv/EX03",
            "/srv/EX03/SmtpSend!",
            "/srv/EX04/",
            "/srv/EX05",
            "/srv/EX05/SmtpSend/",
            "/srv/tools",
            "/srv/tools/bin/",
            "/srv/lost+found!",
        ]);
        let of_servers = search(&pattern("/srv/{server}/SmtpSend"), &mut below).unwrap();
        // Without `{server}` nobody says which of them are servers.
        let of_any = search(&pattern("/srv/*/SmtpSend"), &mut below).unwrap();
        for (search, empty) in [(&of_servers, &["EX04", "EX05"][..]), (&of_any, &["EX05"])] {
            let told: Vec<Trouble> = search.troubles().collect();
            let of = |words: &str| -> Vec<&str> {
                let with = told.iter().filter(|it| it.text.contains(words));
                with.map(|it| &*it.server).collect()
            };
            assert_eq!(of("may not be read by this account"), ["EX02", "EX03"]);
            assert_eq!(of("is empty. Is the share mounted"), empty);
            assert_eq!(told.len(), 2 + empty.len());
            let are_sentences = [
                "has it. If it is no server's",
                "Verbose)? If it is no server's",
            ];
            for told in &told {
                assert!(
                    are_sentences.iter().any(|it| told.text.contains(it)),
                    "{}",
                    told.text
                );
            }
        }
        let holds_logs = |path: &Path| path == Path::new("/srv/EX01");
        let without = of_servers.without_logs(holds_logs);
        assert!(
            without[0].starts_with("/srv/tools: no SEND*.LOG"),
            "{without:?}"
        );
        assert_eq!(without.len(), 1);
        // What somebody locked below the logs is no business of ours.
        let literal = search(&pattern("/srv/EX01"), &mut below).unwrap();
        assert_eq!(literal.troubles().count(), 0);
        assert_eq!(literal.found.len(), 3);
    }
}
