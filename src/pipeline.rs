//! The whole decision, pure: bytes in, effects out.

pub mod certificate;
pub mod expectation;
pub mod file;
pub mod lines;
pub mod record;
pub mod verdict;
