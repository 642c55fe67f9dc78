//! The tests that go across rooms, in one binary so that it is linked once.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

mod addresses;
mod bodies;
mod cases;
mod config;
mod exports;
mod formats;
mod golden;
mod inventory;
mod kills;
mod manual;
mod partial;
mod preflight;
mod schema;
mod splits;
mod status;
mod stories;
mod tidy;
mod usage;
mod verdicts;
mod web;
