//! `certdrift notify replay`

use std::process::ExitCode;

use clap::ArgGroup;
use clap::Args;

use crate::cli::notify::Place;
use crate::cli::notify::notifications;
use crate::cli::notify::which;
use crate::pipeline::outbox::wish::Wish;

const USAGE: &str = "\
certdrift notify replay [OPTIONS] <NUMBER>...
       certdrift notify replay [OPTIONS] --all [--receiver <NAME>]";

#[derive(Args, Debug)]
#[command(
    override_usage = USAGE,
    group = ArgGroup::new("which").args(["numbers", "all"]).required(true)
)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Which ones: numbers as `certdrift notify list` shows them
    #[arg(value_name = "NUMBER", conflicts_with = "receiver")]
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
