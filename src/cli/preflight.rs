//! `certdrift preflight`: what would become of a certificate, before it is put to use.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::ValueEnum;
use jiff::Timestamp;

use crate::cli::CONFIG_FILE;
use crate::cli::answer;
use crate::cli::complain;
use crate::cli::typed::time;
use crate::config;
use crate::daemon::clock;
use crate::daemon::expected::ExpectedFiles;
use crate::daemon::source;
use crate::pipeline::inventory::InventoryCertificate;
use crate::pipeline::inventory::reading;
use crate::pipeline::inventory::reading::MAX_FILE_BYTES;
use crate::pipeline::preflight;
use crate::render;
use crate::render::preflight::Examined;
use crate::render::report::UNKNOWN;

const MORE_HELP: &str = "\
Exit codes: 0 it would match, 1 fragile or a warning, 2 it would not, 3 unknown or an error; the worst of all \
certificates and connectors. In a file that holds a whole chain only the certificate at its end is judged.";

#[derive(Args, Debug)]
#[command(after_long_help = MORE_HELP)]
pub(super) struct Arguments {
    /// Certificate files: DER, PEM or base64, one or several certificates in each
    #[arg(required = true, value_name = "CERTIFICATE")]
    files: Vec<PathBuf>,
    /// The configuration that names the connectors
    #[arg(long = "config.file", value_name = "FILE", default_value = CONFIG_FILE)]
    config_file: PathBuf,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Judge as of this time, 2026-01-31T12:00:00Z; without it, now
    #[arg(long, value_name = "TIME", value_parser = time)]
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
    match examined(arguments) {
        Ok(examined) => {
            let text = match arguments.format {
                Format::Text => render::preflight::text(&examined),
                Format::Json => render::preflight::json(&examined),
            };
            answer(&text, examined.outcome().exit_code(), UNKNOWN)
        }
        Err(messages) => {
            for message in messages {
                complain(&message);
            }
            ExitCode::from(UNKNOWN)
        }
    }
}

/// Nothing is judged unless every file can be read in full: half an answer would look like a whole one.
fn examined(arguments: &Arguments) -> Result<Examined, Vec<String>> {
    let at = arguments.at.unwrap_or_else(clock::now);
    let config = config::load(&arguments.config_file).map_err(|error| vec![error.to_string()])?;
    let known = ExpectedFiles::read_once(&config, at).map_err(|message| vec![message])?;
    let expectations = config.expectations(&known.exports);
    let mut examined = Examined {
        at,
        preflights: Vec::new(),
        issuers: Vec::new(),
    };
    let mut problems = Vec::new();
    for file in &arguments.files {
        let certificates = match certificates(file) {
            Ok(certificates) => certificates,
            Err(found) => {
                problems.extend(found);
                continue;
            }
        };
        let issuers = preflight::issuers(&certificates);
        for (certificate, is_issuer) in certificates.into_iter().zip(issuers) {
            if is_issuer {
                examined.issuers.push(certificate);
            } else {
                let preflight =
                    preflight::examine(&certificate, &expectations, &config.settings, at);
                examined.preflights.push(preflight);
            }
        }
    }
    if problems.is_empty() {
        Ok(examined)
    } else {
        Err(problems)
    }
}

/// All certificates of a file, or everything that is wrong with it.
fn certificates(file: &Path) -> Result<Vec<InventoryCertificate>, Vec<String>> {
    let name = file.display().to_string();
    let content =
        read(file).map_err(|error| vec![format!("{name}: {}", source::remedy(&error))])?;
    let reading = reading::read(&content, &name);
    if reading.problems.is_empty() {
        Ok(reading.certificates)
    } else {
        Err(reading.problems.iter().map(ToString::to_string).collect())
    }
}

/// Reads at most one byte more than is allowed, so that what is too large is seen to be.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let limit = MAX_FILE_BYTES as u64 + 1;
    File::open(file)?.take(limit).read_to_end(&mut content)?;
    Ok(content)
}
