//! `http:` of a receiver: who it is that calls, whom it trusts, and by which way requests go. The same keys serve every
//! kind of receiver.

use std::path::PathBuf;

use reqwest::header::{HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_yaml::Spanned;

use crate::config::keys::Key;
use crate::config::paths::Paths;
use crate::config::problem::{Problems, Wrong, quoted};
use crate::config::receiver::url;
use crate::config::receiver::url::UrlSource;
use crate::config::typed;

/// Headers that belong to the connection (RFC 9110, section 7.6.1), not to the message.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// What the headers of the Standard Webhooks specification begin with; their values are certdrift's to say.
const SIGNATURE_PREFIX: &str = "webhook-";

/// How requests to one receiver are made.
#[derive(Clone, Debug, Default)]
pub struct HttpConfig {
    /// Who certdrift says that it is.
    pub authorization: Option<Authorization>,
    /// Headers beside those that every request has; no two have one name.
    pub headers: Vec<HeaderConfig>,
    /// The certificates that the receiver's one must come from, in PEM; `None`: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The certificate that certdrift presents.
    pub client_certificate: Option<ClientCertificate>,
    /// The proxy that requests go through; `None`: none, whatever the environment says.
    pub proxy: Option<UrlSource>,
}

/// What the `Authorization` header says.
#[derive(Clone, Debug)]
pub enum Authorization {
    /// A name and a password.
    Basic {
        /// The name.
        username: String,
        /// The file of the password, read at each send.
        password_file: PathBuf,
    },
    /// A token.
    Bearer {
        /// The file of the token, read at each send.
        token_file: PathBuf,
    },
}

/// A header of one's own.
#[derive(Clone, Debug)]
pub struct HeaderConfig {
    /// Its name; none of those that only certdrift may give.
    pub name: HeaderName,
    /// Its value.
    pub value: HeaderSource,
}

/// Where the value of a header comes from; it may be a secret.
#[derive(Clone, Debug)]
pub enum HeaderSource {
    /// The configuration; it is a valid value.
    Inline(SecretString),
    /// A file, read at each send; white space around the value does not count.
    File(PathBuf),
}

/// Files of a client certificate and its private key, in PEM; read again when they change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientCertificate {
    /// The certificate, and those between it and the root.
    pub cert_file: PathBuf,
    /// The private key.
    pub key_file: PathBuf,
}

/// What `http:` means; it may be left out.
pub(super) fn read(
    key: &Key,
    typed: Option<&Spanned<typed::Http>>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> HttpConfig {
    let Some(Spanned { value: typed, .. }) = typed else {
        return HttpConfig::default();
    };
    let authorization = authorization(key, typed, paths, problems);
    let is_authorized = typed.basic_auth.is_some() || typed.bearer_auth.is_some();
    HttpConfig {
        authorization,
        headers: headers(
            &key.child("headers"),
            typed.headers.as_ref(),
            is_authorized,
            paths,
            problems,
        ),
        ca_file: file(
            &key.child("ca_file"),
            typed.ca_file.as_ref(),
            paths,
            problems,
        ),
        client_certificate: client_certificate(key, typed, paths, problems),
        proxy: proxy(key, typed, paths, problems),
    }
}

/// A file that is read when it is needed.
fn file(
    key: &Key,
    typed: Option<&Spanned<String>>,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<PathBuf> {
    problems.expandable_text(key, typed, |text| paths.file(text))
}

fn authorization(
    key: &Key,
    typed: &typed::Http,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<Authorization> {
    let basic = typed.basic_auth.as_ref().map(|it| {
        let key = key.child("basic_auth");
        let username = problems.text(&key.child("username"), &it.value.username, username);
        let password = file(
            &key.child("password_file"),
            Some(&it.value.password_file),
            paths,
            problems,
        );
        username.zip(password)
    });
    let bearer = typed.bearer_auth.as_ref().map(|it| {
        let key = key.child("bearer_auth").child("token_file");
        file(&key, Some(&it.value.token_file), paths, problems)
    });
    if let (Some(_), Some(bearer)) = (&typed.basic_auth, &typed.bearer_auth) {
        let wrong = "has `basic_auth` and `bearer_auth`; keep one of the two";
        problems.add(key, bearer.referenced, wrong);
        return None;
    }
    let basic = basic
        .flatten()
        .map(|(username, password_file)| Authorization::Basic {
            username,
            password_file,
        });
    basic.or_else(|| {
        bearer
            .flatten()
            .map(|token_file| Authorization::Bearer { token_file })
    })
}

/// A name for basic authentication, in which the password follows a colon (RFC 7617).
fn username(text: &str) -> Result<String, Wrong> {
    if text.contains(':') {
        return Err("holds a colon, which ends the name".into());
    }
    Ok(text.to_owned())
}

fn headers(
    key: &Key,
    typed: Option<&Vec<Spanned<typed::Header>>>,
    is_authorized: bool,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Vec<HeaderConfig> {
    let mut names: Vec<HeaderName> = Vec::new();
    problems.list(key, typed, |problems, key, typed| {
        let header = &typed.value;
        let name = problems.text(&key.child("name"), &header.name, |text| {
            header_name(text, is_authorized)
        });
        let value = match (&header.value, &header.value_file) {
            (Some(value), None) => problems.text(&key.child("value"), value, header_value),
            (None, value_file @ Some(_)) => {
                let key = key.child("value_file");
                file(&key, value_file.as_ref(), paths, problems).map(HeaderSource::File)
            }
            _ => {
                let wrong = "needs one of `value` and `value_file`";
                problems.add(&key, typed.referenced, wrong);
                None
            }
        };
        let name = name?;
        if names.contains(&name) {
            let wrong = "is the name of an earlier header too";
            problems.add(&key.child("name"), header.name.referenced, wrong);
        }
        names.push(name.clone());
        Some(HeaderConfig {
            name,
            value: value?,
        })
    })
}

fn header_name(text: &str, is_authorized: bool) -> Result<HeaderName, Wrong> {
    let name: HeaderName = text
        .parse()
        .map_err(|_| format!("{} is no name of a header", quoted(text)))?;
    let word = name.as_str();
    if HOP_BY_HOP.contains(&word) || matches!(word, "host" | "content-length") {
        return Err(format!("{word} belongs to the connection, and is set as it must be").into());
    }
    if word.starts_with(SIGNATURE_PREFIX) {
        return Err(
            format!("{word} begins with `webhook-`, as the headers of the signature do").into(),
        );
    }
    if word == "authorization" && is_authorized {
        return Err(
            "authorization is what `basic_auth` or `bearer_auth` sets; keep one of them".into(),
        );
    }
    Ok(name)
}

fn header_value(text: &str) -> Result<HeaderSource, Wrong> {
    HeaderValue::from_str(text).map_err(|_| "holds a character that no header may hold")?;
    Ok(HeaderSource::Inline(SecretString::from(text)))
}

fn client_certificate(
    key: &Key,
    typed: &typed::Http,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<ClientCertificate> {
    let cert_file = file(
        &key.child("cert_file"),
        typed.cert_file.as_ref(),
        paths,
        problems,
    );
    let key_file = file(
        &key.child("key_file"),
        typed.key_file.as_ref(),
        paths,
        problems,
    );
    match (&typed.cert_file, &typed.key_file) {
        (Some(alone), None) => {
            let wrong = "has no `key_file` beside it, and a certificate is nothing without its key";
            problems.add(&key.child("cert_file"), alone.referenced, wrong);
        }
        (None, Some(alone)) => {
            let wrong = "has no `cert_file` beside it";
            problems.add(&key.child("key_file"), alone.referenced, wrong);
        }
        _ => {}
    }
    Some(ClientCertificate {
        cert_file: cert_file?,
        key_file: key_file?,
    })
}

fn proxy(
    key: &Key,
    typed: &typed::Http,
    paths: Paths<'_>,
    problems: &mut Problems,
) -> Option<UrlSource> {
    match (&typed.proxy_url, &typed.proxy_url_file) {
        (Some(_), Some(file)) => {
            let wrong = "has `proxy_url` and `proxy_url_file`; keep one of the two";
            problems.add(key, file.referenced, wrong);
            None
        }
        (Some(typed), None) => problems.text(&key.child("proxy_url"), typed, |text| {
            url::secret(text).map(UrlSource::Inline)
        }),
        (None, url_file) => {
            let key = key.child("proxy_url_file");
            file(&key, url_file.as_ref(), paths, problems).map(UrlSource::File)
        }
    }
}
