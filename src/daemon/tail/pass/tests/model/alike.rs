//! Files that begin alike: header lines and more NUL bytes than are looked at to know a file by.

use super::*;
use crate::daemon::tail::LossReason;
use crate::daemon::tail::position::MAX_FINGERPRINT_BYTES;

/// A new file that begins as others do, with these bytes behind.
fn alike(model: &mut Model, number: u32, text: &[u8]) -> PathBuf {
    let path = Model::log(LOGS, number);
    let nuls = vec![0; 3 * MAX_FINGERPRINT_BYTES];
    let bytes = [b"#Software: Exchange\r\n", &nuls[..], text].concat();
    model.create(path.clone(), bytes);
    path
}

fn append(model: &Model, path: &Path, text: &[u8]) {
    let content = model.content(path);
    content.borrow_mut().bytes.extend(text);
}

/// Moves a file between two looks, and leaves an old copy of it where it is looked at before.
fn copy_and_move(model: &mut Model, path: &Path, number: u32) {
    let old = model.content(path).borrow().bytes.clone();
    model.create(Model::log(OTHER, number), old);
    let row = model.row();
    append(model, path, &row);
    model.look();
    let mut tree = model.world.0.borrow_mut();
    let content = tree.files.remove(path).unwrap();
    tree.files.insert(Model::log(OTHER, number + 1), content);
    drop(tree);
    let pen = model.pens.remove(path).unwrap();
    model.pens.insert(Model::log(OTHER, number + 1), pen);
}

#[test]
fn each_is_known_by_its_first_row() {
    let mut model = Model::new();
    let rows: Vec<Vec<u8>> = (0..2).map(|_| model.row()).collect();
    let paths = [100, 200].map(|number| {
        let row = &rows[usize::try_from(number / 200).unwrap()];
        alike(&mut model, number, row)
    });
    model.wait(2);
    for path in &paths {
        let known = known_by(&model.content(path).borrow().bytes);
        assert!(known.is_some_and(|known| known.behind.is_some()));
        assert!(model.committed.knows(known));
        assert_eq!(order::applied(&model, path), [true]);
    }
    for (path, number) in paths.iter().zip([300, 400]) {
        copy_and_move(&mut model, path, number);
    }
    model.settle();
    model.judge();
    assert!(
        model
            .committed
            .losses
            .iter()
            .all(|(.., loss)| loss.reason == LossReason::Nul)
    );
}

#[test]
fn one_waits_until_its_first_row_is_whole() {
    let mut model = Model::new();
    let row = model.row();
    let (half, rest) = row.split_at(30);
    let path = alike(&mut model, 100, half);
    model.wait(5);
    assert_eq!(model.committed.losses, [], "it is not known yet");
    append(&model, &path, rest);
    model.wait(2);
    assert_eq!(order::applied(&model, &path), [true]);
    copy_and_move(&mut model, &path, 300);
    model.settle();
    model.judge();
}

#[test]
fn one_is_known_by_the_first_row_that_is_whole() {
    let mut model = Model::new();
    let row = model.row();
    let nuls = vec![0; 2 * MAX_FINGERPRINT_BYTES];
    let path = alike(&mut model, 100, &[b"2", &nuls[..]].concat());
    model.wait(5);
    append(&model, &path, &row);
    model.wait(2);
    let known = known_by(&model.content(&path).borrow().bytes);
    assert!(known.is_some() && model.committed.knows(known));
    assert_eq!(order::applied(&model, &path), [true]);
    copy_and_move(&mut model, &path, 300);
    model.settle();
    model.judge();
}

#[test]
fn one_is_done_though_its_first_row_is_never_whole() {
    let mut model = Model::new();
    let path = alike(&mut model, 100, b"half a row");
    model.wait(2);
    alike(&mut model, 200, b"");
    model.wait(700);
    let mut positions = model.committed.positions.values();
    assert!(positions.any(|position| path.ends_with(&*position.name) && position.finished));
    let bytes = model.content(&path).borrow().bytes.len() as u64;
    model.delete(&path);
    model.wait(5);
    let losses: Vec<_> = model.committed.losses.iter().map(|(.., it)| *it).collect();
    let [loss] = losses[..] else {
        panic!("{losses:?}");
    };
    assert_eq!(
        (loss.reason, loss.from + loss.bytes),
        (LossReason::Deleted, bytes)
    );
}

/// It is known by its header lines when the NUL bytes are given up, and by its first row when there is one at last.
#[test]
fn one_is_known_by_a_row_that_comes_when_nul_bytes_were_given_up() {
    for nuls in [600, 3 * MAX_FINGERPRINT_BYTES] {
        for restarts in [false, true] {
            let mut model = Model::new();
            let path = Model::log(LOGS, 100);
            let bytes = [b"#Software: Exchange\r\n".to_vec(), vec![0; nuls]].concat();
            model.create(path.clone(), bytes);
            for _ in 0..3 {
                model.wait(700);
            }
            let losses: Vec<_> = model
                .committed
                .losses
                .iter()
                .map(|(.., it)| it.reason)
                .collect();
            assert_eq!(losses, [LossReason::Nul]);
            if restarts {
                model.pass = None;
            }
            for _ in 0..2 {
                let row = model.row();
                append(&model, &path, &row);
                model.wait(2);
            }
            assert_eq!(order::applied(&model, &path), [true, true]);
            let known = known_by(&model.content(&path).borrow().bytes);
            assert!(known.is_some() && model.committed.knows(known));
            copy_and_move(&mut model, &path, 300);
            model.settle();
            model.judge();
        }
    }
}

/// As before, and half a row stands before the NUL bytes that are given up: what follows them is no line of its own.
#[test]
fn one_is_known_by_all_of_the_line_that_is_a_row_at_last() {
    let mut model = Model::new();
    let path = alike(&mut model, 100, &[&b"half a row"[..], &[0; 600]].concat());
    let later = model.fresh(1);
    model.create(Model::log(LOGS, 200), later);
    for _ in 0..3 {
        model.wait(700);
    }
    let row = model.row();
    append(&model, &path, &row);
    model.wait(700);
    assert_eq!(order::applied(&model, &path), [true]);
    let known = known_by(&model.content(&path).borrow().bytes);
    assert!(known.is_some() && model.committed.knows(known));
    copy_and_move(&mut model, &path, 300);
    model.settle();
    model.judge();
}

/// It holds no row, by which it would be known elsewhere.
#[test]
fn what_one_without_a_row_has_lost_is_told_once_though_it_moves() {
    for (text, nuls) in [(&b""[..], 1), (b"half a row", 0)] {
        let mut model = Model::new();
        let path = alike(&mut model, 100, text);
        let later = model.fresh(1);
        model.create(Model::log(LOGS, 200), later);
        for _ in 0..3 {
            model.wait(700);
        }
        let losses = model.committed.losses.clone();
        let told = losses.iter().map(|(.., it)| it.reason);
        assert!(told.eq(vec![LossReason::Nul; nuls]), "{losses:?}");
        let moved = Model::log(OTHER, 300);
        let content = model.world.0.borrow_mut().files.remove(&path).unwrap();
        model
            .world
            .0
            .borrow_mut()
            .files
            .insert(moved.clone(), content);
        model.wait(700);
        let row = model.row();
        append(&model, &moved, &[b"\r\n", &row[..]].concat());
        for _ in 0..3 {
            model.wait(700);
        }
        assert_eq!(order::applied(&model, &moved), [true]);
        assert_eq!(model.committed.losses, losses, "it is still there");
    }
}

#[test]
fn what_one_without_a_row_held_is_lost_if_what_begins_alike_holds_less() {
    let mut model = Model::new();
    let path = alike(&mut model, 100, b"half a row");
    let later = model.fresh(1);
    model.create(Model::log(LOGS, 200), later);
    for _ in 0..2 {
        model.wait(700);
    }
    assert_eq!(model.committed.losses, []);
    let bytes = model.content(&path).borrow().bytes.len() as u64;
    model.delete(&path);
    alike(&mut model, 300, b"half a");
    model.wait(5);
    let losses: Vec<_> = model.committed.losses.iter().map(|(.., it)| *it).collect();
    let [loss] = losses[..] else {
        panic!("{losses:?}");
    };
    assert_eq!(
        (loss.reason, loss.from + loss.bytes),
        (LossReason::Deleted, bytes)
    );
}
