//! Secrets from files, read at each use, so that a new one needs no reload.

use std::fs::File;
use std::io;
use std::io::Read as _;
use std::path::Path;

use reqwest::Url;
use secrecy::ExposeSecret;
use secrecy::SecretString;

use crate::config::UrlSource;
use crate::daemon::source::remedy;

/// The largest file with an address, a secret or certificates, in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// The content of a file; white space around it is none of it.
///
/// # Errors
/// Says what is wrong with the file, without repeating its content.
pub fn read(file: &Path) -> Result<SecretString, String> {
    let bytes = bytes(file)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| format!("{}: is not text in UTF-8", file.display()))?;
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(format!("{}: is empty", file.display()));
    }
    Ok(SecretString::from(text))
}

/// The content of a file as it is.
///
/// # Errors
/// As [`read`].
pub fn bytes(file: &Path) -> Result<Vec<u8>, String> {
    let say = |error: io::Error| format!("{}: {}", file.display(), remedy(&error));
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(say)?;
    opened
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(say)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!(
            "{}: is larger than {MAX_FILE_BYTES} bytes",
            file.display()
        ));
    }
    Ok(bytes)
}

/// An address, wherever it comes from; `check` says whether it is one.
///
/// # Errors
/// As [`read`], and what `check` says.
pub fn url(
    source: &UrlSource,
    check: fn(&str) -> Result<Url, &'static str>,
) -> Result<Url, String> {
    match source {
        UrlSource::Inline(url) => {
            check(url.expose_secret()).map_err(|wrong| format!("the address {wrong}"))
        }
        UrlSource::File(file) => {
            let text = read(file)?;
            check(text.expose_secret())
                .map_err(|wrong| format!("{}: the address in it {wrong}", file.display()))
        }
    }
}
