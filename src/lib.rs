//! skeleton

pub mod pipeline;
