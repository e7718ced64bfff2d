//! The session against a venue that misbehaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::{KEY, venue};
use crate::clock::Clock;
use crate::event::Link;
use crate::model::{Span, Symbol};
use crate::venue::binance::client::testing::{Peer, Reply, Server, Streams, ok, reader, soon};
use crate::venue::binance::client::*;
use crate::venue::{Received, Via};

pub(super) struct Guarded {
    pub(super) out: mpsc::Receiver<Received>,
    pub(super) wants: Wants,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    pub(super) clock: Clock,
}

pub(super) fn guard(
    server: &Server,
    streams: &Streams,
    room: usize,
    change: impl FnOnce(&mut SessionConfig),
) -> Guarded {
    let mut config = SessionConfig::new(&streams.url);
    change(&mut config);
    let (out_tx, out) = mpsc::channel(room);
    let (wants, wanted) = wants();
    let cancel = CancellationToken::new();
    let http = server.http();
    let clock = http.clock().clone();
    let task = tokio::spawn(run(config, http, reader(), out_tx, wanted, cancel.clone()));
    Guarded {
        out,
        wants,
        cancel,
        task,
        clock,
    }
}

impl Guarded {
    pub(super) async fn until(&mut self, wanted: impl Fn(&Via) -> bool) -> Vec<Via> {
        soon(async {
            let mut seen = Vec::new();
            while let Some(received) = self.out.recv().await {
                seen.push(received.via.clone());
                if wanted(&received.via) {
                    return seen;
                }
            }
            panic!("the session ended: {seen:?}");
        })
        .await
    }

    pub(super) async fn armed(&mut self) {
        self.until(|via| is_read(via, "GET /fapi/v3/positionRisk")).await;
    }

    pub(super) async fn end(self) {
        self.cancel.cancel();
        soon(self.task).await.unwrap();
    }
}

pub(super) fn is_read(via: &Via, line: &str) -> bool {
    matches!(via, Via::Rest { request, .. } if request == line)
}

fn is_frame(via: &Via, text: &str) -> bool {
    matches!(via, Via::Private(frame) if frame.contains(text))
}

pub(super) fn is_down(via: &Via) -> bool {
    matches!(via, Via::Link(Link::Down(_)))
}

async fn say(peer: &mut Peer, text: &str) {
    peer.socket.send(Message::text(text)).await.unwrap();
}

fn position(seen: &[Via], wanted: impl Fn(&Via) -> bool) -> usize {
    seen.iter().position(wanted).unwrap()
}

#[tokio::test]
async fn mo_03_private_frames_are_held_back_until_balances_and_positions_were_read() {
    let server = Server::start(|asked| match asked.path() {
        "/fapi/v3/account" => Reply::Slow(300, "{}".to_owned()),
        _ => venue(asked),
    })
    .await;
    let mut streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 256, |_| {});
    let mut peer = streams.next().await;
    assert!(
        peer.target
            .starts_with(&format!("/private/ws?listenKey={KEY}&events=")),
        "{}",
        peer.target
    );
    say(&mut peer, r#"{"e":"FIRST"}"#).await;
    say(&mut peer, r#"{"e":"SECOND"}"#).await;
    let seen = guarded.until(|via| is_frame(via, "SECOND")).await;
    let up = position(&seen, |via| *via == Via::Link(Link::Up));
    let account = position(&seen, |via| is_read(via, "GET /fapi/v3/account"));
    let risk = position(&seen, |via| is_read(via, "GET /fapi/v3/positionRisk"));
    let first = position(&seen, |via| is_frame(via, "FIRST"));
    assert!(up < account && account + 1 == risk && risk < first, "{seen:?}");
    guarded.end().await;
    assert_eq!(
        server
            .asked()
            .iter()
            .filter(|asked| asked.method == "DELETE")
            .count(),
        0
    );
}

#[tokio::test]
async fn the_snapshot_has_everything_that_the_core_needs() {
    let server = Server::start(venue).await;
    let mut streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 256, |_| {});
    let _peer = streams.next().await;
    let mut missing: Vec<&str> = vec![
        "/fapi/v3/account",
        "/fapi/v3/positionRisk",
        "/fapi/v1/openOrders",
        "/fapi/v1/openAlgoOrders",
        "/fapi/v1/accountConfig",
        "/fapi/v1/symbolConfig",
        "/fapi/v1/exchangeInfo",
        "/fapi/v1/leverageBracket",
        "/fapi/v1/assetIndex",
        "/fapi/v1/income",
    ];
    while !missing.is_empty() {
        if let Via::Rest { request, status, .. } = soon(guarded.out.recv()).await.unwrap().via {
            assert_eq!(status, 200);
            assert!(
                !request.contains("signature") && !request.contains("timestamp"),
                "{request}"
            );
            missing.retain(|path| !request.contains(path));
        }
    }
    guarded.end().await;
}

#[tokio::test]
async fn st_02_a_ping_is_answered_without_any_other_traffic() {
    let server = Server::start(venue).await;
    let mut streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 256, |_| {});
    let mut peer = streams.next().await;
    guarded.armed().await;
    peer.socket
        .send(Message::Ping("1795000000000".into()))
        .await
        .unwrap();
    let pong = tokio::time::timeout(Duration::from_secs(1), async {
        loop {
            let heard = peer.socket.next().await.unwrap().unwrap();
            // Its own probe of the connection, sent when it was opened.
            if !heard.is_ping() {
                return heard;
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(pong, Message::Pong("1795000000000".into()));
    guarded.end().await;
}

#[tokio::test]
async fn st_05_an_expired_key_means_a_new_key_a_new_socket_and_a_new_snapshot_at_once() {
    let posts = Arc::new(AtomicUsize::new(0));
    let count = posts.clone();
    let server = Server::start(move |asked| match asked.path() {
        "/fapi/v1/listenKey" => {
            let n = count.fetch_add(1, Ordering::SeqCst);
            ok(&format!(r#"{{"listenKey":"{KEY}{n}"}}"#))
        }
        _ => venue(asked),
    })
    .await;
    let mut streams = Streams::start().await;
    // No digest comes to its help: the snapshot is asked for because of the connection.
    let mut guarded = guard(&server, &streams, 256, |config| {
        config.digest_interval = Span::from_secs(3_600)
    });
    let mut peer = streams.next().await;
    guarded.armed().await;
    say(
        &mut peer,
        &format!(r#"{{"e":"listenKeyExpired","E":1,"listenKey":"{KEY}0"}}"#),
    )
    .await;
    let second = streams.next().await;
    assert!(second.target.contains(&format!("{KEY}1")), "{}", second.target);
    let seen = guarded
        .until(|via| is_read(via, "GET /fapi/v3/positionRisk"))
        .await;
    let expired = position(&seen, |via| is_frame(via, "listenKeyExpired"));
    let down = position(&seen, is_down);
    let up = position(&seen, |via| *via == Via::Link(Link::Up));
    assert!(expired < down && down < up, "{seen:?}");
    // SE-01: the key is a bearer credential and is in no text that leaves.
    assert!(!format!("{seen:?}").contains(KEY), "{seen:?}");
    guarded.end().await;
}

#[tokio::test]
async fn st_09_a_key_that_changed_is_switched_to_with_an_overlap() {
    let posts = Arc::new(AtomicUsize::new(0));
    let count = posts.clone();
    let server = Server::start(move |asked| match asked.path() {
        "/fapi/v1/listenKey" => {
            let n = count.fetch_add(1, Ordering::SeqCst).min(1);
            ok(&format!(r#"{{"listenKey":"{KEY}{n}"}}"#))
        }
        _ => venue(asked),
    })
    .await;
    let mut streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 256, |config| {
        config.keepalive = Span::from_ms(300)
    });
    let mut old = streams.next().await;
    guarded.armed().await;
    let mut new = streams.next().await;
    assert!(new.target.contains(&format!("{KEY}1")), "{}", new.target);
    say(&mut old, r#"{"e":"BY_THE_OLD"}"#).await;
    say(&mut new, r#"{"e":"BY_THE_NEW"}"#).await;
    let mut seen = guarded.until(|via| is_frame(via, "BY_THE")).await;
    seen.extend(guarded.until(|via| is_frame(via, "BY_THE")).await);
    assert!(seen.iter().any(|via| is_frame(via, "BY_THE_OLD")), "{seen:?}");
    assert!(seen.iter().any(|via| is_frame(via, "BY_THE_NEW")), "{seen:?}");
    assert!(!seen.iter().any(is_down), "{seen:?}");
    guarded.end().await;
    let methods: Vec<String> = server.asked().into_iter().map(|asked| asked.method).collect();
    assert!(
        methods.iter().all(|method| method == "GET" || method == "POST"),
        "{methods:?}"
    );
}

#[tokio::test]
async fn st_03_a_key_that_cannot_be_extended_is_tried_again_and_the_stream_stays() {
    let posts = Arc::new(AtomicUsize::new(0));
    let count = posts.clone();
    let server = Server::start(move |asked| match asked.path() {
        "/fapi/v1/listenKey" if count.fetch_add(1, Ordering::SeqCst) == 1 => {
            Reply::Http(500, "", String::new())
        }
        _ => venue(asked),
    })
    .await;
    let mut streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 4_096, |config| {
        config.keepalive = Span::from_ms(200)
    });
    let mut peer = streams.next().await;
    guarded.armed().await;
    soon(async {
        while posts.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    say(&mut peer, r#"{"e":"STILL_HERE"}"#).await;
    let seen = guarded.until(|via| is_frame(via, "STILL_HERE")).await;
    assert!(!seen.iter().any(is_down), "{seen:?}");
    guarded.end().await;
}

#[tokio::test]
async fn st_10_f14_a_connection_is_switched_before_it_gets_too_old() {
    let server = Server::start(venue).await;
    let mut streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 256, |config| {
        config.switch_after = Span::from_ms(500)
    });
    let _old = streams.next().await;
    guarded.armed().await;
    let mut new = streams.next().await;
    say(&mut new, r#"{"e":"BY_THE_NEW"}"#).await;
    let seen = guarded.until(|via| is_frame(via, "BY_THE_NEW")).await;
    assert!(!seen.iter().any(is_down), "{seen:?}");
    guarded.end().await;
}

#[tokio::test]
async fn st_26_a_frame_that_is_no_text_costs_the_connection() {
    let oversized = Message::text("x".repeat(17 * 1024 * 1024));
    for bad in [Message::binary(vec![1, 2, 3]), Message::Close(None), oversized] {
        let server = Server::start(venue).await;
        let mut streams = Streams::start().await;
        let mut guarded = guard(&server, &streams, 256, |_| {});
        let mut peer = streams.next().await;
        guarded.armed().await;
        // What is too long is not read to its end.
        let _ = peer.socket.send(bad).await;
        let _second = streams.next().await;
        let seen = guarded.until(|via| *via == Via::Link(Link::Up)).await;
        assert!(seen.iter().any(is_down), "{seen:?}");
        guarded.end().await;
    }
}

#[tokio::test]
async fn st_13_a_connection_that_gives_errors_without_end_is_dropped_at_the_first() {
    let server = Server::start(venue).await;
    let mut streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 4_096, |_| {});
    let peer = streams.next().await;
    guarded.armed().await;
    // Closed without a farewell, so that the machine answers with a reset: each further read is an error.
    peer.socket.get_ref().set_zero_linger().unwrap();
    drop(peer);
    let _second = streams.next().await;
    let mut seen = guarded.until(|via| *via == Via::Link(Link::Up)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    while let Ok(received) = guarded.out.try_recv() {
        seen.push(received.via);
    }
    assert_eq!(seen.iter().filter(|via| is_down(via)).count(), 1, "{seen:?}");
    assert_eq!(server.count("POST /fapi/v1/listenKey"), 2);
    guarded.end().await;
}

#[tokio::test]
async fn st_23_a_core_that_does_not_keep_pace_costs_the_connection_and_is_told() {
    let server = Server::start(venue).await;
    let mut streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 16, |_| {});
    let mut peer = streams.next().await;
    guarded.armed().await;
    for n in 0..200 {
        if peer
            .socket
            .send(Message::text(format!(r#"{{"e":"N{n}"}}"#)))
            .await
            .is_err()
        {
            break;
        }
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let seen = guarded.until(is_down).await;
    assert_eq!(seen.last(), Some(&Via::Link(Link::Down("overflow".to_owned()))));
    guarded.until(|via| *via == Via::Link(Link::Up)).await;
    guarded.armed().await;
    guarded.end().await;
}

#[tokio::test]
async fn st_07_the_core_can_have_a_connection_replaced_that_it_does_not_believe() {
    let server = Server::start(venue).await;
    let mut streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 256, |_| {});
    let _mute = streams.next().await;
    guarded.armed().await;
    guarded.wants.ask(Want::Reconnect("mute".to_owned()));
    let _second = streams.next().await;
    let seen = guarded.until(|via| *via == Via::Link(Link::Up)).await;
    assert!(
        seen.contains(&Via::Link(Link::Down("mute".to_owned()))),
        "{seen:?}"
    );
    guarded.end().await;
}

#[tokio::test]
async fn st_01_the_digest_goes_on_and_a_failed_read_is_told() {
    let reads = Arc::new(AtomicUsize::new(0));
    let count = reads.clone();
    let server = Server::start(move |asked| match asked.path() {
        "/fapi/v3/account" if count.fetch_add(1, Ordering::SeqCst) == 1 => {
            Reply::Http(500, "", "oops".to_owned())
        }
        _ => venue(asked),
    })
    .await;
    let mut streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 4_096, |config| {
        config.digest_interval = Span::from_ms(300)
    });
    let _mute = streams.next().await;
    guarded.armed().await;
    let failed = |via: &Via| matches!(via, Via::Rest { request, status: 500, .. } if request == "GET /fapi/v3/account");
    guarded.until(failed).await;
    guarded.armed().await;
    guarded.armed().await;
    guarded.end().await;
}

#[tokio::test]
async fn marks_of_the_watched_symbols_are_subscribed_and_again_after_a_loss() {
    let server = Server::start(venue).await;
    let mut streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 256, |_| {});
    let _private = streams.next().await;
    guarded.armed().await;
    let watched = [Symbol::new("BTCUSDT").unwrap()].into();
    guarded.wants.ask(Want::Watch(watched));
    for _ in 0..2 {
        let mut market = streams.next().await;
        assert_eq!(market.target, "/market/ws");
        let asked = soon(market.socket.next())
            .await
            .unwrap()
            .unwrap()
            .into_text()
            .unwrap();
        assert!(
            asked.contains("SUBSCRIBE") && asked.contains("btcusdt@markPrice@1s"),
            "{asked}"
        );
        say(&mut market, r#"{"result":null,"id":1}"#).await;
        say(&mut market, r#"{"e":"markPriceUpdate","s":"BTCUSDT"}"#).await;
        let seen = guarded.until(|via| matches!(via, Via::Market(_))).await;
        assert_eq!(
            seen.last(),
            Some(&Via::Market(
                r#"{"e":"markPriceUpdate","s":"BTCUSDT"}"#.to_owned()
            ))
        );
        market.socket.close(None).await.unwrap();
    }
    guarded.end().await;
}

#[tokio::test]
async fn st_15_a_venue_that_comes_back_is_found_again() {
    let posts = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |asked| match asked.path() {
        "/fapi/v1/listenKey" if posts.fetch_add(1, Ordering::SeqCst) < 3 => {
            Reply::Http(502, "", String::new())
        }
        _ => venue(asked),
    })
    .await;
    let mut streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 4_096, |_| {});
    let _peer = streams.next().await;
    let seen = guarded.until(|via| *via == Via::Link(Link::Up)).await;
    assert_eq!(seen.iter().filter(|via| is_down(via)).count(), 3, "{seen:?}");
    guarded.armed().await;
    guarded.end().await;
}

#[tokio::test]
async fn st_25_a_key_that_is_refused_at_connect_is_tried_again_slowly() {
    let server = Server::start(|asked| match asked.path() {
        "/fapi/v1/listenKey" => Reply::Http(401, "", r#"{"code":-2015,"msg":"Invalid API-key"}"#.to_owned()),
        _ => venue(asked),
    })
    .await;
    let streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 4_096, |_| {});
    guarded
        .until(|via| matches!(via, Via::Link(Link::Down(why)) if why.contains("401")))
        .await;
    // An unrefused connect would have been tried four times by now; the next is 60 s away.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let tries = server
        .asked()
        .iter()
        .filter(|asked| asked.path() == "/fapi/v1/listenKey")
        .count();
    assert_eq!(tries, 1);
    guarded.end().await;
}

#[tokio::test]
async fn st_19_an_endpoint_that_moved_is_named_and_not_stormed() {
    let server = Server::start(venue).await;
    // A plain web server where the streams should be.
    let gone = Server::start(|_| Reply::Http(410, "", String::new())).await;
    let elsewhere = gone.url.replace("http", "ws");
    let streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 4_096, |config| config.stream_url = elsewhere);
    let moved = |via: &Via| matches!(via, Via::Link(Link::Down(why)) if why.contains("410") && why.contains("the endpoint has moved"));
    guarded.until(moved).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(
        gone.connections.load(Ordering::SeqCst) <= 6,
        "{:?}",
        gone.connections
    );
    guarded.end().await;
}

#[tokio::test]
async fn li_01_while_the_venue_wants_silence_reads_say_so_and_are_not_sent() {
    let server = Server::start(|asked| match asked.path() {
        "/fapi/v3/account" => Reply::Http(
            418,
            "retry-after: 60\r\n",
            r#"{"code":-1003,"msg":"banned"}"#.to_owned(),
        ),
        _ => venue(asked),
    })
    .await;
    let mut streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 4_096, |config| {
        config.digest_interval = Span::from_ms(100)
    });
    let _peer = streams.next().await;
    guarded
        .until(|via| matches!(via, Via::Rest { status: 418, .. }))
        .await;
    let asked = server.asked().len();
    guarded.wants.ask(Want::Settings);
    let silent = |via: &Via| matches!(via, Via::Rest { status: 0, body, .. } if body.contains("silence"));
    guarded.until(silent).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    // What was on its way together with the refused one may still have arrived.
    assert!(server.asked().len() <= asked + 9, "{:?}", server.asked());
    let before = server.asked().len();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.asked().len(), before);
    guarded.end().await;
}

#[tokio::test]
async fn frames_are_shown_unproven_when_the_snapshot_does_not_come() {
    let server = Server::start(|asked| match asked.path() {
        "/fapi/v3/account" => Reply::Http(500, "", String::new()),
        _ => venue(asked),
    })
    .await;
    let mut streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 4_096, |config| {
        config.hold_max = Span::from_ms(400)
    });
    let mut peer = streams.next().await;
    say(&mut peer, r#"{"e":"MARGIN_CALL"}"#).await;
    let seen = guarded.until(|via| is_frame(via, "MARGIN_CALL")).await;
    let failed =
        |via: &&Via| matches!(via, Via::Rest { request, status: 500, .. } if request.contains("account"));
    assert!(seen.iter().any(|via| failed(&via)), "{seen:?}");
    guarded.end().await;
}

#[tokio::test]
async fn li_06_a_machine_that_slept_connects_and_reads_everything_afresh() {
    let slept = Span::from_secs(8 * 3_600);
    let passed = Arc::new(AtomicI64::new(0));
    let ahead = passed.clone();
    let server = Server::start(move |asked| match asked.path() {
        "/fapi/v1/time" => {
            let ms = crate::clock::now().ms() + ahead.load(Ordering::SeqCst);
            ok(&format!(r#"{{"serverTime":{ms}}}"#))
        }
        _ => venue(asked),
    })
    .await;
    let mut streams = Streams::start().await;
    let mut guarded = guard(&server, &streams, 4_096, |config| {
        config.digest_interval = Span::from_ms(300)
    });
    let _stale = streams.next().await;
    guarded.armed().await;
    let before = guarded.clock.now();
    passed.store(slept.ms(), Ordering::SeqCst);
    guarded.clock.move_wall(slept);
    let seen = guarded.until(is_down).await;
    assert_eq!(
        seen.last(),
        Some(&Via::Link(Link::Down("the machine slept".to_owned())))
    );
    let _fresh = streams.next().await;
    guarded.until(|via| *via == Via::Link(Link::Up)).await;
    guarded.armed().await;
    assert!(slept.ms() - 1_000 < guarded.clock.now().since(before).ms());
    guarded.end().await;
}
