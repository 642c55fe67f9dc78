//! Accepting connections, and ending each of them in time: a client may be slow or hostile, but what it can hold is one
//! place for a while.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use axum::Router;
use hyper::server::conn::http1;
use hyper::server::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;
use tracing::warn;

use crate::daemon::clock;
use crate::daemon::web::Web;
use crate::daemon::web::seats::MAX_CONNECTIONS;
use crate::daemon::web::tls::HTTP2;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A TLS handshake.
    pub handshake: Duration,
    /// The lines of a request, or between two requests.
    pub header: Duration,
    /// A connection, before it is asked to end behind the request that it is at.
    pub age: Duration,
    /// That request: whoever reads an answer more slowly does without its end.
    pub last_request: Duration,
}

impl Default for Limits {
    /// No usual scrape interval is as long as `header`, or a divisor of `age`: otherwise scrapes would again and again
    /// meet a connection that is just being closed.
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(40),
            age: Duration::from_secs(137),
            last_request: Duration::from_secs(30),
        }
    }
}

/// The most that the lines of one request may have, in bytes, and how many headers.
const MAX_HEADER_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 64;
/// How many requests one HTTP/2 connection may have at a time.
const MAX_STREAMS: u32 = 16;
/// How often a silent HTTP/2 client is asked whether it is still there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait when no connection can be accepted, for want of file descriptors for instance.
const PAUSE: Duration = Duration::from_secs(1);
/// How often one and the same trouble is told.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What somebody gets who speaks plain HTTP to TLS.
const WRONG_PROTOCOL: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\nThis is HTTPS: ask with https://\n";

/// Serves until it is dropped, and its connections with it.
pub(super) async fn serve(listener: TcpListener, router: Router, web: Arc<Web>) {
    let mut connections = JoinSet::new();
    let (mut full, mut failing) = (Grumble::default(), Grumble::default());
    loop {
        while connections.try_join_next().is_some() {}
        if web.seats.are_taken() && full.is_due() {
            warn!(
                "all {MAX_CONNECTIONS} connections of the web server are taken; new ones wait until one ends"
            );
        }
        let Some(place) = web.seats.place().await else {
            return;
        };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            // The client has gone before it was let in.
            Err(error) if is_about_one(&error) => continue,
            Err(error) => {
                if failing.is_due() {
                    warn!(%error, "no connection can be accepted at the moment");
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Some(seat) = web.seats.seat(peer.ip(), place) else {
            debug!(%peer, "too many connections from one address");
            continue;
        };
        let (router, tls) = (router.clone(), web.access.load().tls.clone());
        let limits = web.limits;
        connections.spawn(async move {
            let _seat = seat;
            attend(stream, peer, router, tls, limits).await;
        });
    }
}

fn is_about_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// Something that is told only now and then.
#[derive(Default)]
struct Grumble {
    told: Option<Instant>,
}

impl Grumble {
    fn is_due(&mut self) -> bool {
        let now = clock::instant();
        let is_due = self
            .told
            .is_none_or(|told| now.duration_since(told) >= TELL_EVERY);
        if is_due {
            self.told = Some(now);
        }
        is_due
    }
}

async fn attend(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    tls: Option<TlsAcceptor>,
    limits: Limits,
) {
    // Answers are written in one go; waiting for more to send only makes them late.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = tls else {
        return answer(stream, router, false, limits).await;
    };
    match timeout(limits.handshake, encrypt(stream, &acceptor)).await {
        Ok(Ok(stream)) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
            answer(stream, router, is_http2, limits).await;
        }
        Ok(Err(error)) => debug!(%peer, %error, "a TLS handshake failed"),
        Err(_) => debug!(%peer, "a TLS handshake took too long"),
    }
}

async fn encrypt(
    mut stream: TcpStream,
    acceptor: &TlsAcceptor,
) -> io::Result<TlsStream<TcpStream>> {
    // A handshake begins with a byte of its own, every request in plain HTTP with a letter.
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase() {
        stream.write_all(WRONG_PROTOCOL).await?;
        stream.shutdown().await?;
        // What is left unread would turn the end into a reset, and the answer would be lost.
        let unread = &mut stream.take(MAX_HEADER_BYTES as u64);
        tokio::io::copy(unread, &mut tokio::io::sink()).await?;
        return Err(io::Error::other("plain HTTP where TLS is spoken"));
    }
    acceptor.accept(stream).await
}

/// Answers the requests of one connection.
async fn answer<S>(stream: S, router: Router, is_http2: bool, limits: Limits)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (stream, service) = (TokioIo::new(stream), TowerToHyperService::new(router));
    // How a connection ends is the client's affair.
    if is_http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .serve_connection(stream, service);
        let mut connection = pin!(connection);
        if timeout(limits.age, connection.as_mut()).await.is_err() {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(limits.last_request, connection).await;
        }
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header)
            .max_buf_size(MAX_HEADER_BYTES)
            .max_headers(MAX_HEADERS)
            .serve_connection(stream, service);
        let mut connection = pin!(connection);
        if timeout(limits.age, connection.as_mut()).await.is_err() {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(limits.last_request, connection).await;
        }
    }
}
