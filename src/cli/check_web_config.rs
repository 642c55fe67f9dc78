//! `certdrift check-web-config`: what a web configuration means.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::cli::FAILED;
use crate::cli::answer;
use crate::cli::complain;
use crate::config;
use crate::daemon::clock;
use crate::daemon::web;
use crate::pipeline::snapshot::Validity;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The web configuration, as for --web.config.file
    file: PathBuf,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    match web::check(&arguments.file) {
        Ok((config, certificate)) => {
            if config.tls.is_none() && !config.users.is_empty() {
                complain(&format!("warning: {}", web::PLAIN_PASSWORDS));
            }
            let mut text = config::web::describe(&config);
            if let Some(Validity { not_after, .. }) = certificate {
                let _ = writeln!(text, "Certificate: valid until {not_after}");
            }
            if certificate.is_some_and(|it| it.nears_its_end(clock::now())) {
                complain("warning: the certificate nears its end, or has passed it");
            }
            answer(&text, 0, FAILED)
        }
        Err(message) => {
            complain(&message);
            ExitCode::from(FAILED)
        }
    }
}
