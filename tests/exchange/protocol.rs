//! `backstop sim` alone, driven as any client would drive the venue: signed requests and a WebSocket of one's own.

use super::stage::{Exchange, http, now_ms};
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

/// A signed request of the bot on the same account.
fn of_the_bot(exchange: &Exchange, method: &str, path: &str, query: &str) -> (u16, Value) {
    let payload = format!("{query}&timestamp={}", now_ms());
    let signature = backstop::sim::sign("bot-secret-of-the-embedded-exchange", &payload);
    let target = format!("{path}?{payload}&signature={signature}");
    let key = ("X-MBX-APIKEY", "bot-key-of-the-embedded-exchange");
    let (status, body) = http(&exchange.rest_url, method, &target, &[key], "");
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

#[test]
fn batches_changes_and_settings_travel_as_at_the_venue() {
    let exchange = Exchange::serve(SMALL);
    let rest = |quantity: &str, price: &str, name: &str| {
        format!(
            r#"{{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":"{quantity}","price":"{price}","timeInForce":"GTC","newClientOrderId":"{name}"}}"#
        )
    };
    let list = |rows: &[String]| {
        let rows = format!("[{}]", rows.join(","));
        let encoded: String = url::form_urlencoded::byte_serialize(rows.as_bytes()).collect();
        format!("batchOrders={encoded}")
    };
    let rows = [
        rest("0.01", "59000", "one"),
        rest("0.0001", "59000", "two"),
        rest("0.01", "58000", "three"),
    ];
    let (status, body) = of_the_bot(&exchange, "POST", "/fapi/v1/batchOrders", &list(&rows));
    assert_eq!(
        (
            status,
            &body[0]["clientOrderId"],
            &body[1]["code"],
            &body[2]["clientOrderId"]
        ),
        (200, &"one".into(), &(-1111).into(), &"three".into()),
        "each at its place: {body}"
    );
    for (method, path, query, status, code) in [
        (
            "PUT",
            "/fapi/v1/order",
            "symbol=BTCUSDT&side=BUY&origClientOrderId=one&quantity=0.01&price=59000",
            400,
            -5027,
        ),
        (
            "PUT",
            "/fapi/v1/order",
            "symbol=BTCUSDT&side=BUY&origClientOrderId=one&quantity=0.01&price=57000",
            200,
            0,
        ),
        (
            "POST",
            "/fapi/v1/marginType",
            "symbol=BTCUSDT&marginType=CROSSED",
            400,
            -4046,
        ),
        (
            "POST",
            "/fapi/v1/marginType",
            "symbol=BTCUSDT&marginType=ISOLATED",
            400,
            -4047,
        ),
        (
            "POST",
            "/fapi/v1/positionMargin",
            "symbol=BTCUSDT&amount=1&type=1",
            400,
            -4049,
        ),
        (
            "POST",
            "/fapi/v1/multiAssetsMargin",
            "multiAssetsMargin=false",
            400,
            -4171,
        ),
        (
            "POST",
            "/fapi/v1/positionSide/dual",
            "dualSidePosition=false",
            400,
            -4059,
        ),
        (
            "POST",
            "/fapi/v1/leverage",
            "symbol=BTCUSDT&leverage=126",
            400,
            -4028,
        ),
        (
            "POST",
            "/fapi/v1/order/test",
            "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01",
            200,
            0,
        ),
        (
            "POST",
            "/fapi/v1/order",
            "symbol=BTCUSDT&symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01",
            400,
            -1101,
        ),
        (
            "DELETE",
            "/fapi/v1/batchOrders",
            "symbol=BTCUSDT&orderIdList=%5B%5D",
            400,
            -1130,
        ),
        ("GET", "/fapi/v1/allAlgoOrders", "symbol=BTCUSDT", 200, 0),
        ("GET", "/fapi/v1/forceOrders", "symbol=BTCUSDT", 200, 0),
        ("GET", "/fapi/v1/adlQuantile", "symbol=BTCUSDT", 200, 0),
        ("GET", "/fapi/v1/apiTradingStatus", "symbol=BTCUSDT", 200, 0),
        ("GET", "/fapi/v1/tradingSchedule", "x=1", 200, 0),
        ("GET", "/fapi/v1/symbolAdlRisk", "symbol=BTCUSDT", 200, 0),
    ] {
        let (got, body) = of_the_bot(&exchange, method, path, query);
        let refused = body["code"].as_i64().filter(|_| got != 200).unwrap_or(0);
        assert_eq!((got, refused), (status, code), "{method} {path} {query}: {body}");
    }
    let names = "symbol=BTCUSDT&origClientOrderIdList=%5B%22three%22%2C%22two%22%5D";
    let (status, body) = of_the_bot(&exchange, "DELETE", "/fapi/v1/batchOrders", names);
    assert_eq!(
        (status, &body[0]["status"], &body[1]["code"]),
        (200, &"CANCELED".into(), &(-2011).into()),
        "{body}"
    );
    assert_eq!(
        exchange.report()["violations"],
        serde_json::json!([]),
        "the bot promised nothing"
    );
}

/// A market that stands still, and an account without a position.
const SMALL: &str = "name = 'small'\ndescription = 'nothing moves'\nduration = '10m'\n[[symbol]]\nname = 'BTCUSDT'\npath = [{ at = '0s', price = '60000' }]\n[account]\nwallet = { USDT = '10000' }\n";
