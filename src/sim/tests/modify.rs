//! Changing an order that rests.

use super::*;

const PUT: &str = "PUT /fapi/v1/order";

fn resting() -> Client {
    let mut client = client();
    client.order("side=BUY&type=LIMIT&quantity=0.1&price=59000&timeInForce=GTC&newClientOrderId=b");
    client.order(
        "side=SELL&type=LIMIT&quantity=0.3&price=61000&timeInForce=GTC&reduceOnly=true&newClientOrderId=s",
    );
    client.order("side=SELL&type=LIMIT&quantity=0.1&price=62000&timeInForce=GTX&newClientOrderId=x");
    client
}

#[test]
fn a_modification_obeys_the_rules_of_an_order_and_some_of_its_own() {
    let rows = [
        ("side=BUY&origClientOrderId=b&quantity=0.1", -1102),
        ("side=BUY&origClientOrderId=b&price=58000", -1102),
        ("origClientOrderId=b&quantity=0.1&price=58000", -1102),
        ("side=BUY&quantity=0.1&price=58000", -1102),
        (
            "side=BUY&origClientOrderId=nobody&quantity=0.1&price=58000",
            -2013,
        ),
        ("side=SELL&origClientOrderId=b&quantity=0.1&price=62000", -1130),
        ("side=BUY&origClientOrderId=b&quantity=0.1&price=59000", -5027),
        ("side=BUY&origClientOrderId=b&quantity=0.001&price=59000", -5029),
        (
            "side=BUY&origClientOrderId=b&quantity=0.1&price=58000&reduceOnly=true",
            -5047,
        ),
        (
            "side=SELL&origClientOrderId=s&quantity=0.3&price=62000&reduceOnly=true",
            0,
        ),
        ("side=SELL&origClientOrderId=s&quantity=0.6&price=61000", -2022),
        ("side=BUY&origClientOrderId=b&quantity=0.1&price=58000.05", -4014),
        ("side=BUY&origClientOrderId=b&quantity=0.1&price=64000", -4016),
        ("side=BUY&origClientOrderId=b&quantity=0.0001&price=58000", -1111),
        ("side=BUY&origClientOrderId=b&quantity=900&price=58000", -2019),
        (
            "side=BUY&origClientOrderId=b&quantity=0.1&price=58000&priceMatch=QUEUE",
            -1106,
        ),
        ("side=BUY&origClientOrderId=b&quantity=0.1&priceMatch=QUEUE", 0),
        ("side=BUY&origClientOrderId=b&quantity=0.2&price=58000", 0),
    ];
    for (query, code) in rows {
        table(&resting(), &[(PUT, &format!("symbol=BTCUSDT&{query}"), code)]);
    }
}

#[test]
fn a_modification_amends_takes_or_ends_the_order() {
    let mut client = resting();
    client.frames();
    client.done(
        PUT,
        "symbol=BTCUSDT&side=BUY&origClientOrderId=b&quantity=0.2&price=58000&modifyId=m1",
    );
    let frames = client.frames();
    let last = &frames.last().unwrap()["o"];
    assert_eq!(
        [&last["x"], &last["X"], &last["q"], &last["p"], &last["M"]],
        ["AMENDMENT", "NEW", "0.2", "58000", "m1"]
    );
    client.done(
        PUT,
        "symbol=BTCUSDT&side=BUY&origClientOrderId=b&quantity=0.2&price=60100",
    );
    assert_eq!(client.state("b").0, "FILLED", "it crosses and takes");
    client.done(
        PUT,
        "symbol=BTCUSDT&side=SELL&origClientOrderId=x&quantity=0.1&price=59000",
    );
    assert_eq!(client.state("x").0, "CANCELED", "a post-only order does not take");
}

#[test]
fn the_guards_key_breaks_its_promise_by_what_may_open() {
    for (line, query) in [
        (
            PUT,
            "symbol=BTCUSDT&side=BUY&origClientOrderId=b&quantity=0.2&price=58000",
        ),
        ("POST /fapi/v1/batchOrders", "batchOrders=%5B%5D"),
        ("POST /fapi/v1/marginType", "symbol=BTCUSDT&marginType=ISOLATED"),
        ("POST /fapi/v1/positionMargin", "symbol=BTCUSDT&amount=1&type=1"),
        ("POST /fapi/v1/multiAssetsMargin", "multiAssetsMargin=true"),
        ("POST /fapi/v1/leverage", "symbol=BTCUSDT&leverage=5"),
    ] {
        let mut client = resting();
        let (key, secret) = client.venue.credentials();
        client.ask_as(line, query, &key, &secret);
        assert_eq!(
            client.venue.report().violations,
            [format!("the guard sent {line}")]
        );
    }
}
