//! `certdrift check-web-config`: what a web configuration means.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::FAILED;
use crate::cli::answer;
use crate::cli::complain;
use crate::config;
use crate::daemon::web;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The web configuration, as for --web.config.file
    file: PathBuf,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    match web::check(&arguments.file) {
        Ok(config) => {
            if config.tls.is_none() && !config.users.is_empty() {
                complain(&format!("warning: {}", web::PLAIN_PASSWORDS));
            }
            answer(&config::web::describe(&config), 0, FAILED)
        }
        Err(message) => {
            complain(&message);
            ExitCode::from(FAILED)
        }
    }
}
