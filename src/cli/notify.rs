//! `certdrift notify`: trying receivers, and looking after messages.

mod test;

use std::process::ExitCode;

use clap::Args;
use clap::Subcommand;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send a test to one receiver, and say what it answers and what that means
    Test(test::Arguments),
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    match &arguments.command {
        Command::Test(arguments) => test::main(arguments),
    }
}
