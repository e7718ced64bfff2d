//! The exchange against itself: requests as a client sends them, and the codes that the venue answers with.
//!
//! Codes and their occasions: binance-usdm.md sections 5 to 9, read 2026-11-22. A row that passes here and would not at
//! the venue is a fault of the exchange, not a kindness.

mod algo;
mod limits;
mod liquidation;
mod modes;
mod modify;
mod orders;
mod streams;

use super::{Exchange, HttpRequest, Scenario, sign};
use serde_json::Value;

/// Start of every script here.
const START: i64 = 1_795_000_020_000;

/// A client of the venue with a clock that is right.
#[derive(Clone)]
struct Client {
    venue: Exchange,
    now: i64,
}

/// A market that stands at 60000 with 120 BTC at each of 50 levels, and an account with 100000 USDT that holds `position`.
fn client_with(position: &str, more: &str) -> Client {
    let text = format!(
        "name = 't'\ndescription = ''\nduration = '2m'\n{more}\n[[symbol]]\nname = 'BTCUSDT'\nmin_notional = '100'\npath = [{{ at = '0s', price = '60000' }}]\n[account]\nwallet = {{ USDT = '100000' }}\n{position}"
    );
    client_of(&text)
}

/// The same with half a bitcoin long.
fn client() -> Client {
    client_with(LONG, "")
}

const LONG: &str = "[[account.position]]\nsymbol = 'BTCUSDT'\nquantity = '0.5'\nentry_price = '60000'\n";
const HEDGE: &str = "hedge = true\n[[account.position]]\nsymbol = 'BTCUSDT'\nside = 'LONG'\nquantity = '0.5'\nentry_price = '60000'\n";

fn client_of(text: &str) -> Client {
    let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Client {
        venue: Exchange::new(scenario, START),
        now: START,
    }
}

impl Client {
    /// Lets time pass.
    fn wait(&mut self, ms: i64) {
        self.now += ms;
        self.venue.advance(self.now);
    }

    /// A signed request of the bot: status and body.
    fn ask(&mut self, line: &str, query: &str) -> (u16, Value) {
        let (key, secret) = self.venue.bot_credentials();
        self.ask_as(line, query, &key, &secret)
    }

    fn ask_as(&mut self, line: &str, query: &str, key: &str, secret: &str) -> (u16, Value) {
        let (method, path) = line.split_once(' ').unwrap();
        let joined = if query.is_empty() {
            String::new()
        } else {
            format!("{query}&")
        };
        let payload = format!("{joined}timestamp={}", self.now);
        let request = HttpRequest {
            method: method.into(),
            path: path.into(),
            query: format!("{payload}&signature={}", sign(secret, &payload)),
            body: String::new(),
            api_key: Some(key.into()),
        };
        let answer = self.venue.handle(self.now, &request);
        (
            answer.status,
            serde_json::from_str(&answer.body).unwrap_or(Value::Null),
        )
    }

    /// The code of a refusal, 0 for a success.
    fn code(&mut self, line: &str, query: &str) -> i64 {
        let (status, body) = self.ask(line, query);
        match status {
            200 => 0,
            _ => body["code"].as_i64().unwrap_or(i64::from(status)),
        }
    }

    /// A request that must succeed.
    fn done(&mut self, line: &str, query: &str) -> Value {
        let (status, body) = self.ask(line, query);
        assert_eq!(status, 200, "{line} {query}: {body}");
        body
    }

    /// A new order on BTCUSDT that must be taken.
    fn order(&mut self, query: &str) -> Value {
        self.done(
            "POST /fapi/v1/order",
            &format!("symbol=BTCUSDT&newOrderRespType=RESULT&{query}"),
        )
    }

    /// Status and expiry reason of an order by its sender's name, in whichever store it is.
    fn state(&self, client_id: &str) -> (String, u8) {
        let order = self
            .venue
            .orders
            .values()
            .find(|order| order.client_id == client_id);
        order.map_or_else(
            || panic!("no order {client_id}"),
            |order| (order.status.clone(), order.expiry),
        )
    }

    /// Frames of the account's stream so far, from the moment of the first call on.
    fn frames(&mut self) -> Vec<Value> {
        if self.venue.listen.is_none() {
            self.venue.listen = Some(("k".into(), i64::MAX));
        }
        let frames = self.venue.drain().into_iter();
        frames
            .filter(|frame| matches!(frame.target, super::Target::Private { .. }))
            .map(|frame| serde_json::from_str(&frame.text).unwrap())
            .collect()
    }
}

/// Each row on a fresh copy: line, query, code.
fn table(client: &Client, rows: &[(&str, &str, i64)]) {
    for (line, query, code) in rows {
        let mut client = client.clone();
        let (status, body) = client.ask(line, query);
        let got = if status == 200 {
            0
        } else {
            body["code"].as_i64().unwrap_or(i64::from(status))
        };
        assert_eq!(got, *code, "{line} {query}: {body}");
    }
}
