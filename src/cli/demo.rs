//! `certdrift demo`: a made-up Exchange organisation, to see what certdrift does before it is set up.
//!
//! The logs are made up, and the one who is called is part of the demonstration. Everything in between is the daemon
//! itself, as `certdrift run` starts it, with a configuration and a state of its own in a temporary directory.

mod log;
mod receiver;
mod story;

use std::fs;
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use clap::Args;
use tokio::sync::mpsc;
use tracing::level_filters::LevelFilter;

use crate::cli;
use crate::cli::FAILED;
use crate::cli::complain;
use crate::cli::demo::log::Logs;
use crate::cli::demo::receiver::Call;
use crate::cli::demo::story::CHAPTERS;
use crate::cli::demo::story::CONNECTOR;
use crate::cli::demo::story::Chapter;
use crate::daemon::clock;
use crate::daemon::run;
use crate::daemon::run::Options;

/// How long a message may take before the story goes on without it: an alert needs two sessions and their delivery.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long threads may take at the end.
const LAST_THREADS: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Tell the story in 20 seconds, and end with it
    #[arg(long)]
    fast: bool,
    /// Where to serve the status page and metrics; without it, on a free port of this machine
    #[arg(long = "web.listen-address", value_name = "ADDRESS")]
    listen_address: Option<String>,
}

/// How fast the story is told.
struct Pace {
    /// Between two sessions of each server.
    between_sessions: Duration,
    /// How long a chapter lasts at least.
    chapter: Duration,
}

impl Pace {
    fn of(arguments: &Arguments) -> Self {
        let (session, chapter) = if arguments.fast {
            (500, 4_000)
        } else {
            (4_000, 25_000)
        };
        Self {
            between_sessions: Duration::from_millis(session),
            chapter: Duration::from_millis(chapter),
        }
    }
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let told = Stage::prepare(arguments).and_then(|stage| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start: {error}"))?;
        let outcome = runtime.block_on(perform(&stage, arguments));
        // The directory goes when the last thread that reads in it has gone.
        runtime.shutdown_timeout(LAST_THREADS);
        stage.clear()?;
        outcome
    });
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::from(FAILED)
        }
    }
}

/// Where it happens.
struct Stage {
    directory: tempfile::TempDir,
    address: String,
}

impl Stage {
    fn prepare(arguments: &Arguments) -> Result<Self, String> {
        let directory = tempfile::Builder::new()
            .prefix("certdrift-demo-")
            .tempdir()
            .map_err(|error| format!("cannot make a temporary directory: {error}"))?;
        let address = match &arguments.listen_address {
            Some(address) => address.clone(),
            None => free_address().map_err(|error| format!("no free port: {error}"))?,
        };
        Ok(Self { directory, address })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn clear(self) -> Result<(), String> {
        let path = self.directory.path().to_owned();
        let closed = self.directory.close();
        closed.map_err(|error| format!("{} cannot be removed: {error}", path.display()))
    }
}

/// The port is free now, and hardly taken by another in the moment until the daemon listens on it.
fn free_address() -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.local_addr().map(|address| address.to_string())
}

/// Tells the story beside the daemon, until one of them ends. The daemon ends at Ctrl-C.
async fn perform(stage: &Stage, arguments: &Arguments) -> Result<(), String> {
    let trouble = |error: io::Error| format!("cannot set the stage: {error}");
    let (receiver, calls) = receiver::listen().await.map_err(trouble)?;
    let config_file = stage.path("certdrift.yml");
    fs::write(&config_file, configuration(&receiver.to_string())).map_err(trouble)?;
    log_to(&stage.path("certdrift.log")).map_err(trouble)?;
    let options = Options {
        config_file,
        storage_path: stage.path("data"),
        listen_addresses: vec![stage.address.clone()],
        web_config_file: None,
        telemetry_path: "/metrics".to_owned(),
        external_url: None,
    };
    let mut teller = Teller {
        logs: Logs::new(&stage.path("logs")),
        calls,
        pace: Pace::of(arguments),
        began: clock::instant(),
    };
    teller
        .logs
        .write_history(&CHAPTERS[0].servers, clock::now())
        .map_err(trouble)?;
    print(&introduction(stage, arguments))?;
    tokio::select! {
        ended = Box::pin(run::run(options)) => {
            ended?;
            // What is printed below the ^C of the terminal begins on a line of its own.
            print("\nThe demonstration is over; everything it has written is removed.\n")
        }
        told = teller.tell(arguments.fast) => told,
    }
}

/// The log of the daemon, for the curious.
fn log_to(path: &Path) -> io::Result<()> {
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let layer = tracing_logfmt::builder()
        .with_target(false)
        .layer()
        .with_writer(Mutex::new(File::create(path)?));
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(layer)
        .init();
    Ok(())
}

/// What somebody with such an organisation would write.
fn configuration(receiver: &str) -> String {
    format!(
        "sources:
  - path: logs/{{server}}/SmtpSend
connectors:
  - name: {CONNECTOR}
    expected:
      inbound_connectors:
        - name: Inbound from contoso
          tls_sender_certificate_name: mail.contoso.com
      accepted_domains: [contoso.com]
receivers:
  - name: demo
    severities: [critical, warning, information]
    webhook:
      url: http://{receiver}/
"
    )
}

fn introduction(stage: &Stage, arguments: &Arguments) -> String {
    let how_long = if arguments.fast {
        "20 seconds"
    } else {
        "two minutes"
    };
    // An address such as `:10056` is on every interface, this machine's own included.
    let host = if stage.address.starts_with(':') {
        "127.0.0.1"
    } else {
        ""
    };
    format!(
        "A made-up Exchange organisation, watched by certdrift, in {how_long}. Ctrl-C ends it. Look while it lasts:
at the end everything is removed.

  status page    http://{host}{address}/
  metrics        http://{host}{address}/metrics
  files          {directory}
                 (logs, configuration, state, and certdrift.log)
",
        address = stage.address,
        directory = stage.directory.path().display()
    )
}

/// Lets the servers do what the story says, and prints what comes of it.
struct Teller {
    logs: Logs,
    calls: mpsc::Receiver<Call>,
    pace: Pace,
    began: Instant,
}

impl Teller {
    async fn tell(&mut self, is_fast: bool) -> Result<(), String> {
        let mut missing = Vec::new();
        for chapter in &CHAPTERS {
            self.say(chapter.tells)?;
            if chapter.messages.is_empty() {
                self.announce()?;
            }
            missing.extend(self.play(chapter).await?);
        }
        if !missing.is_empty() {
            return Err(format!(
                "these messages have not come: {}",
                missing.join(", ")
            ));
        }
        if is_fast {
            return self.say(
                "The story is over. The page ends with it, and everything it has written is removed; without\n--fast it \
                 stays until Ctrl-C.",
            );
        }
        self.say(
            "The story is over, and the servers go on. Look around, and press Ctrl-C when you have\nseen enough.",
        )?;
        let [.., last] = &CHAPTERS;
        loop {
            self.play(last).await?;
        }
    }

    /// Plays a chapter until its time is up and its messages have come. Returns those that have not.
    async fn play(&mut self, chapter: &Chapter) -> Result<Vec<String>, String> {
        let began = clock::instant();
        let mut expected: Vec<_> = chapter.messages.iter().collect();
        let mut next_session = tokio::time::interval(self.pace.between_sessions);
        loop {
            tokio::select! {
                _ = next_session.tick() => {
                    for server in &chapter.servers {
                        let written = self.logs.write_session(server, clock::now());
                        written.map_err(|error| format!("cannot write a log: {error}"))?;
                    }
                }
                Some(call) = self.calls.recv() => {
                    self.print(&call)?;
                    expected.retain(|(alert, server, status)| {
                        (*alert, *server, *status) != (&*call.alert, &*call.server, &*call.status)
                    });
                }
            }
            let lasted = clock::instant().duration_since(began);
            let is_complete = expected.is_empty() && lasted >= self.pace.chapter;
            if is_complete || lasted >= PATIENCE.max(self.pace.chapter) {
                let words = expected
                    .iter()
                    .map(|(alert, server, status)| format!("{alert} of {server} ({status})"));
                return Ok(words.collect());
            }
        }
    }

    /// While nothing happens: that it is meant so, and what there is to see.
    fn announce(&self) -> Result<(), String> {
        print(&format!(
            "      Each server sends a mail every {} s; in {} s the first certificate is renewed.\n      \
             Meanwhile, open the status page.\n",
            self.pace.between_sessions.as_secs_f32(),
            self.pace.chapter.as_secs_f32()
        ))
    }

    fn say(&self, text: &str) -> Result<(), String> {
        let text = text.replace('\n', "\n      ");
        print(&format!("\n{}  {text}\n", self.time()))
    }

    /// A message as somebody on call would read it.
    fn print(&self, call: &Call) -> Result<(), String> {
        let mut text = format!(
            "{}  -> webhook: {} {}, {} ({})\n",
            self.time(),
            call.alert,
            call.status,
            call.server,
            call.severity
        );
        let mut indented = |lines: &str| {
            for line in lines.lines() {
                text.push_str("         ");
                text.push_str(line);
                text.push('\n');
            }
        };
        // When it is over, there is nothing to do.
        if call.status == "firing" {
            indented(&call.description);
            indented(&call.action);
            indented(&call.runbook);
        }
        print(&text)
    }

    /// Minutes and seconds since the beginning.
    fn time(&self) -> String {
        let seconds = clock::instant().duration_since(self.began).as_secs();
        format!("{}:{:02}", seconds / 60, seconds % 60)
    }
}

fn print(text: &str) -> Result<(), String> {
    cli::print(text).map_err(|error| format!("standard output cannot be written: {error}"))
}
