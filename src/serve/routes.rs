//! The routes, and the doors before them.

use super::auth::{Role, Tokens};
use super::{Control, Request, metrics};
use crate::event::{Baseline, Command, KillAction};
use crate::model::Symbol;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{Stream, StreamExt};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::Deserialize;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_stream::wrappers::BroadcastStream;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::TimeoutLayer;

/// Bodies are a handful of words.
const BODY_MAX: usize = 16 * 1024;
/// A command is answered within this, or the asker is told that the guard did not answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A request is read and answered within this.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// Wrong tokens a second before they are no longer even looked at.
const WRONG_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// Event streams that may be open at once.
const STREAMS_MAX: usize = 32;

/// What every request sees.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

struct Inner {
    tokens: Tokens,
    control: Control,
    hosts: Vec<String>,
    wrong: DefaultDirectRateLimiter,
    streams: Arc<tokio::sync::Semaphore>,
    cancel: CancellationToken,
}

impl Shared {
    /// For a listener on this port.
    pub fn new(tokens: Tokens, control: Control, port: u16, cancel: CancellationToken) -> Shared {
        let hosts = ["127.0.0.1", "localhost", "[::1]"]
            .map(|host| format!("{host}:{port}"))
            .to_vec();
        let wrong = RateLimiter::direct(Quota::per_second(WRONG_PER_SECOND));
        let streams = Arc::new(tokio::sync::Semaphore::new(STREAMS_MAX));
        Shared(Arc::new(Inner {
            tokens,
            control,
            hosts,
            wrong,
            streams,
            cancel,
        }))
    }
}

/// A refusal with a text for people.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        answer(self.0, false, &self.1)
    }
}

fn answer(status: StatusCode, ok: bool, message: &str) -> Response {
    let body = serde_json::json!({ "ok": ok, "message": message }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// All routes behind their doors.
pub fn router(shared: Shared) -> Router {
    let quick = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_WITHIN);
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .route("/api/v1/status", get(status))
        .route("/api/v1/kill", post(kill))
        .route("/api/v1/rearm", post(rearm))
        .layer(quick)
        .route("/api/v1/events", get(events))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(shared.clone(), doors))
        .with_state(shared)
}

/// Exact host and own origin, before anything is looked at: a page elsewhere in the browser cannot reach in (SE-04,
/// SE-05).
async fn doors(State(shared): State<Shared>, request: axum::extract::Request, next: Next) -> Response {
    let headers = request.headers();
    let one = |name: header::HeaderName| {
        let mut all = headers.get_all(name).iter();
        let first = all.next().and_then(|value| value.to_str().ok());
        if all.next().is_some() { None } else { first }
    };
    let host = one(header::HOST).or(request.uri().authority().map(|authority| authority.as_str()));
    if !host.is_some_and(|host| shared.0.hosts.iter().any(|own| own == host)) {
        return answer(StatusCode::FORBIDDEN, false, "this host is not served here");
    }
    if headers.contains_key(header::ORIGIN) {
        let own = one(header::ORIGIN).and_then(|origin| origin.strip_prefix("http://"));
        if !own.is_some_and(|origin| Some(origin) == host) {
            return answer(StatusCode::FORBIDDEN, false, "this origin may not ask");
        }
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        header::HeaderValue::from_static("nosniff"),
    );
    response
}

/// The token's role must reach what the route needs. Guessing is slowed, and never slows a right token (SE-06).
fn admit(shared: &Shared, headers: &HeaderMap, needed: Role) -> Result<(), Refused> {
    let presented = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let role = presented.and_then(|token| shared.0.tokens.role(token));
    match role {
        Some(role) if role >= needed => Ok(()),
        Some(_) => {
            let text = format!("this token may not do that; it needs the role `{}`", word(needed));
            Err(Refused(StatusCode::FORBIDDEN, text))
        }
        None if shared.0.wrong.check().is_err() => Err(Refused(
            StatusCode::TOO_MANY_REQUESTS,
            "too many wrong tokens".into(),
        )),
        None => Err(Refused(
            StatusCode::UNAUTHORIZED,
            "send `Authorization: Bearer TOKEN`".into(),
        )),
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::View => "view",
        Role::Kill => "kill",
        Role::Rearm => "rearm",
    }
}

async fn ready(State(shared): State<Shared>) -> Response {
    let status = shared.0.control.status.borrow().clone();
    let not_ready: Vec<String> = status
        .accounts
        .iter()
        .filter(|account| {
            matches!(
                account.state.as_str(),
                "starting" | "blind" | "powerless" | "stopped"
            )
        })
        .map(|account| format!("{} is {}", account.label, account.state))
        .collect();
    if status.accounts.is_empty() {
        return (StatusCode::SERVICE_UNAVAILABLE, "no account is guarded yet\n").into_response();
    }
    if not_ready.is_empty() {
        return "ready\n".into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("{}\n", not_ready.join(", ")),
    )
        .into_response()
}

async fn scrape(State(shared): State<Shared>) -> Response {
    let status = shared.0.control.status.borrow().clone();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics::text(&status)).into_response()
}

async fn status(State(shared): State<Shared>, headers: HeaderMap) -> Result<Response, Refused> {
    admit(&shared, &headers, Role::View)?;
    let status = shared.0.control.status.borrow().clone();
    let body = serde_json::to_string(&*status).unwrap_or_default();
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

async fn events(
    State(shared): State<Shared>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Refused> {
    admit(&shared, &headers, Role::View)?;
    let place = Arc::clone(&shared.0.streams).try_acquire_owned();
    let Ok(place) = place else {
        return Err(Refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many event streams are open".into(),
        ));
    };
    let cancel = shared.0.cancel.clone();
    let live = BroadcastStream::new(shared.0.control.events.subscribe());
    let told = live.map(move |item| {
        // The place is given back when the stream ends.
        let _held = &place;
        Ok(match item {
            Ok(text) => Event::default().data(&*text),
            // A reader that cannot follow is told how much it missed.
            Err(missed) => Event::default().event("missed").data(missed.to_string()),
        })
    });
    Ok(Sse::new(told.take_until(cancel.cancelled_owned())).keep_alive(KeepAlive::default()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KillBody {
    account: String,
    action: String,
    #[serde(default)]
    symbol: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RearmBody {
    account: String,
    confirm: String,
    #[serde(default)]
    baseline: Option<String>,
}

/// A strict JSON body.
fn body<'a, T: Deserialize<'a>>(headers: &HeaderMap, bytes: &'a Bytes) -> Result<T, Refused> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    if kind.split(';').next().map(str::trim) != Some("application/json") {
        let text = "send `Content-Type: application/json`".into();
        return Err(Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| Refused(StatusCode::BAD_REQUEST, format!("the body is wrong: {error}")))
}

async fn kill(State(shared): State<Shared>, headers: HeaderMap, bytes: Bytes) -> Result<Response, Refused> {
    admit(&shared, &headers, Role::Kill)?;
    let asked: KillBody = body(&headers, &bytes)?;
    let bad = |text: &str| Refused(StatusCode::BAD_REQUEST, text.into());
    let action = match asked.action.as_str() {
        "flatten" => KillAction::Flatten,
        "block" => KillAction::Block,
        _ => {
            return Err(bad(
                "`action` is \"flatten\" (close everything) or \"block\" (close entries)",
            ));
        }
    };
    let symbol = asked.symbol.as_deref().map(Symbol::new).transpose();
    let symbol = symbol.map_err(|_| bad("`symbol` is not a symbol; leave it out for everything"))?;
    let reason = asked.reason.unwrap_or_else(|| "by the control API".into());
    let reason: String = reason.chars().filter(|c| !c.is_control()).take(200).collect();
    give(
        &shared,
        asked.account,
        Command::Kill {
            action,
            symbol,
            reason,
        },
    )
    .await
}

async fn rearm(State(shared): State<Shared>, headers: HeaderMap, bytes: Bytes) -> Result<Response, Refused> {
    admit(&shared, &headers, Role::Rearm)?;
    let asked: RearmBody = body(&headers, &bytes)?;
    if asked.confirm != asked.account {
        let text = "`confirm` must be the label of the account, typed again".into();
        return Err(Refused(StatusCode::BAD_REQUEST, text));
    }
    let baseline = match asked.baseline.as_deref() {
        None | Some("keep") => Baseline::Keep,
        Some("rebase") => Baseline::Rebase,
        Some(_) => {
            let text = "`baseline` is \"keep\" or \"rebase\"".into();
            return Err(Refused(StatusCode::BAD_REQUEST, text));
        }
    };
    give(&shared, asked.account, Command::Rearm { baseline }).await
}

/// Gives a command to the guard and waits for its answer.
async fn give(shared: &Shared, account: String, command: Command) -> Result<Response, Refused> {
    let known = shared
        .0
        .control
        .status
        .borrow()
        .accounts
        .iter()
        .any(|known| known.label == account);
    if !known {
        let shown: String = account.chars().take(60).collect();
        return Err(Refused(
            StatusCode::NOT_FOUND,
            format!("no account `{shown}` is guarded here"),
        ));
    }
    let (reply, told) = oneshot::channel();
    let unanswered = || {
        Refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "the guard does not answer".to_owned(),
        )
    };
    shared
        .0
        .control
        .commands
        .try_send(Request {
            account,
            command,
            reply,
        })
        .map_err(|_| unanswered())?;
    match tokio::time::timeout(ANSWER_WITHIN, told).await {
        Ok(Ok(Ok(done))) => Ok(answer(StatusCode::OK, true, &done)),
        Ok(Ok(Err(refusal))) => Err(Refused(StatusCode::CONFLICT, refusal)),
        _ => Err(unanswered()),
    }
}
