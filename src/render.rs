//! Plain data → what people and machines read. Nothing here decides anything.

pub mod json;
pub mod metrics;
pub mod report;
pub mod text;
pub mod webhook;
