//! The whole decision, pure: bytes in, effects out.

pub mod certificate;
pub mod expectation;
pub mod verdict;
