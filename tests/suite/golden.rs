//! Whole stories as an administrator lives them, from `tests/cases/stories`: each file says what happens and when, and
//! every message that people get. `CERTDRIFT_WRITE_CASES=1` writes the messages down as they come; read the difference.

mod log;
mod player;
mod story;

use std::fs;
use std::path::{Path, PathBuf};

use player::play;
use story::{Story, duration};

fn files() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/stories");
    let entries = fs::read_dir(directory).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "yml"))
        .collect();
    files.sort();
    files
}

/// Plays a story and compares; what is wrong is said in words.
fn check(text: &str) -> Result<(), String> {
    let story = Story::read(text)?;
    let told = play(&story, None)?;
    let lines = story.tells.lines().map(str::trim);
    let written: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    if written != told.lines {
        return Err(difference(&written, &told.lines));
    }
    let Some(every) = &story.replica_reads_every else {
        return Ok(());
    };
    let replica = play(&story, Some(duration(every)?))?;
    if replica.ids == told.ids {
        return Ok(());
    }
    Err(format!(
        "the replica says something else\n  one:   {:#?}\n  other: {:#?}",
        told.ids, replica.ids
    ))
}

/// The messages as they came, and which of them are not as written.
fn difference(written: &[&str], told: &[String]) -> String {
    let mut lines = vec!["the messages are not as written (-) but these (+):".to_owned()];
    let mut rest = written;
    for line in told {
        if let Some(index) = rest.iter().position(|it| it == line) {
            lines.extend(rest[..index].iter().map(|missing| format!("- {missing}")));
            lines.push(format!("  {line}"));
            rest = &rest[index + 1..];
        } else {
            lines.push(format!("+ {line}"));
        }
    }
    lines.extend(rest.iter().map(|missing| format!("- {missing}")));
    lines.join("\n")
}

/// Replaces what a file says is told.
fn write_down(path: &Path, text: &str) {
    let told = Story::read(text).and_then(|story| play(&story, None));
    let told = told.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (head, _) = text.split_once("\ntells:").unwrap();
    let tells = if told.lines.is_empty() {
        "tells: \"\"".to_owned()
    } else {
        format!("tells: |\n  {}", told.lines.join("\n  "))
    };
    fs::write(path, format!("{head}\n{tells}\n")).unwrap();
}

#[test]
fn every_story_is_told_as_written() {
    let files = files();
    let mut failures = Vec::new();
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        if std::env::var_os("CERTDRIFT_WRITE_CASES").is_some() {
            write_down(path, &text);
        }
        let text = fs::read_to_string(path).unwrap();
        if let Err(error) = check(&text) {
            let name = path.file_name().unwrap().display();
            failures.push(format!("{name}: {error}"));
        }
    }
    assert!(!files.is_empty());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let story = "story: x\nstarts: 2026-11-23 08:00\nends: 2026-11-23 09:00\n\
        certificates:\n  old: { names: [a.example], from: 2026-09-01, until: 2026-12-01 }\n\
        configuration: \"connectors: []\"\nsteps:\n  - { STEP }\ntells: \"\"\n";
    for (step, error) in [
        ("at: 08:10, presents: old", ""),
        (
            "at: 08:10, presents: new",
            "step at 2026-11-23 08:10: no certificate is called \"new\"",
        ),
        ("at: 8 am, presents: old", "step 1: \"8 am\" is no time"),
        ("at: 10:00, presents: old", "step 1: not within the story"),
        (
            "at: 08:10, every: 1 min, presents: old",
            "step 1: `until` and `every` belong together",
        ),
        (
            "at: 08:10, until: 08:05, every: 1 min, presents: old",
            "step 1: ends before it begins",
        ),
        (
            "at: 08:10, until: 08:20, every: often, presents: old",
            "\"often\" is no duration",
        ),
        ("at: 08:10", "a step is a session or a change"),
        (
            "at: 08:10, presents: old, logs: behind",
            "a step is a session or a change",
        ),
        (
            "at: 08:10, presents: old, tls_fails: x",
            "either `presents` or `tls_fails`",
        ),
        ("at: 08:10, presence: old", "presence"),
        ("at: 08:10, logs: lost", "lost"),
        (
            "at: 08:10, exports: { connectors: [] }",
            "no export is called \"connectors\"",
        ),
        (
            "at: 08:10, exports: { send_connectors: [{}] }",
            "export send_connectors: ",
        ),
        ("at: 08:10, configuration: \"conectors: []\"", "connectors"),
    ] {
        let found = check(&story.replace("STEP", step))
            .err()
            .unwrap_or_default();
        assert!(
            found.contains(error) && found.is_empty() == error.is_empty(),
            "{step}: {found}"
        );
    }
    let wrong = story
        .replace("STEP", "at: 08:10, presents: old")
        .replace("\"\"", "\"nothing at all\"");
    let found = check(&wrong).unwrap_err();
    assert!(found.ends_with("(+):\n- nothing at all"), "{found}");
}
