//! Tests of the executor over loopback sockets.

use std::sync::atomic::AtomicUsize;

use secrecy::SecretString;

use super::*;
use crate::model::{Leg, OrderId, PositionSide, Pricing, ProtectiveStop, ReduceOrder, Store};
use crate::venue::binance::client::testing::{API_SECRET, Asked, Reply, Server, ok, reader, short, soon};

const SETTLE: Span = Span::from_ms(800);

fn symbol() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn id() -> ClientOrderId {
    ClientOrderId::new("bs-1").unwrap()
}

fn reduce() -> Intent {
    let leg = Leg {
        symbol: symbol(),
        side: PositionSide::Both,
    };
    let q = |text: &str| text.parse().unwrap();
    Intent::Reduce(ReduceOrder::against(id(), leg, q("1"), q("1"), q("0.001"), Pricing::Market).unwrap())
}

fn cancel() -> Intent {
    Intent::Cancel(OrderId {
        store: Store::Regular,
        symbol: symbol(),
        id: 7,
    })
}

fn order() -> Reply {
    ok(
        r#"{"orderId":7,"symbol":"BTCUSDT","status":"FILLED","clientOrderId":"bs-1","origQty":"1","executedQty":"1",
        "avgPrice":"0","price":"0","stopPrice":"0","side":"SELL","positionSide":"BOTH","type":"MARKET",
        "origType":"MARKET","timeInForce":"GTC","reduceOnly":true,"closePosition":false,"time":5,"updateTime":5}"#,
    )
}

fn absent() -> Reply {
    Reply::Http(
        400,
        "",
        r#"{"code":-2013,"msg":"Order does not exist."}"#.to_owned(),
    )
}

type Outcomes = mpsc::Receiver<(IntentKey, Outcome)>;

fn executor(server: &Server) -> (Executor, Outcomes, CancellationToken) {
    let (tx, rx) = mpsc::channel(8);
    let cancel = CancellationToken::new();
    let trade = TradeSigner::new(&SecretString::from(API_SECRET)).unwrap();
    let http = server.http_with(short);
    let executor = Executor::settling(http, trade, reader(), tx, cancel.clone(), SETTLE);
    (executor, rx, cancel)
}

async fn next(outcomes: &mut Outcomes) -> Outcome {
    soon(outcomes.recv()).await.unwrap().1
}

fn is_unknown(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unknown(_))
}

fn is_retry(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Rejected(Rejection {
            kind: RejectionKind::Retry(_),
            ..
        })
    )
}

#[tokio::test]
async fn an_order_that_is_answered_has_one_outcome() {
    let server = Server::start(|_| order()).await;
    let (executor, mut outcomes, _cancel) = executor(&server);
    executor.submit(reduce());
    let (key, outcome) = soon(outcomes.recv()).await.unwrap();
    assert_eq!(key, IntentKey::Reduce(id()));
    let Outcome::Accepted(Some(report)) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(report.terminal);
    drop(executor);
    assert!(soon(outcomes.recv()).await.is_none());
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].head.contains("content-length: 0"), "{asked:?}");
}

#[tokio::test]
async fn or_01_or_03_an_order_is_sent_once_and_looked_for_when_its_answer_is_lost() {
    for lost in [
        Reply::Cut,
        Reply::Hang,
        Reply::Http(
            503,
            "",
            r#"{"code":-1000,"msg":"Unknown error, please check your request or try again later."}"#
                .to_owned(),
        ),
        Reply::Http(408, "", String::new()),
        Reply::Http(502, "", "<html>".to_owned()),
        Reply::Http(302, "location: /elsewhere\r\n", String::new()),
    ] {
        let server = Server::start(move |asked| match asked.method.as_str() {
            "POST" => lost.clone(),
            _ => order(),
        })
        .await;
        let (executor, mut outcomes, _cancel) = executor(&server);
        executor.submit(reduce());
        let first = next(&mut outcomes).await;
        assert!(is_unknown(&first), "{first:?}");
        let second = next(&mut outcomes).await;
        assert!(matches!(second, Outcome::Accepted(Some(_))), "{second:?}");
        assert_eq!(server.count("POST /fapi/v1/order"), 1);
        assert_eq!(server.count("GET /fapi/v1/order"), 1);
        assert_eq!(server.count("GET /elsewhere"), 0);
    }
}

#[tokio::test]
async fn or_06_an_order_on_a_kept_connection_that_dies_is_not_sent_again() {
    let posts = Arc::new(AtomicUsize::new(0));
    let server = Server::start(|asked: &Asked| match asked.method.as_str() {
        "POST" => Reply::Cut,
        _ if asked.path() == "/fapi/v1/ping" => ok("{}"),
        _ => absent(),
    })
    .await;
    let (executor, mut outcomes, cancel) = executor(&server);
    let Mode::Live(live) = &executor.mode else {
        panic!("live")
    };
    live.http.warm_once().await;
    executor.submit(reduce());
    assert!(is_unknown(&next(&mut outcomes).await));
    assert_eq!(server.count("POST /fapi/v1/order"), 1, "{posts:?}");
    cancel.cancel();
}

#[tokio::test]
async fn or_04_absence_is_believed_only_after_the_settle_time_and_two_looks() {
    let server = Server::start(|asked| {
        if asked.method == "POST" {
            Reply::Cut
        } else {
            absent()
        }
    })
    .await;
    let (executor, mut outcomes, _cancel) = executor(&server);
    let clock = crate::clock::Clock::start();
    let start = clock.now();
    executor.submit(reduce());
    assert!(is_unknown(&next(&mut outcomes).await));
    let settled = next(&mut outcomes).await;
    let Outcome::Rejected(rejection) = settled else {
        panic!("{settled:?}")
    };
    assert_eq!(rejection.kind, RejectionKind::Absent);
    let took = clock.now().since(start);
    assert!(SETTLE.ms() + LOOK_TWICE.ms() <= took.ms(), "{took}");
    assert!(4 <= server.count("GET /fapi/v1/order"));
    assert_eq!(server.count("POST /fapi/v1/order"), 1);
}

#[tokio::test]
async fn or_04_an_order_that_shows_up_late_is_found() {
    let looks = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |asked| match asked.method.as_str() {
        "POST" => Reply::Cut,
        _ if looks.fetch_add(1, Ordering::SeqCst) < 2 => absent(),
        _ => order(),
    })
    .await;
    let (executor, mut outcomes, _cancel) = executor(&server);
    executor.submit(reduce());
    assert!(is_unknown(&next(&mut outcomes).await));
    assert!(matches!(next(&mut outcomes).await, Outcome::Accepted(Some(_))));
}

#[tokio::test]
async fn or_05_looking_goes_on_while_the_venue_gives_no_answer() {
    for nothing in [
        Reply::Cut,
        Reply::Http(503, "", "Service Unavailable.".to_owned()),
    ] {
        let looks = Arc::new(AtomicUsize::new(0));
        let server = Server::start(move |asked| match asked.method.as_str() {
            "POST" => Reply::Cut,
            _ if looks.fetch_add(1, Ordering::SeqCst) < 3 => nothing.clone(),
            _ => order(),
        })
        .await;
        let (executor, mut outcomes, _cancel) = executor(&server);
        executor.submit(reduce());
        assert!(is_unknown(&next(&mut outcomes).await));
        assert!(matches!(next(&mut outcomes).await, Outcome::Accepted(Some(_))));
    }
}

#[tokio::test]
async fn li_03_too_many_orders_silences_orders_for_their_window_and_cancels_not_at_all() {
    let server = Server::start(|asked| match asked.method.as_str() {
        "POST" => Reply::Http(
            429,
            "",
            r#"{"code":-1015,"msg":"Too many new orders"}"#.to_owned(),
        ),
        _ => ok(r#"{"code":200,"msg":"done"}"#),
    })
    .await;
    let (executor, mut outcomes, _cancel) = executor(&server);
    for _ in 0..3 {
        executor.submit(reduce());
        let outcome = next(&mut outcomes).await;
        let Outcome::Rejected(Rejection {
            kind: RejectionKind::Retry(rest),
            ..
        }) = outcome
        else {
            panic!("{outcome:?}")
        };
        assert!(Span::from_secs(8) < rest && rest <= Span::from_secs(10), "{rest}");
    }
    assert_eq!(server.count("POST /fapi/v1/order"), 1);
    executor.submit(Intent::CancelAll(symbol()));
    assert_eq!(next(&mut outcomes).await, Outcome::Accepted(None));
}

#[tokio::test]
async fn a_cancel_of_unknown_outcome_may_be_repeated() {
    let server = Server::start(|_| Reply::Cut).await;
    let (executor, mut outcomes, _cancel) = executor(&server);
    executor.submit(cancel());
    assert!(is_unknown(&next(&mut outcomes).await));
    assert!(is_retry(&next(&mut outcomes).await));
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn li_01_nothing_is_sent_before_the_time_that_the_venue_named() {
    let server = Server::start(|_| {
        Reply::Http(
            429,
            "retry-after: 30\r\n",
            r#"{"code":-1003,"msg":"Too many requests"}"#.to_owned(),
        )
    })
    .await;
    let (executor, mut outcomes, _cancel) = executor(&server);
    executor.submit(reduce());
    assert!(is_retry(&next(&mut outcomes).await));
    executor.submit(reduce());
    let second = next(&mut outcomes).await;
    let Outcome::Rejected(Rejection {
        kind: RejectionKind::Retry(rest),
        ..
    }) = second
    else {
        panic!("{second:?}")
    };
    assert!(
        Span::from_secs(20) < rest && rest <= Span::from_secs(30),
        "{rest}"
    );
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn li_05_a_refused_timestamp_corrects_the_clock_and_the_order_may_be_sent_again() {
    for code in [-1021, -5028] {
        let server = Server::start(move |asked| match asked.path() {
            "/fapi/v1/time" => ok(&format!(
                r#"{{"serverTime":{}}}"#,
                crate::clock::now().ms() + 9_000
            )),
            _ => Reply::Http(400, "", format!(r#"{{"code":{code},"msg":"Timestamp"}}"#)),
        })
        .await;
        let (executor, mut outcomes, _cancel) = executor(&server);
        executor.submit(reduce());
        let outcome = next(&mut outcomes).await;
        assert!(is_retry(&outcome), "{outcome:?}");
        let Mode::Live(live) = &executor.mode else {
            panic!("live")
        };
        assert!((live.http.offset_ms() - 9_000).abs() < 500);
    }
}

#[tokio::test]
async fn an_order_of_an_earlier_run_is_asked_for_without_sending_anything() {
    let server = Server::start(|_| order()).await;
    let (executor, mut outcomes, _cancel) = executor(&server);
    executor.ask(symbol(), id());
    assert!(matches!(next(&mut outcomes).await, Outcome::Accepted(Some(_))));
    assert_eq!(server.count("GET /fapi/v1/order"), server.asked().len());
}

#[tokio::test]
async fn or_10_a_symbol_that_stalls_does_not_delay_the_others() {
    let server = Server::start(|asked| {
        if asked.target.contains("ETHUSDT") {
            Reply::Hang
        } else {
            ok("{}")
        }
    })
    .await;
    let (executor, mut outcomes, _cancel) = executor(&server);
    executor.submit(Intent::CancelAll(Symbol::new("ETHUSDT").unwrap()));
    executor.submit(Intent::CancelAll(symbol()));
    let (key, _) = soon(outcomes.recv()).await.unwrap();
    assert_eq!(key, IntentKey::CancelAll(Store::Regular, symbol()));
}

#[tokio::test]
async fn pr_16_a_dry_executor_sends_nothing_and_says_so() {
    let server = Server::start(|_| ok("{}")).await;
    let (tx, mut outcomes) = mpsc::channel(1);
    let executor = Executor::dry(tx);
    for intent in [
        reduce(),
        cancel(),
        Intent::CancelAll(symbol()),
        Intent::CancelAllConditional(symbol()),
        Intent::PlaceStop(ProtectiveStop::example("BTCUSDT", PositionSide::Both, "1")),
    ] {
        let key = intent.key();
        executor.submit(intent);
        assert_eq!(soon(outcomes.recv()).await, Some((key, Outcome::Suppressed)));
    }
    executor.ask(symbol(), id());
    assert_eq!(next(&mut outcomes).await, Outcome::Suppressed);
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn outcomes_wait_for_room_and_are_not_dropped() {
    let (tx, mut outcomes) = mpsc::channel(1);
    let executor = Executor::dry(tx);
    for _ in 0..50 {
        executor.submit(cancel());
    }
    for _ in 0..50 {
        assert_eq!(next(&mut outcomes).await, Outcome::Suppressed);
    }
}

#[tokio::test]
async fn pr_03_a_panic_of_the_executor_ends_the_run() {
    let server = Server::start(|_| ok("{}")).await;
    let (executor, _outcomes, cancel) = executor(&server);
    executor.launch(Some(cancel.clone()), async {
        tokio::task::yield_now().await;
        panic!("a bug");
    });
    soon(cancel.cancelled()).await;
    assert!(executor.is_broken());
}

#[tokio::test]
async fn li_13_an_order_is_not_looked_for_through_a_firewall_without_pause() {
    let server = Server::start(|asked| match asked.method.as_str() {
        "POST" => Reply::Cut,
        _ => Reply::Http(403, "", "<html>blocked</html>".to_owned()),
    })
    .await;
    let (executor, mut outcomes, cancel) = executor(&server);
    executor.submit(reduce());
    assert!(is_unknown(&next(&mut outcomes).await));
    // Any other failure would have been followed by three more looks.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(server.count("GET /fapi/v1/order"), 1);
    cancel.cancel();
}
