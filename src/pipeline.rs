//! The whole decision, pure: bytes in, effects out.

pub mod alert;
pub mod certificate;
pub mod engine;
pub mod expectation;
pub mod file;
pub mod ledger;
pub mod lines;
pub mod outbox;
pub mod record;
pub mod reply;
pub mod session;
pub mod shown;
pub mod snapshot;
pub mod tls;
pub mod verdict;
