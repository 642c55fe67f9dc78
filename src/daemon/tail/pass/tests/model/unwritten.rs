//! Space that is reserved, and written later: until then a file has NUL bytes there.

use super::*;
use crate::daemon::tail::LossReason;

/// Appends so many rows, as NUL bytes; what they will be.
fn reserve(model: &mut Model, path: &Path, rows: u8) -> Vec<u8> {
    let text = model.rows(rows);
    let content = model.content(path);
    let bytes = &mut content.borrow_mut().bytes;
    bytes.extend(vec![0; text.len()]);
    text
}

/// They are written.
fn fill(model: &Model, path: &Path, text: &[u8]) {
    let content = model.content(path);
    let bytes = &mut content.borrow_mut().bytes;
    let start = bytes.len() - text.len();
    bytes[start..].copy_from_slice(text);
}

fn new_file(model: &mut Model) -> PathBuf {
    model.look();
    model.wait(2);
    model.roll(0);
    model.pick(0).unwrap()
}

/// From one row to more than is looked at to know a file by.
const COUNTS: [u8; 4] = [1, 8, 40, 250];

#[test]
fn rows_of_a_new_file_are_read_when_they_are_written() {
    for rows in COUNTS {
        for grows in [false, true] {
            let mut model = Model::new();
            let path = new_file(&mut model);
            let text = reserve(&mut model, &path, rows);
            model.wait(5);
            assert_eq!(model.committed.losses, [], "they may come yet");
            fill(&model, &path, &text);
            if grows {
                let more = model.rows(3);
                model.write(&path, &more);
            }
            model.wait(3);
            let applied = order::applied(&model, &path);
            assert!(!applied.contains(&false), "{rows} rows, grows: {grows}");
            model.settle();
            model.judge();
            assert_eq!(model.committed.losses, []);
        }
    }
}

#[test]
fn what_is_never_written_is_told_and_what_follows_is_read() {
    // Fewer NUL bytes than a sector has are no damage.
    for rows in &COUNTS[1..] {
        let mut model = Model::new();
        let path = new_file(&mut model);
        let reserved = reserve(&mut model, &path, *rows).len() as u64;
        model.wait(5);
        // The header lines are read after ten minutes, and then the rest has ten minutes of its own.
        model.wait(700);
        model.wait(700);
        let row = model.row();
        model.content(&path).borrow_mut().bytes.extend(row);
        model.wait(5);
        let losses = model.committed.losses.iter();
        let losses: Vec<_> = losses.map(|(.., loss)| (loss.reason, loss.bytes)).collect();
        let [(LossReason::Nul, bytes)] = losses[..] else {
            panic!("{rows} rows: {losses:?}");
        };
        assert!(bytes >= reserved, "{rows} rows: {bytes} of {reserved}");
        assert_eq!(order::applied(&model, &path), [true], "{rows} rows");
    }
}

#[test]
fn a_read_that_fails_does_not_make_them_look_read() {
    for one_of in 2..9 {
        let mut model = Model::new();
        model.look();
        let path = model.pick(0).unwrap();
        let text = model.rows(3);
        model.write(&path, &text);
        let reserved = reserve(&mut model, &path, 8);
        let fault = Fault::Flaky(one_of);
        let mut tree = model.world.0.borrow_mut();
        tree.faults.insert(path.clone(), fault);
        drop(tree);
        model.wait(12);
        model.world.0.borrow_mut().faults.clear();
        model.wait(12);
        fill(&model, &path, &reserved);
        model.roll(1);
        model.wait(5);
        let applied = order::applied(&model, &path);
        assert!(!applied.contains(&false), "one of {one_of} reads fails");
    }
}
