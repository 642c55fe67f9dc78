//! Manual pages and completions say everything that the command line takes.

use std::process::Command;

/// Standard output of the program.
fn print(arguments: &[&str]) -> String {
    let program = env!("CARGO_BIN_EXE_certdrift");
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that the program's help lists, and those that the help of such a command lists, each in words.
fn all_commands() -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut open: Vec<Vec<String>> = commands().into_iter().map(|it| vec![it]).collect();
    while let Some(words) = open.pop() {
        let mut question: Vec<&str> = words.iter().map(String::as_str).collect();
        question.push("--help");
        let help = print(&question);
        if help.contains("Commands:\n") {
            let below = listed_in(&help).into_iter();
            open.extend(below.map(|name| words.iter().cloned().chain([name]).collect()));
        }
        all.push(words);
    }
    all
}

/// The commands that the program's help lists.
fn commands() -> Vec<String> {
    listed_in(&print(&["--help"]))
}

fn listed_in(help: &str) -> Vec<String> {
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
    let commands = all_commands();
    for (count, words) in [(10, 1), (4, 2)] {
        let found = commands.iter().filter(|command| command.len() == words);
        assert!(found.count() >= count, "{commands:?}");
    }
    for command in &commands {
        let with = |first: &[&str], last: &[&str]| {
            let words = command.iter().map(String::as_str);
            let words = first.iter().copied().chain(words);
            print(&words.chain(last.iter().copied()).collect::<Vec<_>>())
        };
        let page = with(&["man"], &[]);
        let options = options(&with(&[], &["--help"]));
        assert!(!options.is_empty(), "{command:?}");
        for option in options {
            let option = option.replace('-', "\\-");
            assert!(page.contains(&option), "{command:?} {option}");
        }
        let whole = command.join(" ").replace('-', "\\-");
        let synopsis = format!(".SH SYNOPSIS\n\\fBcertdrift {whole}\\fR");
        assert!(page.contains(&synopsis), "{command:?}: {page}");
        let (above, name) = command.split_at(command.len() - 1);
        let above: Vec<&str> = above.iter().map(String::as_str).collect();
        let listing = print(&[&["man"], &above[..]].concat());
        let listed = [&["certdrift"], &above[..], &[&name[0]]].concat().join("-");
        let listed = format!("{}(1)", listed.replace('-', "\\-"));
        assert!(listing.contains(&listed), "{listed}");
    }
}

#[test]
fn all_pages_go_to_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    print(&["man", "--directory", path]);
    let mut expected: Vec<String> = all_commands()
        .iter()
        .map(|command| format!("certdrift-{}.1", command.join("-")))
        .chain(["certdrift.1".to_owned()])
        .collect();
    expected.sort();
    let files = std::fs::read_dir(path).unwrap();
    let files = files.map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = files.collect();
    files.sort();
    assert_eq!(files, expected);
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
