//! URLs of the streams, frames to send, and the few answers that the connection itself must read.
//!
//! Source: user data streams page, market streams page and the notice on split stream URLs, read 2026-11-22.

use crate::model::{Symbol, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;
use url::form_urlencoded;

/// The events that the private stream is asked for. Names are not validated by the venue: a misspelt one is accepted
/// and never delivered.
pub const EVENTS: &str = "ORDER_TRADE_UPDATE/ACCOUNT_UPDATE/MARGIN_CALL/ACCOUNT_CONFIG_UPDATE/ALGO_UPDATE/TRADE_LITE/STRATEGY_UPDATE/CONDITIONAL_ORDER_TRIGGER_REJECT/listenKeyExpired";

/// The most streams that one connection carries, by the venue's rule since 2025-07-02.
pub const STREAMS_MAX: usize = 1024;

/// The longest key that is taken for one; the venue's have 64 characters.
const KEY_LEN_MAX: usize = 256;

/// URL of the private stream; `stream_url` is such as `wss://fstream.binance.com`.
///
/// The key in it is a bearer credential: not for logs.
pub fn private_url(stream_url: &str, listen_key: &str) -> String {
    let key: String = form_urlencoded::byte_serialize(listen_key.as_bytes()).collect();
    format!(
        "{}/private/ws?listenKey={key}&events={EVENTS}",
        stream_url.trim_end_matches('/')
    )
}

/// URL of the market stream; streams are chosen by [`subscribe`].
pub fn market_url(stream_url: &str) -> String {
    format!("{}/market/ws", stream_url.trim_end_matches('/'))
}

/// The frame that asks for the mark prices of these symbols once a second.
///
/// At most [`STREAMS_MAX`] streams fit into a connection, and at most ten frames a second may be sent.
pub fn subscribe(id: u64, symbols: &BTreeSet<Symbol>) -> String {
    frame("SUBSCRIBE", id, symbols)
}

/// The frame that stops the mark prices of these symbols.
pub fn unsubscribe(id: u64, symbols: &BTreeSet<Symbol>) -> String {
    frame("UNSUBSCRIBE", id, symbols)
}

fn frame(method: &str, id: u64, symbols: &BTreeSet<Symbol>) -> String {
    #[derive(Serialize)]
    struct Frame<'a> {
        method: &'a str,
        params: Vec<String>,
        id: u64,
    }
    let params = symbols
        .iter()
        .map(|symbol| format!("{}@markPrice@1s", symbol.as_str().to_lowercase()))
        .collect();
    // Strings and numbers always serialise.
    serde_json::to_string(&Frame { method, params, id }).unwrap_or_default()
}

/// Whether a private frame, bare or wrapped, says that the stream's key is no longer valid.
///
/// Its event time may be a number or a string. The socket stays open and mute after it.
pub fn is_key_expired(frame: &str) -> bool {
    const NAME: &str = "listenKeyExpired";
    #[derive(Deserialize)]
    struct Bare<'a> {
        #[serde(borrow)]
        e: Option<Cow<'a, str>>,
        #[serde(borrow)]
        data: Option<Inner<'a>>,
    }
    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow)]
        e: Option<Cow<'a, str>>,
    }
    // Most frames are not it and are not parsed twice.
    frame.contains(NAME)
        && serde_json::from_str::<Bare<'_>>(frame).is_ok_and(|bare| {
            let inner = bare.data.and_then(|data| data.e);
            bare.e.or(inner).is_some_and(|name| name == NAME)
        })
}

/// The key in the answer of `POST /fapi/v1/listenKey`; `None` when there is none that could be one.
pub fn listen_key(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        listen_key: String,
    }
    let key = serde_json::from_str::<Body>(body).ok()?.listen_key;
    let fine = (1..=KEY_LEN_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    fine.then_some(key)
}

/// The venue's clock in the answer of `GET /fapi/v1/time`; `None` when it is not there or not positive.
pub fn server_time(body: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body {
        server_time: i64,
    }
    let ms = serde_json::from_str::<Body>(body).ok()?.server_time;
    (ms > 0).then(|| Timestamp::from_ms(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn st_20_f13_every_event_of_the_account_is_asked_for_by_its_exact_name() {
        // A misspelt name is accepted by the venue and never delivers; a missing one is never told.
        let mut asked: Vec<&str> = EVENTS.split('/').collect();
        asked.sort_unstable();
        let documented = [
            "ACCOUNT_CONFIG_UPDATE",
            "ACCOUNT_UPDATE",
            "ALGO_UPDATE",
            "CONDITIONAL_ORDER_TRIGGER_REJECT",
            "MARGIN_CALL",
            "ORDER_TRADE_UPDATE",
            "STRATEGY_UPDATE",
            "TRADE_LITE",
            "listenKeyExpired",
        ];
        assert_eq!(asked, documented);
    }

    #[test]
    fn st_20_urls_name_their_route_and_every_event() {
        for base in ["wss://fstream.binance.com", "wss://fstream.binance.com/"] {
            assert_eq!(
                private_url(base, "k1"),
                format!("wss://fstream.binance.com/private/ws?listenKey=k1&events={EVENTS}")
            );
            assert_eq!(market_url(base), "wss://fstream.binance.com/market/ws");
        }
    }

    #[test]
    fn subscriptions_are_lower_case_and_sorted() {
        let symbols = ["ETHUSDT", "BTCUSDT"]
            .map(|s| Symbol::new(s).unwrap())
            .into_iter()
            .collect();
        assert_eq!(
            subscribe(3, &symbols),
            r#"{"method":"SUBSCRIBE","params":["btcusdt@markPrice@1s","ethusdt@markPrice@1s"],"id":3}"#
        );
        assert_eq!(
            unsubscribe(4, &BTreeSet::new()),
            r#"{"method":"UNSUBSCRIBE","params":[],"id":4}"#
        );
    }

    #[test]
    fn pa_14_key_expiry_is_seen_in_every_form() {
        for (frame, expected) in [
            (
                r#"{"e":"listenKeyExpired","E":1795003600000,"listenKey":"x"}"#,
                true,
            ),
            (
                r#"{"e":"listenKeyExpired","E":"1795003600000","listenKey":"x"}"#,
                true,
            ),
            (
                r#"{"stream":"x","data":{"e":"listenKeyExpired","E":"1","listenKey":"x"}}"#,
                true,
            ),
            (
                r#"{"E":1,"e":"ORDER_TRADE_UPDATE","o":{"c":"listenKeyExpired"}}"#,
                false,
            ),
            (r#"{"e":"listenKeyExpired""#, false),
            ("", false),
        ] {
            assert_eq!(is_key_expired(frame), expected, "{frame}");
        }
    }

    #[test]
    fn keys_and_times_are_read_or_refused() {
        assert_eq!(listen_key(r#"{"listenKey":"abc"}"#).as_deref(), Some("abc"));
        for body in [
            r#"{"listenKey":""}"#,
            r#"{"listenKey":"a b"}"#,
            "{}",
            "null",
            r#"{"code":-2015,"msg":"x"}"#,
        ] {
            assert_eq!(listen_key(body), None, "{body}");
        }
        assert_eq!(
            server_time(r#"{"serverTime":1795000000000}"#).map(Timestamp::ms),
            Some(1_795_000_000_000)
        );
        for body in [r#"{"serverTime":0}"#, "{}", "", "[]"] {
            assert_eq!(server_time(body), None, "{body}");
        }
    }
}
