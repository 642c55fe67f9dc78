//! Paths: relative ones start at the configuration file, and those of log directories may hold wildcards.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Component, Path, PathBuf};

use globset::{Glob, GlobMatcher};

use crate::config::problem::{Wrong, no_expansion};

/// The one expansion: where systemd puts what `LoadCredential=` names.
const CREDENTIALS: &str = "${CREDENTIALS_DIRECTORY}";
/// Stands for the server's name, once in a path.
const SERVER: &str = "{server}";
/// Most `**` in one path; each one multiplies the ways in which a directory may fit.
const MAX_ANY_DEPTH: usize = 2;

/// Where paths of the configuration start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paths<'a> {
    /// The folder of the configuration file.
    pub(super) folder: &'a Path,
    /// The value of `CREDENTIALS_DIRECTORY`, if it is set.
    pub(super) credentials: Option<&'a Path>,
}

impl Paths<'_> {
    /// A log directory, perhaps with wildcards.
    pub(super) fn directory(self, text: &str) -> Result<PathPattern, Wrong> {
        PathPattern::new(self.folder, typed_path(text)?)
    }

    /// A file that is read when it is needed, so it need not exist yet.
    pub(super) fn file(self, text: &str) -> Result<PathBuf, Wrong> {
        if text.starts_with("whsec_") {
            return Err("is a secret itself; write it to a file that only the service may read, and name that file".into());
        }
        if text.contains("://") {
            return Err("is an address, not a file".into());
        }
        let Some(rest) = text.strip_prefix(CREDENTIALS) else {
            no_expansion(text)?;
            return Ok(cleaned(&self.folder.join(typed_path(text)?)));
        };
        no_expansion(rest)?;
        let credentials = self.credentials.ok_or(
            "needs CREDENTIALS_DIRECTORY, which is not set; systemd sets it for a unit with `LoadCredential=`, and by \
             hand `CREDENTIALS_DIRECTORY=/run/credentials/certdrift.service` before the command does",
        )?;
        match rest.strip_prefix('/') {
            Some(name) if !name.is_empty() => Ok(credentials.join(name)),
            _ => Err("names no file below `${CREDENTIALS_DIRECTORY}`".into()),
        }
    }
}

/// A path as it was typed, unless it can mean nothing here.
fn typed_path(text: &str) -> Result<&Path, Wrong> {
    let path = Path::new(text);
    // What `\L` and `\P` are in double quotes.
    if text.contains(['\u{2028}', '\u{2029}']) {
        return Err(
            "holds a line or paragraph separator, for which YAML takes `\\L` and `\\P` in double quotes. Put it in single quotes; \
             if it is a Windows path, mount the share, and name the mount point"
                .into(),
        );
    }
    if text == "~" || text.starts_with("~/") {
        return Err("begins with `~`, which only a shell expands; write the whole path".into());
    }
    if !path.is_absolute() && is_windows_path(text) {
        return Err(
            "is a Windows path, which this system cannot open; mount the share, and name the mount point".into(),
        );
    }
    Ok(path)
}

/// The same path without `.`, and without `..` where that leads back out of a directory, as people would write it. Out of a
/// link, `..` leads elsewhere, so there it stays.
fn cleaned(path: &Path) -> PathBuf {
    let is_link = |path: &Path| fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink());
    let mut clean = PathBuf::new();
    for component in path.components() {
        let is_inside = matches!(clean.components().next_back(), Some(Component::Normal(_)));
        match component {
            Component::CurDir => {}
            Component::ParentDir if is_inside && !is_link(&clean) => {
                clean.pop();
            }
            component => clean.push(component),
        }
    }
    if clean.as_os_str().is_empty() {
        return PathBuf::from(".");
    }
    clean
}

/// `C:\…` or `\\server\share\…`.
fn is_windows_path(text: &str) -> bool {
    let drive = |text: &str| {
        text.get(1..3)
            .is_some_and(|after| matches!(after, ":\\" | ":/"))
    };
    text.starts_with("\\\\") || (drive(text) && text.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// A log directory, or all that fit: `{server}` stands for one directory (or a part of its name), `*` for any run of
/// characters within one name, `**` for any number of directories, none included.
#[derive(Clone, Debug)]
pub struct PathPattern {
    path: PathBuf,
    root: PathBuf,
    steps: Vec<Step>,
}

/// What one directory below the root has to be called.
#[derive(Clone, Debug)]
enum Step {
    Name(OsString),
    Glob(GlobMatcher),
    Server { before: String, after: String },
    AnyDepth,
}

/// A directory fits a [`PathPattern`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fit {
    /// What `{server}` stands for; `None`: the pattern has no `{server}`.
    pub server: Option<String>,
}

impl PathPattern {
    /// Reads the typed path; the folder it may be relative to is taken literally, whatever it is called.
    fn new(folder: &Path, typed: &Path) -> Result<Self, Wrong> {
        // Pushing the first component of an absolute path replaces the folder.
        let mut root = folder.to_owned();
        let mut steps = Vec::new();
        for component in typed.components() {
            let step = Step::read(component)?;
            match step {
                Step::Name(_) if steps.is_empty() => root.push(component),
                _ if component == Component::ParentDir => {
                    return Err("has `..` after a wildcard".into());
                }
                step => steps.push(step),
            }
        }
        let count = |wanted: fn(&Step) -> bool| steps.iter().filter(|step| wanted(step)).count();
        if count(|step| matches!(step, Step::Server { .. })) > 1 {
            return Err("has `{server}` more than once".into());
        }
        if count(|step| matches!(step, Step::AnyDepth)) > MAX_ANY_DEPTH {
            return Err(format!("has `**` more than {MAX_ANY_DEPTH} times").into());
        }
        Ok(Self {
            path: cleaned(&folder.join(typed)),
            root: cleaned(&root),
            steps,
        })
    }

    /// The whole path as typed, behind the configuration's folder if it is relative, without detours.
    pub fn as_path(&self) -> &Path {
        &self.path
    }

    /// The part before the first wildcard: the directory at which a search starts.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether exactly one directory is meant, [`Self::root`].
    pub fn is_literal(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether the server's name comes from the path.
    pub fn names_server(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step, Step::Server { .. }))
    }

    /// Whether a directory, spelled as [`Self::root`] and what follows it, is meant. All below it is meant too, so a
    /// search ends there.
    pub fn fit(&self, directory: &Path) -> Option<Fit> {
        let mut server = None;
        let names = self.names_below_root(directory)?;
        fits(&self.steps, &names, &mut server).then_some(Fit { server })
    }

    /// Whether a directory at or below [`Self::root`] may contain, at any depth, one that fits: if not, a search need
    /// not go in.
    pub fn may_lead_to_fit(&self, directory: &Path) -> bool {
        let Some(names) = self.names_below_root(directory) else {
            return false;
        };
        let fixed = self
            .steps
            .iter()
            .take_while(|step| !matches!(step, Step::AnyDepth));
        let fixed: Vec<&Step> = fixed.collect();
        let open_ended = fixed.len() < self.steps.len();
        (names.len() < fixed.len() || open_ended)
            && fixed
                .iter()
                .zip(&names)
                .all(|(step, name)| step.fits(name, &mut None))
    }

    /// The server whose name stands in the path of a directory, once that goes as far as to `{server}`: then the directory is
    /// this server's, whether it fits or not. `None` also where `**` comes before, because any directory could be one then.
    pub fn server_of(&self, directory: &Path) -> Option<String> {
        let is_server = |step: &Step| matches!(step, Step::Server { .. });
        let steps = &self.steps[..=self.steps.iter().position(is_server)?];
        let names = self.names_below_root(directory)?;
        let names = names.get(..steps.len())?;
        let mut server = None;
        let is_open = steps.iter().any(|step| matches!(step, Step::AnyDepth));
        (!is_open && fits(steps, names, &mut server)).then_some(server)?
    }

    fn names_below_root<'a>(&self, directory: &'a Path) -> Option<Vec<&'a OsStr>> {
        let below = directory.strip_prefix(&self.root).ok()?;
        Some(below.iter().collect())
    }
}

impl Step {
    fn read(component: Component<'_>) -> Result<Self, Wrong> {
        let name = component.as_os_str();
        let Some(text) = name.to_str() else {
            return Ok(Self::Name(name.to_owned()));
        };
        let wild = text.contains('*') || text.contains(SERVER);
        if !wild {
            return no_other_braces(text).map(|()| Self::Name(name.to_owned()));
        }
        if matches!(component, Component::Prefix(_)) {
            return Err("has a wildcard in the drive or share; give each its own source".into());
        }
        if text == "**" {
            return Ok(Self::AnyDepth);
        }
        if text.contains("**") {
            return Err(
                "has `**` as a part of a name; it stands alone between two separators".into(),
            );
        }
        match text.split_once(SERVER) {
            Some((_, after)) if after.contains(SERVER) => {
                Err("has `{server}` more than once".into())
            }
            Some((before, after)) if before.contains('*') || after.contains('*') => Err(
                "has `*` and `{server}` in one name, where it is open which of them takes what"
                    .into(),
            ),
            Some((before, after)) => {
                no_other_braces(before).and_then(|()| no_other_braces(after))?;
                Ok(Self::Server {
                    before: before.to_owned(),
                    after: after.to_owned(),
                })
            }
            None => Self::glob(text),
        }
    }

    fn glob(text: &str) -> Result<Self, Wrong> {
        let parts: Vec<String> = text.split('*').map(globset::escape).collect();
        let glob = Glob::new(&parts.join("*"))
            .map_err(|error| format!("has no readable wildcard: {}", error.kind()))?;
        Ok(Self::Glob(glob.compile_matcher()))
    }

    fn fits(&self, name: &OsStr, server: &mut Option<String>) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Glob(glob) => glob.is_match(name),
            Self::Server { before, after } => {
                let name = name.to_string_lossy();
                let middle = name
                    .strip_prefix(before.as_str())
                    .and_then(|rest| rest.strip_suffix(after.as_str()));
                let middle = middle.filter(|middle| !middle.is_empty());
                middle
                    .inspect(|middle| *server = Some((*middle).to_owned()))
                    .is_some()
            }
            Self::AnyDepth => true,
        }
    }
}

fn fits(steps: &[Step], names: &[&OsStr], server: &mut Option<String>) -> bool {
    match (steps, names) {
        ([], []) => true,
        ([Step::AnyDepth, rest @ ..], _) => {
            (0..=names.len()).any(|skipped| fits(rest, &names[skipped..], server))
        }
        ([step, steps @ ..], [name, names @ ..]) => {
            step.fits(name, server) && fits(steps, names, server)
        }
        _ => false,
    }
}

/// `{Server}` or `{host}` is a slip of the pen, not a directory.
fn no_other_braces(text: &str) -> Result<(), Wrong> {
    match text.split_once('{') {
        Some((_, rest)) if rest.contains('}') => {
            Err("has `{…}`, of which only `{server}` is known".into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn paths(credentials: Option<&Path>) -> Paths<'_> {
        Paths {
            folder: Path::new("/etc/certdrift"),
            credentials,
        }
    }

    #[test]
    fn a_directory_belongs_to_the_server_that_its_path_names() {
        for (pattern, directory, server) in [
            ("/srv/{server}/SmtpSend", "/srv", None),
            ("/srv/{server}/SmtpSend", "/srv/EX01", Some("EX01")),
            ("/srv/{server}/SmtpSend", "/srv/EX01/Hub", Some("EX01")),
            ("/srv/x-{server}/*/a", "/srv/x-EX01/b", Some("EX01")),
            ("/srv/x-{server}/*/a", "/srv/EX01/b", None),
            ("/srv/*/{server}", "/srv/a/EX01", Some("EX01")),
            ("/srv/*/{server}", "/srv/a", None),
            ("/srv/**/{server}/SmtpSend", "/srv/EX01", None),
            ("/srv/*/SmtpSend", "/srv/EX01", None),
        ] {
            let pattern = paths(None).directory(pattern).unwrap();
            let found = pattern.server_of(Path::new(directory));
            assert_eq!(found.as_deref(), server, "{directory}");
        }
    }

    #[test]
    fn directories_fit_their_pattern_and_no_other() {
        for (pattern, directory, expected) in [
            ("/srv/EX01", "/srv/EX01", Some(None)),
            ("/srv/EX01", "/srv/EX01/SmtpSend", None),
            ("logs/EX01", "/etc/certdrift/logs/EX01", Some(None)),
            (
                "/srv/{server}/SmtpSend",
                "/srv/EX01/SmtpSend",
                Some(Some("EX01")),
            ),
            ("/srv/{server}/SmtpSend", "/srv/EX01/SmtpReceive", None),
            ("/srv/{server}/SmtpSend", "/srv/SmtpSend", None),
            (
                "/srv/logs-{server}.old",
                "/srv/logs-EX01.old",
                Some(Some("EX01")),
            ),
            ("/srv/logs-{server}.old", "/srv/logs-.old", None),
            ("/srv/*/SmtpSend", "/srv/EX01/SmtpSend", Some(None)),
            ("/srv/EX*/SmtpSend", "/srv/DB01/SmtpSend", None),
            ("/srv/[a]*", "/srv/[a]b", Some(None)),
            ("/srv/**/SmtpSend", "/srv/SmtpSend", Some(None)),
            (
                "/srv/**/{server}/*/SmtpSend",
                "/srv/a/b/EX01/Hub/SmtpSend",
                Some(Some("EX01")),
            ),
            ("/srv/**", "/other", None),
        ] {
            let fit = paths(None)
                .directory(pattern)
                .unwrap()
                .fit(Path::new(directory));
            let expected = expected.map(|server: Option<&str>| Fit {
                server: server.map(str::to_owned),
            });
            assert_eq!(fit, expected, "{pattern} {directory}");
        }
    }

    #[test]
    fn a_search_goes_in_only_where_something_may_fit() {
        for (pattern, directory, expected) in [
            ("/srv/{server}/SmtpSend", "/srv", true),
            ("/srv/{server}/SmtpSend", "/srv/EX01", true),
            ("/srv/{server}/SmtpSend", "/srv/EX01/SmtpSend", false),
            ("/srv/EX*/SmtpSend", "/srv/DB01", false),
            ("/srv/*/**/SmtpSend", "/srv/a/b/c/d", true),
            ("/srv/{server}", "/elsewhere", false),
            ("/srv/EX01", "/srv/EX01", false),
        ] {
            let pattern = paths(None).directory(pattern).unwrap();
            assert_eq!(
                pattern.may_lead_to_fit(Path::new(directory)),
                expected,
                "{pattern:?} {directory}"
            );
        }
    }

    #[test]
    fn the_root_ends_before_the_first_wildcard() {
        let pattern = paths(None).directory("../tests/{server}/SmtpSend").unwrap();
        assert_eq!(pattern.root(), Path::new("/etc/tests"));
        assert!(pattern.names_server() && !pattern.is_literal());
    }

    #[test]
    fn a_path_is_without_detours_unless_a_link_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real/deep");
        std::fs::create_dir_all(&real).unwrap();
        for (path, expected) in [
            ("/etc/./certdrift/../x", "/etc/x"),
            ("./away", "away"),
            ("a/..", "."),
            ("../../a/../b", "../../b"),
            ("/../x", "/../x"),
        ] {
            assert_eq!(cleaned(Path::new(path)), Path::new(expected), "{path}");
        }
        #[cfg(unix)]
        {
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(&real, &link).unwrap();
            let beside = link.join("../logs");
            assert_eq!(cleaned(&beside), beside);
        }
    }

    #[test]
    fn the_folder_of_the_file_may_be_called_anything() {
        let odd = Paths {
            folder: Path::new("/etc/a*b/{server}"),
            credentials: None,
        };
        let pattern = odd.directory("logs").unwrap();
        assert_eq!(pattern.root(), Path::new("/etc/a*b/{server}/logs"));
        assert!(pattern.is_literal());
    }

    #[test]
    fn credentials_are_expanded_in_files_only() {
        let set = paths(Some(Path::new("/run/credentials/x")));
        let file = set.file("${CREDENTIALS_DIRECTORY}/hook").unwrap();
        assert_eq!(file, Path::new("/run/credentials/x/hook"));
        for wrong in [
            "${CREDENTIALS_DIRECTORY}",
            "${CREDENTIALS_DIRECTORY}/",
            "${HOME}/hook",
            "a${CREDENTIALS_DIRECTORY}/b",
        ] {
            assert!(set.file(wrong).is_err(), "{wrong}");
        }
        assert!(paths(None).file("${CREDENTIALS_DIRECTORY}/hook").is_err());
    }
}
