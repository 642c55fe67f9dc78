//! The files in which Exchange says what is expected and what stands ready: exports and certificates.
//!
//! Only a file that can be read as a whole takes the place of the one before; one that is gone, broken or half-written
//! changes nothing but its status. That is told at the second look that finds it so, because a script needs a moment to
//! write, unless nothing is known from an earlier file. What is in force outlasts the program: copies of it are kept with the
//! state.

mod copies;
mod file;
mod follower;
mod search;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::config::Config;
use crate::config::ExportFiles;
use crate::config::Fit;
use crate::config::PathPattern;
use crate::daemon::expected::copies::Copies;
use crate::daemon::expected::copies::Copy;
use crate::daemon::expected::file::Followed;
pub use crate::daemon::expected::follower::Follower;
pub use crate::daemon::expected::follower::MAX_CHANGES;
use crate::pipeline::export::Exports;
use crate::pipeline::export::Kind;
use crate::pipeline::export::MAX_BYTES;
use crate::pipeline::export::certificates::RawCertificate;
use crate::pipeline::inventory::Inventory;
use crate::pipeline::inventory::InventoryCertificate;
use crate::pipeline::inventory::decode::from_der;
use crate::pipeline::inventory::reading;
use crate::pipeline::snapshot::ExpectationStatus;
use crate::pipeline::snapshot::ExportStatus;

/// The name under which certificate files appear in the status.
const INVENTORY: &str = "inventory";

/// What the files say now.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What was exported, as far as it could ever be read.
    pub exports: Exports,
    /// The certificates of the export and of the files.
    pub inventory: Arc<Inventory>,
    /// How the files are.
    pub status: ExpectationStatus,
    /// What was left out of files that were read otherwise, in words for an operator.
    pub remarks: Vec<String>,
}

/// Follows the files that a configuration names.
#[derive(Debug, Default)]
pub struct ExpectedFiles {
    exports: Exports,
    followed: BTreeMap<Kind, Followed>,
    patterns: Vec<PathPattern>,
    inventory: BTreeMap<PathBuf, CertificateFile>,
    searches: Vec<ExportStatus>,
    status: ExpectationStatus,
    has_looked: bool,
    copies: Copies,
}

/// A certificate file, and what it held when it could last be read.
#[derive(Debug)]
struct CertificateFile {
    followed: Followed,
    server: Option<Arc<str>>,
    certificates: Vec<InventoryCertificate>,
    remarks: Vec<String>,
}

impl ExpectedFiles {
    /// Nothing is read before the first look.
    pub fn new(config: &Config) -> Self {
        let mut files = Self::default();
        files.reconfigure(&config.exports, config.inventory.clone());
        files
    }

    /// The same, with what was in force before the start: copies of it are in the directory of the state.
    pub fn resumed(config: &Config, state: &Path, now: Timestamp) -> Self {
        let mut files = Self::new(config);
        for (path, copy) in Copies::kept(state) {
            files.restore(&path, &copy, now);
        }
        files
    }

    /// From now on copies are kept in the directory of the state, which nobody else has.
    pub fn keep_in(&mut self, state: &Path) {
        self.copies.keep_in(state);
        self.forget_copies();
    }

    /// What is known from before the start when nobody could look at the files in time.
    pub fn unanswered(mut self, now: Timestamp) -> Known {
        let certificates = self.inventory.values_mut().map(|file| &mut file.followed);
        for followed in self.followed.values_mut().chain(certificates) {
            followed.unanswered(now);
        }
        self.status = self.status();
        self.known()
    }

    fn restore(&mut self, path: &Path, copy: &Copy, now: Timestamp) {
        for (kind, followed) in &mut self.followed {
            if followed.path() == path {
                let exports = &mut self.exports;
                followed.restore(copy, now, |bytes| {
                    let taken = exports.take(*kind, bytes);
                    taken.map_err(|problem| problem.to_string())
                });
            }
        }
        if let Some(fit) = self.fit(path) {
            let mut file = CertificateFile::new(path.to_owned());
            file.restore(copy, now);
            file.server = fit.server.map(Arc::from);
            self.inventory.insert(path.to_owned(), file);
        }
    }

    /// Whether a certificate file of this path is meant, and whose it is.
    fn fit(&self, path: &Path) -> Option<Fit> {
        self.patterns.iter().find_map(|pattern| pattern.fit(path))
    }

    fn forget_copies(&mut self) {
        let mut copies = std::mem::take(&mut self.copies);
        let is_export = |path: &Path| self.followed.values().any(|it| it.path() == path);
        copies.forget_others(|path| is_export(path) || self.fit(path).is_some());
        self.copies = copies;
    }

    /// Reads every file of a configuration for somebody who looks once.
    ///
    /// # Errors
    /// A line for each file with which something is wrong: nothing is known from before that could stand in.
    pub fn read_once(config: &Config, now: Timestamp) -> Result<Known, String> {
        let known = Self::new(config).look(now).unwrap_or_default();
        let exports = known.status.exports.iter();
        let problems: Vec<String> = exports
            .filter_map(|status| {
                let problem = status.problem.as_ref()?;
                Some(format!("{}: {problem}", status.file.display()))
            })
            .collect();
        if problems.is_empty() {
            return Ok(known);
        }
        Err(problems.join("\n"))
    }

    /// Follows other files from now on. What is known of a file that is still among them stays known.
    pub fn reconfigure(&mut self, files: &ExportFiles, patterns: Vec<PathPattern>) {
        for kind in Kind::ALL {
            let file = files.file(kind);
            let is_same = |followed: &Followed| Some(followed.path()) == file;
            if self.followed.get(&kind).is_some_and(is_same) {
                continue;
            }
            self.exports.forget(kind);
            match file {
                Some(file) => {
                    self.followed
                        .insert(kind, Followed::new(file.to_owned(), MAX_BYTES));
                }
                None => {
                    self.followed.remove(&kind);
                }
            }
        }
        self.patterns = patterns;
        self.has_looked = false;
        self.forget_copies();
    }

    /// Looks at every file. `None`: nothing has changed since the last look.
    pub fn look(&mut self, now: Timestamp) -> Option<Known> {
        let mut has_changed = !std::mem::replace(&mut self.has_looked, true);
        for (kind, followed) in &mut self.followed {
            let exports = &mut self.exports;
            has_changed |= followed.look(now, &mut self.copies, |bytes| {
                let taken = exports.take(*kind, bytes);
                taken.map_err(|problem| problem.to_string())
            });
        }
        has_changed |= self.look_at_certificates(now);
        let status = self.status();
        if !has_changed && status == self.status {
            return None;
        }
        self.status = status;
        Some(self.known())
    }

    fn look_at_certificates(&mut self, now: Timestamp) -> bool {
        let mut has_changed = false;
        let found = self.search(now);
        if let Some(found) = found {
            let before = self.inventory.len();
            self.inventory.retain(|path, _| found.contains_key(path));
            has_changed |= self.inventory.len() != before;
            for (path, server) in found {
                let fresh = || CertificateFile::new(path.clone());
                let file = self.inventory.entry(path.clone()).or_insert_with(fresh);
                file.server = server;
            }
        }
        for file in self.inventory.values_mut() {
            has_changed |= file.look(now, &mut self.copies);
        }
        has_changed
    }

    /// The certificate files that there are; `None` if that cannot be said, so that none is given up.
    fn search(&mut self, now: Timestamp) -> Option<BTreeMap<PathBuf, Option<Arc<str>>>> {
        let mut found = BTreeMap::new();
        let mut troubles = Vec::new();
        for pattern in &self.patterns {
            match search::files(pattern) {
                Ok(files) => found.extend(files),
                Err(message) => {
                    let file = pattern.as_path().to_owned();
                    let earlier = self.searches.iter().find(|trouble| trouble.file == file);
                    troubles.push(ExportStatus {
                        name: INVENTORY,
                        exported_at: None,
                        problem: Some(message),
                        since: Some(earlier.and_then(|trouble| trouble.since).unwrap_or(now)),
                        file,
                    });
                }
            }
        }
        self.searches = troubles;
        self.searches.is_empty().then_some(found)
    }

    fn status(&self) -> ExpectationStatus {
        let mut exports: Vec<ExportStatus> = self
            .followed
            .iter()
            .map(|(kind, followed)| followed.status(kind.as_str()))
            .collect();
        exports.extend(self.searches.iter().cloned());
        let certificates = self.inventory.values();
        let certificates = certificates.map(|file| file.followed.status(INVENTORY));
        exports.extend(certificates.filter(|status| status.problem.is_some()));
        ExpectationStatus { exports }
    }

    fn known(&self) -> Known {
        let (mut certificates, mut remarks) = self.exported_certificates();
        for file in self.inventory.values() {
            certificates.extend(file.certificates.iter().map(|certificate| {
                let server = file.server.clone();
                InventoryCertificate {
                    server,
                    ..certificate.clone()
                }
            }));
            remarks.extend(file.remarks.iter().cloned());
        }
        Known {
            exports: self.exports.clone(),
            inventory: Arc::new(Inventory::new(certificates)),
            status: self.status.clone(),
            remarks,
        }
    }

    /// One that cannot be read does not spoil the others: a store may hold what no mail server would present.
    fn exported_certificates(&self) -> (Vec<InventoryCertificate>, Vec<String>) {
        let mut certificates = Vec::new();
        let mut remarks = Vec::new();
        let mut bare = 0;
        let file = self.followed.get(&Kind::Certificates).map(Followed::path);
        let origin = origin(file.unwrap_or(Path::new("")));
        for RawCertificate { der, server } in self.exports.certificates.iter().flatten() {
            let server = server.as_deref().map(Arc::from);
            let Some(der) = der else {
                bare += 1;
                continue;
            };
            match from_der(der, &origin, server.as_ref()) {
                Ok(certificate) => certificates.push(certificate),
                Err(problem) => remarks.push(problem.to_string()),
            }
        }
        if bare > 0 {
            remarks.push(format!(
                "{origin}: {bare} certificates without RawData, so nothing is known of them; export them on their own server"
            ));
        }
        (certificates, remarks)
    }
}

impl CertificateFile {
    fn new(path: PathBuf) -> Self {
        Self {
            followed: Followed::new(path, reading::MAX_FILE_BYTES),
            server: None,
            certificates: Vec::new(),
            remarks: Vec::new(),
        }
    }

    fn look(&mut self, now: Timestamp, copies: &mut Copies) -> bool {
        let origin = origin(self.followed.path());
        let (certificates, remarks) = (&mut self.certificates, &mut self.remarks);
        self.followed.look(now, copies, |bytes| {
            take(bytes, &origin, certificates, remarks)
        })
    }

    fn restore(&mut self, copy: &Copy, now: Timestamp) {
        let origin = origin(self.followed.path());
        let (certificates, remarks) = (&mut self.certificates, &mut self.remarks);
        self.followed.restore(copy, now, |bytes| {
            take(bytes, &origin, certificates, remarks)
        });
    }
}

/// Takes the content of a certificate file, if there is a certificate in it.
fn take(
    bytes: &[u8],
    origin: &Arc<str>,
    certificates: &mut Vec<InventoryCertificate>,
    remarks: &mut Vec<String>,
) -> Result<Option<Timestamp>, String> {
    let read = reading::read(bytes, origin);
    let problems = read.problems.iter().map(ToString::to_string);
    if read.certificates.is_empty() {
        let problems: Vec<String> = problems.collect();
        return Err(problems.join("; "));
    }
    *remarks = problems.collect();
    *certificates = read.certificates;
    Ok(None)
}

fn origin(file: &Path) -> Arc<str> {
    Arc::from(file.file_name().unwrap_or_default().to_string_lossy())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
