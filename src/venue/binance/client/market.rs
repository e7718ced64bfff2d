//! The market socket: mark prices of the contracts that the core watches, and nothing else.
//!
//! Source: venues/binance-usdm.md sections 1.1 and 3.3, read 2026-11-22: one connection serves one route, at most ten
//! messages a second from the client, at most 1024 streams a connection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::http::{Http, millis};
use super::pause::Pause;
use super::socket::Socket;
use crate::model::{Span, Symbol, Timestamp};
use crate::venue::binance::stream;
use crate::venue::{Received, Via};

/// Without a frame for this long, while something is watched, the connection is replaced: marks come every second.
const SILENCE_MAX: Span = Span::from_secs(10);

/// An acknowledgement that takes longer counts as missing (ST-16).
const ACK_MAX: Span = Span::from_secs(5);

/// Symbols named in one message: a message stays under the venue's 4 KiB even with long names.
const CHUNK: usize = 50;

/// Pause between two messages: at most ten a second, with room for pongs.
const MESSAGE_PAUSE: Duration = Duration::from_millis(150);

/// Streams of one connection; the venue allows 1024.
const STREAMS_MAX: usize = 1_000;

/// Longest time to open the socket.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Keeps marks of the watched symbols coming until cancelled.
pub(super) async fn run(
    stream_url: String,
    http: Arc<Http>,
    mut watched: watch::Receiver<BTreeSet<Symbol>>,
    out: mpsc::Sender<Received>,
    cancel: CancellationToken,
) {
    let mut pause = Pause::new();
    let work = async {
        loop {
            if watched.borrow_and_update().is_empty() {
                if watched.changed().await.is_err() {
                    return;
                }
                continue;
            }
            tokio::time::sleep(millis(pause.next(http.clock().now()))).await;
            match Socket::open(http.names(), &stream::market_url(&stream_url), CONNECT_MAX).await {
                Ok(socket) => {
                    pause.up(http.clock().now());
                    match follow(socket, &http, &mut watched, &out).await {
                        // Given up by us: the next one is wanted at once.
                        Ok(Over::NothingWatched) => pause = Pause::new(),
                        Ok(Over::NobodyListens) => return,
                        Err(why) => tracing::warn!(why, "the market stream was lost"),
                    }
                }
                Err(why) => tracing::warn!(why, "the market stream could not be opened"),
            }
        }
    };
    tokio::select! {
        () = cancel.cancelled() => {}
        () = work => {}
    }
}

/// Why a connection was given up although nothing is wrong with it.
enum Over {
    NothingWatched,
    NobodyListens,
}

async fn follow(
    mut socket: Socket,
    http: &Http,
    watched: &mut watch::Receiver<BTreeSet<Symbol>>,
    out: &mpsc::Sender<Received>,
) -> Result<Over, String> {
    let mut subscribed = BTreeSet::new();
    let mut unacknowledged: BTreeMap<u64, Timestamp> = BTreeMap::new();
    let mut last_id = 0;
    let mut heard = http.clock().now();
    let mut dropped: u64 = 0;
    loop {
        let wanted = limited(&watched.borrow_and_update());
        if wanted.is_empty() {
            return Ok(Over::NothingWatched);
        }
        for (id, text) in changes(&subscribed, &wanted, &mut last_id) {
            socket.send(text).await?;
            unacknowledged.insert(id, http.clock().now());
            tokio::time::sleep(MESSAGE_PAUSE).await;
        }
        subscribed = wanted;
        let silent_at = heard.after(SILENCE_MAX);
        let ack_at = unacknowledged.values().min().map(|sent| sent.after(ACK_MAX));
        let deadline = ack_at.map_or(silent_at, |at| at.min(silent_at));
        let now = http.clock().now();
        tokio::select! {
            frame = socket.next() => {
                let frame = frame?;
                let at = http.clock().now();
                heard = at;
                match Ack::read(&frame) {
                    Some(Ack { id, refused: false }) => {
                        unacknowledged.remove(&id);
                    }
                    Some(Ack { refused: true, .. }) => {
                        return Err(format!("a subscription was refused: {}", super::answer::head(&frame)));
                    }
                    None => match out.try_send(Received { at, via: Via::Market(frame) }) {
                        Ok(()) => {}
                        // The next mark of the symbol is a second away and replaces this one.
                        Err(mpsc::error::TrySendError::Full(_)) => {
                            dropped = dropped.saturating_add(1);
                            if dropped.is_power_of_two() {
                                tracing::warn!(dropped, "mark prices dropped: the queue is full");
                            }
                        }
                        Err(mpsc::error::TrySendError::Closed(_)) => return Ok(Over::NobodyListens),
                    },
                }
            }
            changed = watched.changed() => {
                if changed.is_err() {
                    return Ok(Over::NobodyListens);
                }
            }
            () = tokio::time::sleep(millis(deadline.since(now))) => {
                return Err(if ack_at.is_some_and(|at| at <= deadline) {
                    "a subscription was not acknowledged".to_owned()
                } else {
                    format!("no mark price for {SILENCE_MAX}")
                });
            }
        }
    }
}

/// The messages that turn one set of subscriptions into another; `last_id` is the id of the last of them.
fn changes(from: &BTreeSet<Symbol>, to: &BTreeSet<Symbol>, last_id: &mut u64) -> Vec<(u64, String)> {
    let gone: Vec<Symbol> = from.difference(to).cloned().collect();
    let new: Vec<Symbol> = to.difference(from).cloned().collect();
    let mut messages = Vec::new();
    let mut add = |symbols: Vec<Symbol>, write: fn(u64, &BTreeSet<Symbol>) -> String| {
        for chunk in symbols.chunks(CHUNK) {
            *last_id = last_id.saturating_add(1);
            messages.push((*last_id, write(*last_id, &chunk.iter().cloned().collect())));
        }
    };
    add(gone, stream::unsubscribe);
    add(new, stream::subscribe);
    messages
}

fn limited(watched: &BTreeSet<Symbol>) -> BTreeSet<Symbol> {
    if STREAMS_MAX < watched.len() {
        tracing::warn!(
            watched = watched.len(),
            STREAMS_MAX,
            "more contracts are watched than one connection carries"
        );
    }
    watched.iter().take(STREAMS_MAX).cloned().collect()
}

/// The venue's answer to one of our messages.
#[derive(PartialEq, Eq, Debug)]
struct Ack {
    id: u64,
    refused: bool,
}

impl Ack {
    /// `None` for every frame that is an event.
    ///
    /// Source: venues/binance-usdm.md section 3.3: `{"result":null,"id":n}`, or an error with a code.
    fn read(frame: &str) -> Option<Ack> {
        #[derive(Deserialize)]
        struct Wire {
            id: Option<u64>,
            e: Option<serde::de::IgnoredAny>,
            code: Option<serde::de::IgnoredAny>,
            error: Option<serde::de::IgnoredAny>,
        }
        // Events are many and acknowledgements few and short.
        if 1_024 < frame.len() || !(frame.contains("\"id\"") || frame.contains("\"code\"")) {
            return None;
        }
        let wire: Wire = serde_json::from_str(frame).ok()?;
        if wire.e.is_some() {
            return None;
        }
        let refused = wire.code.is_some() || wire.error.is_some();
        match wire.id {
            Some(id) => Some(Ack { id, refused }),
            None if refused => Some(Ack { id: 0, refused }),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(names: &[&str]) -> BTreeSet<Symbol> {
        names.iter().map(|name| Symbol::new(name).unwrap()).collect()
    }

    #[test]
    fn only_the_difference_is_subscribed() {
        let mut id = 0;
        let first = changes(&symbols(&[]), &symbols(&["BTCUSDT", "ETHUSDT"]), &mut id);
        assert_eq!((first.len(), id), (1, 1));
        let second = changes(
            &symbols(&["BTCUSDT", "ETHUSDT"]),
            &symbols(&["ETHUSDT", "SOLUSDT"]),
            &mut id,
        );
        assert_eq!((second.len(), id), (2, 3));
        assert!(
            second[0].1.contains("UNSUBSCRIBE") && second[0].1.contains("btcusdt"),
            "{second:?}"
        );
        assert!(!second[1].1.contains("ethusdt"), "{second:?}");
        assert!(changes(&symbols(&["A"]), &symbols(&["A"]), &mut id).is_empty());
    }

    #[test]
    fn long_lists_are_sent_in_pieces() {
        let many: BTreeSet<Symbol> = (0..120)
            .map(|n| Symbol::new(&format!("S{n}USDT")).unwrap())
            .collect();
        let mut id = 0;
        let messages = changes(&BTreeSet::new(), &many, &mut id);
        assert_eq!(messages.len(), 3);
        assert!(messages.iter().all(|(_, text)| text.len() < 4_096));
    }

    #[test]
    fn st_16_acknowledgements_are_told_from_events() {
        for (frame, expected) in [
            (r#"{"result":null,"id":7}"#, Some((7, false))),
            (r#"{"code":2,"msg":"Invalid request"}"#, Some((0, true))),
            (r#"{"error":{"code":2,"msg":"no"},"id":7}"#, Some((7, true))),
            (r#"{"e":"markPriceUpdate","s":"BTCUSDT","id":3}"#, None),
            (r#"{"e":"markPriceUpdate","s":"BTCUSDT"}"#, None),
            ("[]", None),
            ("\"id\"", None),
        ] {
            let got = Ack::read(frame).map(|ack| (ack.id, ack.refused));
            assert_eq!(got, expected, "{frame}");
        }
    }
}
