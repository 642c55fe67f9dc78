//! Copies that cannot be read: they may have more than the file itself, so that is told.

use super::order::applied;
use super::still::trouble;
use super::*;

const DENIED: Fault = Fault::Open(io::ErrorKind::PermissionDenied);

/// The newest file, and a copy of it that is known as one.
fn with_copy(model: &mut Model) -> (PathBuf, PathBuf) {
    model.look();
    let file = model.pick(0).unwrap();
    let copy = Path::new(LOGS).join("SEND2026010100-1 - Copy.LOG");
    let bytes = model.content(&file).borrow().bytes.clone();
    model.create(copy.clone(), bytes);
    model.copies.insert(copy.clone());
    model.wait(5);
    let mut folders = model.pass.as_ref().unwrap().folders.values();
    assert!(folders.any(|folder| folder.copies.len() == 1));
    (file, copy)
}

fn set_fault(model: &Model, path: &Path, fault: Fault) {
    let faults = &mut model.world.0.borrow_mut().faults;
    faults.insert(path.to_owned(), fault);
}

fn wait(model: &mut Model, seconds: u64) {
    for _ in 0..seconds {
        model.wait(1);
    }
}

#[test]
fn a_copy_that_cannot_be_read_is_trouble_until_it_can() {
    let mut model = Model::new();
    let (_, copy) = with_copy(&mut model);
    set_fault(&model, &copy, DENIED);
    wait(&mut model, 60);
    let told = trouble(&model).unwrap();
    assert!(told.starts_with(&*copy.to_string_lossy()), "{told}");
    model.world.0.borrow_mut().faults.clear();
    wait(&mut model, 10);
    assert_eq!(trouble(&model), None);
}

/// The size of the file lags behind, and then it cannot be read at all: its copy goes on.
#[test]
fn a_file_that_cannot_be_read_stays_trouble_when_a_copy_takes_its_part() {
    let mut model = Model::new();
    let (file, copy) = with_copy(&mut model);
    set_fault(&model, &file, Fault::Stale(100));
    model.stale.insert(file.clone(), model.seconds);
    wait(&mut model, 2);
    let fault = Fault::Open(io::ErrorKind::StaleNetworkFileHandle);
    set_fault(&model, &file, fault);
    let row = model.row();
    model.content(&copy).borrow_mut().bytes.extend(row);
    wait(&mut model, 60);
    assert_eq!(applied(&model, &copy), [true, true, true]);
    for _ in 0..30 {
        let told = trouble(&model).unwrap();
        assert!(told.starts_with(&*file.to_string_lossy()), "{told}");
        wait(&mut model, 1);
    }
    model.delete(&file);
    model.settle();
    model.judge();
    assert_eq!(model.committed.losses, []);
    assert_eq!(trouble(&model), None);
}
