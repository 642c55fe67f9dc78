//! The `certdrift` command.

fn main() -> std::process::ExitCode {
    certdrift::cli::main(std::env::args_os())
}
