//! The certificate files that a path of the configuration means.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::PathPattern;
use crate::daemon::source;

/// Most certificate files of one path.
const MAX_FILES: usize = 1000;
/// Most files and directories that are looked at for one path.
const MAX_ENTRIES: usize = 100_000;

/// A certificate file, and the server that its path names.
pub(super) type Found = (PathBuf, Option<Arc<str>>);

/// The files that fit, each with the server that its path names. A path without wildcards is always one file, there or
/// not. Directories further down that cannot be read are left out.
///
/// # Errors
/// In words for an operator: the directory where the search starts cannot be read, or there are too many files.
pub(super) fn files(pattern: &PathPattern) -> Result<Vec<Found>, String> {
    if pattern.is_literal() {
        return Ok(vec![(pattern.root().to_owned(), None)]);
    }
    let mut found = Vec::new();
    let mut open = vec![pattern.root().to_owned()];
    let mut seen = 0;
    while let Some(directory) = open.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if directory == pattern.root() => {
                let directory = directory.display();
                return Err(format!("{directory} {}", source::remedy(&error)));
            }
            Err(_) => continue,
        };
        for entry in entries.filter_map(io::Result::ok) {
            seen += 1;
            if seen > MAX_ENTRIES || found.len() > MAX_FILES {
                return Err(format!(
                    "means more than {MAX_FILES} files, or a tree of more than {MAX_ENTRIES}; name a narrower path"
                ));
            }
            let path = entry.path();
            // A link to a directory could lead back up; one to a file is how secrets are mounted.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if pattern.may_lead_to_fit(&path) {
                    open.push(path);
                }
            } else if let Some(fit) = pattern.fit(&path)
                && fs::metadata(&path).is_ok_and(|metadata| metadata.is_file())
            {
                found.push((path, fit.server.map(Arc::from)));
            }
        }
    }
    Ok(found)
}
