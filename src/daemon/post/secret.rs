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
    let say = |error: io::Error| {
        let trouble = match error.kind() {
            // It lies on no share, as logs do.
            io::ErrorKind::NotFound => {
                "does not exist. Write it there, readable for the user that certdrift runs as"
                    .to_owned()
            }
            _ => remedy(&error),
        };
        format!("{}: {trouble}", file.display())
    };
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::config::check_url;

    #[test]
    fn white_space_and_a_byte_order_mark_are_no_part_of_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        for content in ["hunter2", "\u{feff}hunter2\r\n", "\n  hunter2\t\n\n"] {
            std::fs::write(&file, content).unwrap();
            assert_eq!(read(&file).unwrap().expose_secret(), "hunter2");
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let wrong = |content: &[u8]| {
            std::fs::write(&file, content).unwrap();
            url(&UrlSource::File(file.clone()), check_url).unwrap_err()
        };
        let large = vec![b'x'; usize::try_from(MAX_FILE_BYTES).unwrap() + 1];
        for (content, expected) in [
            (&b" \n"[..], "is empty"),
            (b"hunter2 \xff", "is not text in UTF-8"),
            (&large, "is larger than 262144 bytes"),
            (
                b"hunter2",
                "the address in it is no address with a scheme and a host",
            ),
            (
                b"ftp://hunter2/",
                "the address in it begins with neither https:// nor http://",
            ),
        ] {
            let wrong = wrong(content);
            assert_eq!(wrong, format!("{}: {expected}", file.display()));
        }
        let away = folder.path().join("away");
        assert!(read(&away).unwrap_err().contains("away: does not exist"));
    }
}
