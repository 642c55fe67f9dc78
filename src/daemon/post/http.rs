//! The HTTP client of one receiver: its certificates, its proxy, its headers and credentials.
//!
//! Files are read at each send. Certificates make a client of their own, which is kept as long as the files say the
//! same. Redirects are not followed, and proxies that the environment names are not used: where messages go, with an
//! address that is a secret, is the configuration's to say.

use std::error::Error;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Certificate;
use reqwest::Client;
use reqwest::ClientBuilder;
use reqwest::Identity;
use reqwest::Proxy;
use reqwest::Response;
use reqwest::header::AUTHORIZATION;
use reqwest::header::RETRY_AFTER;
use secrecy::ExposeSecret;
use secrecy::SecretString;
use sha2::Digest;
use sha2::Sha256;

use crate::config::Authorization;
use crate::config::HeaderSource;
use crate::config::HttpConfig;
use crate::config::check_url;
use crate::daemon::post::request::Request;
use crate::daemon::post::secret;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a whole request may take.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// So much of an answer's body is read, in bytes.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// Sends requests to one receiver.
pub struct Http {
    config: HttpConfig,
    /// The client that is shared, for a receiver that asks for nothing of its own.
    plain: Option<Client>,
    /// The client that files made, and what they said.
    own: Mutex<Option<([u8; 32], Client)>>,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The value of `Retry-After`.
    pub retry_after: Option<String>,
    /// The beginning of the body, at most 16 KiB; `None`: the connection broke before it was there.
    pub body: Option<String>,
}

/// Why there is no answer, in words without secrets.
#[derive(Debug)]
pub enum Trouble {
    /// A file cannot be read, or holds something else than it should: somebody has to mend it.
    /// The text says which, and how.
    Configuration(String),
    /// The receiver cannot be reached, or does not answer: perhaps later.
    Unreachable {
        /// Whether it took too long.
        timeout: bool,
        /// What the network said.
        cause: String,
    },
}

/// The client for receivers that ask for nothing of their own.
///
/// # Errors
/// When the TLS library finds no usable certificate store.
pub fn plain_client() -> Result<Client, String> {
    builder()
        .build()
        .map_err(|error| format!("cannot set up the HTTP client: {error}"))
}

fn builder() -> ClientBuilder {
    // Whoever installs a provider first wins, and it is always this one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        // A followed 302 turns a POST into a GET, and "succeeds".
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("certdrift/", env!("CARGO_PKG_VERSION")))
}

impl Http {
    /// For a receiver. `plain` makes the client that is shared, if this one asks for nothing of its own.
    ///
    /// # Errors
    /// What `plain` says.
    pub fn new(
        config: &HttpConfig,
        plain: impl FnOnce() -> Result<Client, String>,
    ) -> Result<Self, String> {
        let is_plain = config.ca_file.is_none()
            && config.client_certificate.is_none()
            && config.proxy.is_none();
        Ok(Self {
            config: config.clone(),
            plain: if is_plain { Some(plain()?) } else { None },
            own: Mutex::new(None),
        })
    }

    /// Adds the credentials and headers that the configuration names, and says which client is to send it. Reads files.
    ///
    /// # Errors
    /// [`Trouble::Configuration`].
    pub fn prepare(&self, request: &mut Request) -> Result<Client, Trouble> {
        self.complete(request).map_err(Trouble::Configuration)?;
        self.client().map_err(Trouble::Configuration)
    }

    fn complete(&self, request: &mut Request) -> Result<(), String> {
        for header in &self.config.headers {
            let value = match &header.value {
                HeaderSource::Inline(value) => value.clone(),
                HeaderSource::File(file) => secret::read(file)?,
            };
            request.set_secret(header.name.clone(), &value)?;
        }
        let credentials = match &self.config.authorization {
            None => return Ok(()),
            Some(Authorization::Bearer { token_file }) => {
                let token = secret::read(token_file)?;
                request.hide(&token);
                format!("Bearer {}", token.expose_secret())
            }
            Some(Authorization::Basic {
                username,
                password_file,
            }) => {
                let password = secret::read(password_file)?;
                request.hide(&password);
                let pair = format!("{username}:{}", password.expose_secret());
                let encoded = STANDARD.encode(pair);
                request.hide(&SecretString::from(encoded.as_str()));
                format!("Basic {encoded}")
            }
        };
        request.set_secret(AUTHORIZATION, &SecretString::from(credentials))
    }

    /// The client for what the files say now.
    fn client(&self) -> Result<Client, String> {
        let config = &self.config;
        if let Some(plain) = &self.plain {
            return Ok(plain.clone());
        }
        let ca = config.ca_file.as_deref().map(secret::bytes).transpose()?;
        let identity = match &config.client_certificate {
            Some(files) => {
                let certificate = secret::bytes(&files.cert_file)?;
                Some([certificate, b"\n".to_vec(), secret::bytes(&files.key_file)?].concat())
            }
            None => None,
        };
        let proxy = match &config.proxy {
            Some(source) => Some(secret::url(source, check_url)?),
            None => None,
        };
        let mut digest = Sha256::new();
        for part in [
            ca.as_deref(),
            identity.as_deref(),
            proxy.as_ref().map(|url| url.as_str().as_bytes()),
        ] {
            // The length keeps the parts apart.
            digest.update(
                part.map_or(u64::MAX, |part| part.len() as u64)
                    .to_be_bytes(),
            );
            digest.update(part.unwrap_or_default());
        }
        let fingerprint: [u8; 32] = digest.finalize().into();
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, client)) = &*own
            && *of == fingerprint
        {
            return Ok(client.clone());
        }
        let client = self.build(ca.as_deref(), identity.as_deref(), proxy.as_ref())?;
        *own = Some((fingerprint, client.clone()));
        Ok(client)
    }

    fn build(
        &self,
        ca: Option<&[u8]>,
        identity: Option<&[u8]>,
        proxy: Option<&reqwest::Url>,
    ) -> Result<Client, String> {
        let mut builder = builder();
        if let (Some(pem), Some(file)) = (ca, &self.config.ca_file) {
            let certificates = Certificate::from_pem_bundle(pem).unwrap_or_default();
            if certificates.is_empty() {
                return Err(format!("{}: holds no certificate in PEM", file.display()));
            }
            builder = builder.tls_certs_only(certificates);
        }
        if let (Some(pem), Some(files)) = (identity, &self.config.client_certificate) {
            let identity = Identity::from_pem(pem).map_err(|_| {
                format!(
                    "{} and {}: hold no certificate and private key in PEM",
                    files.cert_file.display(),
                    files.key_file.display()
                )
            })?;
            builder = builder.identity(identity);
        }
        if let Some(url) = proxy {
            let proxy =
                Proxy::all(url.clone()).map_err(|_| "the proxy's address cannot be used")?;
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(|error| {
            let error = error.without_url();
            format!("the certificates cannot be used: {}", causes(&error))
        })
    }
}

/// Sends a request that [`Http::prepare`] has completed.
///
/// # Errors
/// [`Trouble::Unreachable`].
pub async fn exchange(client: &Client, request: &Request) -> Result<Reply, Trouble> {
    let mut sending = client
        .request(request.method.clone(), request.url.clone())
        .headers(request.headers.clone());
    if let Some(body) = &request.body {
        sending = sending.body(body.clone());
    }
    let response = sending.send().await.map_err(|error| {
        let timeout = error.is_timeout();
        let error = error.without_url();
        let cause = request.masked(&causes(&error));
        Trouble::Unreachable { timeout, cause }
    })?;
    let retry_after = response.headers().get(RETRY_AFTER);
    Ok(Reply {
        status: response.status().as_u16(),
        retry_after: retry_after
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        body: beginning(response).await,
    })
}

/// The beginning of the body, unless the connection breaks before.
async fn beginning(mut response: Response) -> Option<String> {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_BODY_BYTES {
        match response.chunk().await.ok()? {
            Some(chunk) => bytes.extend_from_slice(&chunk),
            None => break,
        }
    }
    bytes.truncate(MAX_BODY_BYTES);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// What went wrong, down to the bottom.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
