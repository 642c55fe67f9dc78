//! The one who is called in the demonstration: an HTTP server that takes webhooks and hands them on.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// How many messages may wait to be printed; the story has a dozen.
const MAX_WAITING: usize = 100;

/// A message that was received.
pub(super) struct Call {
    pub(super) alert: String,
    pub(super) server: String,
    /// `firing` or `resolved`.
    pub(super) status: String,
    pub(super) severity: String,
    pub(super) description: String,
    pub(super) action: String,
    pub(super) runbook: String,
}

impl Call {
    /// What Alertmanager's webhook receiver gets, version 4, with one alert.
    fn read(body: &str) -> Option<Self> {
        let body: Value = serde_json::from_str(body).ok()?;
        let alert = body.pointer("/alerts/0")?;
        let text = |pointer: &str| {
            let text = alert.pointer(pointer).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        Some(Self {
            alert: text("/labels/alertname"),
            server: text("/labels/server"),
            status: text("/status"),
            severity: text("/annotations/severity"),
            description: text("/annotations/description"),
            action: text("/annotations/action"),
            runbook: text("/annotations/runbook_url"),
        })
    }
}

/// Listens on a free port of this machine and serves in the background. Returns the address, and what is received.
pub(super) async fn listen() -> std::io::Result<(SocketAddr, mpsc::Receiver<Call>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (calls, received) = mpsc::channel(MAX_WAITING);
    let router = Router::new().route("/", post(take)).with_state(calls);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((address, received))
}

async fn take(State(calls): State<mpsc::Sender<Call>>, body: String) -> StatusCode {
    let Some(call) = Call::read(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    match calls.try_send(call) {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
