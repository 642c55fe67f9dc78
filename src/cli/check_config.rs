//! `certdrift check-config`: what a configuration means, and whether what it names is there.
//!
//! A configuration may be written where its secrets and logs are not, so what is missing is a warning. An export or a
//! certificate that cannot be read is an error: without it nobody can say what is expected.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::CONFIG_FILE;
use crate::cli::FAILED;
use crate::cli::answer;
use crate::cli::complain;
use crate::config;
use crate::config::Config;
use crate::config::ReceiverConfig;
use crate::config::SourceConfig;
use crate::daemon::clock;
use crate::daemon::expected::ExpectedFiles;
use crate::daemon::post::Poster;
use crate::daemon::post::secret;
use crate::daemon::source;
use crate::daemon::source::Logs;

/// Stands behind whatever was found wrong with files.
const WHO_LOOKED: &str = "\
files were looked at as the user who runs this command. The service has a user of its own, and may see others: what \
systemd hands over with LoadCredential= is under ${CREDENTIALS_DIRECTORY} in the service only";

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The configuration
    #[arg(default_value = CONFIG_FILE)]
    file: PathBuf,
    /// The same, as the other commands take it
    #[arg(long = "config.file", value_name = "FILE", conflicts_with = "file")]
    config_file: Option<PathBuf>,
}

impl Arguments {
    fn file(&self) -> &Path {
        self.config_file.as_ref().unwrap_or(&self.file)
    }
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let config = match load(arguments.file()) {
        Ok(config) => config,
        Err(message) => {
            complain(&message);
            return ExitCode::from(FAILED);
        }
    };
    let known = ExpectedFiles::read_once(&config, clock::now());
    let is_known = known.is_ok();
    let code = match known {
        Ok(known) => answer(&config::describe(&config, &known.exports), 0, FAILED),
        Err(message) => {
            complain(&message);
            ExitCode::from(FAILED)
        }
    };
    let missing = missing(&config);
    for trouble in &missing {
        complain(&format!("warning: {trouble}"));
    }
    if !is_known || !missing.is_empty() {
        complain(WHO_LOOKED);
    }
    code
}

/// The configuration, if it makes sense together with its templates.
fn load(file: &Path) -> Result<Config, String> {
    let config = config::load(file).map_err(|error| error.to_string())?;
    Poster::new(&config.receivers, "")?;
    Ok(config)
}

/// What is named, and would be missed only when it is needed.
fn missing(config: &Config) -> Vec<String> {
    let sources = config.sources.iter().flat_map(missing_logs);
    let files = config.receivers.iter().flat_map(missing_files);
    sources.chain(files).collect()
}

/// Why nothing would be read of a source, or of a server of it. One log of each directory stands for the others: they have
/// the same rights.
fn missing_logs(source: &SourceConfig) -> Vec<String> {
    let logs = source::find_configured(source).unwrap_or_else(|error| Logs {
        troubles: error.to_string().lines().map(str::to_owned).collect(),
        ..Logs::default()
    });
    let (directories, mut troubles) = (logs.directories, logs.troubles);
    troubles.extend(logs.without_logs);
    let newest = directories.iter().filter_map(|it| it.files.last());
    troubles.extend(newest.filter_map(|log| {
        let error = File::open(&log.path).err()?;
        Some(format!(
            "{}: {}",
            log.path.display(),
            source::remedy(&error)
        ))
    }));
    troubles
        .into_iter()
        .map(|trouble| format!("source {trouble}"))
        .collect()
}

fn missing_files(receiver: &ReceiverConfig) -> Vec<String> {
    let files = receiver.files().into_iter();
    let troubles = files.filter_map(|file| {
        let read = if file.is_pem {
            secret::bytes(file.path).map(drop)
        } else {
            secret::read(file.path).map(drop)
        };
        let trouble = read.err()?;
        Some(format!(
            "receiver {}, {}: {trouble}",
            receiver.name, file.key
        ))
    });
    troubles.collect()
}
