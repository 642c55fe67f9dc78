//! Suite.
#[test]
fn x() {}
