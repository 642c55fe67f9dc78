//! Whatever bytes a log holds: nothing panics, and how they are cut makes no difference.
//!
//! With cargo-fuzz: `RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir tests/fuzz ledger -- -max_total_time=60`.
//! Seeds: copy `tests/cases/*/*.LOG` into `tests/fuzz/corpus/ledger`.

#![no_main]

use certdrift::pipeline::engine::Engine;
use certdrift::pipeline::file::LogFile;
use certdrift::pipeline::file::Tally;
use certdrift::render::json;
use certdrift::render::report::Report;
use certdrift::render::text;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, log)) = bytes.split_first() else {
        return;
    };
    let whole = answer(log, log.len().max(1));
    let pieces = answer(log, usize::from(first) + 1);
    assert_eq!(whole, pieces);
});

/// What a log says when it arrives in pieces of this size.
fn answer(log: &[u8], size: usize) -> (Tally, String, String) {
    let now = Timestamp::UNIX_EPOCH;
    let mut engine = Engine::default();
    let mut file = LogFile::default();
    let stream = engine.open_stream("EX01");
    for piece in log.chunks(size) {
        engine.feed(stream, &mut file, piece, now);
    }
    engine.end_stream(stream, now);
    let (first_row, last_row) = engine.row_times();
    let report = Report {
        files: 1,
        refused: Vec::new(),
        tally: file.tally(),
        sources: Vec::new(),
        first_row,
        last_row,
        snapshot: engine.snapshot(now),
        judged: false,
    };
    (file.tally(), json::check(&report), text::check(&report))
}
