//! A source and the thread that follows it: how it is doing, for each of its servers.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use tracing::info;
use tracing::warn;

use crate::config::PathPattern;
use crate::config::SourceConfig;
use crate::daemon::clock;
use crate::daemon::tail::DirectoryLook;
use crate::daemon::tail::Look;
use crate::daemon::tail::Moment;
use crate::daemon::tail::Waker;
use crate::daemon::tail::position::FileId;
use crate::daemon::tail::position::Position;
use crate::pipeline::file::Refusal;
use crate::pipeline::snapshot::SourceStatus;

/// A thread says at least every ten seconds that it is alive, also in the middle of a long look. One that has said
/// nothing for this long hangs, in the system's hands, on a share that does not answer.
pub(super) const SILENT: Duration = Duration::from_secs(30);
/// How many refused files are named for one server of a source; the others are counted.
const MAX_REFUSED: usize = 20;

/// A source and the thread that follows it.
pub(super) struct Source {
    /// As positions name it.
    pub(super) key: Arc<str>,
    pub(super) config: SourceConfig,
    /// Sources that come first, whose directories it leaves to them.
    earlier: Vec<PathPattern>,
    pub(super) waker: Arc<Waker>,
    pub(super) look: Option<Look>,
    /// When that look was over, by the clock.
    pub(super) looked: Option<Timestamp>,
    /// When it began, by the clock: what was logged before that has been read, or is known to be behind.
    pub(super) seen_until: Option<Timestamp>,
    /// When its thread was last heard of.
    pub(super) heard: Instant,
    /// Until when nobody listened to it, if it has not looked since.
    pub(super) held: Option<Instant>,
    /// Files that are not read, and of which server; they may come back, but are not among these when they are gone.
    refused: BTreeMap<FileId, (Arc<str>, PathBuf, Refusal)>,
}

impl Source {
    pub(super) fn new(
        key: Arc<str>,
        config: SourceConfig,
        earlier: Vec<PathPattern>,
        waker: Arc<Waker>,
    ) -> Self {
        Self {
            key,
            config,
            earlier,
            waker,
            look: None,
            looked: None,
            seen_until: None,
            heard: clock::instant(),
            held: None,
            refused: BTreeMap::new(),
        }
    }

    /// How far a file was read, and whether it is.
    pub(super) fn keep(&mut self, position: &Position) {
        let refusal = position.refused.filter(|_| position.vanished.is_none());
        let Some(refusal) = refusal else {
            self.refused.remove(&position.file);
            return;
        };
        let root = self.config.path.root();
        let file = root.join(&*position.directory).join(&*position.name);
        let server = match &self.config.server {
            Some(server) => Arc::from(server.as_str()),
            None => Arc::clone(&position.server),
        };
        self.refused.insert(position.file, (server, file, refusal));
    }

    /// Nothing needs to be known of a file any more.
    pub(super) fn forget(&mut self, file: FileId) {
        self.refused.remove(&file);
    }

    /// Whether these are the sources that come first, as far as they matter to it.
    pub(super) fn follows(&self, earlier: &[PathPattern]) -> bool {
        let paths = earlier.iter().map(PathPattern::as_path);
        paths.eq(self.earlier.iter().map(PathPattern::as_path))
    }

    /// A look is over. Whether nothing follows from it: it gave what the one before gave.
    pub(super) fn looked(&mut self, look: Look, began: Moment, now: Timestamp) -> bool {
        let held = self.held.take();
        self.held = held.filter(|until| began.instant <= *until);
        self.looked = Some(now);
        self.seen_until = Some(began.wall);
        if self.look.as_ref() == Some(&look) {
            return self.held == held;
        }
        let known = self.look.take().unwrap_or_default();
        let before: BTreeSet<&str> = known.troubles().collect();
        for trouble in look.troubles().filter(|trouble| !before.contains(trouble)) {
            warn!("{trouble}");
        }
        for directory in &look.directories {
            let path = &directory.directory.path;
            let was_troubled = |known: &&DirectoryLook| known.directory.path == *path;
            let known = known.directories.iter().find(was_troubled);
            if directory.trouble.is_none() && known.is_some_and(|known| known.trouble.is_some()) {
                info!(directory = %path.display(), "a directory can be read again");
            }
        }
        if look.trouble.is_none() && known.trouble.is_some() {
            info!(source = %self.config.path.as_path().display(), "a source can be read again");
        }
        self.look = Some(look);
        false
    }

    /// Whether its thread has not been heard of for so long that it must hang.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        now.duration_since(self.heard) >= SILENT
    }

    /// Whether everything could be read at the last look, and that was just now.
    pub(super) fn is_seen(&self, now: Instant) -> bool {
        let had_no_trouble = |look: &Look| look.troubles().next().is_none();
        self.look.as_ref().is_some_and(had_no_trouble) && self.is_heard(now)
    }

    /// The same for the logs of one server: what is wrong with another's says nothing about them.
    pub(super) fn sees(&self, server: &str, now: Instant) -> bool {
        let had_no_trouble = |look: &Look| look.trouble_of(server).is_none();
        self.look.as_ref().is_some_and(had_no_trouble) && self.is_heard(now)
    }

    fn is_heard(&self, now: Instant) -> bool {
        !self.is_silent(now) && self.held.is_none()
    }

    pub(super) fn status_in<'a>(
        &self,
        by_server: &'a mut BTreeMap<Arc<str>, SourceStatus>,
        now: Instant,
        look: &Look,
        server: &Arc<str>,
    ) -> &'a mut SourceStatus {
        let status = by_server.entry(Arc::clone(server));
        status.or_insert_with(|| self.status(now, look, Arc::clone(server)))
    }

    pub(super) fn status(&self, now: Instant, look: &Look, server: Arc<str>) -> SourceStatus {
        let path = self.config.path.as_path().display();
        let hangs = self.is_silent(now).then(|| {
            format!(
                "{path}: no answer for {} s. Does the share hang?",
                SILENT.as_secs()
            )
        });
        let trouble = hangs.or_else(|| look.trouble_of(&server).map(str::to_owned));
        let refused = self.refused.values();
        let refused = refused.filter(|(of, ..)| **of == *server);
        let named = refused.clone().take(MAX_REFUSED);
        SourceStatus {
            up: self.look.is_some() && trouble.is_none(),
            trouble,
            refused_files: refused.count(),
            refused: named.map(|(_, file, why)| (file.clone(), *why)).collect(),
            ..SourceStatus::new(path.to_string(), server)
        }
    }
}
