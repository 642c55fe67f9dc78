//! Files to which nothing happens cost little, and what happens to them is seen all the same.

use super::order::applied;
use super::*;

fn opens(model: &mut Model, seconds: u64) -> usize {
    let before = model.world.0.borrow().opens;
    for _ in 0..seconds {
        model.wait(1);
    }
    model.world.0.borrow().opens - before
}

pub(super) fn trouble(model: &Model) -> Option<String> {
    let pass = model.pass.as_ref().unwrap();
    let mut folders = pass.folders.values();
    folders.find_map(|folder| folder.report().trouble)
}

#[test]
fn a_file_that_stays_as_it_was_is_opened_twice_a_minute() {
    let mut model = Model::new();
    model.look();
    // Of the two files the older one is looked at less and less often.
    opens(&mut model, 60);
    assert_eq!(opens(&mut model, 30), 1);
    let newest = model.pick(0).unwrap();
    let text = model.rows(2);
    model.write(&newest, &text);
    assert_eq!(opens(&mut model, 1), 1, "it has grown");
    assert!(!applied(&model, &newest).contains(&false));
}

#[test]
fn a_still_file_that_may_not_be_read_any_more_is_trouble_within_half_a_minute() {
    let mut model = Model::new();
    model.look();
    model.wait(10);
    let newest = model.pick(0).unwrap();
    let fault = Fault::Open(io::ErrorKind::PermissionDenied);
    model.world.0.borrow_mut().faults.insert(newest, fault);
    assert_eq!(trouble(&model), None);
    opens(&mut model, 31);
    assert!(trouble(&model).is_some());
}
