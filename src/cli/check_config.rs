//! `certdrift check-config`: what a configuration means.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::CONFIG_FILE;
use crate::cli::FAILED;
use crate::cli::answer;
use crate::cli::complain;
use crate::config;
use crate::daemon::clock;
use crate::daemon::expected::ExpectedFiles;
use crate::daemon::post::Poster;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The configuration
    #[arg(default_value = CONFIG_FILE)]
    file: PathBuf,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    match description(arguments) {
        Ok(description) => answer(&description, 0, FAILED),
        Err(message) => {
            complain(&message);
            ExitCode::from(FAILED)
        }
    }
}

fn description(arguments: &Arguments) -> Result<String, String> {
    let config = config::load(&arguments.file).map_err(|error| error.to_string())?;
    Poster::new(&config.receivers, "")?;
    let known = ExpectedFiles::read_once(&config, clock::now())?;
    Ok(config::describe(&config, &known.exports))
}
