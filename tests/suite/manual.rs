//! Manual pages and completions say everything that the command line takes.

use std::process::Command;

/// Standard output of the program.
fn print(arguments: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_certdrift");
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that the program's help lists.
fn commands() -> Vec<String> {
    let help = print(&["--help"]);
    let listed = help.split("Commands:\n").nth(1).unwrap();
    let listed = listed.split("\n\n").next().unwrap();
    let names = listed
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names = names.filter(|name| !name.is_empty() && *name != "help");
    names.map(str::to_owned).collect()
}

/// The long options in the help of a command.
fn options(help: &str) -> Vec<String> {
    let words = help.lines().map(str::trim);
    let words = words.filter(|line| line.starts_with('-'));
    let options = words.filter_map(|line| line.split([' ', ',']).find(|it| it.starts_with("--")));
    options.map(str::to_owned).collect()
}

#[test]
fn every_command_has_a_page_with_all_its_options() {
    let commands = commands();
    assert!(commands.len() >= 8, "{commands:?}");
    for command in &commands {
        let page = print(&["man", command]);
        let options = options(&print(&[command, "--help"]));
        assert!(!options.is_empty(), "{command}");
        for option in options {
            let option = option.replace('-', "\\-");
            assert!(page.contains(&option), "{command} {option}");
        }
    }
    let page = print(&["man"]);
    for command in &commands {
        let listed = format!("certdrift\\-{}(1)", command.replace('-', "\\-"));
        assert!(page.contains(&listed), "{listed}");
    }
}

#[test]
fn all_pages_go_to_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    print(&["man", "--directory", path]);
    let files = std::fs::read_dir(path).unwrap().count();
    assert_eq!(files, commands().len() + 1);
}

#[test]
fn every_shell_gets_every_command_and_option() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = print(&["completions", shell]);
        for command in commands() {
            assert!(script.contains(&command), "{shell} {command}");
        }
        // fish leaves out the dashes.
        for option in options(&print(&["run", "--help"])) {
            let option = option.trim_start_matches('-');
            assert!(script.contains(option), "{shell} {option}");
        }
    }
}

#[test]
fn bash_completes_a_command_and_an_option() {
    let script = print(&["completions", "bash"]);
    for (typed, expected) in [
        ("certdrift pref", "preflight"),
        ("certdrift run --web.co", "--web.config.file"),
    ] {
        let ask = format!(
            "{script}\nCOMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); cur=\"${{COMP_WORDS[COMP_CWORD]}}\"; \
             _certdrift certdrift \"$cur\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["-c", &ask]).output().unwrap();
        let offered = String::from_utf8(output.stdout).unwrap();
        let wrong = String::from_utf8_lossy(&output.stderr);
        assert_eq!(offered.trim(), expected, "{typed}: {wrong}");
    }
}

#[test]
fn the_script_for_fish_does_not_depend_on_argparse() {
    let script = print(&["completions", "fish"]);
    assert!(!script.contains("argparse"));
    assert_eq!(script.matches("function __fish_certdrift_").count(), 2);
}
