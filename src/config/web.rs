//! The web configuration: TLS, passwords and headers of the HTTP server, in the file that Prometheus' own exporters take
//! (`web.config.yml` of the exporter toolkit).
//!
//! What is asked for and cannot be done is refused, TLS 1.0 for instance; what protects nothing although it looks as if it
//! did is refused, too: a `tls_server_config` without a certificate, or an authority for clients that nobody asks for a
//! certificate. Hashes and keys are secrets: no message and no `Debug` output repeats them.

pub(super) mod keys;
mod typed;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bcrypt::HashParts;
use secrecy::SecretString;
use serde_yaml::Spanned;

use crate::config::keys::{Key, nearest};
use crate::config::paths::Paths;
use crate::config::problem::{ConfigError, Problem, Problems, Wrong};
use crate::config::web::typed::{File, Http, Tls};
use crate::config::{read, says_nothing};

/// The dearest bcrypt hash that is taken. 18 already takes seconds, and each further step doubles that.
const MAX_BCRYPT_COST: u32 = 18;
/// The longest list or mapping.
const MAX_ITEMS: usize = 1000;

/// The headers that may be set, and the values of those that have a closed list; the exporter toolkit has the same.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
];

/// Cipher suites of TLS 1.2, by the names of the IANA.
const TLS12_SUITES: [&str; 6] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];
/// Cipher suites of TLS 1.3, which the toolkit takes in the same list. They are there in any case.
const TLS13_SUITES: [&str; 3] = [
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];

/// How the HTTP server protects itself.
#[derive(Clone, Debug, Default)]
pub struct WebConfig {
    /// TLS; `None`: plain HTTP.
    pub tls: Option<TlsConfig>,
    /// The bcrypt hash of each user's password; empty: nobody is asked for one.
    pub users: BTreeMap<String, SecretString>,
    /// Name and value of headers that every answer gets.
    pub headers: Vec<(&'static str, String)>,
    /// Whether HTTP/2 is offered. It is spoken over TLS only.
    pub http2: bool,
}

/// TLS of the server. Nothing of it has been opened yet.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// The server's certificate and those between it and the authority.
    pub certificate: Pem,
    /// Its private key.
    pub key: Pem,
    /// Whether clients have to show a certificate.
    pub client_auth: ClientAuth,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// The newest one.
    pub max_version: TlsVersion,
    /// Cipher suites of TLS 1.2, the best first; `None`: all that there are.
    pub cipher_suites: Option<Vec<&'static str>>,
    /// Groups for the key exchange, the best first; `None`: all that there are.
    pub curves: Option<Vec<Curve>>,
    /// Whether the order of the suites is the server's, not the client's.
    pub prefer_server_cipher_suites: bool,
}

/// Where PEM text stands.
#[derive(Clone, Debug)]
pub enum Pem {
    /// In a file, which may change.
    File(PathBuf),
    /// In the configuration itself.
    Inline(SecretString),
}

/// Whether and how clients are asked for a certificate.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// They are not asked.
    None,
    /// They are asked; whatever they show, or nothing, is fine.
    Request,
    /// They must show a certificate, whoever signed it, perhaps with one of these names.
    RequireAny(Option<Vec<String>>),
    /// They may show none, but what they show must be signed by one of these authorities.
    VerifyIfGiven(Pem),
    /// They must show a certificate that one of these authorities signed, perhaps with one of these names.
    RequireAndVerify(Pem, Option<Vec<String>>),
}

/// A version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// A group for the key exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Curve {
    /// RFC 7748.
    X25519,
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
}

/// Reads a web configuration, UTF-8 of at most 1 MiB. Relative paths in it start at its folder, and
/// `${CREDENTIALS_DIRECTORY}` is taken from the environment. A file that says nothing asks for plain HTTP.
pub fn load(file: &Path) -> Result<WebConfig, ConfigError> {
    let text = read(file).map_err(|problem| ConfigError::of_file(file, problem))?;
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    parse(&text, file, credentials.as_deref().map(Path::new))
}

/// Gives a web configuration's text its meaning. `file` and `credentials` as for the configuration proper.
pub fn parse(
    text: &str,
    file: &Path,
    credentials: Option<&Path>,
) -> Result<WebConfig, ConfigError> {
    let typed = if says_nothing(text) {
        File::default()
    } else {
        typed::read(text).map_err(|problem| ConfigError::of_file(file, problem))?
    };
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let paths = Paths {
        folder: folder.unwrap_or(Path::new(".")),
        credentials,
    };
    let top = Key::default();
    let mut problems = Problems::default();
    let tls = typed.tls_server_config.as_ref().and_then(|typed| {
        Reader {
            paths,
            key: top.child("tls_server_config"),
            problems: &mut problems,
        }
        .tls(typed)
    });
    let users = users(&typed, &top.child("basic_auth_users"), &mut problems);
    let http = typed.http_server_config.unwrap_or_default();
    let config = WebConfig {
        tls,
        users,
        headers: headers(&http, &top.child("http_server_config"), &mut problems),
        http2: http.http2.unwrap_or(true),
    };
    problems.finish(file, config)
}

/// What a web configuration means, for whoever typed it.
pub fn describe(config: &WebConfig) -> String {
    let mut lines = Vec::new();
    match &config.tls {
        None => lines.push("HTTP without TLS".to_owned()),
        Some(tls) => {
            let versions = match (tls.min_version, tls.max_version) {
                (TlsVersion::Tls12, TlsVersion::Tls13) => "TLS 1.2 and 1.3",
                (_, TlsVersion::Tls12) => "TLS 1.2",
                (TlsVersion::Tls13, _) => "TLS 1.3",
            };
            let http2 = if config.http2 { "HTTP/2 and " } else { "" };
            lines.push(format!("HTTPS: {versions}, {http2}HTTP/1.1"));
            lines.push(format!("Client certificates: {}", tls.client_auth.words()));
        }
    }
    let names: Vec<&str> = config.users.keys().map(String::as_str).collect();
    lines.push(match names.len() {
        0 => "Passwords: none".to_owned(),
        _ => format!(
            "Passwords: of {}, on every path, /-/healthy and /-/ready included",
            names.join(", ")
        ),
    });
    for (name, value) in &config.headers {
        lines.push(format!("Header: {name}: {value}"));
    }
    lines.push(String::new());
    lines.join("\n")
}

impl ClientAuth {
    fn words(&self) -> String {
        match self {
            Self::None => "not asked for".to_owned(),
            Self::Request => "asked for, but any or none will do; this protects nothing".to_owned(),
            Self::RequireAny(names) => format!(
                "demanded, but not who signed them{}; this protects nothing",
                among(names.as_ref())
            ),
            Self::VerifyIfGiven(_) => {
                "verified if given; a client without one gets in as well".to_owned()
            }
            Self::RequireAndVerify(_, names) => {
                format!("demanded and verified{}", among(names.as_ref()))
            }
        }
    }
}

fn among(names: Option<&Vec<String>>) -> String {
    names.map_or_else(String::new, |names| {
        format!(", with a name among {}", names.join(", "))
    })
}

/// Reads what was typed under `tls_server_config`.
struct Reader<'a> {
    paths: Paths<'a>,
    key: Key,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn tls(&mut self, typed: &Spanned<Tls>) -> Option<TlsConfig> {
        let (at, typed) = (typed.referenced, &typed.value);
        let certificate = self.pem("cert_file", typed.cert_file.as_ref(), typed.cert.as_ref());
        let key = self.pem("key_file", typed.key_file.as_ref(), typed.key.as_ref());
        for (name, found) in [("cert_file", &certificate), ("key_file", &key)] {
            if matches!(found, Ok(None)) {
                let wrong = "is missing; without it there is no TLS at all";
                self.problems.add(&self.key.child(name), at, wrong);
            }
        }
        let client_auth = self.client_auth(typed);
        let min_version = self.version("min_version", typed.min_version.as_ref());
        let max_version = self.version("max_version", typed.max_version.as_ref());
        let min_version = min_version.unwrap_or(TlsVersion::Tls12);
        let max_version = max_version.unwrap_or(TlsVersion::Tls13);
        if min_version > max_version {
            // One of the two was typed: the defaults are in order.
            let typed = typed.max_version.as_ref().or(typed.min_version.as_ref());
            let at = typed.map_or(at, |typed| typed.referenced);
            let wrong = "is older than `min_version`";
            self.problems.add(&self.key.child("max_version"), at, wrong);
        }
        let cipher_suites = self.cipher_suites(typed, max_version);
        let curves = self.curves(typed);
        Some(TlsConfig {
            certificate: certificate.ok().flatten()?,
            key: key.ok().flatten()?,
            client_auth: client_auth?,
            min_version,
            max_version,
            cipher_suites,
            curves,
            prefer_server_cipher_suites: typed.prefer_server_cipher_suites.unwrap_or(true),
        })
    }

    /// PEM text of its own or in a file; `Ok(None)`: neither was typed.
    fn pem(
        &mut self,
        name: &str,
        file: Option<&Spanned<String>>,
        inline: Option<&Spanned<String>>,
    ) -> Result<Option<Pem>, ()> {
        let inline_key = self.key.child(name.trim_end_matches("_file"));
        match (file, inline) {
            (None, None) => Ok(None),
            (Some(_), Some(inline)) => {
                let wrong = format!("is given twice: there is `{name}`, too");
                self.problems.add(&inline_key, inline.referenced, wrong);
                Err(())
            }
            (None, Some(inline)) if inline.value.contains("-----BEGIN ") => {
                Ok(Some(Pem::Inline(SecretString::from(inline.value.clone()))))
            }
            (None, Some(inline)) => {
                let wrong = "holds no PEM text";
                self.problems.add(&inline_key, inline.referenced, wrong);
                Err(())
            }
            (Some(file), None) => {
                let paths = self.paths;
                let read = |text: &str| paths.file(text);
                let path = self
                    .problems
                    .expandable_text(&self.key.child(name), file, read);
                path.map(|path| Some(Pem::File(path))).ok_or(())
            }
        }
    }

    fn client_auth(&mut self, typed: &Tls) -> Option<ClientAuth> {
        let authorities = self.pem(
            "client_ca_file",
            typed.client_ca_file.as_ref(),
            typed.client_ca.as_ref(),
        );
        let names = self.allowed_names(typed);
        let key = self.key.child("client_auth_type");
        let word = typed.client_auth_type.as_ref();
        let word = match word {
            None => Some("NoClientCert"),
            Some(typed) => self.problems.text(&key, typed, client_auth_word),
        }?;
        let authorities = authorities.ok()?;
        let wants_names = matches!(word, "RequireAnyClientCert" | "RequireAndVerifyClientCert");
        if let Some(typed) = typed.client_allowed_sans.as_ref()
            && !wants_names
        {
            let wrong = format!("counts for nothing with {word}");
            let key = self.key.child("client_allowed_sans");
            self.problems.add(&key, typed.referenced, wrong);
        }
        match (word, authorities) {
            ("VerifyClientCertIfGiven", Some(authorities)) => {
                Some(ClientAuth::VerifyIfGiven(authorities))
            }
            ("RequireAndVerifyClientCert", Some(authorities)) => {
                Some(ClientAuth::RequireAndVerify(authorities, names))
            }
            ("VerifyClientCertIfGiven" | "RequireAndVerifyClientCert", None) => {
                let at = typed.client_auth_type.as_ref()?.referenced;
                let wrong = format!("is missing, and {word} needs it");
                let key = self.key.child("client_ca_file");
                self.problems.add(&key, at, wrong);
                None
            }
            (word, Some(_)) => {
                let typed = typed.client_ca_file.as_ref().or(typed.client_ca.as_ref())?;
                let wrong = format!(
                    "counts for nothing with {word}; RequireAndVerifyClientCert would heed it"
                );
                let key = self.key.child("client_ca_file");
                self.problems.add(&key, typed.referenced, wrong);
                None
            }
            ("RequestClientCert", None) => Some(ClientAuth::Request),
            ("RequireAnyClientCert", None) => Some(ClientAuth::RequireAny(names)),
            (_, None) => Some(ClientAuth::None),
        }
    }

    /// The names of which a client's certificate must have one.
    fn allowed_names(&mut self, typed: &Tls) -> Option<Vec<String>> {
        let typed = typed.client_allowed_sans.as_ref()?;
        let key = self.key.child("client_allowed_sans");
        if typed.value.is_empty() {
            let wrong = "is empty, so that no client would get in";
            self.problems.add(&key, typed.referenced, wrong);
        }
        let names = self.problems.list(&key, &typed.value, |problems, key, it| {
            problems.text(&key, it, |text| Ok(text.to_owned()))
        });
        Some(names)
    }

    fn version(&mut self, name: &str, typed: Option<&Spanned<String>>) -> Option<TlsVersion> {
        let key = self.key.child(name);
        self.problems.text(&key, typed, |text| match text {
            "TLS12" => Ok(TlsVersion::Tls12),
            "TLS13" => Ok(TlsVersion::Tls13),
            "TLS10" | "TLS11" => {
                Err("is a version that is broken, and is not spoken (RFC 8996)".into())
            }
            other => Err(Wrong::word(other, nearest(other, &["TLS12", "TLS13"]))),
        })
    }

    fn cipher_suites(&mut self, typed: &Tls, max: TlsVersion) -> Option<Vec<&'static str>> {
        let typed = typed.cipher_suites.as_ref()?;
        let key = self.key.child("cipher_suites");
        let suites = self.problems.list(&key, &typed.value, |problems, key, it| {
            problems.text(&key, it, cipher_suite)
        });
        // An empty list means the default, as it does in the toolkit.
        if typed.value.is_empty() {
            return None;
        }
        let of_tls12 = suites.iter().filter(|suite| TLS12_SUITES.contains(suite));
        let of_tls12: Vec<&'static str> = of_tls12.copied().collect();
        if of_tls12.is_empty() && max == TlsVersion::Tls12 {
            let wrong = "has no suite of TLS 1.2, and `max_version` allows no other version";
            self.problems.add(&key, typed.referenced, wrong);
        }
        Some(of_tls12)
    }

    fn curves(&mut self, typed: &Tls) -> Option<Vec<Curve>> {
        let typed = typed.curve_preferences.as_ref()?;
        let key = self.key.child("curve_preferences");
        let curves = self.problems.list(&key, typed, |problems, key, it| {
            problems.text(&key, it, |text| match text {
                "X25519" => Ok(Curve::X25519),
                "CurveP256" => Ok(Curve::P256),
                "CurveP384" => Ok(Curve::P384),
                "CurveP521" => Err("is not spoken".into()),
                other => Err(Wrong::word(
                    other,
                    nearest(other, &["X25519", "CurveP256", "CurveP384"]),
                )),
            })
        });
        (!curves.is_empty()).then_some(curves)
    }
}

fn client_auth_word(text: &str) -> Result<&'static str, Wrong> {
    /// The second is what the exporter toolkit once called `RequireAnyClientCert`, and still takes.
    const OLD: (&str, &str) = ("RequireClientCert", "RequireAnyClientCert");
    const WORDS: [&str; 5] = [
        "NoClientCert",
        "RequestClientCert",
        "RequireAnyClientCert",
        "VerifyClientCertIfGiven",
        "RequireAndVerifyClientCert",
    ];
    let word = if text == OLD.0 { OLD.1 } else { text };
    let known = WORDS.iter().find(|known| **known == word);
    known
        .copied()
        .ok_or_else(|| Wrong::word(text, nearest(text, &WORDS)))
}

fn cipher_suite(text: &str) -> Result<&'static str, Wrong> {
    let all = || TLS12_SUITES.into_iter().chain(TLS13_SUITES);
    all().find(|suite| *suite == text).ok_or_else(|| {
        if text.starts_with("TLS_") {
            "is not spoken: it is unknown, or has no forward secrecy or no authenticated encryption"
                .into()
        } else {
            Wrong::word(text, nearest(text, &TLS12_SUITES))
        }
    })
}

fn users(typed: &File, key: &Key, problems: &mut Problems) -> BTreeMap<String, SecretString> {
    let mut users = BTreeMap::new();
    let Some(typed) = &typed.basic_auth_users else {
        return users;
    };
    for (name, hash) in typed.iter().take(MAX_ITEMS) {
        // The key of a user has no name in messages: a hash in its place would be repeated.
        let key = key.child("…");
        if name.is_empty() || name.contains(':') || name.chars().any(char::is_control) {
            let wrong = "stands beside a name that no client can send: it is empty, or has a colon or a control character";
            problems.add(&key, hash.referenced, wrong);
        }
        let checked = problems.expandable_text(&key, hash, bcrypt_hash);
        users.extend(checked.map(|hash| (name.clone(), hash)));
    }
    if let Some((_, beyond)) = typed.iter().nth(MAX_ITEMS) {
        let wrong = format!("has more than {MAX_ITEMS} users");
        problems.add(key, beyond.referenced, wrong);
    }
    users
}

fn bcrypt_hash(text: &str) -> Result<SecretString, Wrong> {
    let parts: HashParts = text
        .parse()
        .map_err(|_| Wrong::from("is no bcrypt hash; never write the password itself"))?;
    if parts.get_cost() > MAX_BCRYPT_COST {
        return Err(format!(
            "has a cost of {}, so that each check would take many seconds; at most {MAX_BCRYPT_COST} is taken",
            parts.get_cost()
        )
        .into());
    }
    Ok(SecretString::from(text.to_owned()))
}

fn headers(http: &Http, key: &Key, problems: &mut Problems) -> Vec<(&'static str, String)> {
    let key = key.child("headers");
    let mut headers = Vec::new();
    for (typed, value) in http.headers.iter().flatten() {
        let known = HEADERS.iter().find(|(name, _)| *name == typed.as_str());
        let Some((name, values)) = known else {
            let names = HEADERS.map(|(name, _)| name);
            let at = value.referenced;
            let problem = Problem::at(
                at.line(),
                at.column(),
                key.clone(),
                "has a header that cannot be set",
            );
            problems.note(
                problem
                    .expecting(format!("some of {}", names.join(", ")))
                    .meaning(nearest(typed, &names)),
            );
            continue;
        };
        // A blank value means none, as it does in the toolkit.
        if value.value.trim().is_empty() {
            continue;
        }
        let value = problems.text(&key.child(name), value, |text| {
            if !text.chars().all(|c| matches!(c, ' '..='~')) {
                return Err("has characters that no header can carry".into());
            }
            if !values.is_empty() && !values.contains(&text) {
                return Err(Wrong::word(text, nearest(text, values)));
            }
            Ok(text.to_owned())
        });
        headers.extend(value.map(|value| (*name, value)));
    }
    headers
}
