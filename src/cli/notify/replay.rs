//! `certdrift notify replay`

use std::process::ExitCode;

use clap::Args;

use crate::cli::notify::Place;
use crate::cli::notify::notifications;
use crate::cli::notify::which;
use crate::pipeline::outbox::wish::Wish;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Which ones: numbers as `certdrift notify list` shows them
    #[arg(
        value_name = "NUMBER",
        required_unless_present = "all",
        conflicts_with_all = ["all", "receiver"]
    )]
    numbers: Vec<u64>,
    /// All dead ones
    #[arg(long)]
    all: bool,
    /// All dead ones of this receiver
    #[arg(long, value_name = "NAME", requires = "all")]
    receiver: Option<String>,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let which = which(&arguments.numbers, arguments.receiver.as_ref());
    arguments.place.act(&Wish::Replay(which), |count| {
        format!("{} will be sent.", notifications(count))
    })
}
