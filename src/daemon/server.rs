//! What HTTP clients may ask. [`pages`] is what people open in a browser.

mod pages;

use std::fmt::Write as _;
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

use crate::pipeline::shown::shown;
use crate::pipeline::snapshot::SourceStatus;
use crate::pipeline::snapshot::State;
use crate::render::metrics::StateCollector;

/// Content type of Prometheus' text format; Prometheus 3 refuses a scrape without it.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// So many sources that cannot be read are told with the readiness.
const MAX_TROUBLES: usize = 10;

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

async fn ready(extract::State(shared): extract::State<Shared>) -> (StatusCode, String) {
    let state = shared.state.load();
    let (code, text) = if state.ready {
        (StatusCode::OK, "certdrift is ready.\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "certdrift has not read every source up to its end yet, or cannot write its state; its log says which.\n",
        )
    };
    (code, format!("{text}{}", unread(&state.sources)))
}

/// The sources that cannot be read. They do not keep certdrift from being ready: whoever starts another one in its place would
/// not read them either.
fn unread(sources: &[SourceStatus]) -> String {
    let troubles = sources
        .iter()
        .filter_map(|source| source.trouble.as_deref());
    let troubles: Vec<&str> = troubles.collect();
    let mut text = match troubles.len() {
        0 => return String::new(),
        count => format!("{count} of {} sources cannot be read:\n", sources.len()),
    };
    for trouble in troubles.iter().take(MAX_TROUBLES) {
        let _ = writeln!(text, "  {}", shown(trouble));
    }
    if troubles.len() > MAX_TROUBLES {
        text.push_str("  and others; the status page has them\n");
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_cannot_be_read_are_told_up_to_a_limit() {
        let source = |number: usize, trouble: Option<&str>| SourceStatus {
            trouble: trouble.map(|it| format!("/srv/{number}: {it}")),
            ..SourceStatus::new("/srv/{server}".to_owned(), Arc::from("EX"))
        };
        let mut sources = vec![source(0, None), source(1, None)];
        assert_eq!(unread(&sources), "");
        sources.push(source(2, Some("does not\u{202e} exist")));
        assert_eq!(
            unread(&sources),
            "1 of 3 sources cannot be read:\n  /srv/2: does not exist\n"
        );
        sources.extend((3..100).map(|number| source(number, Some("is gone"))));
        let text = unread(&sources);
        assert_eq!(text.lines().count(), MAX_TROUBLES + 2);
        assert!(text.ends_with("and others; the status page has them\n"));
    }
}
