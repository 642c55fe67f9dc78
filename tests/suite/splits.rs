//! However a log arrives, it says the same: every cut of every golden log, and byte by byte.

use std::fs;
use std::path::{Path, PathBuf};

use certdrift::pipeline::engine::Engine;
use certdrift::pipeline::file::{LogFile, Tally};
use certdrift::render::json;
use certdrift::render::report::Report;
use jiff::Timestamp;

/// Logs up to this size are cut at every byte; larger ones at as many places, spread evenly.
const CUTS: usize = 150;

#[test]
fn every_cut_of_a_log_gives_the_same_answer() {
    let logs = logs(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"));
    assert!(logs.len() >= 50, "{} logs found", logs.len());
    for log in logs {
        let bytes = fs::read(&log).unwrap();
        let whole = answer(&[&bytes]);
        let step = bytes.len() / CUTS + 1;
        for cut in (0..bytes.len()).step_by(step) {
            let (start, end) = bytes.split_at(cut);
            assert_eq!(
                answer(&[start, end]),
                whole,
                "{} cut at byte {cut}",
                log.display()
            );
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(answer(&single), whole, "{} byte by byte", log.display());
    }
}

/// What a log says when it arrives in these pieces.
fn answer(pieces: &[&[u8]]) -> (Tally, String) {
    let now = Timestamp::UNIX_EPOCH;
    let mut engine = Engine::default();
    let mut file = LogFile::default();
    let stream = engine.open_stream("EX01");
    for piece in pieces {
        engine.feed(stream, &mut file, piece, now);
    }
    engine.end_stream(stream, now);
    let (first_row, last_row) = engine.row_times();
    let report = Report {
        files: 1,
        refused: file
            .refused()
            .map(|refusal| (PathBuf::new(), refusal))
            .into_iter()
            .collect(),
        unread: Vec::new(),
        tally: file.tally(),
        sources: Vec::new(),
        first_row,
        last_row,
        snapshot: engine.snapshot(now),
        judged: false,
    };
    (file.tally(), json::check(&report))
}

fn logs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(logs(&path));
        } else if path.extension().is_some_and(|ending| ending == "LOG") {
            found.push(path);
        }
    }
    found.sort();
    found
}
