//! The task that owns the exchange, and the queues to it and from it.
//!
//! Requests come in over one bounded queue and are answered over a oneshot each; frames go out to each socket over a
//! bounded queue of its own. The exchange never waits for anybody: a socket that does not keep up is closed.

use super::route::Listening;
use super::wire::Wires;
use crate::sim::faults::{Fault, Form, Side, Wire};
use crate::sim::script::EventScript;
use crate::sim::{Act, Exchange, HttpRequest, HttpResponse, Outgoing, Report, Target};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_util::sync::CancellationToken;

/// Requests waiting for the exchange; when full, HTTP waits and handshakes are refused.
pub(super) const COMMANDS_MAX: usize = 1_024;
/// Frames waiting for one socket: one and a half of the 10,000 frame burst that a guard must survive.
pub(super) const FRAMES_MAX: usize = 16_384;
/// Sockets at a time: a guard has two or three; a loop that leaks them is refused before it hurts.
pub(super) const SOCKETS_MAX: usize = 256;
/// Longer than any client of a venue has to take.
const OVERSIZED: usize = 17 * 1_024 * 1_024;
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
    fn listen_key_valid(&self, key: &str) -> bool;
    /// Adds a fault; without one, everything heals.
    fn fault(&mut self, fault: Option<Fault>) -> Result<(), String>;
    /// Lets something happen now.
    fn event(&mut self, event: &EventScript);
    fn wire(&self, side: Side) -> Wire;
    fn tells_newest_only(&self) -> bool;
    fn acknowledges(&mut self) -> bool;
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
    fn listen_key_valid(&self, key: &str) -> bool {
        self.listen_key_valid(key)
    }
    fn fault(&mut self, fault: Option<Fault>) -> Result<(), String> {
        self.fault(fault)
    }
    fn event(&mut self, event: &EventScript) {
        self.event(event);
    }
    fn wire(&self, side: Side) -> Wire {
        self.wire(side)
    }
    fn tells_newest_only(&self) -> bool {
        self.tells_newest_only()
    }
    fn acknowledges(&mut self) -> bool {
        self.acknowledges()
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
    /// A fault from now on; without one, everything heals.
    Fault(Option<Box<Fault>>, oneshot::Sender<Result<(), String>>),
    /// Something that happens now.
    Event(Box<EventScript>, oneshot::Sender<Result<(), String>>),
    Report(oneshot::Sender<R>),
    Finished(oneshot::Sender<bool>),
}

/// A socket, seen from the exchange.
pub(super) struct Member {
    pub(super) listening: Listening,
    pub(super) frames: mpsc::Sender<Message>,
    /// Cancelled when the socket is too slow.
    pub(super) cut: CancellationToken,
}

impl Member {
    /// Queues a frame; `false` when the socket is gone or too slow.
    fn send(&self, frame: Message) -> bool {
        let sent = self.frames.try_send(frame).is_ok();
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
    wires: watch::Sender<Wires>,
    stop: CancellationToken,
) {
    let mut members: BTreeMap<u64, Member> = BTreeMap::new();
    loop {
        let now = Wires {
            rest: venue.wire(Side::Rest),
            stream: venue.wire(Side::Stream),
        };
        wires.send_if_modified(|known| {
            let changed = *known != now;
            *known = now;
            changed
        });
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
                    member.listening.keep_keys(|key| venue.listen_key_valid(key));
                    members.insert(id, member);
                } else {
                    member.cut.cancel();
                }
            }
            Some(Command::Control(id, message)) => {
                if let Some(member) = members.get_mut(&id) {
                    let answer = member.listening.control(&message);
                    if venue.acknowledges() && !member.send(Message::text(answer)) {
                        members.remove(&id);
                    }
                }
            }
            Some(Command::Fault(fault, answer)) => {
                venue.advance(now);
                let _ = answer.send(venue.fault(fault.map(|fault| *fault)));
                deliver(&mut venue, &mut members);
            }
            Some(Command::Event(event, answer)) => {
                venue.advance(now);
                venue.event(&event);
                deliver(&mut venue, &mut members);
                let _ = answer.send(Ok(()));
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
    let newest_only = venue.tells_newest_only();
    for Outgoing { target, text } in venue.drain() {
        if let Target::Everybody(act) = target {
            let messages = acted(act, &text);
            members.retain(|_, member| {
                let hears = act != Act::Say || member.listening.is_private();
                !hears || messages.iter().all(|message| member.send(message.clone()))
            });
            continue;
        }
        let newest = members
            .iter()
            .rev()
            .find(|(_, member)| member.listening.frame(&target, &text).is_some())
            .map(|(id, _)| *id);
        let is_private = matches!(target, Target::Private { .. });
        members.retain(|id, member| match member.listening.frame(&target, &text) {
            Some(_) if newest_only && is_private && newest != Some(*id) => true,
            Some(frame) => member.send(Message::text(frame)),
            None => true,
        });
    }
}

/// What a fault sends to a socket.
fn acted(act: Act, text: &str) -> Vec<Message> {
    let raw = |bytes: Vec<u8>, code: Data, is_final: bool| {
        Message::Frame(Frame::message(Bytes::from(bytes), OpCode::Data(code), is_final))
    };
    match act {
        Act::Say => vec![Message::text(text.to_owned())],
        Act::Ping => vec![Message::Ping(Bytes::from_static(b"fault"))],
        Act::Close(code) => vec![Message::Close(Some(CloseFrame {
            code: CloseCode::from(code),
            reason: text.to_owned().into(),
        }))],
        Act::Utter(Form::Binary) => vec![Message::Binary(Bytes::from_static(&[0, 159, 146, 150]))],
        Act::Utter(Form::NotUtf8) => vec![raw(vec![b'{', 0xff, 0xfe, b'}'], Data::Text, true)],
        Act::Utter(Form::Oversized) => vec![raw(vec![b' '; OVERSIZED], Data::Text, true)],
        Act::Utter(Form::Fragments) => vec![
            raw(br#"{"e":"FRAG"#.to_vec(), Data::Text, false),
            raw(br#"MENTED","E":"#.to_vec(), Data::Continue, false),
            raw(b"1}".to_vec(), Data::Continue, true),
        ],
    }
}
