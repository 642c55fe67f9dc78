//! `certdrift man`: the manual pages, made from the same description of the command line that parses it.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap_mangen::Man;

use crate::cli;
use crate::cli::FAILED;
use crate::cli::USAGE;
use crate::cli::answer;
use crate::cli::complain;

/// What the page of the program says besides its options.
const SECTIONS: &str = r#".SH FILES
.TP
.I /etc/certdrift/certdrift.yml
The configuration.
.BR "certdrift check\-config"
prints what it means. It is read again at SIGHUP.
.TP
.I web.config.yml
TLS, passwords and headers of the web server, if
.B \-\-web.config.file
names it. It is read again when it changes.
.TP
.I /var/lib/certdrift
The state, in the packaged service; otherwise what
.B \-\-storage.path
says. One process owns it.
.SH SIGNALS
.TP
.B SIGHUP
Reads the configuration again. A wrong one is refused and changes nothing.
.TP
.BR SIGTERM ", " SIGINT
Ends it. So does any other end: nothing is lost, and nothing counts twice.
.SH ENVIRONMENT
.TP
.B CREDENTIALS_DIRECTORY
What
.B ${CREDENTIALS_DIRECTORY}
stands for in paths of the configuration. systemd sets it for a unit with LoadCredential=.
.TP
.BR NOTIFY_SOCKET ", " WATCHDOG_USEC ", " LISTEN_FDS
The protocols of systemd: readiness and reloads, the watchdog, and sockets that it hands over.
.SH "EXIT STATUS"
.B check
and
.B preflight
end with 0 if everything matches, 1 at a warning, 2 at a mismatch or anything else that is critical, 3 if nothing can be said or something is wrong with the
command line, the configuration or a file. Everything else ends with 0, with 1 if it failed, and with 2 for a command line
that makes no sense.
.SH "SEE ALSO"
.BR systemctl (1),
.BR promtool (1)
"#;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The command to print the page of, such as `check` or `notify list`; without it, that of certdrift itself
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Write all pages into this directory, for man1 of a manual path
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "command")]
    directory: Option<PathBuf>,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let pages = match pages() {
        Ok(pages) => pages,
        Err(error) => return fail(&error.to_string(), FAILED),
    };
    if let Some(directory) = &arguments.directory {
        return match write_all(directory, &pages) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("{}: {error}", directory.display()), FAILED),
        };
    }
    match pages.iter().find(|page| page.command == arguments.command) {
        Some(page) => answer(&page.text, 0, FAILED),
        None => fail(
            "there is no such command; certdrift --help has them all",
            USAGE,
        ),
    }
}

fn fail(message: &str, code: u8) -> ExitCode {
    complain(message);
    ExitCode::from(code)
}

/// A page of section 1.
struct Page {
    /// The words of the command; none: certdrift itself.
    command: Vec<String>,
    file: String,
    text: String,
}

/// The page of the program, and one of each command and of those below it.
fn pages() -> io::Result<Vec<Page>> {
    let mut program = without_help(cli::description());
    program.build();
    let mut pages = Vec::new();
    let mut open = vec![(Vec::new(), program)];
    while let Some((words, command)) = open.pop() {
        for below in command.get_subcommands() {
            let mut words: Vec<String> = words.clone();
            words.push(below.get_name().to_owned());
            open.push((words, below.clone()));
        }
        pages.push(page(words, command)?);
    }
    Ok(pages)
}

/// Without the command that prints the help of the others.
fn without_help(command: clap::Command) -> clap::Command {
    let command = command.disable_help_subcommand(true);
    command.mut_subcommands(without_help)
}

/// With the synopsis that the help shows: the manual's own one leaves out what an option takes.
fn with_usage(mut command: clap::Command) -> clap::Command {
    let usage = command.render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    command.override_usage(usage)
}

fn page(words: Vec<String>, command: clap::Command) -> io::Result<Page> {
    let is_program = words.is_empty();
    let source = concat!("certdrift ", env!("CARGO_PKG_VERSION"));
    let page = Man::new(with_usage(command))
        .manual("certdrift")
        .source(source);
    let mut text = Vec::new();
    if is_program {
        page.render_title(&mut text)?;
        page.render_name_section(&mut text)?;
        page.render_synopsis_section(&mut text)?;
        page.render_description_section(&mut text)?;
        page.render_options_section(&mut text)?;
        page.render_subcommands_section(&mut text)?;
        text.extend_from_slice(SECTIONS.as_bytes());
    } else {
        page.render(&mut text)?;
    }
    Ok(Page {
        command: words,
        file: page.get_filename(),
        text: String::from_utf8_lossy(&text).into_owned(),
    })
}

fn write_all(directory: &Path, pages: &[Page]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for page in pages {
        fs::write(directory.join(&page.file), &page.text)?;
    }
    Ok(())
}
