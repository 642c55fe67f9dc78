//! The whole decision, from bytes to messages.
//!
//! Every stage knows only those before it:
//!
//! 1. [`lines`] cuts bytes into lines, however they arrive; [`outline`] finds where they and their cells end.
//! 2. [`record`] reads a line as a row of nine cells; [`mod@file`] follows one file and refuses what is no send log.
//! 3. [`reply`], [`tls`] and [`certificate`] read what stands in the cells.
//! 4. [`session`] follows the rows of one SMTP session and says what it shows: observations.
//! 5. [`inventory`] holds what is known of certificates apart from the log; [`ledger`] keeps what every server
//!    presented on every connector, and when.
//! 6. [`export`] reads what Exchange says of its connectors; [`expectation`] is what should be presented, from there and
//!    from the configuration; [`verdict`] compares, and [`preflight`] does so before a renewal.
//! 7. [`alert`] waits for a second session before it believes, and says what begins and ends; [`outbox`] knows which
//!    message is due at which receiver.
//! 8. [`snapshot`] is the state as others see it; [`health`] says what certdrift itself lacks; [`engine`] chains all of
//!    this.
//!
//! What must outlive the process is handed out and taken back as the rows of [`saved`].
//!
//! No stage reads a file or a clock, logs, or waits: `now` is always an argument. So every story can be told to it in a
//! test, and a test decides what time it is. The suite enforces both the order and the ban.

pub mod alert;
pub mod certificate;
pub mod engine;
pub mod expectation;
pub mod export;
pub mod file;
pub mod health;
pub mod inventory;
pub mod ledger;
pub mod lines;
pub mod outbox;
pub mod outline;
pub mod preflight;
pub mod record;
pub mod reply;
pub mod saved;
pub mod session;
pub mod shown;
pub mod snapshot;
pub mod tls;
pub mod verdict;
