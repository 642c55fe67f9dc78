//! `certdrift check`: reads logs once.

use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::ValueEnum;
use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;
use jiff::Timestamp;

use crate::cli::complain;
use crate::cli::print;
use crate::config;
use crate::config::Config;
use crate::daemon::clock;
use crate::daemon::source;
use crate::daemon::source::LogDirectory;
use crate::pipeline::engine::Engine;
use crate::pipeline::export::Exports;
use crate::pipeline::file::LogFile;
use crate::pipeline::file::Tally;
use crate::pipeline::snapshot::Judged;
use crate::pipeline::verdict::Verdict;
use crate::pipeline::verdict::reason::Severity;
use crate::render::json;
use crate::render::report::Report;
use crate::render::text;

/// How many bytes are read at once.
const CHUNK: usize = 256 * 1024;

const MATCH: u8 = 0;
const WARNING: u8 = 1;
const MISMATCH: u8 = 2;
/// Nothing can be said: no session, no verdict, or an input that cannot be read. A monitoring system shows it as
/// unknown.
pub(super) const UNKNOWN: u8 = 3;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Log files, or directories that are searched for them; without any, the sources of the configuration
    #[arg(required_unless_present = "config_file")]
    paths: Vec<PathBuf>,
    /// A configuration: then there are verdicts, too
    #[arg(long = "config.file", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Name of the server; without it, the paths tell
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Judge as of this time, 2026-01-31T12:00:00Z; without it, now
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    match report(arguments) {
        Ok(report) => {
            print(&match arguments.format {
                Format::Text => text::check(&report),
                Format::Json => json::check(&report),
            });
            ExitCode::from(exit_code(&report))
        }
        Err(message) => {
            complain(&message);
            ExitCode::from(UNKNOWN)
        }
    }
}

fn report(arguments: &Arguments) -> Result<Report, String> {
    let now = arguments.at.unwrap_or_else(clock::now);
    let config = arguments
        .config_file
        .as_deref()
        .map(config::load)
        .transpose()
        .map_err(|error| error.to_string())?;
    let directories = directories(arguments, config.as_ref())?;
    let mut engine = Engine::default();
    if let Some(config) = &config {
        engine.set_expectations(config.expectations(&Exports::default()), now);
    }
    let progress = progress(&directories);
    let mut files = 0;
    let mut tally = Tally::default();
    let mut refused = Vec::new();
    let mut buffer = vec![0; CHUNK];
    for directory in &directories {
        let stream = engine.open_stream(&directory.server);
        engine.set_behind(stream, true);
        for path in &directory.files {
            let mut file = LogFile::default();
            read(&path.path, &mut buffer, &progress, |chunk| {
                engine.feed(stream, &mut file, chunk, now);
                file.refused().is_none()
            })
            .map_err(|error| format!("{}: {}", path.path.display(), source::remedy(&error)))?;
            if let Some(refusal) = file.refused() {
                refused.push((path.path.clone(), refusal));
            } else {
                files += 1;
                tally += file.tally();
            }
        }
        engine.end_stream(stream, now);
        engine.set_behind(stream, false);
    }
    progress.finish_and_clear();
    engine.tick(now);
    for (path, refusal) in &refused {
        complain(&format!("{}: not read: {refusal}", path.display()));
    }
    let (first_row, last_row) = engine.row_times();
    Ok(Report {
        files,
        refused,
        tally,
        first_row,
        last_row,
        snapshot: engine.snapshot(now),
        judged: config.is_some(),
    })
}

/// What to read: the paths given, or the sources of the configuration.
fn directories(
    arguments: &Arguments,
    config: Option<&Config>,
) -> Result<Vec<LogDirectory>, String> {
    let server = arguments.server.as_deref();
    if !arguments.paths.is_empty() {
        return source::find(&arguments.paths, server).map_err(|error| error.to_string());
    }
    let mut directories = Vec::new();
    for configured in config
        .map(|config| config.sources.as_slice())
        .unwrap_or_default()
    {
        let found = source::find_configured(configured).map_err(|error| error.to_string())?;
        directories.extend(found);
    }
    Ok(directories)
}

/// Reads a file in pieces, for as long as `take` wants more.
fn read(
    path: &Path,
    buffer: &mut [u8],
    progress: &ProgressBar,
    mut take: impl FnMut(&[u8]) -> bool,
) -> io::Result<()> {
    let mut file = File::open(path)?;
    loop {
        let length = match file.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        progress.inc(length as u64);
        if !take(&buffer[..length]) {
            return Ok(());
        }
    }
}

/// A bar on a terminal, nothing in a pipe.
fn progress(directories: &[LogDirectory]) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let files = directories.iter().flat_map(|directory| &directory.files);
    let bytes = files
        .filter_map(|file| Some(std::fs::metadata(&file.path).ok()?.len()))
        .sum();
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr_with_hz(10));
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
    {
        bar.set_style(style);
    }
    bar
}

/// The gravest finding decides; that nothing is known of one connector does not hide a mismatch on another.
fn exit_code(report: &Report) -> u8 {
    if report.sessions() == 0 {
        return UNKNOWN;
    }
    if !report.judged {
        return MATCH;
    }
    let judged: Vec<&Judged> = report
        .snapshot
        .judged
        .iter()
        .filter(|judged| judged.expected)
        .collect();
    let any = |verdict| judged.iter().any(|judged| judged.verdict == verdict);
    let warns = judged
        .iter()
        .flat_map(|judged| &judged.reasons)
        .any(|reason| reason.severity >= Severity::Warning);
    if any(Verdict::Mismatch) {
        MISMATCH
    } else if any(Verdict::Unknown) || judged.is_empty() {
        UNKNOWN
    } else if any(Verdict::Fragile) || warns {
        WARNING
    } else {
        MATCH
    }
}
