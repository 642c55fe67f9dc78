//! What the web configuration asks for, ready to be used: keys loaded, headers checked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::path::Path;

use axum::http::HeaderName;
use axum::http::HeaderValue;
use secrecy::ExposeSecret as _;
use secrecy::SecretString;
use sha2::Digest as _;
use sha2::Sha256;
use tokio_rustls::TlsAcceptor;

use crate::config::web::Pem;
use crate::config::web::WebConfig;
use crate::daemon::web::tls;
use crate::pipeline::snapshot::Validity;

/// Largest file with certificates or a key, in bytes: thousands of authorities fit.
const MAX_PEM_BYTES: u64 = 4 * 1024 * 1024;

/// What is in force.
#[derive(Default)]
pub(super) struct Access {
    /// `None`: plain HTTP.
    pub(super) tls: Option<TlsAcceptor>,
    /// The certificate that is presented.
    pub(super) certificate: Option<Validity>,
    /// Bcrypt hashes by user; empty: nobody is asked for a password.
    pub(super) users: BTreeMap<String, SecretString>,
    /// Headers of every answer.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Of all files that it came from: equal exactly if they say the same.
    pub(super) digest: [u8; 32],
    clients: tls::Clients,
}

impl Access {
    /// Reads the web configuration and all that it names.
    ///
    /// # Errors
    /// What is wrong, in words for the operator; never a key or a hash.
    pub(super) fn read(file: &Path) -> Result<Self, String> {
        let config = crate::config::web::load(file).map_err(|error| error.to_string())?;
        let mut files = Files {
            web: file,
            digest: Sha256::new(),
        };
        let (tls, certificate) = match &config.tls {
            Some(tls) => {
                let (acceptor, validity) = tls::acceptor(tls, config.http2, &mut files)?;
                (Some(acceptor), validity)
            }
            None => (None, None),
        };
        Ok(Self {
            tls,
            certificate,
            headers: headers(&config)?,
            clients: tls::Clients::of(config.tls.as_ref()),
            digest: files.finish(&config),
            users: config.users,
        })
    }

    /// A file that is just being written may be empty for a moment, and must not open the doors meanwhile.
    pub(super) fn is_no_weaker_than(&self, present: &Self) -> Result<(), String> {
        let lost = [
            (present.tls.is_some() && self.tls.is_none(), "TLS"),
            (
                !present.users.is_empty() && self.users.is_empty(),
                "passwords",
            ),
            (
                self.clients < present.clients,
                "the demand for client certificates",
            ),
        ];
        let lost: Vec<&str> = lost
            .iter()
            .filter(|(is, _)| *is)
            .map(|(_, it)| *it)
            .collect();
        if lost.is_empty() {
            return Ok(());
        }
        Err(format!(
            "the new one drops {}. If that is meant, restart certdrift",
            lost.join(" and ")
        ))
    }
}

fn headers(config: &WebConfig) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let header = |(name, value): &(&'static str, String)| {
        let typed = HeaderName::from_bytes(name.as_bytes()).ok();
        typed
            .zip(HeaderValue::from_str(value).ok())
            .ok_or_else(|| format!("the header {name} cannot be sent"))
    };
    config.headers.iter().map(header).collect()
}

/// Reads the files that a web configuration names, and remembers what they said.
pub(super) struct Files<'a> {
    web: &'a Path,
    digest: Sha256,
}

impl Files<'_> {
    /// The PEM text; `key` is where it was named.
    pub(super) fn pem(&mut self, key: &str, pem: &Pem) -> Result<Vec<u8>, String> {
        let bytes = match pem {
            Pem::Inline(text) => text.expose_secret().as_bytes().to_vec(),
            Pem::File(path) => read(path).map_err(|error| {
                let trouble = match error.kind() {
                    io::ErrorKind::NotFound => "does not exist".to_owned(),
                    io::ErrorKind::PermissionDenied => "may not be read by the account that certdrift runs as; under systemd, LoadCredential= hands it over".to_owned(),
                    _ => format!("cannot be read: {error}"),
                };
                self.wrong(key, pem, &trouble)
            })?,
        };
        self.digest.update(bytes.len().to_be_bytes());
        self.digest.update(&bytes);
        Ok(bytes)
    }

    /// A message about PEM text.
    pub(super) fn wrong(&self, key: &str, pem: &Pem, trouble: &str) -> String {
        let web = self.web.display();
        match pem {
            Pem::File(path) => {
                format!(
                    "{web}: tls_server_config.{key}: {} {trouble}",
                    path.display()
                )
            }
            Pem::Inline(_) => {
                let key = key.trim_end_matches("_file");
                format!("{web}: tls_server_config.{key}: the text {trouble}")
            }
        }
    }

    /// A message about TLS as a whole.
    pub(super) fn wrong_tls(&self, trouble: &str) -> String {
        format!("{}: tls_server_config: {trouble}", self.web.display())
    }

    fn finish(mut self, config: &WebConfig) -> [u8; 32] {
        // Secrets print as a placeholder, so hashes are added by themselves; PEM texts have been added before.
        self.digest.update(format!("{config:?}"));
        for hash in config.users.values() {
            self.digest.update(hash.expose_secret());
        }
        self.digest.finalize().into()
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    file.take(MAX_PEM_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_PEM_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}
