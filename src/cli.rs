//! The command line: what was asked for, done by one short file per command.

mod check;
mod check_config;
mod check_web_config;
mod completions;
mod demo;
mod man;
mod notify;
mod preflight;
mod run;
mod schema;
mod typed;

use std::ffi::OsString;
use std::io;
use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::Parser;
use clap::Subcommand;

use crate::render::nagios;
use crate::render::report::UNKNOWN;

/// The configuration of the packaged service, which every command takes that is given none.
const CONFIG_FILE: &str = "/etc/certdrift/certdrift.yml";
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
    /// Say whether Exchange Online would recognise these certificates, and whether Exchange would find them
    Preflight(preflight::Arguments),
    /// Read a configuration and print what it means
    CheckConfig(check_config::Arguments),
    /// Read a web configuration, with the certificates and keys that it names, and print what it means
    CheckWebConfig(check_web_config::Arguments),
    /// Show all of it on a made-up Exchange organisation whose certificate is renewed, breaks, and is repaired
    Demo(demo::Arguments),
    /// Print the JSON Schema of the configuration, for editors
    Schema(schema::Arguments),
    /// Print what a shell needs to complete command lines
    Completions(completions::Arguments),
    /// Print a manual page, for man -l -
    Man(man::Arguments),
    /// Try a receiver; see and steer the notifications that wait, or that no receiver took
    Notify(notify::Arguments),
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
                _ => wrong_usage(&arguments, &error.to_string()),
            });
        }
    };
    match parsed.command {
        Some(Command::Check(arguments)) => check::main(&arguments),
        Some(Command::Preflight(arguments)) => preflight::main(&arguments),
        Some(Command::CheckConfig(arguments)) => check_config::main(&arguments),
        Some(Command::CheckWebConfig(arguments)) => check_web_config::main(&arguments),
        Some(Command::Demo(arguments)) => demo::main(&arguments),
        Some(Command::Schema(arguments)) => schema::main(&arguments),
        Some(Command::Completions(arguments)) => completions::main(&arguments),
        Some(Command::Man(arguments)) => man::main(&arguments),
        Some(Command::Notify(arguments)) => notify::main(&arguments),
        Some(Command::Run(arguments)) => run::main(arguments),
        None => run::main(parsed.run),
    }
}

/// The command line as it is parsed, for those who describe it.
fn description() -> clap::Command {
    CommandLine::command()
}

/// The exit code of a command line that makes no sense.
fn wrong_usage(arguments: &[OsString], error: &str) -> u8 {
    let is_plugin = is_plugin(arguments);
    if is_plugin {
        // Clap says what is wrong in the first lines, and then how it should be.
        let what = error.split("\n\n").next().unwrap_or_default();
        let what = what.strip_prefix("error: ").unwrap_or(what);
        let _ = print(&nagios::failure(what));
    }
    let command = arguments.get(1).and_then(|command| command.to_str());
    // A slip of the pen in a monitoring command must not page as critical, which is 2 there.
    if is_plugin || matches!(command, Some("check" | "preflight")) {
        UNKNOWN
    } else {
        USAGE
    }
}

/// Whether a monitoring system asks, as far as that can be told from a command line that makes no sense.
fn is_plugin(arguments: &[OsString]) -> bool {
    let pair = ["--format", "nagios"];
    arguments
        .iter()
        .any(|argument| argument == "--format=nagios")
        || arguments.windows(2).any(|window| window == pair)
}

/// Prints to standard output. A reader that has heard enough (`head`) is no error.
///
/// # Errors
/// What keeps the text from being written, a full disk for instance.
fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    let written = output.write_all(text.as_bytes());
    match written.and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Prints the outcome of a command and ends with `code`, or with `failed` if it cannot be printed.
fn answer(text: &str, code: u8, failed: u8) -> ExitCode {
    match print(text) {
        Ok(()) => ExitCode::from(code),
        Err(error) => {
            complain(&format!("standard output cannot be written: {error}"));
            ExitCode::from(failed)
        }
    }
}

/// Prints a message for the one who typed the command.
fn complain(message: &str) {
    let _ = writeln!(io::stderr().lock(), "certdrift: {message}");
}
