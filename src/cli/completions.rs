//! `certdrift completions`: what a shell needs to complete command lines of certdrift.

use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use crate::cli;
use crate::cli::FAILED;
use crate::cli::answer;

const MORE_HELP: &str = "\
Where the shells look for it:
  bash        /usr/share/bash-completion/completions/certdrift
  zsh         a directory of $fpath, as _certdrift
  fish        /usr/share/fish/vendor_completions.d/certdrift.fish
  PowerShell  certdrift completions powershell | Out-String | Invoke-Expression, in $PROFILE";

#[derive(Args, Debug)]
#[command(after_long_help = MORE_HELP)]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let mut script = Vec::new();
    let mut program = cli::description();
    clap_complete::generate(arguments.shell, &mut program, "certdrift", &mut script);
    let script = String::from_utf8_lossy(&script);
    let script = match arguments.shell {
        Shell::Fish => with_dots(&script),
        _ => script.into_owned(),
    };
    answer(&script, 0, FAILED)
}

/// How the script for fish finds out which command has been typed. The generated way parses all options with fish's
/// `argparse`, which refuses names with a dot. Options come before no command of certdrift, so its place tells.
const NEEDS_COMMAND: &str = "\
function __fish_certdrift_needs_command
    set -l cmd (commandline -opc)
    if set -q cmd[2]; and not string match -q -- '-*' $cmd[2]
        echo $cmd[2]
        return 1
    end
    return 0
end

";

fn with_dots(script: &str) -> String {
    let generated = script.find("# Print an optspec");
    let behind = script.find("function __fish_certdrift_using_subcommand");
    match (generated, behind) {
        (Some(from), Some(to)) if from < to => {
            [&script[..from], NEEDS_COMMAND, &script[to..]].concat()
        }
        _ => script.to_owned(),
    }
}
