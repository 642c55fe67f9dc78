//! skeleton

pub mod cli;
pub mod config;
pub mod daemon;
pub mod pipeline;
pub mod render;
