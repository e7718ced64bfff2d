//! The task that owns the exchange, and the queues to it and from it.
//!
//! Requests come in over one bounded queue and are answered over a oneshot each; frames go out to each socket over a
//! bounded queue of its own. The exchange never waits for anybody: a socket that does not keep up is closed.

use super::route::Listening;
use crate::sim::{Exchange, HttpRequest, HttpResponse, Outgoing, Report};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;

/// Requests waiting for the exchange; when full, HTTP waits and handshakes are refused.
pub(super) const COMMANDS_MAX: usize = 1_024;
/// Frames waiting for one socket: one and a half of the 10,000 frame burst that a guard must survive.
pub(super) const FRAMES_MAX: usize = 16_384;
/// Sockets at a time: a guard has two or three; a loop that leaks them is refused before it hurts.
pub(super) const SOCKETS_MAX: usize = 256;
/// The longest sleep, so that a clock that jumps (tests, a suspended laptop) is noticed soon.
const NAP_MAX_MS: i64 = 100;

/// The time in Unix milliseconds, as the server was given it.
pub(super) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What the server needs of an exchange. The tests have one of their own, so that they test the server alone.
pub(super) trait Venue: Send + 'static {
    /// Its account of what happened.
    type Report: Serialize + Send + 'static;
    fn handle(&mut self, now_ms: i64, request: &HttpRequest) -> HttpResponse;
    fn advance(&mut self, now_ms: i64);
    fn next_due(&self) -> i64;
    fn drain(&mut self) -> Vec<Outgoing>;
    fn listen_key_valid(&self, key: &str, now_ms: i64) -> bool;
    fn report(&self) -> Self::Report;
    fn finished(&self, now_ms: i64) -> bool;
}

impl Venue for Exchange {
    type Report = Report;
    fn handle(&mut self, now_ms: i64, request: &HttpRequest) -> HttpResponse {
        self.handle(now_ms, request)
    }
    fn advance(&mut self, now_ms: i64) {
        self.advance(now_ms);
    }
    fn next_due(&self) -> i64 {
        self.next_due()
    }
    fn drain(&mut self) -> Vec<Outgoing> {
        self.drain()
    }
    fn listen_key_valid(&self, key: &str, now_ms: i64) -> bool {
        self.listen_key_valid(key, now_ms)
    }
    fn report(&self) -> Report {
        self.report()
    }
    fn finished(&self, now_ms: i64) -> bool {
        self.finished(now_ms)
    }
}

/// What the rest of the server asks of the task.
pub(super) enum Command<R> {
    Http(HttpRequest, oneshot::Sender<HttpResponse>),
    Join(u64, Member),
    /// A text message of a socket.
    Control(u64, String),
    Report(oneshot::Sender<R>),
    Finished(oneshot::Sender<bool>),
}

/// A socket, seen from the exchange.
pub(super) struct Member {
    pub(super) listening: Listening,
    pub(super) frames: mpsc::Sender<Utf8Bytes>,
    /// Cancelled when the socket is too slow.
    pub(super) cut: CancellationToken,
}

impl Member {
    /// Queues a frame; `false` when the socket is gone or too slow.
    fn send(&self, frame: String) -> bool {
        let sent = self.frames.try_send(Utf8Bytes::from(frame)).is_ok();
        if !sent {
            self.cut.cancel();
        }
        sent
    }
}

/// Runs the exchange until `stop`.
pub(super) async fn run<V: Venue>(
    mut venue: V,
    clock: Clock,
    mut commands: mpsc::Receiver<Command<V::Report>>,
    stop: CancellationToken,
) {
    let mut members: BTreeMap<u64, Member> = BTreeMap::new();
    loop {
        let nap = venue.next_due().saturating_sub(clock()).clamp(1, NAP_MAX_MS);
        let command = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            command = commands.recv() => match command {
                Some(command) => Some(command),
                None => return,
            },
            () = tokio::time::sleep(Duration::from_millis(nap.unsigned_abs())) => None,
        };
        let now = clock();
        if venue.next_due() <= now {
            venue.advance(now);
            deliver(&mut venue, &mut members);
        }
        match command {
            None => {}
            Some(Command::Http(request, answer)) => {
                let response = venue.handle(now, &request);
                deliver(&mut venue, &mut members);
                // The caller may have hung up, which does not undo what was done.
                let _ = answer.send(response);
            }
            Some(Command::Join(id, mut member)) => {
                members.retain(|_, member| !member.frames.is_closed());
                if members.len() < SOCKETS_MAX {
                    member.listening.keep_keys(|key| venue.listen_key_valid(key, now));
                    members.insert(id, member);
                } else {
                    member.cut.cancel();
                }
            }
            Some(Command::Control(id, message)) => {
                if let Some(member) = members.get_mut(&id) {
                    let answer = member.listening.control(&message);
                    if !member.send(answer) {
                        members.remove(&id);
                    }
                }
            }
            Some(Command::Report(answer)) => {
                let _ = answer.send(venue.report());
            }
            Some(Command::Finished(answer)) => {
                let _ = answer.send(venue.finished(now));
            }
        }
    }
}

/// Gives every frame to every socket that listens to it, in the order in which they were made.
fn deliver<V: Venue>(venue: &mut V, members: &mut BTreeMap<u64, Member>) {
    for Outgoing { target, text } in venue.drain() {
        members.retain(|_, member| match member.listening.frame(&target, &text) {
            Some(frame) => member.send(frame),
            None => true,
        });
    }
}
