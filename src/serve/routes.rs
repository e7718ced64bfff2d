//! The routes and everything that is checked before one is taken.

use super::auth::{Role, Tokens};
use super::{Acknowledgement, Control, Request as Order, metrics};
use crate::event::{Baseline, Command, KillAction};
use crate::model::Symbol;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, ORIGIN, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{Stream, StreamExt};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde::Deserialize;
use serde_json::json;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::TimeoutLayer;

/// A command is some hundred bytes.
const BODY_MAX: usize = 16 * 1024;
/// A reason is a sentence.
const REASON_MAX: usize = 500;
/// The core answers within a step; a guard that takes longer is not well, and the operator must know.
const ANSWER: Duration = Duration::from_secs(10);
/// A body that takes longer than this, and the answer, is given up.
const REQUEST: Duration = Duration::from_secs(15);
/// The event stream says something this often, so that both ends know that it lives.
const ALIVE: Duration = Duration::from_secs(5);
/// Wrong tokens a second that are answered and logged one by one: a person mistypes slower, a guesser is faster.
const WRONG_TOKENS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);

/// What the routes know.
#[derive(Clone)]
struct Desk(Arc<Known>);

struct Known {
    hosts: Vec<String>,
    tokens: Tokens,
    control: Control,
    wrong: DefaultDirectRateLimiter,
    cancel: CancellationToken,
}

/// What a request may name as its host: this machine by its own names, and the address that is listened on.
fn hosts(listen: SocketAddr) -> Vec<String> {
    let mut names = vec!["127.0.0.1".to_owned(), "localhost".into(), "[::1]".into()];
    match listen.ip() {
        ip if ip.is_unspecified()
            || names.contains(&ip.to_string())
            || ip == IpAddr::V6(Ipv6Addr::LOCALHOST) => {}
        IpAddr::V4(ip) => names.push(ip.to_string()),
        IpAddr::V6(ip) => names.push(format!("[{ip}]")),
    }
    let port = listen.port();
    let mut hosts: Vec<String> = names.iter().map(|name| format!("{name}:{port}")).collect();
    if port == 80 {
        hosts.append(&mut names);
    }
    hosts
}

/// The control API, listening there.
pub(super) fn router(
    listen: SocketAddr,
    tokens: Tokens,
    control: Control,
    cancel: CancellationToken,
) -> Router {
    let desk = Desk(Arc::new(Known {
        hosts: hosts(listen),
        tokens,
        control,
        wrong: RateLimiter::direct(Quota::per_second(WRONG_TOKENS)),
        cancel,
    }));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .route("/api/v1/status", get(status))
        .route("/api/v1/events", get(events))
        .route("/api/v1/kill", post(kill))
        .route("/api/v1/rearm", post(rearm))
        .route("/api/v1/ack", post(ack))
        .fallback(async || refuse(StatusCode::NOT_FOUND, "there is no such path"))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(desk.clone(), door))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            REQUEST,
        ))
        .with_state(desk)
}

/// A refusal, in words for the operator.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({ "ok": false, "message": self.1 });
        (self.0, axum::Json(body)).into_response()
    }
}

fn refuse(status: StatusCode, message: impl Into<String>) -> Refusal {
    Refusal(status, message.into())
}

/// Before any route: the request must be meant for us, and from no foreign page (SE-04, SE-05).
async fn door(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let mut response =
        match desk.meant_for_us(request.headers(), request.uri().authority().map(|a| a.as_str())) {
            Ok(()) => next.run(request).await,
            Err(why) => refuse(StatusCode::FORBIDDEN, why).into_response(),
        };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The value of a header that may come once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, String> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_| format!("header {name} is not a text")),
        (Some(_), Some(_)) => Err(format!("header {name} came twice")),
    }
}

impl Desk {
    fn meant_for_us(&self, headers: &HeaderMap, authority: Option<&str>) -> Result<(), String> {
        let ours = |host: &str| self.0.hosts.iter().any(|own| own == host);
        let host = only(headers, &HOST)?.filter(|host| ours(host));
        let Some(host) = host else {
            return Err("the Host of the request is not this guard".into());
        };
        if authority.is_some_and(|authority| authority != host) {
            return Err("the address of the request is not this guard".into());
        }
        match only(headers, &ORIGIN)? {
            None => Ok(()),
            Some(origin) if origin.strip_prefix("http://") == Some(host) => Ok(()),
            Some(_) => Err("the request comes from a foreign page".into()),
        }
    }

    /// Whether the request's token allows this. A valid token is never held up by wrong ones (SE-06).
    fn allow(&self, needed: Role, headers: &HeaderMap) -> Result<(), Refusal> {
        let given = only(headers, &AUTHORIZATION).ok().flatten();
        let Some(token) = given.and_then(|value| value.strip_prefix("Bearer ")) else {
            return Err(refuse(
                StatusCode::UNAUTHORIZED,
                format!(
                    "the {} token is needed, as `Authorization: Bearer ...`",
                    needed.name()
                ),
            ));
        };
        match self.0.tokens.role(token) {
            Some(role) if needed <= role => Ok(()),
            Some(role) => Err(refuse(
                StatusCode::FORBIDDEN,
                format!(
                    "the {} token may not do this; the {} token may",
                    role.name(),
                    needed.name()
                ),
            )),
            None if self.0.wrong.check().is_err() => Err(refuse(
                StatusCode::TOO_MANY_REQUESTS,
                "too many wrong tokens; a valid one still works",
            )),
            None => {
                tracing::warn!(needed = needed.name(), "a request with a wrong token was refused");
                Err(refuse(
                    StatusCode::UNAUTHORIZED,
                    "the token is not one of this guard",
                ))
            }
        }
    }

    fn known(&self, account: &str) -> Result<(), Refusal> {
        if self.0.control.status.borrow().account(account).is_some() {
            return Ok(());
        }
        Err(refuse(
            StatusCode::NOT_FOUND,
            format!("there is no account {account:?}"),
        ))
    }

    /// Hands a command to the guard and waits for its answer.
    async fn order(&self, account: String, command: Command) -> Result<Response, Refusal> {
        let (reply, answer) = oneshot::channel();
        let order = Order {
            account,
            command,
            reply,
        };
        let asked = async {
            if self.0.control.commands.send(order).await.is_err() {
                return None;
            }
            answer.await.ok()
        };
        match tokio::time::timeout(ANSWER, asked).await {
            Ok(Some(Ok(message))) => {
                Ok(axum::Json(json!({ "ok": true, "message": message })).into_response())
            }
            Ok(Some(Err(message))) => Err(refuse(StatusCode::CONFLICT, message)),
            Ok(None) => Err(refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "the guard is ending; look at its log",
            )),
            Err(_) => Err(refuse(
                StatusCode::GATEWAY_TIMEOUT,
                "the guard has not answered; the command may still be carried out. The KILL file needs no answer",
            )),
        }
    }
}

async fn readyz(State(desk): State<Desk>) -> Response {
    if desk.0.control.status.borrow().ready() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "not every account is guarded\n").into_response()
}

async fn scrape(State(desk): State<Desk>) -> Response {
    let status = Arc::clone(&desk.0.control.status.borrow());
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let text = metrics::text(&status, tasks);
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

async fn status(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, Refusal> {
    desk.allow(Role::View, &headers)?;
    let status = Arc::clone(&desk.0.control.status.borrow());
    Ok(axum::Json(&*status).into_response())
}

async fn events(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, Refusal> {
    desk.allow(Role::View, &headers)?;
    let stream = BroadcastStream::new(desk.0.control.events.subscribe());
    let sse = Sse::new(told(stream).take_until(desk.0.cancel.clone().cancelled_owned()));
    Ok(sse.keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

/// Events as they are sent; a client that was too slow is told how many it missed.
fn told(stream: BroadcastStream<Arc<str>>) -> impl Stream<Item = Result<Event, Infallible>> {
    stream.map(|event| {
        let event = match event {
            Ok(event) => Event::default().data(&*event),
            Err(BroadcastStreamRecvError::Lagged(missed)) => {
                Event::default().data(json!({ "event": "missed", "count": missed }).to_string())
            }
        };
        Ok(event)
    })
}

/// The body of a kill.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kill {
    account: String,
    action: Action,
    #[serde(default)]
    symbol: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Flatten,
    Block,
}

/// The symbol of a kill. Contracts are named in capitals; a kill that aims beside its contract is refused in words.
fn symbol(text: &str) -> Result<Symbol, String> {
    if text
        .chars()
        .any(|c| c.is_ascii_lowercase() || c.is_whitespace() || c.is_control())
    {
        return Err(format!(
            "symbol: {text:?} is no contract; write it as the venue does, like BTCUSDT"
        ));
    }
    Symbol::new(text).map_err(|error| format!("symbol: {error}"))
}

/// The body of a re-arm.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rearm {
    account: String,
    confirm: String,
    baseline: Base,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Base {
    Keep,
    Rebase,
}

/// The checks of a request that changes something, up to its body.
fn body<'b, T: Deserialize<'b>>(
    desk: &Desk,
    needed: Role,
    headers: &HeaderMap,
    bytes: &'b [u8],
) -> Result<T, Refusal> {
    desk.allow(needed, headers)?;
    let kind = only(headers, &CONTENT_TYPE).ok().flatten().unwrap_or_default();
    let media = kind.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        return Err(refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body must be sent as application/json",
        ));
    }
    serde_json::from_slice(bytes).map_err(|error| refuse(StatusCode::BAD_REQUEST, format!("body: {error}")))
}

async fn kill(State(desk): State<Desk>, headers: HeaderMap, bytes: Bytes) -> Result<Response, Refusal> {
    let kill: Kill = body(&desk, Role::Kill, &headers, &bytes)?;
    let bad = |message: String| refuse(StatusCode::BAD_REQUEST, message);
    let symbol = kill.symbol.as_deref().map(symbol).transpose().map_err(bad)?;
    let reason = kill.reason.unwrap_or_default();
    if REASON_MAX < reason.len() || reason.chars().any(char::is_control) {
        return Err(bad(format!("reason: one line of at most {REASON_MAX} bytes")));
    }
    desk.known(&kill.account)?;
    let action = match kill.action {
        Action::Flatten => KillAction::Flatten,
        Action::Block => KillAction::Block,
    };
    desk.order(
        kill.account,
        Command::Kill {
            action,
            symbol,
            reason,
        },
    )
    .await
}

async fn rearm(State(desk): State<Desk>, headers: HeaderMap, bytes: Bytes) -> Result<Response, Refusal> {
    let rearm: Rearm = body(&desk, Role::Rearm, &headers, &bytes)?;
    desk.known(&rearm.account)?;
    if rearm.confirm != rearm.account {
        let message = format!("confirm must repeat the account's label, {:?}", rearm.account);
        return Err(refuse(StatusCode::BAD_REQUEST, message));
    }
    let baseline = match rearm.baseline {
        Base::Keep => Baseline::Keep,
        Base::Rebase => Baseline::Rebase,
    };
    desk.order(rearm.account, Command::Rearm { baseline }).await
}

/// The body of an acknowledgement.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ack {
    account: String,
}

/// Quiets the reminders of an account. It needs the role that may act: who can only look must not be able to silence what
/// others are woken by.
async fn ack(State(desk): State<Desk>, headers: HeaderMap, bytes: Bytes) -> Result<Response, Refusal> {
    let ack: Ack = body(&desk, Role::Kill, &headers, &bytes)?;
    desk.known(&ack.account)?;
    let (reply, answer) = oneshot::channel();
    let account = ack.account;
    let seen = Acknowledgement { account, reply };
    let asked = async {
        desk.0.control.acks.send(seen).await.ok()?;
        answer.await.ok()
    };
    match tokio::time::timeout(ANSWER, asked).await {
        Ok(Some(Ok(message))) => Ok(axum::Json(json!({ "ok": true, "message": message })).into_response()),
        Ok(Some(Err(message))) => Err(refuse(StatusCode::CONFLICT, message)),
        _ => Err(refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "the alerts cannot be acknowledged now",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn se_04_an_address_that_is_listened_on_is_a_host_and_listening_everywhere_is_none() {
        for (listen, more) in [
            ("127.0.0.1:7878", &[][..]),
            ("127.0.0.2:7878", &["127.0.0.2:7878"]),
            ("0.0.0.0:7878", &[]),
            ("[::]:7878", &[]),
            ("192.0.2.5:7878", &["192.0.2.5:7878"]),
            ("[2001:db8::5]:7878", &["[2001:db8::5]:7878"]),
        ] {
            let mut expected = vec!["127.0.0.1:7878", "localhost:7878", "[::1]:7878"];
            expected.extend(more);
            assert_eq!(hosts(listen.parse().unwrap()), expected, "{listen}");
        }
        assert_eq!(
            hosts("[::1]:80".parse().unwrap()).len(),
            6,
            "the usual port may be left out"
        );
    }
}
