//! What HTTP clients may ask. [`pages`] is what people open in a browser.

mod pages;

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use axum::routing::post;
use prometheus::Registry;
use prometheus::TextEncoder;
use prometheus::process_collector::ProcessCollector;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::pipeline::snapshot::State;
use crate::render::metrics::StateCollector;

/// Content type of Prometheus' text format; Prometheus 3 refuses a scrape without it.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Asks the daemon to read its configuration again; the answer is what came of it.
pub type ReloadRequest = oneshot::Sender<Result<(), String>>;

/// What the handlers need.
#[derive(Clone)]
struct Shared {
    state: Arc<ArcSwap<State>>,
    registry: Arc<Registry>,
    reload: mpsc::Sender<ReloadRequest>,
}

/// Listens on an address: `host:port`, or `:port` for every interface.
///
/// # Errors
/// In words that name the address and what to do.
pub async fn listen(address: &str) -> Result<TcpListener, String> {
    let everywhere = format!("[::]{address}");
    let wanted = if address.starts_with(':') {
        everywhere.as_str()
    } else {
        address
    };
    match TcpListener::bind(wanted).await {
        Ok(listener) => Ok(listener),
        // A machine without IPv6.
        Err(_) if address.starts_with(':') => TcpListener::bind(format!("0.0.0.0{address}"))
            .await
            .map_err(|error| cannot_listen(address, &error)),
        Err(error) => Err(cannot_listen(address, &error)),
    }
}

fn cannot_listen(address: &str, error: &std::io::Error) -> String {
    format!(
        "cannot listen on {address}: {error}. Choose another address with --web.listen-address=HOST:PORT"
    )
}

/// The routes. `telemetry_path` is where the metrics are.
///
/// # Errors
/// When the path is none that can be served.
pub fn router(
    state: Arc<ArcSwap<State>>,
    reload: mpsc::Sender<ReloadRequest>,
    telemetry_path: &str,
) -> Result<Router, String> {
    let is_taken = pages::PATHS.iter().any(|it| telemetry_path.starts_with(it));
    if !telemetry_path.starts_with('/')
        || telemetry_path.contains(['{', '}', '?', '#', '*'])
        || telemetry_path.starts_with("/-/")
        || telemetry_path == "/"
        || is_taken
    {
        return Err(format!(
            "--web.telemetry-path={telemetry_path}: give a path such as /metrics"
        ));
    }
    let registry = Registry::new();
    let collectors: [Box<dyn prometheus::core::Collector>; 2] = [
        Box::new(StateCollector::new(Arc::clone(&state))),
        Box::new(ProcessCollector::for_self()),
    ];
    for collector in collectors {
        registry
            .register(collector)
            .map_err(|error| format!("cannot register metrics: {error}"))?;
    }
    let pages = pages::router(Arc::clone(&state), telemetry_path);
    let shared = Shared {
        state,
        registry: Arc::new(registry),
        reload,
    };
    Ok(Router::new()
        .route(telemetry_path, get(metrics))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/-/reload", post(reloaded))
        .with_state(shared)
        .merge(pages))
}

async fn metrics(extract::State(shared): extract::State<Shared>) -> Response {
    match TextEncoder::new().encode_to_string(&shared.registry.gather()) {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn healthy() -> &'static str {
    "certdrift is healthy.\n"
}

async fn ready(extract::State(shared): extract::State<Shared>) -> (StatusCode, &'static str) {
    if shared.state.load().ready {
        (StatusCode::OK, "certdrift is ready.\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "certdrift has not read every source up to its end yet, or cannot write its state; its log says which.\n",
        )
    }
}

async fn reloaded(extract::State(shared): extract::State<Shared>) -> (StatusCode, String) {
    let (answer, outcome) = oneshot::channel();
    let sent = shared.reload.send(answer).await.is_ok();
    match outcome.await {
        Ok(Ok(())) => (
            StatusCode::OK,
            "The configuration was read again.\n".to_owned(),
        ),
        Ok(Err(message)) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("The configuration was not changed:\n{message}\n"),
        ),
        Err(_) if sent => (
            StatusCode::SERVICE_UNAVAILABLE,
            "certdrift is stopping.\n".to_owned(),
        ),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "certdrift has stopped.\n".to_owned(),
        ),
    }
}
