//! The session under the venue's limits and behind its firewall.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::session::{guard, is_read};
use super::venue;
use crate::model::Span;
use crate::venue::Via;
use crate::venue::binance::client::testing::{Reply, Server, Streams, soon};
use crate::venue::binance::client::*;

#[tokio::test]
async fn li_02_the_end_of_an_episode_is_proven_out_of_the_reserve() {
    let server = Server::start(|asked| match venue(asked) {
        Reply::Http(status, _, body) => Reply::Http(status, "x-mbx-used-weight-1m: 2280\r\n", body),
        other => other,
    })
    .await;
    let mut streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 4_096, |_| {});
    let _peer = streams.next().await;
    guarded.armed().await;
    let lists = "GET /fapi/v1/openAlgoOrders";
    guarded.until(|via| is_read(via, lists)).await;
    // At 95 % of the weight a list of orders is not asked for. When the minute turns in between it is, once.
    let put_off = |via: &Via| matches!(via, Via::Rest { request, status: 0, .. } if request == lists);
    let asking = async {
        loop {
            guarded.wants.ask(Want::OpenOrders);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let refused = async {
        while let Some(received) = guarded.out.recv().await {
            if put_off(&received.via) {
                return;
            }
        }
    };
    tokio::select! {
        () = soon(refused) => {}
        () = asking => {}
    }
    // While an episode works it is asked for at once, and not in the next minute.
    let began = guarded.clock.now();
    guarded.wants.ask(Want::Reserve(true));
    guarded.wants.ask(Want::OpenOrders);
    let told = |via: &Via| matches!(via, Via::Rest { request, status: 200, .. } if request == lists);
    guarded.until(told).await;
    assert!(guarded.clock.now().since(began) < Span::from_secs(2));
    guarded.end().await;
}

#[tokio::test]
async fn li_13_behind_a_firewall_neither_clock_nor_key_is_asked_for_again_soon() {
    let blocked = || Reply::Http(403, "", "<html>blocked</html>".to_owned());
    let everything = Server::start(move |_| blocked()).await;
    let posts = AtomicUsize::new(0);
    let extending = Server::start(move |asked| match asked.path() {
        "/fapi/v1/listenKey" if 0 < posts.fetch_add(1, Ordering::SeqCst) => blocked(),
        _ => venue(asked),
    })
    .await;
    // The clock was read at the start; later its reading is blocked, whatever asks for it.
    let reads = AtomicUsize::new(0);
    let later = Server::start(move |asked| match asked.path() {
        "/fapi/v1/time" if 3 <= reads.fetch_add(1, Ordering::SeqCst) => blocked(),
        "/fapi/v3/account" => Reply::Http(400, "", r#"{"code":-1021,"msg":"Timestamp"}"#.to_owned()),
        _ => venue(asked),
    })
    .await;
    let elsewhere = Streams::start().await;
    let timed = guard(&later, &elsewhere, 4_096, |_| {});
    let mut streams = Streams::start().await;
    let mute = guard(&everything, &streams, 4_096, |_| {});
    let kept = guard(&extending, &streams, 4_096, |config| {
        config.keepalive = Span::from_ms(200)
    });
    let _peer = streams.next().await;
    // Two of the pauses after any other failure.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let asked: Vec<String> = everything.asked().iter().map(|asked| asked.line()).collect();
    let count = |line: &str| asked.iter().filter(|asked| *asked == line).count();
    assert_eq!(
        (count("GET /fapi/v1/time"), count("POST /fapi/v1/listenKey")),
        (1, 1),
        "{asked:?}"
    );
    // Connected, extended in vain, and not again.
    assert_eq!(extending.count("POST /fapi/v1/listenKey"), 2);
    assert_eq!(later.count("GET /fapi/v1/time"), 4);
    mute.end().await;
    kept.end().await;
    timed.end().await;
}
