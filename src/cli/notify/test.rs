//! `certdrift notify test`: what a receiver gets, what it answers, and what that means. Needs no running daemon.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use clap::ValueEnum;

use crate::cli::CONFIG_FILE;
use crate::cli::FAILED;
use crate::cli::USAGE;
use crate::cli::answer;
use crate::cli::complain;
use crate::cli::typed::external_url;
use crate::config;
use crate::config::ReceiverConfig;
use crate::daemon::clock;
use crate::daemon::post::Poster;
use crate::daemon::post::attempt::Attempt;
use crate::daemon::post::http::Trouble;
use crate::pipeline::alert::Notice;
use crate::pipeline::outbox::Outcome;
use crate::pipeline::shown::shown_lines;
use crate::render::sample;

/// So much of an answer is shown, in characters.
const MAX_SHOWN_ANSWER: usize = 2000;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The name of the receiver in the configuration
    #[arg(long, value_name = "NAME")]
    receiver: String,
    /// Whether the test begins an alert or ends it
    #[arg(long, value_enum, default_value = "firing")]
    state: State,
    /// Print what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// The configuration
    #[arg(
        long = "config.file",
        value_name = "FILE",
        default_value = CONFIG_FILE
    )]
    config_file: PathBuf,
    /// Where people reach this certdrift; stands in notifications
    #[arg(
        long = "web.external-url",
        value_name = "URL",
        default_value = "http://localhost:10056/",
        value_parser = external_url
    )]
    external_url: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum State {
    Firing,
    Resolved,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    match test(arguments) {
        Ok((text, is_accepted)) => answer(&text, if is_accepted { 0 } else { FAILED }, FAILED),
        Err((message, code)) => {
            complain(&message);
            ExitCode::from(code)
        }
    }
}

/// What to print, and whether the receiver accepted it; or what to complain of, and the exit code.
fn test(arguments: &Arguments) -> Result<(String, bool), (String, u8)> {
    let failed = |message: String| (message, FAILED);
    let config = config::load(&arguments.config_file).map_err(|error| failed(error.to_string()))?;
    let receivers = &config.receivers;
    let meant = receivers.iter().find(|it| it.name == arguments.receiver);
    let Some(receiver) = meant else {
        let names: Vec<&str> = receivers.iter().map(|it| it.name.as_str()).collect();
        let names = if names.is_empty() {
            "it has none".to_owned()
        } else {
            format!("it has {}", names.join(", "))
        };
        let file = arguments.config_file.display();
        let name = &arguments.receiver;
        return Err((format!("{file} has no receiver {name:?}; {names}"), USAGE));
    };
    let poster =
        Poster::new(std::slice::from_ref(receiver), &arguments.external_url).map_err(failed)?;
    let notice = sample::test(
        &receiver.name,
        arguments.state == State::Resolved,
        clock::now(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(format!("cannot start: {error}")))?;
    let tried = Tried {
        poster,
        receiver,
        dry_run: arguments.dry_run,
    };
    runtime
        .block_on(tried.run(Arc::new(notice)))
        .map_err(failed)
}

struct Tried<'a> {
    poster: Poster,
    receiver: &'a ReceiverConfig,
    dry_run: bool,
}

impl Tried<'_> {
    /// What to print, and whether every instance accepted it.
    async fn run(&self, notice: Arc<Notice>) -> Result<(String, bool), String> {
        let prepared = self.poster.prepare(&self.receiver.name, &notice).await;
        let prepared = prepared.map_err(|trouble| match trouble {
            Trouble::Configuration(cause) | Trouble::Unreachable { cause, .. } => cause,
        })?;
        let mut text = String::new();
        let mut is_accepted = true;
        for prepared in &prepared {
            text.push_str(&prepared.request.to_string());
            if self.dry_run {
                text.push_str("Nothing was sent.\n\n");
                continue;
            }
            let attempt = prepared.exchange().await;
            let answered = attempt.answer(|answer| prepared.request.masked(answer));
            text.push_str(&shown_lines(&answered, MAX_SHOWN_ANSWER));
            text.push_str(&verdict(self.receiver.integration.as_str(), &attempt));
            is_accepted &= attempt.outcome == Outcome::Delivered;
        }
        Ok((text, is_accepted))
    }
}

fn verdict(integration: &str, attempt: &Attempt) -> String {
    let advice = attempt.advice(integration);
    let word = match attempt.outcome {
        Outcome::Delivered => "Accepted",
        _ => "Not accepted",
    };
    let mut text = format!("\n\n{word}: {}.\n", advice.meaning);
    if !advice.consequence.is_empty() {
        let _ = writeln!(
            text,
            "Of a notification that is answered like this: {}.",
            advice.consequence
        );
    }
    text.push('\n');
    text
}
