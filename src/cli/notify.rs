//! `certdrift notify`: trying receivers, and the notifications that wait, or that no receiver took.
//!
//! For these the running daemon is asked, because the state is its own; while none runs, the state is opened.

mod drop;
mod list;
mod replay;
mod test;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::Subcommand;

use crate::cli::FAILED;
use crate::cli::answer;
use crate::cli::complain;
use crate::daemon::control;
use crate::pipeline::outbox::wish::Reply;
use crate::pipeline::outbox::wish::Which;
use crate::pipeline::outbox::wish::Why;
use crate::pipeline::outbox::wish::Wish;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the notifications that wait for a receiver, and those that it will not get
    List(list::Arguments),
    /// Send notifications again: dead ones as if they were new, waiting ones at once
    Replay(replay::Arguments),
    /// Throw notifications away
    Drop(drop::Arguments),
    /// Send a test to one receiver, and say what it answers and what that means
    Test(test::Arguments),
}

/// Whose notifications.
#[derive(Args, Debug)]
struct Place {
    /// The directory of the state, as the daemon was given it
    #[arg(
        long = "storage.path",
        value_name = "DIRECTORY",
        default_value = "data"
    )]
    storage_path: PathBuf,
}

/// Does what the command line asks for.
pub(super) fn main(arguments: &Arguments) -> ExitCode {
    match &arguments.command {
        Command::Test(arguments) => test::main(arguments),
        Command::List(arguments) => list::main(arguments),
        Command::Replay(arguments) => replay::main(arguments),
        Command::Drop(arguments) => drop::main(arguments),
    }
}

impl Place {
    /// Asks for something. What was refused as a whole is an error.
    fn ask(&self, wish: &Wish) -> Result<Reply, String> {
        match control::ask(&self.storage_path, wish) {
            Ok(Reply::Refused(why)) => Err(why),
            Ok(reply) => Ok(reply),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Has something done to notifications, and says what came of it: 1 if it could not be done to one of them.
    fn act(&self, wish: &Wish, done_to: fn(usize) -> String) -> ExitCode {
        match self.ask(wish) {
            Ok(Reply::Done { done, refused }) => {
                let mut text = done_to(done.len());
                text.push('\n');
                for (number, why) in &refused {
                    let _ = writeln!(text, "{number}: {}", reason(*why));
                }
                let code = if refused.is_empty() { 0 } else { FAILED };
                answer(&text, code, FAILED)
            }
            Ok(_) => failed("the answer is none to this question; are both of the same version?"),
            Err(why) => failed(&why),
        }
    }
}

fn failed(why: &str) -> ExitCode {
    complain(why);
    ExitCode::from(FAILED)
}

/// Numbers, or all dead ones.
fn which(numbers: &[u64], receiver: Option<&String>) -> Which {
    if numbers.is_empty() {
        Which::Dead {
            receiver: receiver.cloned(),
        }
    } else {
        Which::Numbers(numbers.to_vec())
    }
}

fn notifications(count: usize) -> String {
    match count {
        1 => "1 notification".to_owned(),
        count => format!("{count} notifications"),
    }
}

fn reason(why: Why) -> &'static str {
    match why {
        Why::Unknown => {
            "there is no such notification (any more); `certdrift notify list` shows what there is"
        }
        Why::UnderWay => "it, or a later one of its alert, is being sent right now; try again",
        Why::Overtaken => {
            "a later notification of its alert has been delivered, so this one would say the opposite of what holds; it can only be dropped"
        }
    }
}
