//! `certdrift check`: reads logs once.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use clap::ValueEnum;
use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;
use jiff::Timestamp;

use crate::cli::CONFIG_FILE;
use crate::cli::answer;
use crate::cli::complain;
use crate::cli::typed::time;
use crate::config;
use crate::config::Config;
use crate::daemon::clock;
use crate::daemon::expected::ExpectedFiles;
use crate::daemon::source;
use crate::daemon::source::LogDirectory;
use crate::pipeline::engine::Engine;
use crate::pipeline::file::LogFile;
use crate::pipeline::file::Tally;
use crate::pipeline::snapshot::SourceStatus;
use crate::render::json;
use crate::render::nagios;
use crate::render::report::Report;
use crate::render::report::UNKNOWN;
use crate::render::text;
use crate::render::textfile;

/// How many bytes are read at once.
const CHUNK: usize = 256 * 1024;
/// Where the buffer begins: with a page, as what the kernel copies from does. On an AMD EPYC of family 25, model 1, the
/// kernel takes five times as long to copy to 8 to 24 bytes behind the beginning of a page (0.26 instead of 0.05 s for
/// 400 MB), and 16 is where glibc puts a large buffer. From 32 bytes on it does not; other processors were not measured.
const PAGE: usize = 4096;

const MORE_HELP: &str = "\
Exit codes: 0 match (without a configuration: a session was read), 1 fragile or a warning, 2 mismatch or anything else \
that is critical, 3 unknown, no session, or an error. They are those of a monitoring plugin, which --format=nagios makes \
of this.

As a plugin of Nagios, Icinga or Checkmk; without a configuration nothing is judged, and it warns (1) of what Exchange \
Online refused to relay:
  certdrift check --format=nagios --config.file /etc/certdrift/certdrift.yml

For the textfile collector of Prometheus' node exporter, put the file in place whole, whatever the exit code:
  certdrift check --format=prometheus ... > certdrift.prom.$$
  test -s certdrift.prom.$$ && mv certdrift.prom.$$ certdrift.prom

Its counters say what the logs hold now, so they go down when Exchange removes old logs.";

#[derive(Args, Debug)]
#[command(after_long_help = MORE_HELP)]
pub(super) struct Arguments {
    /// Log files, or directories that are searched for them; without any, the sources of the configuration
    paths: Vec<PathBuf>,
    /// A configuration: then there are verdicts, too. Without it and without paths, /etc/certdrift/certdrift.yml
    #[arg(long = "config.file", value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Name of the server; without it, the paths tell
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Judge as of this time, for example 2026-01-31T12:00:00Z; without it, now
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// One line, for a monitoring system that runs plugins: Nagios, Icinga, Naemon, Checkmk
    Nagios,
    /// Metrics for the textfile collector of Prometheus' node exporter
    Prometheus,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    match report(arguments) {
        Ok(report) => {
            let text = match arguments.format {
                Format::Text => text::check(&report),
                Format::Json => json::check(&report),
                Format::Nagios => nagios::check(&report),
                Format::Prometheus => textfile::check(&report),
            };
            let outcome = match arguments.format {
                Format::Nagios => nagios::outcome(&report),
                Format::Text | Format::Json | Format::Prometheus => report.outcome(),
            };
            answer(&text, outcome.exit_code(), UNKNOWN)
        }
        Err(message) => {
            complain(&message);
            let line = match arguments.format {
                Format::Nagios => nagios::failure(&message),
                Format::Text | Format::Json | Format::Prometheus => String::new(),
            };
            answer(&line, UNKNOWN, UNKNOWN)
        }
    }
}

fn report(arguments: &Arguments) -> Result<Report, String> {
    let now = arguments.at.unwrap_or_else(clock::now);
    let config = configuration(arguments)?;
    let input = input(arguments, config.as_ref())?;
    let mut engine = Engine::default();
    if let Some(config) = &config {
        let known = ExpectedFiles::read_once(config, now)?;
        engine.set_settings(config.settings);
        engine.set_inventory(known.inventory);
        engine.set_expectations(config.expectations(&known.exports), now);
    }
    let progress = progress(&input.directories);
    let mut reading = Reading {
        unread: input.troubles,
        ..Reading::default()
    };
    let mut memory = vec![0; CHUNK + PAGE];
    let begin = memory.as_ptr().align_offset(PAGE).min(PAGE);
    let buffer = &mut memory[begin..begin + CHUNK];
    for (source, directory) in &input.directories {
        reading.read(source, directory, &mut engine, buffer, &progress, now);
    }
    progress.finish_and_clear();
    engine.tick(now);
    let report = reading.report(&engine, now, config.is_some());
    for trouble in &report.unread {
        complain(trouble);
    }
    for (path, refusal) in &report.refused {
        complain(&format!("{}: not read: {refusal}", path.display()));
    }
    Ok(report)
}

/// The configuration that was named; the service's own one if nothing was named, neither it nor logs.
fn configuration(arguments: &Arguments) -> Result<Option<Config>, String> {
    match &arguments.config_file {
        Some(file) => config::load(file).map(Some).map_err(|it| it.to_string()),
        None if arguments.paths.is_empty() => match config::load(Path::new(CONFIG_FILE)) {
            Ok(config) => Ok(Some(config)),
            Err(error) => Err(format!(
                "{error}\nWithout a configuration, name logs: certdrift check /path/to/SmtpSend"
            )),
        },
        None => Ok(None),
    }
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    sources: BTreeMap<(String, String), SourceStatus>,
    /// What could not be read, in words for an operator.
    unread: Vec<String>,
}

impl Reading {
    /// Reads the files of a directory, as far as they can be read.
    fn read(
        &mut self,
        source: &str,
        directory: &LogDirectory,
        engine: &mut Engine,
        buffer: &mut [u8],
        progress: &ProgressBar,
        now: Timestamp,
    ) {
        let stream = engine.open_stream(&directory.server);
        engine.set_behind(stream, true);
        self.status(source, &directory.server).directories += 1;
        for path in &directory.files {
            let mut file = LogFile::default();
            let outcome = read(&path.path, buffer, progress, |chunk| {
                engine.feed(stream, &mut file, chunk, now);
                file.refused().is_none()
            });
            if let Err(error) = outcome {
                let (path, remedy) = (path.path.display(), source::remedy(&error));
                self.unread.push(format!("{path}: {remedy}"));
            }
            let status = self.status(source, &directory.server);
            if let Some(refusal) = file.refused() {
                status.refused_files += 1;
                status.refused.push((path.path.clone(), refusal));
            } else {
                status.files += 1;
                status.tally += file.tally();
            }
        }
        if let Some(known) = engine.sessions().stream(stream) {
            self.status(source, &directory.server).add_stream(known);
        }
        engine.end_stream(stream, now);
        engine.set_behind(stream, false);
    }

    fn status(&mut self, source: &str, server: &str) -> &mut SourceStatus {
        let key = (source.to_owned(), server.to_owned());
        let status = || SourceStatus::new(source.to_owned(), Arc::from(server));
        self.sources.entry(key).or_insert_with(status)
    }

    fn report(self, engine: &Engine, now: Timestamp, judged: bool) -> Report {
        let sources: Vec<SourceStatus> = self.sources.into_values().collect();
        let mut unread = self.unread;
        unread.extend(sources.iter().filter_map(SourceStatus::without_rows));
        let mut tally = Tally::default();
        let mut refused = Vec::new();
        for source in &sources {
            tally += source.tally;
            refused.extend(source.refused.iter().cloned());
        }
        let (first_row, last_row) = engine.row_times();
        Report {
            files: sources.iter().map(|source| source.files).sum(),
            refused,
            unread,
            tally,
            sources,
            first_row,
            last_row,
            snapshot: engine.snapshot(now),
            judged,
        }
    }
}

/// What to read.
#[derive(Default)]
struct Input {
    /// Each with the source as which it counts: the directories of the paths given, each its own source, or those that the
    /// sources of the configuration mean.
    directories: Vec<(String, LogDirectory)>,
    /// What of that cannot be read, in words for an operator.
    troubles: Vec<String>,
}

fn input(arguments: &Arguments, config: Option<&Config>) -> Result<Input, String> {
    let server = arguments.server.as_deref();
    if !arguments.paths.is_empty() {
        let logs = source::find(&arguments.paths, server).map_err(|error| error.to_string())?;
        let own_source =
            |directory: LogDirectory| (directory.path.display().to_string(), directory);
        return Ok(Input {
            directories: logs.directories.into_iter().map(own_source).collect(),
            troubles: logs.troubles,
        });
    }
    let mut input = Input::default();
    // Several sources may lead to a file, by their patterns or by a link: the first one reads it, as in the daemon.
    let mut known: BTreeSet<PathBuf> = BTreeSet::new();
    for configured in config
        .map(|config| config.sources.as_slice())
        .unwrap_or_default()
    {
        let source = configured.path.as_path().display().to_string();
        let logs = match source::find_configured(configured) {
            Ok(logs) => logs,
            Err(error) => {
                input.troubles.push(error.to_string());
                continue;
            }
        };
        input.troubles.extend(logs.troubles);
        for mut directory in logs.directories {
            directory.files.retain(|file| {
                let real = std::fs::canonicalize(&file.path);
                known.insert(real.unwrap_or_else(|_| file.path.clone()))
            });
            if !directory.files.is_empty() {
                input.directories.push((source.clone(), directory));
            }
        }
    }
    if input.directories.is_empty() && !input.troubles.is_empty() {
        return Err(input.troubles.join("\n"));
    }
    Ok(input)
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
fn progress(directories: &[(String, LogDirectory)]) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let files = directories
        .iter()
        .flat_map(|(_, directory)| &directory.files);
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_file_that_two_sources_lead_to_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("EX01");
        std::fs::create_dir_all(&logs).unwrap();
        std::fs::write(logs.join("SEND2026010100-1.LOG"), "").unwrap();
        std::os::unix::fs::symlink("EX01", folder.path().join("link")).unwrap();
        let text = "sources: [{ path: link }, { path: EX01 }]";
        let file = folder.path().join("certdrift.yml");
        let config = config::parse(text, &file, None).unwrap();
        let arguments = Arguments {
            paths: Vec::new(),
            config_file: None,
            format: Format::Text,
            server: None,
            at: None,
        };
        let found = input(&arguments, Some(&config)).unwrap();
        assert_eq!(found.troubles, [] as [String; 0]);
        let paths: Vec<_> = found
            .directories
            .iter()
            .map(|(_, it)| it.path.clone())
            .collect();
        assert_eq!(paths, [folder.path().join("link")]);
    }
}
