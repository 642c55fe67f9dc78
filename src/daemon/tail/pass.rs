//! One look after the other at the directories and files of a source.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::info;
use tracing::warn;

use crate::config::FirstRead;
use crate::config::SourceConfig;
use crate::daemon::clock;
use crate::daemon::source;
use crate::daemon::source::LogName;
use crate::daemon::tail::Directory;
use crate::daemon::tail::DirectoryLook;
use crate::daemon::tail::Event;
use crate::daemon::tail::FileId;
use crate::daemon::tail::Look;
use crate::daemon::tail::file::Followed;
use crate::daemon::tail::file::Standing;

/// How often directories are listed.
const LISTING: Duration = Duration::from_secs(2);
/// How often a thread says that it is alive when there is nothing else to say.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How often finished files are looked at: nothing should happen to them.
const FINISHED_LOOK: Duration = Duration::from_secs(60);

/// What is known of a source.
pub(super) struct Pass {
    source: SourceConfig,
    folders: BTreeMap<PathBuf, Folder>,
    listed: Option<Instant>,
    looked_at_finished: Option<Instant>,
    listing_trouble: Option<String>,
    said: Option<(Look, Instant)>,
}

/// A directory and the files that were seen in it, in the order in which they were written.
struct Folder {
    directory: Arc<Directory>,
    files: Vec<Followed>,
    /// Bytes of files that were deleted before they were read.
    deleted_unread: u64,
}

impl Pass {
    pub(super) fn new(source: SourceConfig) -> Self {
        Self {
            source,
            folders: BTreeMap::new(),
            listed: None,
            looked_at_finished: None,
            listing_trouble: None,
            said: None,
        }
    }

    /// Looks at everything that is due and says what is new. Whether somebody still listens.
    pub(super) fn look(&mut self, say: &mut impl FnMut(Event) -> bool) -> bool {
        let now = clock::instant();
        let is_past = |last: Option<Instant>, interval| {
            last.is_none_or(|last| now.duration_since(last) >= interval)
        };
        if is_past(self.listed, LISTING) {
            self.listed = Some(now);
            match self.list(clock::now(), say) {
                Ok(listens) if !listens => return false,
                Ok(_) => self.listing_trouble = None,
                Err(trouble) => self.listing_trouble = Some(trouble),
            }
        }
        let finished_too = is_past(self.looked_at_finished, FINISHED_LOOK);
        if finished_too {
            self.looked_at_finished = Some(now);
        }
        let mut trouble = self.listing_trouble.clone();
        for folder in self.folders.values_mut() {
            match folder.look(finished_too, say) {
                None => return false,
                Some(Ok(())) => {}
                Some(Err(error)) => trouble = trouble.or(Some(error)),
            }
        }
        let look = self.report(trouble);
        let is_news = self
            .said
            .as_ref()
            .is_none_or(|(said, at)| *said != look || now.duration_since(*at) >= HEARTBEAT);
        if !is_news {
            return true;
        }
        self.said = Some((look.clone(), now));
        say(Event::Looked(look))
    }

    fn report(&self, trouble: Option<String>) -> Look {
        let directories = self.folders.values().map(|folder| DirectoryLook {
            directory: Arc::clone(&folder.directory),
            files: folder.files.len(),
            unread: folder.files.iter().map(Followed::unread).sum(),
            deleted_unread: folder.deleted_unread,
        });
        Look {
            trouble,
            directories: directories.collect(),
        }
    }

    /// Finds new files and notices those that are gone. A directory that cannot be read is an error, but the others are
    /// followed all the same. Nothing is concluded from a listing that fails, nor from one in
    /// which every known file is gone at once: then the share is gone, not the files.
    fn list(
        &mut self,
        now: Timestamp,
        say: &mut impl FnMut(Event) -> bool,
    ) -> Result<bool, String> {
        let root = self.source.path.root().to_owned();
        let unreadable =
            |error: &io::Error| format!("{}: {}", root.display(), source::remedy(error));
        let found = source::expand(&self.source.path).map_err(|error| unreadable(&error))?;
        let mut present: BTreeMap<PathBuf, (Option<String>, Vec<PathBuf>)> = BTreeMap::new();
        let mut trouble = None;
        for found in found {
            match source::send_logs(&found.path) {
                Ok(files) if files.is_empty() => {}
                Ok(files) => {
                    present.insert(found.path, (found.server, files));
                }
                Err(error) => {
                    let found = format!("{}: {}", found.path.display(), source::remedy(&error));
                    trouble = trouble.or(Some(found));
                }
            }
        }
        if present.is_empty() {
            if let Some(trouble) = trouble {
                return Err(trouble);
            }
            let reason = if self.folders.values().any(|folder| !folder.files.is_empty()) {
                "all log files vanished at once. Is the share still mounted? What was read is kept"
            } else {
                "no SEND*.LOG below it yet. Is protocol logging on (Set-SendConnector '…' -ProtocolLoggingLevel Verbose)?"
            };
            return Err(format!("{}: {reason}", root.display()));
        }
        self.add_folders(&present);
        let source = &self.source;
        for folder in self.folders.values_mut() {
            let listed = present
                .get(&folder.directory.path)
                .map(|(_, files)| files.as_slice());
            folder.add_new(listed.unwrap_or_default(), source.first_read, now);
            match folder.drop_gone(listed.unwrap_or_default(), say) {
                Some(unread) => folder.deleted_unread += unread,
                None => return Ok(false),
            }
        }
        trouble.map_or(Ok(true), Err)
    }

    fn add_folders(&mut self, present: &BTreeMap<PathBuf, (Option<String>, Vec<PathBuf>)>) {
        let paths: Vec<PathBuf> = present.keys().cloned().collect();
        let names = source::server_names(&paths);
        for ((path, (named, _)), derived) in present.iter().zip(names) {
            if self.folders.contains_key(path) {
                continue;
            }
            let server = self
                .source
                .server
                .clone()
                .or_else(|| named.clone())
                .unwrap_or(derived);
            info!(directory = %path.display(), %server, "following the logs of a directory");
            let directory = Arc::new(Directory {
                path: path.clone(),
                server: Arc::from(server),
            });
            let folder = Folder {
                directory,
                files: Vec::new(),
                deleted_unread: 0,
            };
            self.folders.insert(path.clone(), folder);
        }
    }
}

impl Folder {
    /// Follows files that were not there before. Only at the first look does the date in a name decide whether a file
    /// is too old to be read; one that turns up later is read whatever its date.
    fn add_new(&mut self, listed: &[PathBuf], first_read: FirstRead, now: Timestamp) {
        static LAST_ID: AtomicU64 = AtomicU64::new(0);
        let first_look = self.files.is_empty();
        let known: BTreeSet<&PathBuf> = self.files.iter().map(|file| &*file.path).collect();
        let new: Vec<PathBuf> = listed
            .iter()
            .filter(|path| !known.contains(path))
            .cloned()
            .collect();
        for path in new {
            let id = FileId(LAST_ID.fetch_add(1, Ordering::Relaxed));
            let name = LogName::read(path.file_name().unwrap_or_default());
            let mut file = Followed::new(id, name, path, clock::instant());
            file.measure();
            if first_look && is_too_old(name, first_read, now) {
                file.offset = file.size;
            }
            self.files.push(file);
        }
        self.files
            .sort_by(|a, b| (a.name, &a.path).cmp(&(b.name, &b.path)));
    }

    /// Forgets files that are gone. Bytes of them that were not read; `None`: nobody listens.
    fn drop_gone(
        &mut self,
        listed: &[PathBuf],
        say: &mut impl FnMut(Event) -> bool,
    ) -> Option<u64> {
        if listed.is_empty() {
            return Some(0);
        }
        let present: BTreeSet<&PathBuf> = listed.iter().collect();
        let mut unread = 0;
        let mut listens = true;
        self.files.retain(|file| {
            let here = present.contains(&*file.path) || !is_gone(&file.path);
            if !here {
                if file.unread() > 0 {
                    warn!(file = %file.path.display(), bytes = file.unread(), "a log file was deleted before it was read to its end");
                }
                unread += file.unread();
                listens &= say(Event::Gone { file: file.id });
            }
            here
        });
        listens.then_some(unread)
    }

    /// Reads what is new. `None`: nobody listens. An error is the trouble with one of the files; the others are read.
    fn look(
        &mut self,
        finished_too: bool,
        say: &mut impl FnMut(Event) -> bool,
    ) -> Option<Result<(), String>> {
        let more_promised = Cell::new(false);
        let mut say = |event| {
            if let Event::Bytes { more, .. } = &event {
                more_promised.set(*more);
            }
            say(event)
        };
        let mut trouble: Option<String> = None;
        let last = self.files.len().saturating_sub(1);
        for index in 0..self.files.len() {
            let now = clock::instant();
            let file = &mut self.files[index];
            if (file.finished && !finished_too) || !file.is_due(now) {
                trouble = trouble.or_else(|| file.trouble().map(str::to_owned));
                continue;
            }
            let later: u64 = self.files[index + 1..].iter().map(Followed::unread).sum();
            let file = &mut self.files[index];
            match look_at(file, &self.directory, index < last, later, &mut say) {
                Ok(true) => file.recover(),
                Ok(false) => return None,
                // The next listing tells whether it is gone for good.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let found = format!("{}: {}", file.path.display(), source::remedy(&error));
                    file.back_off(found.clone(), now);
                    trouble = trouble.or(Some(found));
                }
            }
        }
        if more_promised.get() {
            let directory = Arc::clone(&self.directory);
            if !say(Event::CaughtUp { directory }) {
                return None;
            }
        }
        Some(trouble.map_or(Ok(()), Err))
    }
}

/// A listing leaves out what it cannot look at. Only a file that is surely gone is forgotten: one that comes back would
/// be read from its start again.
fn is_gone(path: &Path) -> bool {
    std::fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Opens, looks, reads, closes. `later`: bytes that wait in later files of the directory.
fn look_at(
    file: &mut Followed,
    directory: &Arc<Directory>,
    newer: bool,
    later: u64,
    say: &mut impl FnMut(Event) -> bool,
) -> io::Result<bool> {
    let mut opened = File::open(&*file.path)?;
    let size = opened.metadata()?.len();
    let now = clock::instant();
    let mut listens = true;
    match file.assess(size, newer, now) {
        Standing::Same => return Ok(true),
        Standing::Finished => {
            return Ok(say(Event::Finished {
                directory: Arc::clone(directory),
                file: file.id,
            }));
        }
        Standing::Rewritten => {
            warn!(file = %file.path.display(), "a log file was rewritten; reading it from its start");
            listens = say(Event::Rewritten { file: file.id });
        }
        Standing::Grown => {}
    }
    let (id, path) = (file.id, Arc::clone(&file.path));
    let all_read = listens
        && file.read(&mut opened, |bytes, rest| {
            say(Event::Bytes {
                directory: Arc::clone(directory),
                file: id,
                path: Arc::clone(&path),
                bytes,
                more: rest + later > 0,
            })
        })?;
    Ok(all_read)
}

impl Followed {
    /// Bytes that are there but not read, as far as is known.
    fn unread(&self) -> u64 {
        if self.finished {
            0
        } else {
            self.size.saturating_sub(self.offset)
        }
    }

    /// Looks at the size before the file is opened for the first time, so that the ones before it know that more waits.
    fn measure(&mut self) {
        if let Ok(metadata) = std::fs::metadata(&*self.path) {
            self.size = metadata.len();
        }
    }
}

/// Whether every row of a file with this name was written before the first reading begins.
fn is_too_old(name: LogName, first_read: FirstRead, now: Timestamp) -> bool {
    let FirstRead::Last(back) = first_read else {
        return false;
    };
    let LogName::Dated {
        date,
        hour,
        whole_day,
        ..
    } = name
    else {
        return false;
    };
    let length = SignedDuration::from_hours(if whole_day { 24 } else { 1 });
    let start = i8::try_from(hour).map_or(date.at(0, 0, 0, 0), |hour| date.at(hour, 0, 0, 0));
    let end = TimeZone::UTC
        .to_timestamp(start)
        .ok()
        .and_then(|start| start.checked_add(length).ok());
    let oldest = now.checked_sub(back).ok();
    matches!((end, oldest), (Some(end), Some(oldest)) if end <= oldest)
}

#[cfg(test)]
mod tests;
