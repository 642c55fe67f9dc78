//! A server with certificates of its own, in a folder that is removed with it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use certdrift::daemon::web::{Follower, Limits, Web, serve};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use reqwest::tls::TlsInfo;
use reqwest::{Certificate, Client, ClientBuilder, Identity};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Length of the answer of `/large`, in bytes: more than sockets hold.
pub(super) const LARGE: usize = 64 * 1024 * 1024;

/// An authority, and what it signs.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM.
pub(super) struct Issued {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        Self { issuer }
    }

    pub(super) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for servers and clients with one alternative name: a DNS name, an address or a URI.
    pub(super) fn issue(&self, name: &str) -> Issued {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) if name.contains("://") => SanType::URI(name.try_into().unwrap()),
            Err(_) => SanType::DnsName(name.try_into().unwrap()),
        }];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

pub(super) struct Site {
    folder: TempDir,
    servers: Authority,
    /// The authority that signs clients.
    pub(super) clients: Authority,
    scheme: &'static str,
}

impl Site {
    /// A folder with this web configuration, `server.pem`, `server.key` and `clients.pem`.
    pub(super) fn new(text: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let site = Self {
            folder: tempfile::tempdir().unwrap(),
            servers: Authority::new("authority of servers"),
            clients: Authority::new("authority of clients"),
            scheme: if text.contains("tls_server_config") {
                "https"
            } else {
                "http"
            },
        };
        fs::write(site.file(), text).unwrap();
        fs::write(site.path("clients.pem"), site.clients.pem()).unwrap();
        site.issue_server();
        site
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.path("web.config.yml")
    }

    /// A new certificate of the server, in place of the one before.
    pub(super) fn issue_server(&self) {
        let issued = self.servers.issue("localhost");
        fs::write(self.path("server.pem"), issued.certificate).unwrap();
        fs::write(self.path("server.key"), issued.key).unwrap();
    }

    /// A client that knows the server's authority.
    pub(super) fn builder(&self) -> ClientBuilder {
        let authority = Certificate::from_pem(self.servers.pem().as_bytes()).unwrap();
        let builder = Client::builder().tls_certs_only([authority]).tls_info(true);
        builder.timeout(Duration::from_secs(30))
    }

    pub(super) fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    pub(super) fn client_with(&self, issued: &Issued) -> Client {
        let pem = issued.certificate.clone() + &issued.key;
        let identity = Identity::from_pem(pem.as_bytes()).unwrap();
        self.builder().identity(identity).build().unwrap()
    }

    pub(super) async fn serve(&self) -> Server {
        self.serve_within(Limits::default()).await
    }

    pub(super) async fn serve_within(&self, limits: Limits) -> Server {
        let web = Web::open(Some(&self.file()), limits).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(async || "routed"))
            .route("/-/healthy", get(async || "routed"))
            .route("/large", get(async || "x".repeat(LARGE)));
        Server {
            address,
            scheme: self.scheme,
            follower: Mutex::new(Follower::new(Arc::clone(&web), self.file())),
            serving: tokio::spawn(serve(listener, router, Arc::clone(&web))),
            web,
        }
    }
}

/// Limits that a test can wait for.
pub(super) fn short_limits() -> Limits {
    Limits {
        handshake: Duration::from_millis(200),
        header: Duration::from_millis(200),
        age: Duration::from_millis(400),
        last_request: Duration::from_millis(200),
    }
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) scheme: &'static str,
    follower: Mutex<Follower>,
    serving: JoinHandle<()>,
    web: Arc<Web>,
}

impl Server {
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.port())
    }

    /// Status and text; `None`: there was no answer.
    pub(super) async fn get(&self, client: &Client, path: &str) -> Option<(u16, String)> {
        let answer = client.get(self.url(path)).send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.ok()?))
    }

    /// The certificate that the server shows.
    pub(super) async fn certificate(&self, client: &Client) -> Vec<u8> {
        let answer = client.get(self.url("/")).send().await.unwrap();
        let tls: &TlsInfo = answer.extensions().get().unwrap();
        tls.peer_certificate().unwrap().to_vec()
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Looks whether the web configuration has changed.
    pub(super) fn look(&self) {
        self.follower.lock().unwrap().look();
    }

    pub(super) async fn until_connections_are(&self, count: usize) {
        while self.web.connections() != count {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
