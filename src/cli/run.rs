//! `certdrift run`: the daemon.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use clap::ValueEnum;
use tracing::level_filters::LevelFilter;

use crate::cli::CONFIG_FILE;
use crate::cli::FAILED;
use crate::cli::complain;
use crate::cli::typed::external_url;
use crate::daemon::repeats;
use crate::daemon::repeats::Repeats;
use crate::daemon::run;
use crate::daemon::run::Options;

#[derive(Args, Clone, Debug)]
pub(super) struct Arguments {
    /// The configuration
    #[arg(
        long = "config.file",
        value_name = "FILE",
        default_value = CONFIG_FILE
    )]
    config_file: PathBuf,
    /// The directory of the state, on a local disk; made if missing
    #[arg(
        long = "storage.path",
        value_name = "DIRECTORY",
        default_value = "data"
    )]
    storage_path: PathBuf,
    /// Where to serve metrics: HOST:PORT, or :PORT for every interface; may be given several times
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        default_value = ":10056"
    )]
    listen_addresses: Vec<String>,
    /// TLS, passwords and headers, in the form that Prometheus' own exporters take
    #[arg(long = "web.config.file", value_name = "FILE")]
    web_config_file: Option<PathBuf>,
    /// Path of the metrics
    #[arg(
        long = "web.telemetry-path",
        value_name = "PATH",
        default_value = "/metrics"
    )]
    telemetry_path: String,
    /// Where people reach this certdrift; stands in notifications
    #[arg(long = "web.external-url", value_name = "URL", value_parser = external_url)]
    external_url: Option<String>,
    /// What is logged
    #[arg(
        long = "log.level",
        value_name = "LEVEL",
        value_enum,
        default_value = "info"
    )]
    log_level: Level,
    /// How it is logged
    #[arg(
        long = "log.format",
        value_name = "FORMAT",
        value_enum,
        default_value = "logfmt"
    )]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Logfmt,
    Json,
}

pub(super) fn main(arguments: Arguments) -> ExitCode {
    let repeats = Arc::new(log_to_stderr(arguments.log_level, arguments.log_format));
    let options = Options {
        config_file: arguments.config_file,
        storage_path: arguments.storage_path,
        listen_addresses: arguments.listen_addresses,
        web_config_file: arguments.web_config_file,
        telemetry_path: arguments.telemetry_path,
        external_url: arguments.external_url,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    runtime.spawn(Arc::clone(&repeats).tell_for_ever());
    let outcome = runtime.block_on(run::run(options));
    repeats.tell(None);
    // A thread that hangs on a share must not hold up the end.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::from(FAILED)
        }
    }
}

/// From now on what is logged is written. What is returned tells what was left out of it.
fn log_to_stderr(level: Level, format: Format) -> Repeats {
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    let (limiter, repeats) = repeats::limiter();
    let registry = tracing_subscriber::registry().with(level).with(limiter);
    match format {
        Format::Json => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .init(),
        Format::Logfmt => registry
            .with(
                // Which part of the program speaks says nothing to whoever reads; JSON has it.
                tracing_logfmt::builder()
                    .with_target(false)
                    .with_ansi_color(std::io::stderr().is_terminal())
                    .layer()
                    .with_writer(std::io::stderr),
            )
            .init(),
    }
    repeats
}
