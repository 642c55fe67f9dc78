//! `sources:` the log directories.

use std::fmt;
use std::time::Duration;

use serde_yaml::Spanned;

use crate::config::duration::{self, Typed};
use crate::config::keys::Key;
use crate::config::paths::{PathPattern, Paths};
use crate::config::problem::{Problems, Wrong, quoted};
use crate::config::typed;

/// How far back the first start reads where `first_read` is left out.
const DEFAULT_FIRST_READ: Duration = Duration::from_secs(24 * 60 * 60);

/// One item of `sources:`.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// The directory, or all that fit; each is searched recursively.
    pub path: PathPattern,
    /// The server's name, if it was given. With neither this nor `{server}` in the path, it comes from the directory.
    pub server: Option<String>,
    /// How far back the first start reads.
    pub first_read: FirstRead,
}

/// How far back the first start reads, when nothing is known yet of what was read before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FirstRead {
    /// From the oldest log.
    All,
    /// Only what was logged within this time before the start.
    Last(Duration),
}

impl Default for FirstRead {
    fn default() -> Self {
        Self::Last(DEFAULT_FIRST_READ)
    }
}

impl fmt::Display for FirstRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Last(duration) => Typed(*duration).fmt(f),
        }
    }
}

/// What `sources:` means; at least one is needed.
pub(super) fn read(
    typed: &Spanned<Vec<Spanned<typed::Source>>>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Vec<SourceConfig> {
    let key = Key::default().child("sources");
    if typed.value.is_empty() {
        let wrong = "is empty, so there is nothing to read";
        problems.add(&key, typed.referenced, wrong);
    }
    let mut sources: Vec<SourceConfig> = Vec::new();
    problems.list(&key, &typed.value, |problems, item, typed| {
        let source = source(&item, &typed.value, paths, problems)?;
        // Two sources that read the same directory would count each row twice.
        if let Some(other) = sources.iter().find(|other| overlap(&source, other)) {
            let other = quoted(&other.path.as_path().to_string_lossy());
            let wrong =
                format!("overlaps with {other} above, and directories are searched recursively");
            problems.add(&item.child("path"), typed.value.path.referenced, wrong);
        }
        sources.push(source);
        Some(())
    });
    sources
}

fn source(
    key: &Key,
    typed: &typed::Source,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<SourceConfig> {
    let path = problems.text(&key.child("path"), &typed.path, |text| {
        paths.directory(text)
    });
    let server = problems.name(&key.child("server"), typed.server.as_ref());
    let first_read = problems.text(
        &key.child("first_read"),
        typed.first_read.as_ref(),
        first_read_of,
    );

    let path = path?;
    if let Some(typed) = typed.server.as_ref().filter(|_| path.names_server()) {
        let wrong = "is given although the path holds `{server}`; keep one of the two";
        problems.add(&key.child("server"), typed.referenced, wrong);
    }
    Some(SourceConfig {
        path,
        server,
        first_read: first_read.unwrap_or_default(),
    })
}

fn first_read_of(text: &str) -> Result<FirstRead, Wrong> {
    if text == "all" {
        return Ok(FirstRead::All);
    }
    duration::read(text).map(FirstRead::Last)
}

fn overlap(one: &SourceConfig, other: &SourceConfig) -> bool {
    one.path.as_path() == other.path.as_path() || lies_in(one, other) || lies_in(other, one)
}

/// Whether a source without wildcards lies at or below a directory of the other.
fn lies_in(source: &SourceConfig, other: &SourceConfig) -> bool {
    let mut directories = source.path.root().ancestors();
    source.path.is_literal() && directories.any(|directory| other.path.fit(directory).is_some())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown_alike() {
        for (typed, seconds, shown) in [
            ("24h", 86_400, "24h"),
            ("1d", 86_400, "24h"),
            ("7d", 604_800, "7d"),
            ("30m", 1_800, "30m"),
            ("90s", 90, "90s"),
            ("90 m", 5_400, "90m"),
            ("0h", 0, "0s"),
        ] {
            let read = first_read_of(typed).unwrap();
            assert_eq!(
                read,
                FirstRead::Last(Duration::from_secs(seconds)),
                "{typed}"
            );
            assert_eq!(read.to_string(), shown);
        }
        assert_eq!(first_read_of("all").unwrap(), FirstRead::All);
        for wrong in [
            "",
            "h",
            "24",
            "-1h",
            "1h30m",
            "1w",
            "ALL",
            "١h",
            "99999999999999999999d",
            "3651d",
        ] {
            assert!(first_read_of(wrong).is_err(), "{wrong}");
        }
    }
}
