//! certdrift watches which TLS certificate Microsoft Exchange really presents to Exchange Online, and warns when it no
//! longer fits the connector.
//!
//! An Exchange organisation relays mail through Exchange Online, which recognises it by the client certificate of its
//! send connector. When a renewal or a change of configuration makes the two disagree, relayed mail bounces with
//! `550 5.7.64 TenantAttribution; Relay Access Denied`, and other mail silently turns anonymous. Which certificate is
//! really presented stands in one place only: the send protocol log.
//!
//! # How it flows
//!
//! ```text
//!   log files ──▶ lines ──▶ rows ──▶ sessions ──▶ observations ──▶ ledger ──▶ snapshot ──▶ metrics, JSON, text
//!                                                       │
//!                                                       └──▶ findings ──▶ alerts ──▶ outbox ──▶ webhooks
//! ```
//!
//! - [`pipeline`] is the whole decision. It is pure: bytes and the time go in, plain data and messages to send come
//!   out. It reads no file, knows no clock, logs nothing. [`pipeline::engine`] is where its stages are chained.
//! - [`render`] turns plain data into what people and machines read. It decides nothing.
//! - [`config`] turns what was typed into what it means, or into a message that says where it is wrong.
//! - [`daemon`] is everything that touches the world: following files, the clock, signals, HTTP in both directions.
//!   [`daemon::run`] is the loop that owns the engine.
//! - [`cli`] is the command line, one short file per command.
//!
//! Whoever wants to know *why a connector is judged as it is* starts at [`pipeline::verdict`]; *why somebody was called*,
//! at [`pipeline::alert`]; *how a row is read*, at [`pipeline::session`].

pub mod cli;
pub mod config;
pub mod daemon;
pub mod pipeline;
pub mod render;
