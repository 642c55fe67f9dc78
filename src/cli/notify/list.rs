//! `certdrift notify list`

use std::process::ExitCode;

use clap::Args;
use clap::ValueEnum;

use crate::cli::FAILED;
use crate::cli::answer;
use crate::cli::notify::Place;
use crate::cli::notify::failed;
use crate::daemon::clock;
use crate::pipeline::outbox::wish::Message;
use crate::pipeline::outbox::wish::Reply;
use crate::pipeline::outbox::wish::Wish;
use crate::render::queue;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Only those of this receiver
    #[arg(long, value_name = "NAME")]
    receiver: Option<String>,
    /// How they are printed
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let mut messages = match arguments.place.ask(&Wish::List) {
        Ok(Reply::Messages(messages)) => messages,
        Ok(_) => return failed("the answer is no list; are both of the same version?"),
        Err(why) => return failed(&why),
    };
    let is_wanted = |it: &Message| {
        let receiver = arguments.receiver.as_ref();
        receiver.is_none_or(|name| *name == it.receiver)
    };
    messages.retain(is_wanted);
    match arguments.format {
        Format::Text => answer(&queue::table(&messages, clock::now()), 0, FAILED),
        Format::Json => match queue::json(&messages) {
            Ok(text) => answer(&text, 0, FAILED),
            Err(error) => failed(&error.to_string()),
        },
    }
}
