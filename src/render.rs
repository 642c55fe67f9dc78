//! Plain data → what people and machines read. Nothing here decides anything.

pub mod advice;
pub mod json;
pub mod metrics;
pub mod nagios;
pub mod page;
pub mod preflight;
pub mod report;
pub mod runbook;
pub mod status;
pub mod text;
pub mod textfile;
pub mod webhook;
