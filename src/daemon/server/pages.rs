//! The status page, the same as JSON, the icon, and the runbooks: what people open in a browser.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract;
use axum::extract::rejection::QueryRejection;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::ACCEPT;
use axum::http::header::CACHE_CONTROL;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::REFERRER_POLICY;
use axum::http::header::VARY;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use crate::daemon::clock;
use crate::pipeline::shown::shown;
use crate::pipeline::snapshot::State;
use crate::render::page;
use crate::render::page::Mood;
use crate::render::page::Setting;
use crate::render::runbook;
use crate::render::status;
use crate::render::status::Selection;
use crate::render::status::Status;

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const SVG: &str = "image/svg+xml";
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// What is no page needs nothing at all.
const NOTHING: &str =
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Beginnings of paths that are served here, besides `/` itself.
pub(super) const PATHS: [&str; 3] = ["/api/", "/icon/", runbook::PATH];

/// What the handlers need.
#[derive(Clone)]
struct Shared {
    state: Arc<ArcSwap<State>>,
    telemetry_path: Arc<str>,
}

/// What may stand behind the question mark. Anything else there is ignored, as it is everywhere on the web.
#[derive(Debug, Default, Deserialize)]
struct Query {
    server: Option<String>,
    page: Option<usize>,
    hold: Option<String>,
}

impl Query {
    fn selection(&self) -> Selection {
        Selection {
            server: self
                .server
                .as_deref()
                .filter(|it| !it.is_empty())
                .map(shown),
            page: self.page.unwrap_or(1),
        }
    }

    /// Whoever looks at the whole is shown it anew; whoever has chosen something reads, and is not disturbed.
    fn refreshes(&self) -> bool {
        self.server.is_none() && self.page.is_none() && self.hold.is_none()
    }
}

/// The routes. `telemetry_path` is where the metrics are.
pub(super) fn router(state: Arc<ArcSwap<State>>, telemetry_path: &str) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/api/v1/status", get(json))
        .route("/icon/{mood}", get(icon))
        .route(&format!("{}{{name}}", runbook::PATH), get(runbook_page))
        .with_state(Shared {
            state,
            telemetry_path: Arc::from(telemetry_path),
        })
}

async fn index(
    extract::State(shared): extract::State<Shared>,
    query: Result<extract::Query<Query>, QueryRejection>,
) -> Response {
    let Ok(extract::Query(query)) = query else {
        return bad_request();
    };
    let setting = Setting {
        now: clock::now(),
        telemetry_path: &shared.telemetry_path,
        refreshes: query.refreshes(),
    };
    let html = page::page(&shared.status(&query), setting);
    answer(StatusCode::OK, HTML, &page::CONTENT_SECURITY_POLICY, html)
}

async fn json(
    extract::State(shared): extract::State<Shared>,
    query: Result<extract::Query<Query>, QueryRejection>,
) -> Response {
    match query {
        Ok(extract::Query(query)) => {
            let text = status::json(&shared.status(&query));
            answer(StatusCode::OK, JSON, NOTHING, text)
        }
        Err(_) => bad_request(),
    }
}

async fn icon(extract::Path(name): extract::Path<String>) -> Response {
    match Mood::ALL.into_iter().find(|mood| mood.as_str() == name) {
        Some(mood) => answer(StatusCode::OK, SVG, NOTHING, page::icon(mood)),
        None => not_found("There is no such icon.\n"),
    }
}

/// HTML for a browser, which asks for it; Markdown for whoever does not, such as curl in a terminal.
async fn runbook_page(extract::Path(name): extract::Path<String>, headers: HeaderMap) -> Response {
    let Some(text) = runbook::find(&name) else {
        return not_found("There is no such alert.\n");
    };
    let wanted = headers.get_all(ACCEPT).iter();
    let mut wanted = wanted.filter_map(|value| value.to_str().ok());
    let mut response = if wanted.any(|value| value.contains("text/html")) {
        let policy = &page::CONTENT_SECURITY_POLICY;
        answer(StatusCode::OK, HTML, policy, page::runbook(text))
    } else {
        answer(StatusCode::OK, PLAIN_TEXT, NOTHING, text.to_owned())
    };
    let vary = HeaderValue::from_static("accept");
    response.headers_mut().insert(VARY, vary);
    response
}

impl Shared {
    fn status(&self, query: &Query) -> Status {
        status::status(&self.state.load(), &query.selection())
    }
}

fn not_found(message: &str) -> Response {
    let message = message.to_owned();
    answer(StatusCode::NOT_FOUND, PLAIN_TEXT, NOTHING, message)
}

fn bad_request() -> Response {
    let message = "page must be a number, and server a name: /?server=EX01&page=2\n".to_owned();
    answer(StatusCode::BAD_REQUEST, PLAIN_TEXT, NOTHING, message)
}

/// An answer that a browser takes for what it is, keeps nowhere, and tells no other site of.
fn answer(status: StatusCode, content_type: &str, policy: &str, body: String) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body).into_response()
}
