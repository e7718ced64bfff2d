//! What a socket listens to: read from its address, changed by its messages. Pure.
//!
//! Addresses of the venue since its split by routes; which of them deliver anything is as observed there.
//! Source: the venue's "Websocket Market Streams" and "User Data Streams" pages, and its migration notice, read
//! 2026-11-22. An address that the venue accepts and leaves silent is accepted and left silent here too, because
//! that silence is what a guard must notice.

use crate::sim::Target;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use url::form_urlencoded;

/// Streams on one connection; more are refused. Source: the venue's change log of 2025-07-02.
const STREAMS_MAX: usize = 1_024;

/// One listenKey of a private socket and the events that it asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Private {
    /// The key, as given; whether it is known is the exchange's to say.
    pub(super) key: String,
    events: BTreeSet<String>,
}

/// What one socket listens to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Listening {
    private: Vec<Private>,
    /// `None` off the market route, where control messages are answered and change nothing.
    market: Option<BTreeSet<String>>,
    wrapped: bool,
}

/// Reads the path and the raw query of a handshake; `None` where the venue answers 404.
pub(super) fn route(path: &str, query: &str) -> Option<Listening> {
    let mut segments = path.trim_matches('/').split('/');
    let (first, second) = (segments.next().unwrap_or_default(), segments.next());
    let named: Vec<String> = segments.map(decoded).filter(|name| !name.is_empty()).collect();
    let wrapped = second == Some("stream");
    match (first, second) {
        ("market", Some("ws" | "stream")) => {
            let asked = values(query, "streams")
                .into_iter()
                .flat_map(|names| split(&names));
            let streams = named.into_iter().chain(asked).take(STREAMS_MAX).collect();
            Some(Listening {
                private: Vec::new(),
                market: Some(streams),
                wrapped,
            })
        }
        ("private", Some("ws" | "stream")) => Some(Listening {
            private: private(query),
            market: None,
            wrapped,
        }),
        ("public", Some("ws" | "stream")) => Some(Listening {
            private: Vec::new(),
            market: None,
            wrapped,
        }),
        // Without a route: accepted, and silent for everything that this exchange has to say.
        ("ws" | "stream", _) => Some(Listening {
            private: Vec::new(),
            market: None,
            wrapped: first == "stream",
        }),
        _ => None,
    }
}

/// The keys of a query, each with the `events` that follow it. A key without `events` is mute, as is a key in the path.
fn private(query: &str) -> Vec<Private> {
    let mut keys: Vec<Private> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match (&*name, keys.last_mut()) {
            ("listenKey", _) => keys.push(Private {
                key: value.into_owned(),
                events: BTreeSet::new(),
            }),
            ("events", Some(last)) => last.events.extend(split(&value)),
            // `events` written before its only key.
            _ => {}
        }
        if keys.len() > STREAMS_MAX {
            break;
        }
    }
    if let [only] = keys.as_mut_slice() {
        only.events.extend(
            values(query, "events")
                .into_iter()
                .flat_map(|names| split(&names)),
        );
    }
    keys
}

fn values(query: &str, wanted: &str) -> Vec<String> {
    form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == wanted)
        .map(|(_, value)| value.into_owned())
        .collect()
}

fn split(names: &str) -> Vec<String> {
    names
        .split('/')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A path segment without its percent signs. No name of a stream has a `+`, which this would read as a blank.
fn decoded(segment: &str) -> String {
    form_urlencoded::parse(segment.as_bytes())
        .map(|(name, _)| name.into_owned())
        .next()
        .unwrap_or_default()
}

impl Listening {
    /// Leaves only the keys that the exchange knows: a socket on a lost key stays mute, even if the key comes back.
    pub(super) fn keep_keys(&mut self, known: impl Fn(&str) -> bool) {
        self.private.retain(|private| known(&private.key));
    }

    /// Whether it is a private socket.
    pub(super) fn is_private(&self) -> bool {
        !self.private.is_empty()
    }

    /// The frame for this socket, or `None` when it does not listen to it.
    pub(super) fn frame(&self, target: &Target, text: &str) -> Option<String> {
        let stream = match target {
            Target::Private { listen_key, event } => {
                let asked = |private: &&Private| private.key == *listen_key && private.events.contains(event);
                self.private.iter().find(asked).map(|private| &private.key)?
            }
            Target::Market { stream } => self.market.as_ref()?.get(stream)?,
            Target::Everybody(_) => return None,
        };
        Some(if self.wrapped {
            format!(r#"{{"stream":{},"data":{text}}}"#, Value::from(stream.as_str()))
        } else {
            text.to_owned()
        })
    }

    /// Obeys one text message and returns the answer.
    ///
    /// Answers and error codes: the venue's "Live Subscribing/Unsubscribing to streams" page, read 2026-11-22.
    pub(super) fn control(&mut self, message: &str) -> String {
        let message: Value = match serde_json::from_str(message) {
            Ok(message) => message,
            Err(error) => return json!({"code": 3, "msg": format!("Invalid JSON: {error}")}).to_string(),
        };
        let id = message.get("id").cloned().unwrap_or(Value::Null);
        let bad =
            |why: &str| json!({"code": 2, "msg": format!("Invalid request: {why}"), "id": id}).to_string();
        if !(id.is_u64() || id.is_null()) {
            return bad("request ID must be an unsigned integer");
        }
        let params = message.get("params").and_then(Value::as_array);
        let names = || -> Option<Vec<String>> {
            params?
                .iter()
                .map(|name| name.as_str().map(str::to_owned))
                .collect()
        };
        let result = match message.get("method").and_then(Value::as_str) {
            Some("SUBSCRIBE") => {
                let Some(names) = names() else {
                    return bad("params must be an array of strings");
                };
                if let Some(market) = &mut self.market {
                    if market.len().saturating_add(names.len()) > STREAMS_MAX {
                        return bad("too many streams on one connection");
                    }
                    market.extend(names);
                }
                Value::Null
            }
            Some("UNSUBSCRIBE") => {
                let Some(names) = names() else {
                    return bad("params must be an array of strings");
                };
                if let Some(market) = &mut self.market {
                    market.retain(|stream| !names.contains(stream));
                }
                Value::Null
            }
            Some("LIST_SUBSCRIPTIONS") => {
                let market = self.market.iter().flatten();
                market
                    .chain(self.private.iter().map(|private| &private.key))
                    .cloned()
                    .collect()
            }
            Some("GET_PROPERTY") => Value::from(self.wrapped),
            Some("SET_PROPERTY") => match params.map(Vec::as_slice) {
                Some([Value::String(name), Value::Bool(wrapped)]) if name == "combined" => {
                    self.wrapped = *wrapped;
                    Value::Null
                }
                Some([_, Value::Bool(_)]) => {
                    return json!({"code": 0, "msg": "Unknown property", "id": id}).to_string();
                }
                _ => {
                    return json!({"code": 1, "msg": "Invalid value type: expected Boolean", "id": id})
                        .to_string();
                }
            },
            _ => return bad("unknown method"),
        };
        json!({"result": result, "id": id}).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What arrives of three frames: a private update, a private order and a mark price.
    fn heard(listening: &Listening) -> String {
        let private = |event: &str| Target::Private {
            listen_key: "K".into(),
            event: event.into(),
        };
        let frames = [
            (private("ACCOUNT_UPDATE"), "1"),
            (private("ORDER_TRADE_UPDATE"), "2"),
            (
                Target::Market {
                    stream: "btcusdt@markPrice@1s".into(),
                },
                "3",
            ),
        ];
        let heard = frames
            .iter()
            .filter_map(|(target, text)| listening.frame(target, text));
        heard.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_address_says_what_is_delivered() {
        for (path, query, expected) in [
            (
                "/private/ws",
                "listenKey=K&events=ACCOUNT_UPDATE/ORDER_TRADE_UPDATE",
                "1 2",
            ),
            (
                "/private/ws",
                "listenKey=K&events=ACCOUNT_UPDATE%2FORDER_TRADE_UPDATE",
                "1 2",
            ),
            ("/private/ws", "events=ACCOUNT_UPDATE&listenKey=K", "1"),
            ("/private/ws", "listenKey=K&events=ACCOUNT_UPDATE", "1"),
            ("/private/ws", "listenKey=K&events=account_update/Nonsense", ""),
            ("/private/ws", "listenKey=J&events=ACCOUNT_UPDATE", ""),
            ("/private/ws", "listenKey=K", ""),
            ("/private/ws/K", "", ""),
            ("/private/ws/K", "events=ACCOUNT_UPDATE", ""),
            (
                "/private/stream",
                "listenKey=K&events=ACCOUNT_UPDATE",
                r#"{"stream":"K","data":1}"#,
            ),
            (
                "/private/stream",
                "listenKey=J&events=ACCOUNT_UPDATE&listenKey=K&events=ORDER_TRADE_UPDATE",
                r#"{"stream":"K","data":2}"#,
            ),
            ("/market/ws/btcusdt@markPrice@1s/ethusdt@markPrice@1s", "", "3"),
            ("/market/ws/btcusdt%40markPrice%401s", "", "3"),
            ("/market/ws/btcusdt@markPrice", "", ""),
            ("/market/ws", "", ""),
            (
                "/market/stream",
                "streams=ethusdt@markPrice@1s/btcusdt@markPrice@1s",
                r#"{"stream":"btcusdt@markPrice@1s","data":3}"#,
            ),
            ("/market/ws", "listenKey=K&events=ACCOUNT_UPDATE", ""),
            ("/public/ws/btcusdt@markPrice@1s", "", ""),
            ("/ws/btcusdt@markPrice@1s", "", ""),
            ("/ws/K", "listenKey=K&events=ACCOUNT_UPDATE", ""),
            ("/stream", "streams=btcusdt@markPrice@1s", ""),
        ] {
            let listening = route(path, query).expect(path);
            assert_eq!(heard(&listening), expected, "{path}?{query}");
        }
    }

    #[test]
    fn other_addresses_are_not_found() {
        for path in [
            "/",
            "",
            "/private",
            "/market",
            "/market/sse",
            "/fapi/v1/time",
            "/wss",
            "/private/wsx",
        ] {
            assert_eq!(route(path, "listenKey=K"), None, "{path}");
        }
    }

    #[test]
    fn a_lost_key_is_mute() {
        let mut listening = route("/private/ws", "listenKey=K&events=ACCOUNT_UPDATE").unwrap();
        listening.keep_keys(|key| key != "K");
        assert_eq!(heard(&listening), "");
    }

    #[test]
    fn messages_change_the_streams_of_the_market_route_only() {
        for (path, message, answer, after) in [
            (
                "/market/ws",
                r#"{"method":"SUBSCRIBE","params":["btcusdt@markPrice@1s"],"id":1}"#,
                r#"{"id":1,"result":null}"#,
                "3",
            ),
            (
                "/market/ws/btcusdt@markPrice@1s",
                r#"{"method":"UNSUBSCRIBE","params":["btcusdt@markPrice@1s"],"id":2}"#,
                r#"{"id":2,"result":null}"#,
                "",
            ),
            (
                "/market/ws/b/a",
                r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#,
                r#"{"id":3,"result":["a","b"]}"#,
                "",
            ),
            (
                "/market/ws/btcusdt@markPrice@1s",
                r#"{"method":"SET_PROPERTY","params":["combined",true],"id":5}"#,
                r#"{"id":5,"result":null}"#,
                r#"{"stream":"btcusdt@markPrice@1s","data":3}"#,
            ),
            (
                "/public/ws",
                r#"{"method":"SUBSCRIBE","params":["x"],"id":4}"#,
                r#"{"id":4,"result":null}"#,
                "",
            ),
            (
                "/market/ws",
                r#"{"method":"SUBSCRIBE","params":"x","id":4}"#,
                r#""code":2"#,
                "",
            ),
            (
                "/market/ws",
                r#"{"method":"SUBSCRIBE","params":["x"],"id":-4}"#,
                r#""code":2"#,
                "",
            ),
            ("/market/ws", r#"{"method":"DANCE","id":4}"#, r#""code":2"#, ""),
            (
                "/market/ws",
                r#"{"method":"SET_PROPERTY","params":["x",true],"id":5}"#,
                r#""code":0"#,
                "",
            ),
            (
                "/market/ws",
                r#"{"method":"SET_PROPERTY","params":["combined",1],"id":5}"#,
                r#""code":1"#,
                "",
            ),
            ("/market/ws", "hello", r#""code":3"#, ""),
        ] {
            let mut listening = route(path, "").unwrap();
            let said = listening.control(message);
            assert!(said.contains(answer), "{path} {message}: {said}");
            assert_eq!(heard(&listening), after, "{path} {message}");
        }
    }
}
