//! The tests that go across rooms, in one binary so that it is linked once.

mod cases;
mod tidy;
