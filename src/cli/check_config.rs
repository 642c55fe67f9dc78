//! `certdrift check-config`: what a configuration means.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::FAILED;
use crate::cli::answer;
use crate::cli::complain;
use crate::config;
use crate::pipeline::export::Exports;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The configuration
    #[arg(default_value = "/etc/certdrift/certdrift.yml")]
    file: PathBuf,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    match config::load(&arguments.file) {
        Ok(config) => {
            let description = config::describe(&config, &Exports::default());
            answer(&description, 0, FAILED)
        }
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(FAILED)
        }
    }
}
