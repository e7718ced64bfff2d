//! The stream side: handshakes, and one task a socket.
//!
//! Rules of the connection (ping, pong, 24 h, ten messages a second): the venue's "Websocket Market Streams" page,
//! read 2026-11-22.

use super::hub::{Command, FRAMES_MAX, Member, SOCKETS_MAX, Venue};
use super::route::route;
use futures_util::{SinkExt, StreamExt};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

/// The longest message of a client: enough to name every stream of a connection.
const MESSAGE_MAX: usize = 64 * 1_024;
/// Frames fed between two flushes.
const BATCH: usize = 1_024;
/// A handshake that takes longer is dropped.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A close that is not answered within this time is not waited for.
const FAREWELL: Duration = Duration::from_millis(250);

/// The rules of a connection; the tests shorten them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) ping_every: Duration,
    pub(super) pong_within: Duration,
    pub(super) life: Duration,
    /// Frames of a client in any one second; one more ends the connection.
    pub(super) messages_max: usize,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            ping_every: Duration::from_secs(3 * 60),
            pong_within: Duration::from_secs(10 * 60),
            life: Duration::from_secs(24 * 60 * 60),
            messages_max: 10,
        }
    }
}

/// Accepts sockets until `stop`, then waits for their tasks.
pub(super) async fn run<V: Venue>(
    listener: TcpListener,
    commands: mpsc::Sender<Command<V::Report>>,
    rules: Rules,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let places = Arc::new(Semaphore::new(SOCKETS_MAX));
    let mut next_id: u64 = 0;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let tcp = match accepted {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                debug!(%error, "a connection could not be accepted");
                // Out of descriptors, most likely: a pause instead of a spin.
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            debug!("too many sockets; one was refused");
            continue;
        };
        next_id = next_id.wrapping_add(1);
        let (id, commands, cut) = (next_id, commands.clone(), stop.child_token());
        tasks.spawn(async move {
            serve(id, tcp, commands, rules, cut).await;
            drop(place);
        });
    }
    tasks.close();
    tasks.wait().await;
}

/// Shakes hands and serves one socket.
///
/// The socket joins before the handshake is answered, so that nothing that a client does after it is missed.
async fn serve<R: Send + 'static>(
    id: u64,
    tcp: TcpStream,
    commands: mpsc::Sender<Command<R>>,
    rules: Rules,
    cut: CancellationToken,
) {
    if let Err(error) = tcp.set_nodelay(true) {
        debug!(%error, "no TCP_NODELAY");
    }
    let (frames, queue) = mpsc::channel(FRAMES_MAX);
    let join = {
        let (commands, cut) = (commands.clone(), cut.clone());
        #[expect(
            clippy::result_large_err,
            reason = "the signature of the handshake's callback"
        )]
        move |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            let query = request.uri().query().unwrap_or_default();
            let Some(listening) = route(request.uri().path(), query) else {
                return Err(refusal(StatusCode::NOT_FOUND));
            };
            let member = Member {
                listening,
                frames,
                cut,
            };
            match commands.try_send(Command::Join(id, member)) {
                Ok(()) => Ok(response),
                Err(_) => Err(refusal(StatusCode::SERVICE_UNAVAILABLE)),
            }
        }
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX));
    let shaken = tokio::select! {
        () = cut.cancelled() => return,
        shaken = timeout(HANDSHAKE, accept_hdr_async_with_config(tcp, join, Some(config))) => shaken,
    };
    let mut socket = match shaken {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return debug!(%error, "a handshake failed"),
        Err(_) => return debug!("a handshake took too long"),
    };
    let why = tokio::select! {
        () = cut.cancelled() => Some("too slow, or the exchange stops"),
        why = talk(id, &mut socket, queue, &commands, rules) => why,
    };
    if let Some(why) = why {
        debug!(id, why, "a socket is closed");
        let close = CloseFrame {
            code: CloseCode::Policy,
            reason: Utf8Bytes::from_static(why),
        };
        // A client that does not read cannot be told; one that does gets the time to say goodbye.
        let farewell = async {
            if socket.close(Some(close)).await.is_ok() {
                while let Some(Ok(_)) = socket.next().await {}
            }
        };
        let _ = timeout(FAREWELL, farewell).await;
    }
}

fn refusal(status: StatusCode) -> ErrorResponse {
    let mut refusal = ErrorResponse::new(None);
    *refusal.status_mut() = status;
    refusal
}

/// Serves until the client leaves (`None`) or broke a rule, which is named.
async fn talk<R>(
    id: u64,
    socket: &mut WebSocketStream<TcpStream>,
    mut queue: mpsc::Receiver<Message>,
    commands: &mpsc::Sender<Command<R>>,
    rules: Rules,
) -> Option<&'static str> {
    let born = Instant::now();
    let mut ponged = born;
    let mut next_ping = born + rules.ping_every;
    let mut recent: VecDeque<Instant> = VecDeque::new();
    let mut batch: Vec<Message> = Vec::new();
    // Pongs that answer our pings do not count as messages.
    let mut owed: u32 = 0;
    loop {
        tokio::select! {
            fed = queue.recv_many(&mut batch, BATCH) => {
                if fed == 0 {
                    return Some("the exchange has let go of the socket");
                }
                for frame in batch.drain(..) {
                    owed = owed.saturating_add(u32::from(frame.is_ping()));
                    socket.feed(frame).await.ok()?;
                }
                socket.flush().await.ok()?;
            }
            received = socket.next() => {
                let message = received?.ok()?;
                let now = Instant::now();
                if message.is_pong() && owed > 0 {
                    owed -= 1;
                    ponged = now;
                    continue;
                }
                while recent.front().is_some_and(|first| now.duration_since(*first) > Duration::from_secs(1)) {
                    recent.pop_front();
                }
                if recent.len() >= rules.messages_max {
                    return Some("too many messages in a second");
                }
                recent.push_back(now);
                match message {
                    Message::Text(text) => commands.send(Command::Control(id, text.to_string())).await.ok()?,
                    Message::Pong(_) => ponged = now,
                    Message::Close(_) => {
                        let _ = timeout(FAREWELL, socket.flush()).await;
                        return None;
                    }
                    // A ping is answered by the library at the next read.
                    Message::Ping(_) | Message::Binary(_) | Message::Frame(_) => {}
                }
            }
            () = sleep_until(next_ping) => {
                next_ping += rules.ping_every;
                owed = owed.saturating_add(1);
                let payload = Bytes::from(born.elapsed().as_millis().to_string());
                socket.send(Message::Ping(payload)).await.ok()?;
            }
            () = sleep_until(ponged + rules.pong_within) => return Some("no pong"),
            () = sleep_until(born + rules.life) => return Some("24 hours are over"),
        }
    }
}
