//! Change notifications, as a hint and never as the truth: on a network share no event comes for what another machine
//! writes, on Windows none while Exchange holds the file. Polling finds every change; an event only wakes it early.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;

use notify::EventKind;
use notify::RecommendedWatcher;
use notify::RecursiveMode;
use notify::Watcher;
use notify::event::ModifyKind;
use tracing::debug;

use crate::daemon::tail::Hint;
use crate::daemon::tail::Waker;

/// Keeps watching as long as it lives.
pub(super) struct Watch {
    /// Dropped with the rest: then the thread that owns the watcher ends.
    _alive: mpsc::Sender<()>,
}

impl Watch {
    /// Wakes the given threads when something happens below their directories. A thread of its own looks through the
    /// directories, because one on a share that hangs would hold up whoever does it.
    pub(super) fn new(targets: Vec<(PathBuf, Arc<Waker>)>) -> Self {
        let (alive, ended) = mpsc::channel();
        let started = std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || {
                let _watcher = watcher(targets);
                let _ = ended.recv();
            });
        if let Err(error) = started {
            no_hints(&error);
        }
        Self { _alive: alive }
    }
}

fn watcher(targets: Vec<(PathBuf, Arc<Waker>)>) -> Option<RecommendedWatcher> {
    let roots: Vec<PathBuf> = targets.iter().map(|(root, _)| root.clone()).collect();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        // Reading a file is an event too: without this, every look would call for the next one.
        if !event.kind.is_access() {
            let hint = hint(event.kind);
            wake(&targets, &event.paths, hint);
        }
    });
    let mut watcher = watcher.inspect_err(no_hints).ok()?;
    for root in roots {
        if let Err(error) = watcher.watch(&root, RecursiveMode::Recursive) {
            debug!(%error, directory = %root.display(), "no change notifications; polling alone finds the changes");
        }
    }
    Some(watcher)
}

fn no_hints(error: &impl std::fmt::Display) {
    debug!(%error, "no change notifications; polling alone finds the changes");
}

fn wake(targets: &[(PathBuf, Arc<Waker>)], paths: &[PathBuf], hint: Hint) {
    let touches = |root: &Path| paths.is_empty() || paths.iter().any(|path| path.starts_with(root));
    for (_, waker) in targets.iter().filter(|(root, _)| touches(root)) {
        waker.wake(hint);
    }
}

/// What arrives under a new name may be a directory, and directories are looked through less often than files.
fn hint(kind: EventKind) -> Hint {
    match kind {
        EventKind::Modify(ModifyKind::Name(_)) => Hint::Made,
        EventKind::Modify(_) => Hint::Written,
        _ => Hint::Made,
    }
}
