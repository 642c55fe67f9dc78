//! Suite.
#[test] fn x() {}
