//! The REST side: whatever comes is handed to the exchange as it came, and its answer is handed back.

use super::hub::{Command, Venue};
use crate::sim::faults::Fault;
use crate::sim::mischief::NEVER;
use crate::sim::script::EventScript;
use crate::sim::{HttpRequest, HttpResponse, Scenario};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// The longest body: many times the longest batch of orders.
const BODY_MAX: usize = 64 * 1_024;

/// Serves until `stop`.
pub(super) async fn run<V: Venue>(
    listener: TcpListener,
    commands: mpsc::Sender<Command<V::Report>>,
    stop: CancellationToken,
) {
    // The paths below `/sim` are this server's own; the venue has nothing like them.
    let router = Router::new()
        .route("/sim/report", get(report::<V>))
        .route("/sim/scenario", get(scenario::<V>))
        .route("/sim/events", post(add_event::<V>))
        .route("/sim/faults", post(add_fault::<V>).delete(heal::<V>))
        .fallback(venue::<V>)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(commands);
    let listener = listener.tap_io(|socket| {
        if let Err(error) = socket.set_nodelay(true) {
            debug!(%error, "no TCP_NODELAY");
        }
    });
    let stopped = stop.cancelled_owned();
    if let Err(error) = axum::serve(listener, router)
        .with_graceful_shutdown(stopped)
        .await
    {
        debug!(%error, "the REST side ended");
    }
}

async fn venue<V: Venue>(
    State(commands): State<mpsc::Sender<Command<V::Report>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let api_key = headers
        .get("x-mbx-apikey")
        .and_then(|key| key.to_str().ok())
        .map(str::to_owned);
    let request = HttpRequest {
        method: method.as_str().to_owned(),
        path: uri.path().to_owned(),
        query: uri.query().unwrap_or_default().to_owned(),
        body: String::from_utf8_lossy(&body).into_owned(),
        api_key,
    };
    match ask(&commands, |answer| Command::Http(request, answer)).await {
        Some(answer) if answer.status == NEVER => std::future::pending().await,
        Some(answer) => written(answer),
        None => gone(),
    }
}

/// `POST /sim/faults`: a fault as a scenario writes it, in JSON, from now on.
async fn add_fault<V: Venue>(
    State(commands): State<mpsc::Sender<Command<V::Report>>>,
    body: Bytes,
) -> Response {
    let fault: Fault = match serde_json::from_slice(&body) {
        Ok(fault) => fault,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("not a fault: {error}\n")).into_response(),
    };
    faulted(ask(&commands, |answer| Command::Fault(Some(Box::new(fault)), answer)).await)
}

/// `POST /sim/events`: an event as a scenario writes it, in JSON, now.
async fn add_event<V: Venue>(
    State(commands): State<mpsc::Sender<Command<V::Report>>>,
    body: Bytes,
) -> Response {
    let event: EventScript = match serde_json::from_slice(&body) {
        Ok(event) => event,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("not an event: {error}\n")).into_response(),
    };
    faulted(ask(&commands, |answer| Command::Event(Box::new(event), answer)).await)
}

/// `DELETE /sim/faults`: everything heals.
async fn heal<V: Venue>(State(commands): State<mpsc::Sender<Command<V::Report>>>) -> Response {
    faulted(ask(&commands, |answer| Command::Fault(None, answer)).await)
}

fn faulted(done: Option<Result<(), String>>) -> Response {
    match done {
        Some(Ok(())) => (StatusCode::OK, "{}\n").into_response(),
        Some(Err(why)) => (StatusCode::CONFLICT, format!("{why}\n")).into_response(),
        None => gone(),
    }
}

async fn report<V: Venue>(State(commands): State<mpsc::Sender<Command<V::Report>>>) -> Response {
    match ask(&commands, Command::Report).await {
        Some(report) => axum::Json(report).into_response(),
        None => gone(),
    }
}

async fn scenario<V: Venue>(State(commands): State<mpsc::Sender<Command<V::Report>>>) -> Response {
    match ask(&commands, Command::Finished).await {
        Some(finished) => {
            axum::Json(json!({"finished": finished, "builtin": Scenario::names()})).into_response()
        }
        None => gone(),
    }
}

/// Puts a question to the task of the exchange; `None` when that has ended.
pub(super) async fn ask<R, T>(
    commands: &mpsc::Sender<Command<R>>,
    question: impl FnOnce(oneshot::Sender<T>) -> Command<R>,
) -> Option<T> {
    let (answer, answered) = oneshot::channel();
    commands.send(question(answer)).await.ok()?;
    answered.await.ok()
}

fn written(answer: HttpResponse) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json;charset=utf-8"),
    );
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
    response
}

fn gone() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the exchange has stopped").into_response()
}
