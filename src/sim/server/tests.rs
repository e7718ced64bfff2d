//! The server over real sockets, before an exchange that does only what it is told.

use super::hub::Venue;
use super::ws::Rules;
use super::{Running, serve, start};
use crate::sim::faults::{Fault, Faults, Side, Wire};
use crate::sim::{HttpRequest, HttpResponse, Outgoing, Scenario, Target};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Says what it was asked, and emits the frames that `POST /emit` names: `n event-or-stream`.
#[derive(Default)]
struct Puppet {
    frames: Vec<Outgoing>,
    asked: usize,
    advanced: Vec<i64>,
    due: i64,
    faults: Faults,
}

impl Venue for Puppet {
    type Report = Value;
    fn handle(&mut self, now_ms: i64, request: &HttpRequest) -> HttpResponse {
        self.asked += 1;
        if request.path == "/emit" {
            let (count, name) = request.body.split_once(' ').unwrap();
            for n in 0..count.parse::<u32>().unwrap() {
                let target = match name.split_once('@') {
                    Some(_) => Target::Market {
                        stream: name.to_owned(),
                    },
                    None => Target::Private {
                        listen_key: "K".to_owned(),
                        event: name.to_owned(),
                    },
                };
                // Four kilobytes each fill the buffers of the system soon.
                let pad = " ".repeat(if name == "FAT" { 4_000 } else { 0 });
                self.frames.push(Outgoing {
                    target,
                    text: format!(r#"{{"n":{n}{pad}}}"#),
                });
            }
        }
        let said = json!({
            "now": now_ms, "method": request.method, "path": request.path, "query": request.query,
            "body": request.body, "key": request.api_key,
        });
        HttpResponse {
            status: if request.path == "/teapot" { 418 } else { 200 },
            headers: vec![("X-MBX-USED-WEIGHT-1M".to_owned(), self.asked.to_string())],
            body: said.to_string(),
        }
    }
    fn advance(&mut self, now_ms: i64) {
        self.advanced.push(now_ms);
        self.due = i64::MAX;
        let target = Target::Market {
            stream: "tick@markPrice".to_owned(),
        };
        self.frames.push(Outgoing {
            target,
            text: "\"tick\"".to_owned(),
        });
    }
    fn next_due(&self) -> i64 {
        self.due
    }
    fn drain(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.frames)
    }
    fn listen_key_valid(&self, key: &str) -> bool {
        key == "K"
    }
    fn fault(&mut self, fault: Option<Fault>) -> Result<(), String> {
        self.faults = Faults::new(&Vec::from_iter(fault), 1);
        Ok(())
    }
    fn event(&mut self, _: &crate::sim::script::EventScript) {}
    fn wire(&self, side: Side) -> Wire {
        self.faults.wire(0, side)
    }
    fn tells_newest_only(&self) -> bool {
        false
    }
    fn acknowledges(&mut self) -> bool {
        true
    }
    fn report(&self) -> Value {
        json!({"asked": self.asked, "advanced": self.advanced})
    }
    fn finished(&self, _: i64) -> bool {
        false
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const NOWHERE: &str = "127.0.0.1:0";
const NOW: i64 = 1_700_000_000_000;

struct Stage {
    running: Running<Value>,
    client: reqwest::Client,
}

impl Stage {
    async fn new() -> Stage {
        Stage::with(
            Puppet {
                due: i64::MAX,
                ..Puppet::default()
            },
            Rules::default(),
        )
        .await
    }

    async fn with(puppet: Puppet, rules: Rules) -> Stage {
        let any: SocketAddr = NOWHERE.parse().unwrap();
        let running = start(puppet, any, any, Arc::new(|| NOW), rules).await.unwrap();
        Stage {
            running,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    async fn open(&self, path: &str) -> Socket {
        connect_async(format!("ws://{}{path}", self.running.ws))
            .await
            .unwrap()
            .0
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.http)
    }

    async fn emit(&self, what: &'static str) {
        self.client
            .post(self.url("/emit"))
            .body(what)
            .send()
            .await
            .unwrap();
    }

    /// What a socket hears of one account update, one order and one mark price, until an `end` on its own message.
    async fn heard(&self, path: &str) -> String {
        let mut socket = self.open(path).await;
        for what in [
            "1 ACCOUNT_UPDATE",
            "1 ORDER_TRADE_UPDATE",
            "1 btcusdt@markPrice@1s",
        ] {
            self.emit(what).await;
        }
        let mut heard = Vec::new();
        socket
            .send(r#"{"method":"GET_PROPERTY","params":["combined"],"id":9}"#.into())
            .await
            .unwrap();
        loop {
            match text(&mut socket).await {
                end if end.contains(r#""id":9"#) => return heard.join(" "),
                frame => heard.push(frame),
            }
        }
    }
}

async fn next(socket: &mut Socket) -> Option<Result<Message, Error>> {
    timeout(Duration::from_secs(10), socket.next())
        .await
        .expect("something within ten seconds")
}

async fn text(socket: &mut Socket) -> String {
    loop {
        match next(socket).await.unwrap().unwrap() {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The reason of a close.
async fn closed(socket: &mut Socket) -> String {
    loop {
        match next(socket).await {
            Some(Ok(Message::Close(Some(close)))) => return close.reason.to_string(),
            Some(Ok(Message::Ping(_) | Message::Text(_))) => {}
            other => return format!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_request_arrives_as_it_was_sent_and_its_answer_comes_back() {
    let stage = Stage::new().await;
    let sent = stage
        .client
        .put(stage.url("/fapi/v1/order?symbol=BTC%2FUSDT&signature=00"))
        .header("X-MBX-APIKEY", "key")
        .body("a=%20b")
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), 200);
    assert_eq!(sent.headers()["x-mbx-used-weight-1m"], "1");
    let said: Value = sent.json().await.unwrap();
    let expected = json!({
        "now": NOW, "method": "PUT", "path": "/fapi/v1/order", "query": "symbol=BTC%2FUSDT&signature=00",
        "body": "a=%20b", "key": "key",
    });
    assert_eq!(said, expected);
    assert_eq!(
        stage
            .client
            .get(stage.url("/teapot"))
            .send()
            .await
            .unwrap()
            .status(),
        418
    );
    let report = stage.client.get(stage.url("/sim/report")).send().await.unwrap();
    assert_eq!(report.json::<Value>().await.unwrap()["asked"], 2);
    let scenario = stage.client.get(stage.url("/sim/scenario")).send().await.unwrap();
    assert_eq!(scenario.json::<Value>().await.unwrap()["finished"], false);
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let stage = Stage::new().await;
    let long = "x".repeat(64 * 1024 + 1);
    assert_eq!(
        stage
            .client
            .post(stage.url("/fapi/v1/order"))
            .body(long)
            .send()
            .await
            .unwrap()
            .status(),
        413
    );
}

#[tokio::test]
async fn only_loopback_is_served() {
    let (open, any): (SocketAddr, SocketAddr) = ("0.0.0.0:0".parse().unwrap(), NOWHERE.parse().unwrap());
    for (http, ws) in [(open, any), (any, open)] {
        let refused = start(Puppet::default(), http, ws, Arc::new(|| NOW), Rules::default()).await;
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .contains("0.0.0.0:0 is not a loopback address")
        );
    }
}

#[tokio::test]
async fn a_socket_hears_what_its_address_asks_for() {
    let stage = Stage::new().await;
    for (path, expected) in [
        (
            "/private/ws?listenKey=K&events=ACCOUNT_UPDATE/ORDER_TRADE_UPDATE",
            r#"{"n":0} {"n":0}"#,
        ),
        ("/private/ws?listenKey=K&events=ACCOUNT_UPDATE", r#"{"n":0}"#),
        ("/private/ws?listenKey=lost&events=ACCOUNT_UPDATE", ""),
        ("/private/ws?listenKey=K", ""),
        ("/private/ws/K", ""),
        (
            "/private/stream?listenKey=K&events=ACCOUNT_UPDATE",
            r#"{"stream":"K","data":{"n":0}}"#,
        ),
        ("/market/ws/btcusdt@markPrice@1s", r#"{"n":0}"#),
        ("/public/ws/btcusdt@markPrice@1s", ""),
        ("/ws/btcusdt@markPrice@1s", ""),
        ("/stream?streams=btcusdt@markPrice@1s", ""),
    ] {
        assert_eq!(stage.heard(path).await, expected, "{path}");
    }
}

#[tokio::test]
async fn another_address_is_not_found() {
    let stage = Stage::new().await;
    match connect_async(format!("ws://{}/fapi", stage.running.ws)).await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 404),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_subscription_begins_with_its_answer() {
    let stage = Stage::new().await;
    let mut socket = stage.open("/market/ws").await;
    let ask = r#"{"method":"SUBSCRIBE","params":["btcusdt@markPrice@1s"],"id":1}"#;
    socket.send(ask.into()).await.unwrap();
    assert_eq!(text(&mut socket).await, r#"{"id":1,"result":null}"#);
    stage.emit("1 btcusdt@markPrice@1s").await;
    assert_eq!(text(&mut socket).await, r#"{"n":0}"#);
}

#[tokio::test]
async fn every_socket_of_a_key_gets_a_burst_whole_and_in_order() {
    let stage = Stage::new().await;
    let path = "/private/ws?listenKey=K&events=ACCOUNT_UPDATE";
    let (mut one, mut other) = (stage.open(path).await, stage.open(path).await);
    stage.emit("10000 ACCOUNT_UPDATE").await;
    for socket in [&mut one, &mut other] {
        for n in 0..10_000 {
            assert_eq!(text(socket).await, format!(r#"{{"n":{n}}}"#));
        }
    }
}

#[tokio::test]
async fn a_socket_that_does_not_read_is_closed_and_delays_nobody() {
    const ROUNDS: usize = 12;
    let stage = Stage::new().await;
    let path = "/private/ws?listenKey=K&events=FAT";
    let (mut slow, mut quick) = (stage.open(path).await, stage.open(path).await);
    for _ in 0..ROUNDS {
        timeout(Duration::from_secs(5), stage.emit("4000 FAT"))
            .await
            .expect("never blocked");
        for _ in 0..4_000 {
            text(&mut quick).await;
        }
    }
    let mut left = 0;
    while let Some(Ok(message)) = next(&mut slow).await {
        left += usize::from(message.is_text());
    }
    assert!(left < ROUNDS * 4_000, "the slow one was closed early: {left}");
}

#[tokio::test]
async fn the_exchange_advances_when_it_is_due() {
    let stage = Stage::with(
        Puppet {
            due: NOW - 1,
            ..Puppet::default()
        },
        Rules::default(),
    )
    .await;
    sleep(Duration::from_millis(50)).await;
    let report = super::http::ask(&stage.running.commands, super::Command::Report)
        .await
        .unwrap();
    assert_eq!(report["advanced"], json!([NOW]));
}

#[tokio::test]
async fn a_connection_is_pinged_and_ends_without_a_pong() {
    let (ping_every, pong_within) = (Duration::from_millis(50), Duration::from_millis(200));
    let stage = Stage::with(
        Puppet::default(),
        Rules {
            ping_every,
            pong_within,
            ..Rules::default()
        },
    )
    .await;
    let mut answering = stage.open("/market/ws").await;
    for _ in 0..8 {
        match next(&mut answering).await.unwrap().unwrap() {
            Message::Ping(payload) => assert!(!payload.is_empty()),
            other => panic!("{other:?}"),
        }
    }
    let mut silent = stage.open("/market/ws").await;
    sleep(Duration::from_millis(400)).await;
    // Its late pongs meet a closed connection: it sees the reason, or a reset.
    let ended = closed(&mut silent).await;
    assert!(ended == "no pong" || ended.contains("Err("), "{ended}");
}

#[tokio::test]
async fn a_connection_has_a_life() {
    let rules = Rules {
        life: Duration::from_millis(50),
        ..Rules::default()
    };
    let stage = Stage::with(Puppet::default(), rules).await;
    let mut socket = stage.open("/private/ws?listenKey=K&events=ACCOUNT_UPDATE").await;
    assert_eq!(closed(&mut socket).await, "24 hours are over");
}

#[tokio::test]
async fn more_than_ten_messages_in_a_second_end_the_connection() {
    let stage = Stage::new().await;
    let mut socket = stage.open("/market/ws").await;
    for _ in 0..11 {
        socket
            .send(r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#.into())
            .await
            .unwrap();
    }
    assert_eq!(closed(&mut socket).await, "too many messages in a second");
}

#[tokio::test]
async fn stopping_closes_sockets_and_frees_the_ports() {
    let stage = Stage::new().await;
    let mut socket = stage.open("/market/ws").await;
    let (http, ws) = (stage.running.http, stage.running.ws);
    // Leaves an idle connection behind, which must not hold up the stop.
    stage.emit("0 ACCOUNT_UPDATE").await;
    timeout(Duration::from_secs(3), stage.running.stop())
        .await
        .expect("a stop ends");
    assert_eq!(closed(&mut socket).await, "too slow, or the exchange stops");
    for address in [http, ws] {
        assert!(TcpStream::connect(address).await.is_err(), "{address}");
    }
}

#[tokio::test]
async fn dropping_stops() {
    let stage = Stage::new().await;
    let mut socket = stage.open("/market/ws").await;
    drop(stage);
    assert_ne!(closed(&mut socket).await, "");
}

#[tokio::test]
async fn the_exchange_of_a_scenario_is_served() {
    let any: SocketAddr = NOWHERE.parse().unwrap();
    let scenario = Scenario::builtin("flash-crash").unwrap();
    let server = serve(scenario, any, any, || NOW).await.unwrap();
    assert!(
        server.rest_url().starts_with("http://127.0.0.1:"),
        "{}",
        server.rest_url()
    );
    assert!(
        server.stream_url().starts_with("ws://127.0.0.1:"),
        "{}",
        server.stream_url()
    );
    let (key, secret) = server.credentials();
    assert!(!key.is_empty() && !secret.is_empty());
    assert!(!server.finished().await);
    let told = serde_json::to_value(server.report().await).unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = client
        .get(format!("{}/sim/report", server.rest_url()))
        .send()
        .await
        .unwrap();
    assert_eq!(asked.json::<Value>().await.unwrap(), told);
    server.stop().await;
}
