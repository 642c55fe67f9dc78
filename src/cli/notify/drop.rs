//! `certdrift notify drop`

use std::process::ExitCode;

use clap::ArgGroup;
use clap::Args;

use crate::cli::notify::Place;
use crate::cli::notify::notifications;
use crate::cli::notify::which;
use crate::pipeline::outbox::wish::Wish;

const USAGE: &str = "\
certdrift notify drop [OPTIONS] <NUMBER>...
       certdrift notify drop [OPTIONS] --all-dead [--receiver <NAME>]";

#[derive(Args, Debug)]
#[command(
    override_usage = USAGE,
    group = ArgGroup::new("which").args(["numbers", "all_dead"]).required(true)
)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Which ones, dead or waiting: numbers as `certdrift notify list` shows them
    #[arg(value_name = "NUMBER", conflicts_with = "receiver")]
    numbers: Vec<u64>,
    /// All dead ones
    #[arg(long)]
    all_dead: bool,
    /// All dead ones of this receiver
    #[arg(long, value_name = "NAME", requires = "all_dead")]
    receiver: Option<String>,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let which = which(&arguments.numbers, arguments.receiver.as_ref());
    arguments.place.act(&Wish::Drop(which), |count| {
        format!("{} thrown away.", notifications(count))
    })
}
