//! Names, servers and searches.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

#[test]
fn names_order_by_time_and_number() {
    let names = [
        "SEND20251231-11.LOG",
        "SEND2026010100-9.LOG",
        "send2026010100-10.log",
        "SEND2026010101-1.LOG",
        "copy.log",
    ];
    let read: Vec<LogName> = names
        .iter()
        .map(|name| LogName::read(OsStr::new(name)))
        .collect();
    assert!(read.is_sorted(), "{read:?}");
    assert_ne!(read[1], read[2]);
    for other in [
        "SEND2026010124-1.LOG",
        "SEND20260230-1.LOG",
        "SEND20260101-.LOG",
        "SEND20260101-1.TXT",
        "RECV20260101-1.LOG",
        "SEND-1.LOG",
        "SENDé",
    ] {
        assert_eq!(LogName::read(OsStr::new(other)), LogName::Other, "{other}");
    }
}

#[test]
fn servers_are_told_apart_and_never_merged() {
    for (directories, servers) in [
        (
            vec!["/logs/EX01/SmtpSend", "/logs/EX02/SmtpSend"],
            vec!["EX01", "EX02"],
        ),
        (
            vec![
                "/s/EX01/Hub/ProtocolLog/SmtpSend",
                "/s/EX01/FrontEnd/ProtocolLog/SmtpSend",
            ],
            vec!["EX01", "EX01"],
        ),
        (vec!["/a/EX01/SmtpSend", "/b/EX01/SmtpSend"], vec!["a", "b"]),
        (
            vec!["/EX01/SmtpSend", "/b/EX01/SmtpSend"],
            vec!["EX01", "b"],
        ),
        (
            vec!["/a/EX01", "/b/EX01", "/x/b/SmtpSend"],
            vec!["a", "b/EX01", "x/b"],
        ),
        (vec!["/SmtpSend"], vec!["local"]),
    ] {
        let paths: Vec<PathBuf> = directories.iter().map(PathBuf::from).collect();
        assert_eq!(server_names(&paths), servers, "{directories:?}");
    }
}

#[test]
fn logs_in_folders_that_hold_earlier_states_are_not_found() {
    let root = tempfile::tempdir().unwrap();
    for folder in [".snapshot/SmtpSend", "EX01/SmtpSend"] {
        let folder = root.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("SEND2026010100-1.LOG"), "").unwrap();
    }
    let found = find(&[root.path().to_owned()], None).unwrap();
    assert_eq!(found.directories.len(), 1);
}

#[test]
fn a_search_finds_files_and_says_what_is_missing() {
    let root = tempfile::tempdir().unwrap();
    let deep = root.path().join("EX01/Hub/SmtpSend");
    std::fs::create_dir_all(&deep).unwrap();
    let paths = [root.path().to_owned()];
    assert!(matches!(find(&paths, None), Err(FindError::NoLogs { .. })));
    for name in ["SEND2026010100-10.LOG", "SEND2026010100-9.LOG", "notes.txt"] {
        std::fs::write(deep.join(name), "").unwrap();
    }
    let found = find(&paths, None).unwrap().directories;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].server, "EX01");
    let names: Vec<_> = found[0]
        .files
        .iter()
        .map(|file| file.path.file_name().unwrap())
        .collect();
    assert_eq!(names, ["SEND2026010100-9.LOG", "SEND2026010100-10.LOG"]);
    let roundabout = root.path().join("EX01/../EX01");
    let twice = [
        root.path().to_owned(),
        roundabout,
        deep.join("SEND2026010100-9.LOG"),
    ];
    let files = find(&twice, None)
        .unwrap()
        .directories
        .iter()
        .map(|found| found.files.len())
        .sum::<usize>();
    assert_eq!(files, 2, "whatever ways lead to a file");
    let missing = find(&[root.path().join("nowhere")], None).unwrap_err();
    assert!(missing.to_string().contains("does not exist"), "{missing}");
}

#[test]
fn what_can_be_read_is_found_though_something_else_is_missing() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("SEND2026010100-1.LOG");
    std::fs::write(&file, "").unwrap();
    let nowhere = root.path().join("nowhere");
    let logs = find(&[nowhere, file], None).unwrap();
    assert_eq!(logs.directories.len(), 1);
    let troubles = logs.troubles.join("\n");
    assert!(troubles.contains("nowhere: does not exist"), "{troubles}");
    assert_eq!(logs.troubles.len(), 1);
}
