//! The conditional store.

use super::*;

const POST: &str = "POST /fapi/v1/algoOrder";

/// A market that walks through these prices, five seconds each; it reaches a price at the end of its five seconds.
fn walk(prices: &[&str], more: &str) -> Client {
    let points: Vec<String> = prices
        .iter()
        .enumerate()
        .map(|(index, price)| format!("{{at='{}s',price='{price}'}}", index * 5))
        .collect();
    client_of(&format!(
        "name='t'\ndescription=''\nduration='2m'\n{more}\n[[symbol]]\nname='BTCUSDT'\npath=[{}]\n[account]\nwallet={{USDT='100000'}}\n{LONG}",
        points.join(",")
    ))
}

fn algo(client: &mut Client, query: &str) -> Value {
    client.done(POST, &format!("algoType=CONDITIONAL&symbol=BTCUSDT&{query}"))
}

#[test]
fn the_guards_stop_is_taken_as_it_is_sent_and_keeps_its_promise() {
    use crate::model::{Intent, PositionSide, ProtectiveStop};
    let mut client = walk(&["60000", "60000", "58000"], "");
    let stop = ProtectiveStop::example("BTCUSDT", PositionSide::Both, "0.5");
    let request = crate::venue::binance::request::Mutation::from_intent(&Intent::PlaceStop(stop));
    let (key, secret) = client.venue.credentials();
    let line = format!("{} {}", request.method(), request.path());
    assert_eq!(client.ask_as(&line, request.query(), &key, &secret).0, 200);
    assert_eq!(client.state("bs-s1").0, "NEW");
    client.wait(11_000);
    assert_eq!(client.venue.report().violations, Vec::<String>::new());
    assert!(client.venue.ledger.held().is_empty(), "it closed the position");
}

#[test]
fn a_conditional_order_that_does_not_fit_together_is_refused() {
    let stop = "side=SELL&type=STOP_MARKET";
    let rows = [
        (format!("{stop}&quantity=0.1"), -1102),
        (format!("{stop}&triggerPrice=50000"), -1102),
        (
            "side=SELL&type=STOP&quantity=0.1&triggerPrice=50000".into(),
            -1102,
        ),
        ("side=SELL&type=TRAILING_STOP_MARKET&quantity=0.1".into(), -1102),
        (
            "side=SELL&type=LIMIT&quantity=0.1&price=61000&timeInForce=GTC".into(),
            -1116,
        ),
        ("side=SELL&type=MARKET&quantity=0.1".into(), -1116),
        (
            format!("{stop}&quantity=0.1&triggerPrice=50000&price=50000"),
            -1106,
        ),
        (
            format!("{stop}&quantity=0.1&triggerPrice=50000&closePosition=true"),
            -1106,
        ),
        (
            format!("{stop}&triggerPrice=50000&closePosition=true&reduceOnly=true"),
            -1106,
        ),
        (
            format!("{stop}&quantity=0.1&triggerPrice=50000&callbackRate=1"),
            -1106,
        ),
        (format!("{stop}&triggerPrice=50000&closePosition=true"), 0),
        (
            "side=SELL&type=STOP&triggerPrice=50000&price=50000&closePosition=true".into(),
            -4136,
        ),
        (
            "side=SELL&type=TRAILING_STOP_MARKET&callbackRate=1&closePosition=true".into(),
            -4136,
        ),
        (
            format!("{stop}&quantity=0.1&triggerPrice=50000&timeInForce=RPI"),
            -1115,
        ),
        (
            format!("{stop}&quantity=0.1&triggerPrice=50000&workingType=LAST"),
            -1130,
        ),
        (format!("{stop}&quantity=0.1&triggerPrice=5e4"), -1100),
        (format!("{stop}&quantity=0.1&triggerPrice=50000.05"), -4014),
        (format!("{stop}&quantity=0.1&triggerPrice=50000.055"), -1111),
        (format!("{stop}&quantity=0.0001&triggerPrice=50000"), -1111),
        (format!("{stop}&quantity=121&triggerPrice=50000"), -4005),
        (format!("{stop}&quantity=0.1&triggerPrice=60000"), -2021),
        (
            "side=BUY&type=STOP_MARKET&quantity=0.1&triggerPrice=60000".into(),
            -2021,
        ),
        (
            "side=SELL&type=TAKE_PROFIT_MARKET&quantity=0.1&triggerPrice=60000".into(),
            -2021,
        ),
        (
            "side=BUY&type=TAKE_PROFIT_MARKET&quantity=0.1&triggerPrice=59000".into(),
            0,
        ),
        (
            format!("{stop}&quantity=0.1&triggerPrice=50000&positionSide=LONG"),
            -4061,
        ),
        (
            format!("{stop}&quantity=0.1&triggerPrice=50000&clientAlgoId=%23"),
            -4015,
        ),
        (
            "side=SELL&type=TRAILING_STOP_MARKET&quantity=0.1&callbackRate=0.09".into(),
            -2007,
        ),
        (
            "side=SELL&type=TRAILING_STOP_MARKET&quantity=0.1&callbackRate=0.1".into(),
            0,
        ),
        (
            "side=SELL&type=TRAILING_STOP_MARKET&quantity=0.1&callbackRate=20".into(),
            0,
        ),
        (
            "side=SELL&type=TRAILING_STOP_MARKET&quantity=0.1&callbackRate=20.1".into(),
            -2007,
        ),
        (
            "side=SELL&type=TRAILING_STOP_MARKET&quantity=0.1&callbackRate=1&activatePrice=59000".into(),
            -2021,
        ),
        (
            "side=SELL&type=TRAILING_STOP_MARKET&quantity=0.1&callbackRate=1&triggerPrice=59000".into(),
            -1106,
        ),
    ];
    for (query, code) in rows {
        let query = format!("algoType=CONDITIONAL&symbol=BTCUSDT&{query}");
        table(&client(), &[(POST, &query, code)]);
    }
    let no_type = "symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=0.1&triggerPrice=50000";
    table(&client(), &[(POST, no_type, -1102)]);
    let other = "algoType=TWAP&symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=0.1&triggerPrice=50000";
    table(&client(), &[(POST, other, -1130)]);
    let opens = "algoType=CONDITIONAL&symbol=BTCUSDT&side=BUY&positionSide=LONG&type=STOP_MARKET&triggerPrice=61000&closePosition=true";
    table(&client_with(HEDGE, ""), &[(POST, opens, -4138)]);
    let bound = "algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=STOP_MARKET&triggerPrice=50000&closePosition=true&timeInForce=GTE_GTC";
    table(&client_with("", ""), &[(POST, bound, -4509)]);
}

#[test]
fn the_stores_are_apart() {
    let mut client = client();
    let id = algo(
        &mut client,
        "side=SELL&type=STOP_MARKET&quantity=0.1&triggerPrice=50000&clientAlgoId=st",
    )["algoId"]
        .to_string();
    let rows = [
        (
            "GET /fapi/v1/order",
            "symbol=BTCUSDT&origClientOrderId=st".to_owned(),
            -2013,
        ),
        (
            "DELETE /fapi/v1/order",
            format!("symbol=BTCUSDT&orderId={id}"),
            -2011,
        ),
        ("GET /fapi/v1/algoOrder", format!("algoId={id}"), 0),
        ("GET /fapi/v1/algoOrder", String::new(), -1102),
        ("DELETE /fapi/v1/algoOrder", "algoId=1".into(), -2013),
        ("GET /fapi/v1/allAlgoOrders", String::new(), -1102),
        (
            "GET /fapi/v1/allAlgoOrders",
            "symbol=BTCUSDT&limit=1001".into(),
            -1130,
        ),
    ];
    for (line, query, code) in rows {
        table(&client, &[(line, &query, code)]);
    }
    client.done("DELETE /fapi/v1/allOpenOrders", "symbol=BTCUSDT");
    assert_eq!(
        client.state("st").0,
        "NEW",
        "cancelling all of the one store leaves the other alone"
    );
    client.done("DELETE /fapi/v1/algoOpenOrders", "symbol=BTCUSDT");
    assert_eq!(
        client.code("DELETE /fapi/v1/algoOrder", &format!("algoId={id}")),
        -2011
    );
    let history = client.done("GET /fapi/v1/allAlgoOrders", "symbol=BTCUSDT");
    assert_eq!(history[0]["algoStatus"], "CANCELED");
    assert_eq!(
        client.done("GET /fapi/v1/allOrders", "symbol=BTCUSDT"),
        Value::Array(Vec::new())
    );
}

#[test]
fn or_15_an_account_has_two_hundred_conditional_orders_and_no_more() {
    let mut client = client();
    for index in 0..200 {
        algo(
            &mut client,
            &format!(
                "side=SELL&type=STOP_MARKET&quantity=0.1&triggerPrice={}",
                40_000 + index
            ),
        );
    }
    let one_more =
        "algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=0.1&triggerPrice=41000";
    assert_eq!(client.code(POST, one_more), -4045);
}

#[test]
fn or_19_what_is_triggering_cannot_be_cancelled_and_lives_on_in_its_child() {
    let mut client = walk(&["60000", "60000", "58000"], "trigger_ms = '500ms'");
    let id = algo(
        &mut client,
        "side=SELL&type=STOP_MARKET&triggerPrice=58000&closePosition=true&clientAlgoId=st",
    )["algoId"]
        .to_string();
    client.frames();
    client.wait(10_100);
    assert_eq!(client.state("st").0, "TRIGGERING");
    assert_eq!(
        client.code("DELETE /fapi/v1/algoOrder", &format!("algoId={id}")),
        -4117
    );
    client.done("DELETE /fapi/v1/algoOpenOrders", "symbol=BTCUSDT");
    assert_eq!(
        client.done("GET /fapi/v1/openAlgoOrders", "symbol=BTCUSDT")[0]["algoStatus"],
        "TRIGGERING"
    );
    client.wait(600);
    let parent = client.done("GET /fapi/v1/algoOrder", &format!("algoId={id}"));
    assert_eq!(parent["algoStatus"], "FINISHED");
    let child = client.done("GET /fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=st");
    assert_eq!(
        (&child["status"], &child["type"]),
        (&"FILLED".into(), &"MARKET".into())
    );
    assert_eq!(parent["actualOrderId"], child["orderId"].to_string());
    let told: Vec<String> = client
        .frames()
        .iter()
        .filter(|frame| frame["e"] == "ALGO_UPDATE")
        .map(|frame| frame["o"]["X"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, ["TRIGGERING", "FINISHED"]);
}

#[test]
fn a_trailing_order_wakes_follows_and_sells_when_the_price_comes_back() {
    let mut client = walk(&["60000", "60500", "62000", "61500", "61300", "61300"], "");
    client.frames();
    algo(
        &mut client,
        "side=SELL&type=TRAILING_STOP_MARKET&quantity=0.5&reduceOnly=true&callbackRate=1&activatePrice=61000&clientAlgoId=tr",
    );
    client.wait(6_000);
    let asleep = client.done("GET /fapi/v1/openAlgoOrders", "symbol=BTCUSDT");
    assert_eq!(
        (&asleep[0]["isActivated"], &asleep[0]["callbackRate"]),
        (&false.into(), &"1".into())
    );
    client.wait(9_000);
    let awake = client.done("GET /fapi/v1/openAlgoOrders", "symbol=BTCUSDT");
    assert_eq!(
        awake[0]["isActivated"], true,
        "passed 61000, and 61500 is not yet 1 % below 62000"
    );
    client.wait(6_000);
    assert_eq!(client.state("tr").0, "FINISHED");
    assert!(client.venue.report().positions.is_empty());
    let new: Vec<Value> = client
        .frames()
        .into_iter()
        .filter(|frame| frame["e"] == "ALGO_UPDATE" && frame["o"]["X"] == "NEW")
        .map(|frame| frame["o"]["ia"].clone())
        .collect();
    assert_eq!(new, [false, true], "told as new twice");
    // Without an activation price it follows from the start, and a buy follows downwards.
    let mut client = walk(&["60000", "58000", "58800"], "");
    algo(
        &mut client,
        "side=BUY&type=TRAILING_STOP_MARKET&quantity=0.1&callbackRate=1&clientAlgoId=tr",
    );
    client.wait(5_000);
    assert_eq!(client.state("tr").0, "NEW");
    client.wait(5_100);
    assert_eq!(client.state("tr").0, "FINISHED");
}

#[test]
fn an_order_bound_to_the_position_goes_with_it_and_others_stay() {
    let mut client = client();
    let stop = "side=SELL&type=STOP_MARKET&triggerPrice=50000&closePosition=true";
    algo(
        &mut client,
        &format!("{stop}&timeInForce=GTE_GTC&clientAlgoId=bound"),
    );
    algo(&mut client, &format!("{stop}&clientAlgoId=free"));
    client.order("side=SELL&type=MARKET&quantity=0.2&reduceOnly=true");
    assert_eq!(client.state("bound").0, "NEW");
    client.order("side=SELL&type=MARKET&quantity=0.3&reduceOnly=true");
    assert_eq!(client.state("bound"), ("EXPIRED".into(), 6));
    assert_eq!(
        client.state("free"),
        ("NEW".into(), 0),
        "it can hit a later position"
    );
}

#[test]
fn or_18_a_stop_that_triggers_after_flat_opens_unless_it_may_only_reduce() {
    for (flag, held) in [("", Some("-0.5")), ("&reduceOnly=true", None)] {
        let mut client = walk(&["60000", "60000", "58000", "58000"], "");
        algo(
            &mut client,
            &format!("side=SELL&type=STOP_MARKET&quantity=0.5&triggerPrice=59000&clientAlgoId=st{flag}"),
        );
        client.order("side=SELL&type=MARKET&quantity=0.5&reduceOnly=true");
        client.wait(11_000);
        let positions = client.venue.report().positions;
        assert_eq!(positions.get("BTCUSDT").map(ToString::to_string).as_deref(), held);
        assert_eq!(
            client.state("st").0,
            if held.is_some() { "FINISHED" } else { "REJECTED" }
        );
    }
}

#[test]
fn a_stop_limit_rests_with_its_own_price_and_time_in_force() {
    let mut client = walk(&["60000", "60000", "58900", "58900"], "");
    algo(
        &mut client,
        "side=SELL&type=STOP&quantity=0.5&triggerPrice=59000&price=59500&reduceOnly=true&timeInForce=GTX&clientAlgoId=sl",
    );
    client.wait(11_000);
    let child = client.done("GET /fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=sl");
    assert_eq!(
        [
            &child["status"],
            &child["type"],
            &child["timeInForce"],
            &child["price"]
        ],
        ["NEW", "LIMIT", "GTX", "59500"]
    );
}
