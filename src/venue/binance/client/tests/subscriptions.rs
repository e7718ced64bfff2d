//! What was asked of a stream or a clock, and is not granted.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use super::session::guard;
use super::venue;
use crate::clock::Clock;
use crate::model::{Span, Symbol};
use crate::venue::binance::client::testing::{Reply, Server, Streams, soon};
use crate::venue::binance::client::*;

#[tokio::test]
async fn st_16_a_subscription_that_is_refused_or_never_acknowledged_costs_the_connection() {
    for answer in [
        Some(r#"{"error":{"code":2,"msg":"Invalid request"},"id":1}"#),
        Some(r#"{"code":2,"msg":"Invalid request"}"#),
        None,
    ] {
        let server = Server::start(venue).await;
        let mut streams = Streams::start().await;
        let mut guarded = guard(&server, &streams, 4_096, |_| {});
        let _private = streams.next().await;
        guarded.armed().await;
        let watched = [Symbol::new("BTCUSDT").unwrap()].into();
        guarded.wants.ask(Want::Watch(watched));
        let mut market = streams.next().await;
        let clock = Clock::start();
        let began = clock.now();
        soon(market.socket.next()).await.unwrap().unwrap();
        if let Some(answer) = answer {
            market.socket.send(Message::text(answer)).await.unwrap();
        }
        // Marks come all the while: a stream that talks is not yet one that promised to.
        let talk = async {
            let mark = Message::text(r#"{"e":"markPriceUpdate","s":"BTCUSDT"}"#);
            while market.socket.send(mark.clone()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let again = async {
            let second = streams.next().await;
            assert_eq!(second.target, "/market/ws");
            clock.now().since(began)
        };
        let took = tokio::select! {
            took = again => took,
            () = async { talk.await; std::future::pending().await } => unreachable!(),
        };
        let bound = if answer.is_some() { 2 } else { 7 };
        assert!(took < Span::from_secs(bound), "{answer:?}: {took}");
        guarded.end().await;
    }
}

#[tokio::test]
async fn li_05_a_reading_that_is_refused_for_its_time_has_the_clock_read_again() {
    for code in [-1021, -5028] {
        let server = Server::start(move |asked| match asked.path() {
            "/fapi/v3/account" => Reply::Http(400, "", format!(r#"{{"code":{code},"msg":"Timestamp"}}"#)),
            _ => venue(asked),
        })
        .await;
        let streams = Streams::start().await;
        let mut guarded = guard(&server, &streams, 4_096, |_| {});
        guarded.armed().await;
        // Three readings of the clock are one measurement; the first one was at the start.
        soon(async {
            while server.count("GET /fapi/v1/time") < 6 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        guarded.end().await;
    }
}
