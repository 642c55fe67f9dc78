//! What was typed, and what it means.
//!
//! Reading has two steps. `typed` takes the file's shape: keys, lists, texts, each with its position; a key that nobody
//! knows is refused there, because a typing mistake that is silently ignored is found out when nobody was called. Then
//! each consumer's section is given its meaning, one module per section: `source` for those who read logs, `connector`
//! for those who judge, `receiver` for those who call. A wrong shape is told at once and alone; wrong meanings are told
//! all together. Every message names file, line, column, key, what was expected and what may have been meant.
//!
//! Addresses of webhooks are secrets: no message and no `Debug` output repeats them. Signing secrets never come here at
//! all, only the names of their files.

mod alerts;
mod connector;
mod duration;
mod exports;
mod keys;
mod paths;
mod problem;
mod receiver;
mod schema;
mod source;
mod summary;
mod typed;
pub mod web;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use crate::config::exports::ExportFiles;
pub use crate::config::paths::{Fit, PathPattern};
pub use crate::config::problem::ConfigError;
pub use crate::config::receiver::ReceiverConfig;
pub use crate::config::receiver::files::NamedFile;
pub use crate::config::receiver::http::{
    Authorization, ClientCertificate, HeaderConfig, HeaderSource, HttpConfig,
};
pub use crate::config::receiver::integration::{
    AlertmanagerConfig, AlertmanagerUrls, HeartbeatConfig, HeartbeatMethod, Integration,
    MAX_TEMPLATE_BYTES, PagerDutyConfig, TemplateSource, WebhookConfig,
};
pub use crate::config::receiver::url::{UrlSource, check_teams_url, check_url};
pub use crate::config::schema::schema;
pub use crate::config::source::{FirstRead, SourceConfig};
pub use crate::config::summary::describe;

use crate::config::paths::Paths;
use crate::config::problem::{Problem, Problems};
use crate::pipeline::expectation::combined::Configured;
use crate::pipeline::expectation::{Expectations, Settings};
use crate::pipeline::export::Exports;

/// Largest configuration file, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A configuration that makes sense, split by consumer.
#[derive(Clone, Debug)]
pub struct Config {
    /// The log directories, at least one.
    pub sources: Vec<SourceConfig>,
    /// What send connectors are expected to present, as far as it is said here; may be empty.
    pub connectors: Vec<Configured>,
    /// The files in which Exchange says it.
    pub exports: ExportFiles,
    /// The certificate files, perhaps with wildcards.
    pub inventory: Vec<PathPattern>,
    /// How early and how patiently people are told.
    pub settings: Settings,
    /// Who is called; may be empty.
    pub receivers: Vec<ReceiverConfig>,
}

impl Config {
    /// What is expected, once the exports are known.
    pub fn expectations(&self, exports: &Exports) -> Expectations {
        Expectations::combine(&self.connectors, exports)
    }
}

/// Reads a configuration file, UTF-8 of at most 1 MiB. Relative paths in it start at its folder, and
/// `${CREDENTIALS_DIRECTORY}` is taken from the environment.
pub fn load(file: &Path) -> Result<Config, ConfigError> {
    let text = read(file).map_err(|problem| ConfigError::of_file(file, problem))?;
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    parse(&text, file, credentials.as_deref().map(Path::new))
}

/// Gives a configuration's text its meaning. `file` serves for messages and as the start of relative paths, and is not
/// opened; `credentials` is what `${CREDENTIALS_DIRECTORY}` stands for, if anything.
pub fn parse(text: &str, file: &Path, credentials: Option<&Path>) -> Result<Config, ConfigError> {
    if says_nothing(text) {
        return Err(ConfigError::of_file(file, empty()));
    }
    let typed = typed::read(text).map_err(|problem| ConfigError::of_file(file, problem))?;
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let paths = Paths {
        folder: folder.unwrap_or(Path::new(".")),
        credentials,
    };
    let mut problems = Problems::default();
    let sources = source::read(&typed.sources, paths, &mut problems);
    let exports = exports::read(typed.exports.as_ref(), paths, &mut problems);
    let exported = (typed.exports.as_ref()).is_some_and(|it| it.value.inbound_connectors.is_some());
    let connectors = connector::read(typed.connectors.as_ref(), exported, &mut problems);
    let inventory = exports::inventory(typed.inventory.as_ref(), paths, &mut problems);
    let settings = alerts::read(typed.alerts.as_ref(), &mut problems);
    let receivers = receiver::read(typed.receivers.as_ref(), paths, &mut problems);
    let config = Config {
        sources,
        connectors,
        exports,
        inventory,
        settings,
        receivers,
    };
    problems.finish(file, config)
}

/// Whether there are only comments and the marks between which YAML documents stand.
fn says_nothing(text: &str) -> bool {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().map(str::trim);
    lines.all(|line| matches!(line, "" | "---" | "...") || line.starts_with('#'))
}

fn empty() -> Problem {
    Problem::file(
        "is empty",
        "it needs at least `sources:` with one `- path:` of a log directory",
    )
}

fn read(file: &Path) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    let opened = File::open(file).and_then(|opened| {
        // Of a directory, some systems open it and then refuse to read: ask first.
        if opened.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        opened.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)
    });
    opened.map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let wrong = format!("is larger than {MAX_FILE_BYTES} bytes");
        return Err(Problem::file(wrong, "is it really the configuration?"));
    }
    String::from_utf8(bytes)
        .map_err(|error| not_utf8(error.as_bytes(), error.utf8_error().valid_up_to()))
}

fn unreadable(error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::NotFound => Problem::file(
            "does not exist",
            "check the path; the folder `config` of the sources has a commented example to copy",
        ),
        io::ErrorKind::IsADirectory => Problem::file("is a directory", "name the file in it"),
        io::ErrorKind::PermissionDenied => Problem::file(
            "may not be read",
            "let the user that certdrift runs as read the file and enter its folders",
        ),
        _ => Problem::file(
            format!("cannot be read: {error}"),
            "try again when that is put right",
        ),
    }
}

fn not_utf8(bytes: &[u8], valid: usize) -> Problem {
    let remedy = "save the file as UTF-8 (in Notepad: Save as, Encoding)";
    if matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
        return Problem::file("is UTF-16", remedy);
    }
    let before = String::from_utf8_lossy(&bytes[..valid]);
    let line = before.split('\n').count();
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |line| line.chars().count())
        + 1;
    Problem::file(
        format!("is not UTF-8 at line {line}, column {column}"),
        remedy,
    )
}
