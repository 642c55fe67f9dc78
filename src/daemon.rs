//! Everything that touches the world: directories, files, clock, signals, HTTP.
//!
//! [`run`] is the loop. One task owns the engine; threads of [`tail`] send it what the logs hold, `watch` wakes them
//! early, one of [`expected`] sends it what Exchange exported, [`post`] sends what is due, [`server`] shows the last
//! snapshot to whoever asks and [`web`] decides who may, [`control`] takes wishes of `certdrift notify`, and `service`
//! tells the service manager how it goes. [`repeats`] keeps the log readable.

pub mod clock;
pub mod control;
pub mod expected;
pub mod mounts;
pub mod post;
pub mod repeats;
pub mod run;
pub mod server;
mod service;
mod signals;
pub mod source;
pub mod store;
pub mod tail;
mod watch;
pub mod web;
