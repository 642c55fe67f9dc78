//! Plain data → what people and machines read. Nothing here decides anything.

pub mod advice;
pub mod alertmanager;
pub mod json;
pub mod message;
pub mod metrics;
pub mod nagios;
pub mod page;
pub mod pagerduty;
pub mod preflight;
pub mod queue;
pub mod report;
pub mod runbook;
pub mod sample;
pub mod size;
pub mod slack;
pub mod status;
pub mod teams;
pub mod template;
pub mod text;
pub mod textfile;
pub mod webhook;
