//! Sources that are looked at by hand, look by look.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::config;
use std::fs;
use std::io::Write;
use std::path::Path;

/// A source that is looked at by hand.
struct Bench {
    folder: tempfile::TempDir,
    pass: Pass,
}

impl Bench {
    fn new(path: &str, first_read: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("sources: [{{ path: \"{path}\", first_read: {first_read} }}]");
        let file = folder.path().join("certdrift.yml");
        let config = config::parse(&text, &file, None).unwrap();
        let pass = Pass::new(config.sources[0].clone());
        Self { folder, pass }
    }

    fn append(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// One look, directories and all. The texts read, by file name, in order; and the last report.
    fn look(&mut self) -> (Vec<(String, String)>, Option<Look>) {
        self.pass.listed = None;
        let (mut read, mut report) = (Vec::new(), None);
        let listens = self.pass.look(&mut |event| {
            match event {
                Event::Bytes { path, bytes, .. } => {
                    let name = path.file_name().unwrap().to_string_lossy().into_owned();
                    read.push((name, String::from_utf8(bytes).unwrap()));
                }
                Event::Looked(look) => report = Some(look),
                Event::CaughtUp { .. }
                | Event::Finished { .. }
                | Event::Rewritten { .. }
                | Event::Gone { .. } => {}
            }
            true
        });
        assert!(listens);
        (read, report)
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).unwrap();
    }
}

fn texts(read: &[(String, String)]) -> String {
    read.iter().map(|(_, text)| text.as_str()).collect()
}

#[test]
fn what_is_appended_is_read_once() {
    let mut bench = Bench::new("logs", "all");
    bench.append("logs/SEND2026010100-1.LOG", "one\r\ntw");
    assert_eq!(texts(&bench.look().0), "one\r\ntw");
    assert_eq!(bench.look().0, []);
    bench.append("logs/SEND2026010100-1.LOG", "o\r\n");
    assert_eq!(texts(&bench.look().0), "o\r\n");
}

#[test]
fn files_are_read_in_the_order_of_their_numbers() {
    let mut bench = Bench::new("logs", "all");
    for name in [
        "SEND2026010100-10.LOG",
        "SEND2026010101-1.LOG",
        "SEND2026010100-9.LOG",
    ] {
        bench.append(&format!("logs/{name}"), name);
    }
    let (read, _) = bench.look();
    let names: Vec<&str> = read.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "SEND2026010100-9.LOG",
            "SEND2026010100-10.LOG",
            "SEND2026010101-1.LOG"
        ]
    );
}

#[test]
fn every_server_has_a_directory_of_its_own() {
    let mut bench = Bench::new("logs/{server}/SmtpSend", "all");
    for server in ["EX01", "EX02"] {
        bench.append(&format!("logs/{server}/SmtpSend/SEND2026010100-1.LOG"), "x");
    }
    let (_, report) = bench.look();
    let directories = report.unwrap().directories;
    let servers: Vec<&str> = directories
        .iter()
        .map(|look| &*look.directory.server)
        .collect();
    assert_eq!(servers, ["EX01", "EX02"]);
}

#[test]
fn the_first_read_passes_over_old_files_but_not_over_what_comes_later() {
    let mut bench = Bench::new("logs", "24h");
    bench.append("logs/SEND2020010100-1.LOG", "old\n");
    assert_eq!(bench.look().0, []);
    bench.append("logs/SEND2020010100-1.LOG", "new\n");
    bench.append("logs/SEND2019010100-1.LOG", "late\n");
    assert_eq!(texts(&bench.look().0), "late\nnew\n");
}

#[test]
fn the_age_of_a_file_is_that_of_its_last_row() {
    let now: Timestamp = "2026-01-02T12:30:00Z".parse().unwrap();
    let back = FirstRead::Last(Duration::from_secs(24 * 3600));
    for (name, too_old) in [
        ("SEND2026010111-1.LOG", true),
        ("SEND2026010112-1.LOG", false),
        ("SEND20260101-1.LOG", false),
        ("SEND20251231-1.LOG", true),
        ("copy.LOG", false),
    ] {
        let read = LogName::read(name.as_ref());
        assert_eq!(is_too_old(read, back, now), too_old, "{name}");
        assert!(!is_too_old(read, FirstRead::All, now));
    }
}

#[test]
fn nothing_is_concluded_when_all_files_are_gone_at_once() {
    let mut bench = Bench::new("logs", "all");
    bench.append("logs/SEND2026010100-1.LOG", "one\n");
    bench.look();
    bench.remove("logs/SEND2026010100-1.LOG");
    let (_, report) = bench.look();
    let trouble = report.unwrap().trouble.unwrap();
    assert!(trouble.contains("vanished at once"), "{trouble}");
    bench.append("logs/SEND2026010100-1.LOG", "one\ntwo\n");
    let (read, report) = bench.look();
    assert_eq!(texts(&read), "two\n", "what was read is not read again");
    assert_eq!(report.unwrap().trouble, None);
}

#[test]
fn a_file_deleted_before_it_was_read_is_counted() {
    let mut bench = Bench::new("logs", "all");
    bench.append("logs/SEND2026010100-1.LOG", "one\n");
    bench.append("logs/SEND2026010100-2.LOG", "two\n");
    bench.look();
    let folder = bench.pass.folders.values_mut().next().unwrap();
    folder.files[0].size += 7;
    bench.remove("logs/SEND2026010100-1.LOG");
    let (_, report) = bench.look();
    assert_eq!(report.unwrap().directories[0].deleted_unread, 7);
}

#[test]
fn a_missing_directory_is_trouble_and_heals() {
    let mut bench = Bench::new("logs", "all");
    let (_, report) = bench.look();
    let trouble = report.unwrap().trouble.unwrap();
    assert!(trouble.contains("does not exist"), "{trouble}");
    bench.append("logs/SEND2026010100-1.LOG", "one\n");
    let (read, report) = bench.look();
    assert_eq!(
        (texts(&read).as_str(), report.unwrap().trouble),
        ("one\n", None)
    );
}

#[cfg(unix)]
#[test]
fn a_pipe_with_the_name_of_a_log_holds_up_nobody() {
    let mut bench = Bench::new("logs", "all");
    bench.append("logs/SEND2026010100-2.LOG", "two\n");
    let pipe = bench.folder.path().join("logs/SEND2026010100-1.LOG");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success() && Path::new(&pipe).exists());
    assert_eq!(texts(&bench.look().0), "two\n");
}

const ROW: &str = "2026-01-01T00:00:01.000Z,c,08DE41A5B3C2D100,0,,,*,,attempting to connect\r\n";

fn pass(directory: &Path, first_read: &str) -> Pass {
    let text = format!(
        "sources:\n  - path: {}\n    first_read: {first_read}\n",
        directory.display()
    );
    let config = crate::config::parse(&text, Path::new("/certdrift.yml"), None).unwrap();
    Pass::new(config.sources[0].clone())
}

/// What a look says, in short.
fn said(pass: &mut Pass) -> Vec<String> {
    let mut said = Vec::new();
    pass.look(&mut |event| {
        said.push(match event {
            Event::Bytes { bytes, more, .. } => format!("{} more {more}", bytes.len()),
            Event::CaughtUp { .. } => "caught up".to_owned(),
            Event::Finished { .. } => "finished".to_owned(),
            Event::Rewritten { .. } => "rewritten".to_owned(),
            Event::Gone { .. } => "gone".to_owned(),
            Event::Looked(look) => {
                let unread: u64 = look.directories.iter().map(|look| look.unread).sum();
                format!("looked {unread} {}", look.trouble.is_some())
            }
        });
        true
    });
    said
}

#[test]
fn the_first_look_knows_that_more_files_wait() {
    let directory = tempfile::tempdir().unwrap();
    let rows = [1, 2, 3].map(|count| ROW.repeat(count));
    for (number, rows) in [1, 2, 10].into_iter().zip(&rows) {
        let name = format!("SEND2026010100-{number}.LOG");
        std::fs::write(directory.path().join(name), rows).unwrap();
    }
    let mut pass = pass(directory.path(), "all");
    let len = ROW.len();
    let expected = [
        format!("{len} more true"),
        format!("{} more true", 2 * len),
        format!("{} more false", 3 * len),
        "looked 0 false".to_owned(),
    ];
    assert_eq!(said(&mut pass), expected);
    assert_eq!(said(&mut pass), [""; 0]);
}

#[test]
fn a_file_that_holds_nothing_yet_keeps_nobody_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let file = |number| {
        directory
            .path()
            .join(format!("SEND2026010100-{number}.LOG"))
    };
    std::fs::write(file(1), ROW).unwrap();
    std::fs::write(file(2), [0; 100]).unwrap();
    let expected = [
        format!("{} more true", ROW.len()),
        "caught up".to_owned(),
        "looked 100 false".to_owned(),
    ];
    assert_eq!(said(&mut pass(directory.path(), "all")), expected);
}

#[test]
fn a_file_that_a_listing_leaves_out_is_not_read_twice() {
    let directory = tempfile::tempdir().unwrap();
    let paths = [1, 2].map(|number| {
        let path = directory
            .path()
            .join(format!("SEND2026010100-{number}.LOG"));
        std::fs::write(&path, ROW).unwrap();
        path
    });
    let mut pass = pass(directory.path(), "all");
    said(&mut pass);
    let folder = pass.folders.values_mut().next().unwrap();
    let gone = |folder: &mut Folder| {
        let mut gone = 0;
        let unread = folder.drop_gone(&paths[1..], &mut |_| {
            gone += 1;
            true
        });
        (gone, unread, folder.files.len())
    };
    assert_eq!(gone(folder), (0, Some(0), 2));
    std::fs::remove_file(&paths[0]).unwrap();
    assert_eq!(gone(folder), (1, Some(0), 1));
}

#[test]
fn nothing_is_concluded_when_every_file_vanishes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("SEND2026010100-1.LOG");
    std::fs::write(&path, ROW).unwrap();
    let mut pass = pass(directory.path(), "all");
    said(&mut pass);
    std::fs::remove_file(&path).unwrap();
    pass.listed = None;
    assert_eq!(said(&mut pass), ["looked 0 true"]);
    std::fs::write(&path, [ROW, ROW].concat()).unwrap();
    pass.listed = None;
    let expected = [
        format!("{} more false", ROW.len()),
        "looked 0 false".to_owned(),
    ];
    assert_eq!(said(&mut pass), expected, "read on where it was left");
}

#[test]
fn the_date_in_a_name_skips_a_file_at_the_first_look_only() {
    let directory = tempfile::tempdir().unwrap();
    let file = |number| {
        directory
            .path()
            .join(format!("SEND2020010100-{number}.LOG"))
    };
    std::fs::write(file(1), ROW).unwrap();
    let mut pass = pass(directory.path(), "24h");
    assert_eq!(said(&mut pass), ["looked 0 false"]);
    std::fs::write(file(2), ROW).unwrap();
    std::fs::write(file(1), [ROW, ROW].concat()).unwrap();
    pass.listed = None;
    let read = said(&mut pass);
    assert_eq!(
        read.iter().filter(|said| said.contains("more")).count(),
        2,
        "{read:?}"
    );
}
