//! The thread that looks at the files: they may lie on a share that hangs, and nobody must wait for that.

use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use crate::config::Config;
use crate::config::ExportFiles;
use crate::config::PathPattern;
use crate::daemon::clock;
use crate::daemon::expected::ExpectedFiles;
use crate::daemon::expected::Known;

/// How often the files are looked at.
const POLL: Duration = Duration::from_secs(10);
/// How many changes may wait for the daemon; more make the thread wait.
pub const MAX_CHANGES: usize = 2;
/// The thread reads and parses JSON; some nesting needs stack.
const STACK_BYTES: usize = 2 * 1024 * 1024;

/// Tells the thread what to follow. It ends when this is dropped.
#[derive(Debug)]
pub struct Follower {
    orders: mpsc::Sender<Order>,
}

/// What the thread is told.
#[derive(Debug)]
enum Order {
    /// To follow these files.
    Follow(ExportFiles, Vec<PathPattern>),
    /// To keep copies in the directory of the state.
    KeepIn(PathBuf),
}

impl Follower {
    /// Starts the thread; what it finds is sent, the first time in any case. `files` may know of what was in force before.
    ///
    /// # Errors
    /// The system's, when it cannot start a thread.
    pub fn start(mut files: ExpectedFiles, changes: Sender<Known>) -> std::io::Result<Self> {
        let (orders, ordered) = mpsc::channel();
        std::thread::Builder::new()
            .name("expected".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || follow(&mut files, &ordered, &changes))?;
        Ok(Self { orders })
    }

    /// Looks at once, and from now on at the files of this configuration.
    pub fn reconfigure(&self, config: &Config) {
        // It can only fail when the thread is gone, and then nobody waits for its news.
        let _ = self.orders.send(Order::Follow(
            config.exports.clone(),
            config.inventory.clone(),
        ));
    }

    /// Copies of what is in force are kept in the directory of the state, which is ours by now.
    pub fn keep_in(&self, state: &Path) {
        let _ = self.orders.send(Order::KeepIn(state.to_owned()));
    }
}

fn follow(files: &mut ExpectedFiles, ordered: &mpsc::Receiver<Order>, changes: &Sender<Known>) {
    loop {
        if let Some(known) = files.look(clock::now())
            && changes.blocking_send(known).is_err()
        {
            return;
        }
        match ordered.recv_timeout(POLL) {
            Ok(Order::Follow(exports, inventory)) => files.reconfigure(&exports, inventory),
            Ok(Order::KeepIn(state)) => files.keep_in(&state),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
