//! One look after the other at the directories and files of a source.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
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
use crate::daemon::tail::Event;
use crate::daemon::tail::FileId;
use crate::daemon::tail::Look;
use crate::daemon::tail::file::Followed;
use crate::daemon::tail::file::Standing;

/// How often directories are listed.
const LISTING: Duration = Duration::from_secs(2);
/// How often finished files are looked at: nothing should happen to them.
const FINISHED_LOOK: Duration = Duration::from_secs(60);

/// What is known of a source.
pub(super) struct Pass {
    source: SourceConfig,
    folders: BTreeMap<PathBuf, Folder>,
    listed: Option<Instant>,
    looked_at_finished: Option<Instant>,
    listing_trouble: Option<String>,
    deleted_unread_bytes: u64,
    said: Option<Look>,
}

/// A directory and the files that were seen in it, in the order in which they were written.
struct Folder {
    directory: Arc<Directory>,
    files: Vec<Followed>,
}

impl Pass {
    pub(super) fn new(source: SourceConfig) -> Self {
        Self {
            source,
            folders: BTreeMap::new(),
            listed: None,
            looked_at_finished: None,
            listing_trouble: None,
            deleted_unread_bytes: 0,
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
        if self.said.as_ref() == Some(&look) {
            return true;
        }
        self.said = Some(look.clone());
        say(Event::Looked(look))
    }

    fn report(&self, trouble: Option<String>) -> Look {
        let directories = self.folders.values().map(|folder| {
            let unread = folder.files.iter().map(Followed::unread).sum();
            (Arc::clone(&folder.directory), folder.files.len(), unread)
        });
        Look {
            trouble,
            directories: directories.collect(),
            deleted_unread_bytes: self.deleted_unread_bytes,
        }
    }

    /// Finds new files and notices those that are gone. Nothing is concluded from a listing that fails, nor from one in
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
        for found in found {
            let files = source::send_logs(&found.path)
                .map_err(|error| format!("{}: {}", found.path.display(), source::remedy(&error)))?;
            if !files.is_empty() {
                present.insert(found.path, (found.server, files));
            }
        }
        if present.is_empty() {
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
                Some(unread) => self.deleted_unread_bytes += unread,
                None => return Ok(false),
            }
        }
        Ok(true)
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
            if first_look && is_too_old(name, first_read, now) {
                file.skip();
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
            let here = present.contains(&*file.path);
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
        let mut trouble = None;
        let last = self.files.len().saturating_sub(1);
        for index in 0..self.files.len() {
            let now = clock::instant();
            let file = &mut self.files[index];
            if (file.finished && !finished_too) || !file.is_due(now) {
                continue;
            }
            let later: u64 = self.files[index + 1..].iter().map(Followed::unread).sum();
            let file = &mut self.files[index];
            match look_at(file, &self.directory, index < last, later, say) {
                Ok(true) => {}
                Ok(false) => return None,
                // The next listing tells whether it is gone for good.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    file.back_off(now);
                    trouble = Some(format!(
                        "{}: {}",
                        file.path.display(),
                        source::remedy(&error)
                    ));
                }
            }
        }
        Some(trouble.map_or(Ok(()), Err))
    }
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

    /// Passes over what is in the file now.
    fn skip(&mut self) {
        if let Ok(metadata) = std::fs::metadata(&*self.path) {
            self.size = metadata.len();
            self.offset = self.size;
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
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::Path;

    use super::*;
    use crate::config;

    /// A source that is looked at by hand.
    struct Bench {
        folder: tempfile::TempDir,
        pass: Pass,
    }

    impl Bench {
        fn new(path: &str, first_read: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let text = format!("sources: [{{ path: \"{path}\", first_read: {first_read} }}]");
            let file = folder.path().join("certdrift.yml");
            let config = config::parse(&text, &file, None).unwrap();
            let pass = Pass::new(config.sources[0].clone());
            Self { folder, pass }
        }

        fn append(&self, name: &str, text: &str) {
            let path = self.folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut file = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        /// One look, directories and all. The texts read, by file name, in order; and the last report.
        fn look(&mut self) -> (Vec<(String, String)>, Option<Look>) {
            self.pass.listed = None;
            let (mut read, mut report) = (Vec::new(), None);
            let listens = self.pass.look(&mut |event| {
                match event {
                    Event::Bytes { path, bytes, .. } => {
                        let name = path.file_name().unwrap().to_string_lossy().into_owned();
                        read.push((name, String::from_utf8(bytes).unwrap()));
                    }
                    Event::Looked(look) => report = Some(look),
                    Event::Finished { .. } | Event::Rewritten { .. } | Event::Gone { .. } => {}
                }
                true
            });
            assert!(listens);
            (read, report)
        }

        fn remove(&self, name: &str) {
            fs::remove_file(self.folder.path().join(name)).unwrap();
        }
    }

    fn texts(read: &[(String, String)]) -> String {
        read.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn what_is_appended_is_read_once() {
        let mut bench = Bench::new("logs", "all");
        bench.append("logs/SEND2026010100-1.LOG", "one\r\ntw");
        assert_eq!(texts(&bench.look().0), "one\r\ntw");
        assert_eq!(bench.look().0, []);
        bench.append("logs/SEND2026010100-1.LOG", "o\r\n");
        assert_eq!(texts(&bench.look().0), "o\r\n");
    }

    #[test]
    fn files_are_read_in_the_order_of_their_numbers() {
        let mut bench = Bench::new("logs", "all");
        for name in [
            "SEND2026010100-10.LOG",
            "SEND2026010101-1.LOG",
            "SEND2026010100-9.LOG",
        ] {
            bench.append(&format!("logs/{name}"), name);
        }
        let (read, _) = bench.look();
        let names: Vec<&str> = read.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "SEND2026010100-9.LOG",
                "SEND2026010100-10.LOG",
                "SEND2026010101-1.LOG"
            ]
        );
    }

    #[test]
    fn every_server_has_a_directory_of_its_own() {
        let mut bench = Bench::new("logs/{server}/SmtpSend", "all");
        for server in ["EX01", "EX02"] {
            bench.append(&format!("logs/{server}/SmtpSend/SEND2026010100-1.LOG"), "x");
        }
        let (_, report) = bench.look();
        let directories = report.unwrap().directories;
        let servers: Vec<&str> = directories
            .iter()
            .map(|(directory, ..)| &*directory.server)
            .collect();
        assert_eq!(servers, ["EX01", "EX02"]);
    }

    #[test]
    fn the_first_read_passes_over_old_files_but_not_over_what_comes_later() {
        let mut bench = Bench::new("logs", "24h");
        bench.append("logs/SEND2020010100-1.LOG", "old\n");
        assert_eq!(bench.look().0, []);
        bench.append("logs/SEND2020010100-1.LOG", "new\n");
        bench.append("logs/SEND2019010100-1.LOG", "late\n");
        assert_eq!(texts(&bench.look().0), "late\nnew\n");
    }

    #[test]
    fn the_age_of_a_file_is_that_of_its_last_row() {
        let now: Timestamp = "2026-01-02T12:30:00Z".parse().unwrap();
        let back = FirstRead::Last(Duration::from_secs(24 * 3600));
        for (name, too_old) in [
            ("SEND2026010111-1.LOG", true),
            ("SEND2026010112-1.LOG", false),
            ("SEND20260101-1.LOG", false),
            ("SEND20251231-1.LOG", true),
            ("copy.LOG", false),
        ] {
            let read = LogName::read(name.as_ref());
            assert_eq!(is_too_old(read, back, now), too_old, "{name}");
            assert!(!is_too_old(read, FirstRead::All, now));
        }
    }

    #[test]
    fn nothing_is_concluded_when_all_files_are_gone_at_once() {
        let mut bench = Bench::new("logs", "all");
        bench.append("logs/SEND2026010100-1.LOG", "one\n");
        bench.look();
        bench.remove("logs/SEND2026010100-1.LOG");
        let (_, report) = bench.look();
        let trouble = report.unwrap().trouble.unwrap();
        assert!(trouble.contains("vanished at once"), "{trouble}");
        bench.append("logs/SEND2026010100-1.LOG", "one\ntwo\n");
        let (read, report) = bench.look();
        assert_eq!(texts(&read), "two\n", "what was read is not read again");
        assert_eq!(report.unwrap().trouble, None);
    }

    #[test]
    fn a_file_deleted_before_it_was_read_is_counted() {
        let mut bench = Bench::new("logs", "all");
        bench.append("logs/SEND2026010100-1.LOG", "one\n");
        bench.append("logs/SEND2026010100-2.LOG", "two\n");
        bench.look();
        let folder = bench.pass.folders.values_mut().next().unwrap();
        folder.files[0].size += 7;
        bench.remove("logs/SEND2026010100-1.LOG");
        let (_, report) = bench.look();
        assert_eq!(report.unwrap().deleted_unread_bytes, 7);
    }

    #[test]
    fn a_missing_directory_is_trouble_and_heals() {
        let mut bench = Bench::new("logs", "all");
        let (_, report) = bench.look();
        let trouble = report.unwrap().trouble.unwrap();
        assert!(trouble.contains("does not exist"), "{trouble}");
        bench.append("logs/SEND2026010100-1.LOG", "one\n");
        let (read, report) = bench.look();
        assert_eq!(
            (texts(&read).as_str(), report.unwrap().trouble),
            ("one\n", None)
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_with_the_name_of_a_log_holds_up_nobody() {
        let mut bench = Bench::new("logs", "all");
        bench.append("logs/SEND2026010100-2.LOG", "two\n");
        let pipe = bench.folder.path().join("logs/SEND2026010100-1.LOG");
        let made = std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap();
        assert!(made.success() && Path::new(&pipe).exists());
        assert_eq!(texts(&bench.look().0), "two\n");
    }
}
