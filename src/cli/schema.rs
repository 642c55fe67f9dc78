//! `certdrift schema`: the JSON Schema of the configuration.

use std::process::ExitCode;

use clap::Args;

use crate::cli::FAILED;
use crate::cli::answer;
use crate::cli::complain;
use crate::config;

const MORE_HELP: &str = "\
Editors with the YAML language server heed a first line such as
  # yaml-language-server: $schema=certdrift.schema.json
and then complete keys, explain them, and mark what is wrong while it is typed.";

#[derive(Args, Debug)]
#[command(after_long_help = MORE_HELP)]
pub(super) struct Arguments;

pub(super) fn main(_: &Arguments) -> ExitCode {
    match config::schema() {
        Ok(schema) => answer(&format!("{schema:#}\n"), 0, FAILED),
        Err(message) => {
            complain(&message);
            ExitCode::from(FAILED)
        }
    }
}
