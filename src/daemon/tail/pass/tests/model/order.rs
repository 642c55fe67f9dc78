//! Rows come in the order in which they were written, also when a file cannot be read for a moment.

use super::*;

#[test]
fn a_new_file_that_cannot_be_opened_holds_up_the_later_ones() {
    let mut model = Model::new();
    model.look();
    for _ in 0..2 {
        model.roll(1);
    }
    let (first, second) = (Model::log(LOGS, 9), Model::log(LOGS, 10));
    let fault = Fault::Open(io::ErrorKind::PermissionDenied);
    model
        .world
        .0
        .borrow_mut()
        .faults
        .insert(first.clone(), fault);
    model.wait(10);
    assert_eq!(
        applied(&model, &second),
        [false],
        "a session may go on here"
    );
    model.world.0.borrow_mut().faults.clear();
    // The order within a look is asserted there.
    model.wait(10);
    assert_eq!(applied(&model, &first), [true]);
    assert_eq!(applied(&model, &second), [true]);
    // One that cannot be opened for good holds up nobody for good.
    model.roll(1);
    model.roll(1);
    let (third, fourth) = (Model::log(LOGS, 11), Model::log(LOGS, 12));
    model.world.0.borrow_mut().faults.insert(third, fault);
    for _ in 0..7 {
        model.wait(10);
    }
    assert_eq!(applied(&model, &fourth), [true]);
}

/// Which rows of a file were applied.
pub(super) fn applied(model: &Model, path: &Path) -> Vec<bool> {
    let content = model.content(path);
    let bytes = &content.borrow().bytes;
    let applied = &model.committed.applied;
    rows_in(bytes, 0, u64::MAX)
        .map(|row| applied.contains_key(&row))
        .collect()
}

#[test]
fn whichever_read_fails_the_last_rows_of_a_file_are_read_before_the_next_one() {
    for one_of in 2..9 {
        for rows in 1..9 {
            for known in [true, false] {
                last_rows_before_the_next_file(one_of, rows, known);
            }
        }
    }
}

/// `known`: the file was read before the first error.
fn last_rows_before_the_next_file(one_of: usize, rows: u8, known: bool) {
    let mut model = Model::new();
    if known {
        model.look();
    }
    let first = model.pick(0).unwrap();
    let text = model.rows(rows);
    model.write(&first, &text);
    let fault = Fault::Flaky(one_of);
    let mut tree = model.world.0.borrow_mut();
    tree.faults.insert(first.clone(), fault);
    drop(tree);
    model.roll(1);
    let second = model.pick(0).unwrap();
    for _ in 0..30 {
        model.look();
        let is_read = applied(&model, &first).iter().all(|row| *row);
        let goes_on = applied(&model, &second) == [true];
        assert!(
            is_read || !goes_on,
            "{rows} rows, one of {one_of} reads fails, known: {known}"
        );
    }
    model.world.0.borrow_mut().faults.clear();
    model.wait(35);
    assert!(!applied(&model, &first).contains(&false));
    assert_eq!(applied(&model, &second), [true]);
}
