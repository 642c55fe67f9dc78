//! One look after the other at the directories and files of a source.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::config::PathPattern;
use crate::config::SourceConfig;
use crate::daemon::tail::Directory;
use crate::daemon::tail::DirectoryLook;
use crate::daemon::tail::Event;
use crate::daemon::tail::Hint;
use crate::daemon::tail::Look;
use crate::daemon::tail::Moment;
use crate::daemon::tail::absent::Absent;
use crate::daemon::tail::disk::Disk;
use crate::daemon::tail::file::Followed;
use crate::daemon::tail::folder::Folder;
use crate::daemon::tail::folder::Say;
use crate::daemon::tail::places::Places;
use crate::daemon::tail::position::FileId;
use crate::daemon::tail::position::Position;
use crate::daemon::tail::source_key;

/// How often directories are listed: with every other look. Less than two seconds, because a look comes a little early at
/// times.
const LISTING: Duration = Duration::from_millis(1900);
/// How often a thread says that it is alive when there is nothing else to say.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What is known of a source.
pub(super) struct Pass<D> {
    pub(super) disk: D,
    pub(super) source: SourceConfig,
    /// Sources that come first: what fits one of them is read there, and not here.
    pub(super) earlier: Vec<PathPattern>,
    /// Its number, and where all sources find their directories.
    pub(super) number: u64,
    pub(super) places: Arc<Places>,
    /// Whether a directory waits until it is clear that no other path to it is read.
    pub(super) waits: bool,
    /// What is not read here: it is read elsewhere, or cannot be, or a server has nothing to read yet.
    pub(super) left: BTreeMap<PathBuf, DirectoryLook>,
    pub(super) key: Arc<str>,
    pub(super) folders: BTreeMap<PathBuf, Folder>,
    /// Files that are gone.
    pub(super) absent: Absent,
    /// Those that were one too many.
    pub(super) forgotten: Vec<FileId>,
    /// Whether nothing of this source was ever read.
    pub(super) first: bool,
    pub(super) last_id: u64,
    pub(super) began: Instant,
    pub(super) walked: Option<Instant>,
    /// Whether something has gone missing since the tree was last looked through.
    pub(super) search: bool,
    pub(super) trouble: Option<String>,
    listed: Option<Instant>,
    said: Option<(Look, Instant)>,
}

impl<D: Disk> Pass<D> {
    pub(super) fn new(
        disk: D,
        source: SourceConfig,
        earlier: Vec<PathPattern>,
        saved: Vec<Position>,
        at: Moment,
    ) -> Self {
        let mut pass = Self {
            disk,
            key: source_key(&source),
            source,
            earlier,
            number: 0,
            places: Arc::default(),
            waits: false,
            left: BTreeMap::new(),
            folders: BTreeMap::new(),
            absent: Absent::default(),
            forgotten: Vec::new(),
            first: saved.is_empty(),
            last_id: 0,
            began: at.instant,
            walked: None,
            search: false,
            trouble: None,
            listed: None,
            said: None,
        };
        for position in saved {
            pass.restore(&position, at.instant);
        }
        pass
    }

    /// There are other sources, to which this one is known by its number.
    pub(super) fn share(&mut self, number: u64, places: Arc<Places>) {
        self.number = number;
        self.places = places;
    }

    fn restore(&mut self, position: &Position, now: Instant) {
        self.last_id = self.last_id.max(position.file.0);
        let file = Followed::restored(position, now);
        let server = match &self.source.server {
            Some(server) => Arc::from(server.as_str()),
            None => Arc::clone(&position.server),
        };
        if position.vanished.is_some() {
            self.forgotten.extend(self.absent.add(&server, file));
            return;
        }
        let path = match &*position.directory {
            "" => self.source.path.root().to_owned(),
            below => self.source.path.root().join(below),
        };
        if self.reader_of(&path).is_none() {
            self.folder(path, server, &position.directory).insert(file);
        }
    }

    /// The source that comes first and reads a directory, or one above it.
    pub(super) fn reader_of(&self, directory: &Path) -> Option<&PathPattern> {
        let fits = |earlier: &&PathPattern| {
            let mut above = directory.ancestors();
            above.any(|directory| earlier.fit(directory).is_some())
        };
        self.earlier.iter().find(fits)
    }

    /// The folder at a path, which is followed from now on.
    pub(super) fn folder(
        &mut self,
        path: PathBuf,
        server: Arc<str>,
        relative: &str,
    ) -> &mut Folder {
        self.folders
            .entry(path.clone())
            .or_insert_with(|| Folder::new(Directory { path, server }, &self.key, relative))
    }

    pub(super) fn next_id(&mut self) -> FileId {
        self.last_id += 1;
        FileId(self.last_id)
    }

    /// Looks at everything that is due and says what is new. Whether somebody still listens.
    pub(super) fn look(&mut self, at: Moment, hint: Option<Hint>, say: &mut Say<'_>) -> bool {
        let now = at.instant;
        self.search |= hint == Some(Hint::Made);
        if self.waits || is_past(self.listed, LISTING, now) {
            self.listed = Some(now);
            if !self.list(at, say) {
                return false;
            }
        } else if !self.identify(now, say) {
            return false;
        }
        if !self.look_at_copies(now, say) {
            return false;
        }
        for folder in self.folders.values_mut() {
            if !folder.look(&self.disk, now, say) {
                return false;
            }
        }
        // What is not followed yet would seem to have been looked at.
        if self.waits {
            return true;
        }
        let look = self.report();
        let is_news = self
            .said
            .as_ref()
            .is_none_or(|(said, at)| *said != look || now.duration_since(*at) >= HEARTBEAT);
        if !is_news {
            return true;
        }
        self.said = Some((look.clone(), now));
        say(Event::Looked { look, began: at })
    }

    fn report(&self) -> Look {
        Look {
            trouble: self.trouble.clone(),
            directories: self
                .folders
                .values()
                .map(Folder::report)
                .chain(self.left.values().cloned())
                .collect(),
        }
    }

    /// A directory as positions name it; `None`: its name is not Unicode.
    pub(super) fn relative<'a>(&self, path: &'a Path) -> Option<&'a str> {
        path.strip_prefix(self.source.path.root()).ok()?.to_str()
    }
}

/// Whether an interval is over.
pub(super) fn is_past(last: Option<Instant>, interval: Duration, now: Instant) -> bool {
    last.is_none_or(|last| now.duration_since(last) >= interval)
}

#[cfg(test)]
mod tests;
