//! More files go than are known again.

use super::*;
use crate::daemon::tail::absent::MAX_ABSENT;

fn name(number: usize) -> String {
    format!("logs/EX01/SEND2026010100-{number}.LOG")
}

fn text(number: usize) -> String {
    row(u32::try_from(number).unwrap())
}

#[test]
fn what_was_forgotten_is_not_read_again() {
    let forgotten = 5;
    let files = MAX_ABSENT + forgotten + 1;
    let mut bench = Bench::new("logs/{server}", "all");
    for number in 1..=files {
        bench.append(&name(number), &text(number));
    }
    bench.append("logs/EX02/SEND2026010100-1.LOG", &row(1));
    assert_eq!(bench.look(0).texts.len(), files + 1);
    for number in 1..files {
        fs::remove_file(bench.path(&name(number))).unwrap();
    }
    bench.look(2);
    assert_eq!(bench.pass.absent.len(), MAX_ABSENT);
    assert_eq!(bench.saved.len(), MAX_ABSENT + 2, "nor are they on disk");
    for round in 0..3 {
        // One that was forgotten, one that is known, and one that nobody ever saw but that is as old.
        for (number, digit) in [(2, 0), (forgotten + 2, 0), (1, 0x7000)] {
            let path = bench.path(&name(number));
            let _ = fs::remove_file(path);
            bench.append(&name(number), &text(number + digit));
        }
        assert_eq!(bench.look(2).text(), "", "{round}");
        assert_eq!(bench.look(2).text(), "", "{round}");
        // What comes to it now is new.
        bench.append(&name(2), &text(9000 + round));
        assert_eq!(bench.look(2).text(), text(9000 + round));
        bench.restart();
        assert_eq!(bench.look(2).text(), "", "{round}");
        for number in [1, 2, forgotten + 2] {
            fs::remove_file(bench.path(&name(number))).unwrap();
        }
        bench.look(2);
    }
    // Other servers, and newer files, are as they were.
    bench.append("logs/EX02/SEND2025010100-1.LOG", &row(2));
    bench.append(&name(files + 1), &text(files + 1));
    assert_eq!(bench.look(2).text(), [text(files + 1), row(2)].concat());
}
