//! The command line: what was asked for, done by one short file per command.

mod check;
mod check_config;
mod run;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

/// Exit code of a command that failed.
const FAILED: u8 = 1;
/// Exit code for a command line that makes no sense.
const USAGE: u8 = 2;

/// Watches which TLS certificate Microsoft Exchange really presents to Exchange Online, and warns when it no longer
/// fits the connector.
#[derive(Debug, Parser)]
#[command(
    name = "certdrift",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Arguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Follow the logs, export metrics and call webhooks (what happens without a command, too)
    Run(run::Arguments),
    /// Read logs once and print which server presented which certificate, when, and until when it is valid
    Check(check::Arguments),
    /// Read a configuration and print what it means
    CheckConfig(check_config::Arguments),
}

/// Does what the arguments (the program's name first) ask for.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = match CommandLine::try_parse_from(&arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(match error.exit_code() {
                0 => 0,
                // A slip of the pen in a monitoring command must not page as critical, which is 2 there.
                _ if is_check(&arguments) => check::UNKNOWN,
                _ => USAGE,
            });
        }
    };
    match parsed.command {
        Some(Command::Check(arguments)) => check::main(&arguments),
        Some(Command::CheckConfig(arguments)) => check_config::main(&arguments),
        Some(Command::Run(arguments)) => run::main(arguments),
        None => run::main(parsed.run),
    }
}

fn is_check(arguments: &[OsString]) -> bool {
    arguments.get(1).is_some_and(|command| command == "check")
}

/// Prints to standard output. A reader that has heard enough (`head`) is no error.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Prints a message for the one who typed the command.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "certdrift: {message}");
}
