//! The routes, and the doors before them.

use super::auth::{Role, Tokens};
use super::{Control, Request, metrics};
use crate::event::{Baseline, Command, KillAction};
use crate::model::Symbol;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{Stream, StreamExt};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::Deserialize;
use std::convert::Infallible;
use std::net::SocketAddr;
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
/// Wrong tokens a second that are answered one by one; what is above is told to slow down.
const WRONG_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// Refusals a second that are logged.
const TOLD_PER_SECOND: NonZeroU32 = NonZeroU32::new(5).unwrap();
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
    told: DefaultDirectRateLimiter,
    streams: Arc<tokio::sync::Semaphore>,
    cancel: CancellationToken,
}

impl Shared {
    /// For a listener on this address.
    pub fn new(tokens: Tokens, control: Control, address: SocketAddr, cancel: CancellationToken) -> Shared {
        let hosts = hosts(address);
        let wrong = RateLimiter::direct(Quota::per_second(WRONG_PER_SECOND));
        let told = RateLimiter::direct(Quota::per_second(TOLD_PER_SECOND));
        let streams = Arc::new(tokio::sync::Semaphore::new(STREAMS_MAX));
        Shared(Arc::new(Inner {
            tokens,
            control,
            hosts,
            wrong,
            told,
            streams,
            cancel,
        }))
    }

    /// Logs a refusal, at most a few a second; what was presented is never in it (SE-05).
    fn tell(&self, what: &str) {
        if self.0.told.check().is_ok() {
            tracing::warn!("control API: {what}");
        }
    }
}

/// The hosts that a request may name: this machine's names for itself and the address listened on, with its port.
fn hosts(address: SocketAddr) -> Vec<String> {
    let port = address.port();
    let mut hosts: Vec<String> = ["127.0.0.1", "localhost", "[::1]"]
        .map(|host| format!("{host}:{port}"))
        .to_vec();
    if !address.ip().is_unspecified() && !hosts.contains(&address.to_string()) {
        hosts.push(address.to_string());
    }
    // Clients leave the port out when it is the usual one.
    if port == 80 {
        let bare: Vec<String> = hosts
            .iter()
            .filter_map(|host| host.strip_suffix(":80").map(str::to_owned))
            .collect();
        hosts.extend(bare);
    }
    hosts
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
        .fallback(|| async { answer(StatusCode::NOT_FOUND, false, "there is nothing here") })
        .method_not_allowed_fallback(|| async {
            answer(StatusCode::METHOD_NOT_ALLOWED, false, "not with this method")
        })
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
    let own = |host: &str| shared.0.hosts.iter().any(|own| own == host);
    let named = request.uri().authority().map(|authority| authority.as_str());
    let host = one(header::HOST).filter(|host| own(host) && named.is_none_or(|named| named == *host));
    let Some(host) = host else {
        shared.tell("a request for another host was refused");
        return answer(StatusCode::FORBIDDEN, false, "this host is not served here");
    };
    if headers.contains_key(header::ORIGIN) {
        let origin = one(header::ORIGIN).and_then(|origin| origin.strip_prefix("http://"));
        if origin != Some(host) {
            shared.tell("a request from another origin was refused");
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
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let role = presented.and_then(|token| shared.0.tokens.role(token));
    match role {
        Some(role) if role >= needed => Ok(()),
        Some(_) => {
            shared.tell("a token of too low a role was refused");
            let text = format!("this token may not do that; it needs the role `{}`", word(needed));
            Err(Refused(StatusCode::FORBIDDEN, text))
        }
        None if shared.0.wrong.check().is_err() => {
            let text = "too many wrong tokens; a right one is served all the same";
            Err(Refused(StatusCode::TOO_MANY_REQUESTS, text.into()))
        }
        None => {
            shared.tell("a request without a right token was refused");
            let text = "send `Authorization: Bearer TOKEN` with a token of the guard's token file";
            Err(Refused(StatusCode::UNAUTHORIZED, text.into()))
        }
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
        .filter(|account| account.state != "armed")
        .map(|account| format!("{} is {}", account.label, account.state))
        .collect();
    let text = match (status.accounts.is_empty(), not_ready.is_empty()) {
        (true, _) => "no account is guarded yet".to_owned(),
        (false, true) => return "ready\n".into_response(),
        (false, false) => not_ready.join(", "),
    };
    (StatusCode::SERVICE_UNAVAILABLE, format!("{text}\n")).into_response()
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

/// A strict JSON body; nothing of it is read before the token and the content type are right.
async fn admitted(shared: &Shared, needed: Role, request: axum::extract::Request) -> Result<Bytes, Refused> {
    admit(shared, request.headers(), needed)?;
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().map(str::trim).unwrap_or("");
    if !kind.eq_ignore_ascii_case("application/json") {
        let text = "send `Content-Type: application/json`".into();
        return Err(Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let read = Bytes::from_request(request, &()).await;
    read.map_err(|rejection| Refused(rejection.status(), rejection.body_text()))
}

fn parsed<'a, T: Deserialize<'a>>(bytes: &'a Bytes) -> Result<T, Refused> {
    serde_json::from_slice(bytes)
        .map_err(|error| Refused(StatusCode::BAD_REQUEST, format!("the body is wrong: {error}")))
}

async fn kill(State(shared): State<Shared>, request: axum::extract::Request) -> Result<Response, Refused> {
    let bytes = admitted(&shared, Role::Kill, request).await?;
    let asked: KillBody = parsed(&bytes)?;
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

async fn rearm(State(shared): State<Shared>, request: axum::extract::Request) -> Result<Response, Refused> {
    let bytes = admitted(&shared, Role::Rearm, request).await?;
    let asked: RearmBody = parsed(&bytes)?;
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
