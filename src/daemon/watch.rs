//! Change notifications, as a hint and never as the truth: on a network share no event comes for what another machine
//! writes, on Windows none while Exchange holds the file. Polling finds every change; an event only wakes it early.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use notify::RecommendedWatcher;
use notify::RecursiveMode;
use notify::Watcher;
use tracing::debug;

use crate::daemon::tail::Waker;

/// Keeps watching as long as it lives.
pub(super) struct Watch {
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Wakes the given threads when something happens below their directories.
    pub(super) fn new(targets: Vec<(PathBuf, Arc<Waker>)>) -> Self {
        let roots: Vec<PathBuf> = targets.iter().map(|(root, _)| root.clone()).collect();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            // Reading a file is an event too: without this, every look would call for the next one.
            if !event.kind.is_access() {
                wake(&targets, &event.paths);
            }
        });
        let mut watcher = match watcher {
            Ok(watcher) => watcher,
            Err(error) => {
                debug!(%error, "no change notifications; polling alone finds the changes");
                return Self { _watcher: None };
            }
        };
        for root in roots {
            if let Err(error) = watcher.watch(&root, RecursiveMode::Recursive) {
                debug!(%error, directory = %root.display(), "no change notifications; polling alone finds the changes");
            }
        }
        Self {
            _watcher: Some(watcher),
        }
    }
}

fn wake(targets: &[(PathBuf, Arc<Waker>)], paths: &[PathBuf]) {
    let touches = |root: &Path| paths.is_empty() || paths.iter().any(|path| path.starts_with(root));
    for (_, waker) in targets.iter().filter(|(root, _)| touches(root)) {
        waker.wake();
    }
}
