//! `backstop sim` alone, driven as any client would drive the venue: signed requests and a WebSocket of one's own.

use super::stage::{Exchange, http};
use futures_util::StreamExt;
use serde_json::Value;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

#[test]
fn the_exchange_answers_refuses_and_tells_as_the_venue_does() {
    let exchange = Exchange::serve("calm-day");
    let key = ("X-MBX-APIKEY", exchange.key.as_str());
    let (_, body) = http(&exchange.rest_url, "POST", "/fapi/v1/listenKey", &[key], "");
    let listen_key: Value = serde_json::from_str(&body).unwrap();
    let listen_key = listen_key["listenKey"].as_str().unwrap().to_owned();
    let (_, again) = http(&exchange.rest_url, "POST", "/fapi/v1/listenKey", &[key], "");
    assert!(again.contains(&listen_key), "one key for everybody");

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let url = format!(
        "{}/private/ws?listenKey={listen_key}&events=ORDER_TRADE_UPDATE/ACCOUNT_UPDATE",
        exchange.stream_url
    );
    let mut socket = runtime.block_on(async { tokio_tungstenite::connect_async(url).await.unwrap().0 });

    for (method, path, query, status, code) in [
        (
            "POST",
            "/fapi/v1/order",
            "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.2&reduceOnly=true",
            400,
            -2022,
        ),
        (
            "POST",
            "/fapi/v1/order",
            "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.0001&reduceOnly=true",
            400,
            -1111,
        ),
        (
            "POST",
            "/fapi/v1/order",
            "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=121&reduceOnly=true",
            400,
            -4005,
        ),
        (
            "POST",
            "/fapi/v1/order",
            "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.1&positionSide=LONG",
            400,
            -4061,
        ),
        (
            "POST",
            "/fapi/v1/order",
            "symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=0.1&triggerPrice=50000",
            400,
            -4120,
        ),
        (
            "POST",
            "/fapi/v1/order",
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=0.0005&price=59000&timeInForce=GTC",
            400,
            -1111,
        ),
        (
            "POST",
            "/fapi/v1/order",
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=0.001&price=59000.05&timeInForce=GTC",
            400,
            -4014,
        ),
        (
            "POST",
            "/fapi/v1/order",
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=0.001&price=58000&timeInForce=GTC&newClientOrderId=%24%24",
            400,
            -4015,
        ),
        (
            "POST",
            "/fapi/v1/order",
            "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=100",
            400,
            -2019,
        ),
        (
            "POST",
            "/fapi/v1/order",
            "symbol=NOPEUSDT&side=BUY&type=MARKET&quantity=1",
            400,
            -1121,
        ),
        (
            "POST",
            "/fapi/v1/order",
            "symbol=BTCUSDT&side=BUY&type=MARKET",
            400,
            -1102,
        ),
        ("DELETE", "/fapi/v1/order", "symbol=BTCUSDT&orderId=1", 400, -2011),
        ("GET", "/fapi/v1/order", "symbol=BTCUSDT&orderId=1", 400, -2013),
    ] {
        let (got, body) = exchange.own(method, path, query);
        assert_eq!(
            (got, body["code"].as_i64()),
            (status, Some(code)),
            "{query}: {body}"
        );
    }
    let (status, body) = http(
        &exchange.rest_url,
        "GET",
        "/fapi/v3/account?timestamp=1&signature=00",
        &[key],
        "",
    );
    assert!(status == 400 && body.contains("-1022"), "{body}");
    let (status, body) = http(
        &exchange.rest_url,
        "GET",
        "/fapi/v3/account",
        &[("X-MBX-APIKEY", "nobody")],
        "",
    );
    assert!(status == 401 && body.contains("-2015"), "{body}");

    // Orders without a name of their own get one each: the second is no duplicate of the first.
    for _ in 0..2 {
        let query =
            "symbol=BTCUSDT&side=SELL&type=LIMIT&quantity=0.001&price=62000&timeInForce=GTC&reduceOnly=true";
        let (status, body) = exchange.own("POST", "/fapi/v1/order", query);
        assert_eq!(status, 200, "{body}");
    }
    let (_, body) = exchange.own("DELETE", "/fapi/v1/allOpenOrders", "symbol=BTCUSDT");
    assert_eq!(body["code"], 200, "{body}");

    // A non-ASCII symbol, percent-encoded and signed as sent (PA-08); RESULT tells the end, without a price (5.5).
    let query = "symbol=%E6%B5%8B%E8%AF%95USDT&side=BUY&type=MARKET&quantity=100&reduceOnly=true&newOrderRespType=RESULT";
    let (status, body) = exchange.own("POST", "/fapi/v1/order", query);
    assert_eq!(
        (status, &body["status"], &body["executedQty"]),
        (200, &"FILLED".into(), &"100".into()),
        "{body}"
    );
    assert!(
        body.get("avgPrice").is_none() && body.get("cumQuote").is_none(),
        "{body}"
    );

    // The stream: NEW, TRADE, then the account; TRADE_LITE was not asked for.
    let names: Vec<(String, String)> = runtime.block_on(async {
        let mut names = Vec::new();
        while names.len() < 3 {
            let frame = tokio::time::timeout(Duration::from_secs(5), socket.next())
                .await
                .unwrap();
            if let Message::Text(text) = frame.unwrap().unwrap() {
                let body: Value = serde_json::from_str(&text).unwrap();
                let of_limits = body["o"]["o"] == "LIMIT";
                if body["a"]["m"] != "FUNDING_FEE" && !of_limits {
                    names.push((
                        body["e"].as_str().unwrap().into(),
                        body["o"]["x"].as_str().unwrap_or("").into(),
                    ));
                }
            }
        }
        names
    });
    let expected = [
        ("ORDER_TRADE_UPDATE", "NEW"),
        ("ORDER_TRADE_UPDATE", "TRADE"),
        ("ACCOUNT_UPDATE", ""),
    ];
    assert_eq!(names, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));

    // The guard's key asked for what a guard never asks for: the exchange says so.
    let (status, _) = http(&exchange.rest_url, "DELETE", "/fapi/v1/listenKey", &[key], "");
    assert_eq!(status, 200);
    let violations = exchange.report()["violations"].to_string();
    assert!(violations.contains("DELETE /fapi/v1/listenKey"), "{violations}");
}
