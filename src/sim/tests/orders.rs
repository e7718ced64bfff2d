//! New orders, cancels and batches.

use super::*;

const POST: &str = "POST /fapi/v1/order";

#[test]
fn an_order_that_is_not_well_formed_is_refused_by_the_parameter_that_is_wrong() {
    let rows = [
        ("side=BUY&type=MARKET&quantity=1", -1102),
        ("symbol=BTCUSDT&type=MARKET&quantity=1", -1102),
        ("symbol=BTCUSDT&side=BUY&quantity=1", -1102),
        ("symbol=BTCUSDT&side=BUY&type=MARKET", -1102),
        ("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=", -1102),
        (
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&timeInForce=GTC",
            -1102,
        ),
        ("symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=59000", -1102),
        (
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=59000&timeInForce=GTD",
            -1102,
        ),
        ("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1e3", -1100),
        ("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=-1", -1100),
        ("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1.", -1100),
        (
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=5%2C9&timeInForce=GTC",
            -1100,
        ),
        (
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=59000&timeInForce=GTD&goodTillDate=soon",
            -1100,
        ),
        ("symbol=BTCUSDT&side=BUY&side=BUY&type=MARKET&quantity=1", -1101),
        ("symbol=BTCUSDT&side=HOLD&type=MARKET&quantity=1", -1117),
        ("symbol=BTCUSDT&side=buy&type=MARKET&quantity=1", -1117),
        ("symbol=BTCUSDT&side=BUY&type=ICEBERG&quantity=1", -1116),
        ("symbol=BTCUSDT&side=BUY&type=LIQUIDATION&quantity=1", -1116),
        (
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=59000&timeInForce=DAY",
            -1115,
        ),
        (
            "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=59000&timeInForce=GTE_GTC",
            -1115,
        ),
        (
            "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&price=59000",
            -1106,
        ),
        (
            "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&timeInForce=GTC",
            -1106,
        ),
        (
            "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&newOrderRespType=FULL",
            -1136,
        ),
        (
            "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&positionSide=UP",
            -4060,
        ),
        (
            "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.1&positionSide=LONG",
            -4061,
        ),
        (
            "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.1&reduceOnly=maybe",
            -4062,
        ),
        (
            "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.1&newClientOrderId=a%20b",
            -4015,
        ),
        (
            "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.1&newClientOrderId=1234567890123456789012345678901234567",
            -4015,
        ),
        ("symbol=BTCUSDT&side=SELL&type=MARKET&closePosition=true", -4136),
        (
            "symbol=BTCUSDT&side=SELL&type=STOP_MARKET&stopPrice=50000&closePosition=true",
            -4120,
        ),
        (
            "symbol=BTCUSDT&side=SELL&type=TRAILING_STOP_MARKET&callbackRate=1&quantity=1",
            -4120,
        ),
        (
            "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=1&selfTradePreventionMode=SOMETIMES",
            -5039,
        ),
        ("symbol=btcusdt&side=BUY&type=MARKET&quantity=1", -1121),
        // No page and no report says that futures count unknown parameters.
        ("symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1&colour=red", 0),
    ];
    table(&client(), &rows.map(|(query, code)| (POST, query, code)));
}

#[test]
fn an_order_outside_a_filter_is_refused_by_the_filter() {
    let rows = [
        ("side=BUY&type=MARKET&quantity=0", -4003),
        ("side=BUY&type=MARKET&quantity=0.0001", -1111),
        ("side=BUY&type=MARKET&quantity=120.001", -4005),
        (
            "side=BUY&type=LIMIT&quantity=1000.001&price=59000&timeInForce=GTC",
            -4005,
        ),
        ("side=BUY&type=LIMIT&quantity=1&price=0&timeInForce=GTC", -4013),
        ("side=BUY&type=LIMIT&quantity=1&price=0.01&timeInForce=GTC", -4013),
        (
            "side=BUY&type=LIMIT&quantity=1&price=59000.055&timeInForce=GTC",
            -1111,
        ),
        (
            "side=BUY&type=LIMIT&quantity=1&price=59000.05&timeInForce=GTC",
            -4014,
        ),
        (
            "side=SELL&type=LIMIT&quantity=1&price=10000000.1&timeInForce=GTC",
            -4002,
        ),
        // The band has one side: far below for a buy and far above for a sell is allowed.
        (
            "side=BUY&type=LIMIT&quantity=1&price=63000.1&timeInForce=GTC",
            -4016,
        ),
        ("side=BUY&type=LIMIT&quantity=0.1&price=63000&timeInForce=GTC", 0),
        ("side=BUY&type=LIMIT&quantity=1&price=1000&timeInForce=GTC", 0),
        (
            "side=SELL&type=LIMIT&quantity=1&price=56999.9&timeInForce=GTC",
            -4024,
        ),
        ("side=SELL&type=LIMIT&quantity=0.1&price=57000&timeInForce=GTC", 0),
        ("side=SELL&type=LIMIT&quantity=0.1&price=90000&timeInForce=GTC", 0),
        ("side=BUY&type=MARKET&quantity=0.001", -4164),
        (
            "side=BUY&type=LIMIT&quantity=0.001&price=59000&timeInForce=GTC",
            -4164,
        ),
        ("side=SELL&type=MARKET&quantity=0.001&reduceOnly=true", 0),
        ("side=BUY&type=MARKET&quantity=100", -2019),
        ("side=BUY&type=MARKET&quantity=0.1&reduceOnly=true", -2022),
        (
            "side=BUY&type=LIMIT&quantity=0.1&price=60006&timeInForce=GTX",
            -5022,
        ),
        (
            "side=BUY&type=LIMIT&quantity=0.1&price=60006&timeInForce=RPI",
            -5022,
        ),
        (
            "side=BUY&type=LIMIT&quantity=0.1&price=60005.9&timeInForce=GTX",
            0,
        ),
        (
            "side=BUY&type=LIMIT&quantity=121&price=60006&timeInForce=FOK",
            -5021,
        ),
        ("side=BUY&type=LIMIT&quantity=1&price=60006&timeInForce=FOK", 0),
        (
            "side=BUY&type=LIMIT&quantity=0.1&timeInForce=GTC&priceMatch=OPPONENT",
            0,
        ),
        (
            "side=BUY&type=LIMIT&quantity=0.1&timeInForce=GTC&priceMatch=OPPONENT_10",
            -5037,
        ),
        (
            "side=BUY&type=LIMIT&quantity=0.1&timeInForce=GTC&priceMatch=QUEUE&price=59000",
            -1106,
        ),
        ("side=BUY&type=MARKET&quantity=0.1&priceMatch=QUEUE", -5038),
        (
            "side=BUY&type=LIMIT&quantity=0.1&price=59000&timeInForce=GTD&goodTillDate=1795000300000",
            -5040,
        ),
        (
            "side=BUY&type=LIMIT&quantity=0.1&price=59000&timeInForce=GTD&goodTillDate=1795009999999",
            0,
        ),
    ];
    for (query, code) in rows {
        table(&client(), &[(POST, &format!("symbol=BTCUSDT&{query}"), code)]);
    }
}

#[test]
fn a_trial_is_refused_like_an_order_and_leaves_nothing_behind() {
    let mut client = client();
    let trial = "POST /fapi/v1/order/test";
    assert_eq!(
        client.code(trial, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.0001"),
        -1111
    );
    assert_eq!(
        client.code(trial, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1"),
        0
    );
    assert!(client.venue.orders.is_empty());
}

#[test]
fn or_22_a_market_order_needs_a_price_within_the_bound() {
    let far = |key: &str| {
        client_of(&format!(
            "name='t'\ndescription=''\nduration='1m'\n[[symbol]]\nname='BTCUSDT'\n{key}\npath=[{{at='0s',price='60000'}}]\n[account]\nwallet={{USDT='100000'}}\n{LONG}"
        ))
    };
    for (key, code) in [
        ("spread_bps=500", 0),
        ("spread_bps=501", -4131),
        ("levels=0", -4131),
    ] {
        let query = "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.1&reduceOnly=true";
        table(&far(key), &[(POST, query, code)]);
    }
    let shallow = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=0.1&timeInForce=GTC&priceMatch=QUEUE_5";
    table(&far("levels=3"), &[(POST, shallow, -5041)]);
    // What the bound leaves unfilled expires with reason 9.
    let mut thin = far("depth='0.1'\nlevels=3\nlevel_bps=300");
    let body = thin.order("side=SELL&type=MARKET&quantity=0.5&reduceOnly=true&newClientOrderId=m");
    assert_eq!(
        (&body["status"], &body["executedQty"]),
        (&"EXPIRED".into(), &"0.2".into())
    );
    assert_eq!(thin.state("m"), ("EXPIRED".into(), 9));
}

#[test]
fn or_24_the_takers_mode_decides_who_goes_when_an_account_meets_itself() {
    for (mode, maker, taker) in [
        ("", ("EXPIRED_IN_MATCH", 1), ("FILLED", 0)),
        ("EXPIRE_MAKER", ("EXPIRED_IN_MATCH", 1), ("FILLED", 0)),
        ("EXPIRE_TAKER", ("NEW", 0), ("EXPIRED_IN_MATCH", 3)),
        ("EXPIRE_BOTH", ("EXPIRED_IN_MATCH", 1), ("EXPIRED_IN_MATCH", 3)),
        ("NONE", ("FILLED", 0), ("FILLED", 0)),
    ] {
        let mut client = client();
        client.order("side=SELL&type=LIMIT&quantity=0.1&price=60003&timeInForce=GTC&newClientOrderId=maker");
        client.order(&format!(
            "side=BUY&type=LIMIT&quantity=0.1&price=60006&timeInForce=IOC&newClientOrderId=taker&selfTradePreventionMode={mode}"
        ));
        let state = |(status, expiry): (&str, u8)| (status.to_owned(), expiry);
        assert_eq!(client.state("maker"), state(maker), "{mode}");
        assert_eq!(client.state("taker"), state(taker), "{mode}");
    }
}

#[test]
fn or_24_a_reduction_can_meet_only_the_accounts_own_order() {
    let mut client = client();
    client.order("side=BUY&type=LIMIT&quantity=0.1&price=59997&timeInForce=GTC&newClientOrderId=bid");
    let body = client.order(
        "side=SELL&type=LIMIT&quantity=0.1&price=59996&timeInForce=IOC&reduceOnly=true&newClientOrderId=bs-1&selfTradePreventionMode=EXPIRE_MAKER",
    );
    assert_eq!(
        (&body["status"], &body["executedQty"]),
        (&"EXPIRED".into(), &"0".into())
    );
    assert_eq!(client.state("bid"), ("EXPIRED_IN_MATCH".into(), 1));
    assert_eq!(client.state("bs-1"), ("EXPIRED".into(), 2));
}

#[test]
fn names_are_unique_among_open_orders_of_both_stores() {
    let mut client = client();
    let resting =
        "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=0.1&price=59000&timeInForce=GTC&newClientOrderId=a";
    let stop = "algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=0.1&triggerPrice=50000&clientAlgoId=a";
    assert_eq!(client.code(POST, resting), 0);
    assert_eq!(client.code(POST, resting), -4116);
    assert_eq!(client.code("POST /fapi/v1/algoOrder", stop), -4116);
    assert_eq!(
        client.code("DELETE /fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=a"),
        0
    );
    assert_eq!(
        client.code("DELETE /fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=a"),
        -2011
    );
    assert_eq!(client.code("POST /fapi/v1/algoOrder", stop), 0);
    // An order that filled at once has given its name back: a name does not make a market order safe to repeat.
    let market = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1&newClientOrderId=m";
    assert_eq!((client.code(POST, market), client.code(POST, market)), (0, 0));
}

#[test]
fn a_symbol_has_two_hundred_open_orders_and_no_more() {
    let mut client = client();
    for index in 0..200 {
        client.order(&format!(
            "side=BUY&type=LIMIT&quantity=0.01&price={}&timeInForce=GTC",
            30_000 + index
        ));
    }
    let one_more = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=0.01&price=31000&timeInForce=GTC";
    assert_eq!(client.code(POST, one_more), -2025);
    assert_eq!(
        client.code(POST, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01"),
        0
    );
}

#[test]
fn or_14_e7_a_resting_reduction_fills_what_is_there_and_ends() {
    let mut client = client_of(&format!(
        "name='t'\ndescription=''\nduration='1m'\n[[symbol]]\nname='BTCUSDT'\npath=[{{at='0s',price='60000'}},{{at='10s',price='60000'}},{{at='11s',price='61100'}}]\n[account]\nwallet={{USDT='100000'}}\n{LONG}"
    ));
    client.order(
        "side=SELL&type=LIMIT&quantity=0.5&price=61000&timeInForce=GTC&reduceOnly=true&newClientOrderId=tp",
    );
    client.order("side=SELL&type=MARKET&quantity=0.3");
    let shown = client.done("GET /fapi/v1/openOrders", "symbol=BTCUSDT");
    assert_eq!(shown[0]["origQty"], "0.2", "the venue shrinks it: {shown}");
    client.wait(12_000);
    assert_eq!(client.state("tp"), ("FILLED".into(), 0));
    assert!(client.venue.report().positions.is_empty());
    // With another reduction gone before it, the rest is cancelled with reason 4.
    let mut client = super::client();
    client.order(
        "side=SELL&type=LIMIT&quantity=0.5&price=61000&timeInForce=GTC&reduceOnly=true&newClientOrderId=tp",
    );
    client.order("side=SELL&type=MARKET&quantity=0.5");
    assert_eq!(client.state("tp"), ("EXPIRED".into(), 4));
}

#[test]
fn or_14_of_two_resting_reductions_the_later_one_goes_first() {
    let mut client = client();
    for (name, price) in [("near", 61_000), ("far", 62_000)] {
        client.order(&format!(
            "side=SELL&type=LIMIT&quantity=0.25&price={price}&timeInForce=GTC&reduceOnly=true&newClientOrderId={name}"
        ));
    }
    client.order("side=SELL&type=MARKET&quantity=0.3");
    assert_eq!(client.state("far"), ("EXPIRED".into(), 4));
    let left = client.done("GET /fapi/v1/openOrders", "symbol=BTCUSDT");
    assert_eq!(
        [&left[0]["clientOrderId"], &left[0]["origQty"]],
        ["near", "0.2"],
        "{left}"
    );
}

#[test]
fn an_order_with_an_end_ends_at_its_second() {
    let mut client = client();
    let end = client.now + 700_000;
    client.order(&format!(
        "side=BUY&type=LIMIT&quantity=0.1&price=59000&timeInForce=GTD&goodTillDate={}&newClientOrderId=gtd",
        end + 999
    ));
    client.wait(699_900);
    assert_eq!(client.state("gtd").0, "NEW");
    client.wait(100);
    assert_eq!(client.state("gtd").0, "EXPIRED");
}

#[test]
fn a_batch_is_a_success_whose_elements_fail_one_by_one() {
    let mut client = client();
    let batch = |rows: &str| {
        let list: String = url::form_urlencoded::byte_serialize(rows.as_bytes()).collect();
        format!("batchOrders={list}")
    };
    let good = r#"{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":"0.1","price":"59000","timeInForce":"GTC","newClientOrderId":"b1"}"#;
    let bad = r#"{"symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":"0.0001"}"#;
    let stop =
        r#"{"symbol":"BTCUSDT","side":"SELL","type":"STOP_MARKET","quantity":"0.1","stopPrice":"50000"}"#;
    let body = client.done(
        "POST /fapi/v1/batchOrders",
        &batch(&format!("[{bad},{good},{stop}]")),
    );
    assert_eq!(
        (&body[0]["code"], &body[1]["clientOrderId"], &body[2]["code"]),
        (&(-1111).into(), &"b1".into(), &(-4120).into()),
        "{body}"
    );
    let six = format!("[{}]", [bad; 6].join(","));
    for (line, rows, code) in [
        ("POST /fapi/v1/batchOrders", "[]", -4082),
        ("POST /fapi/v1/batchOrders", six.as_str(), -4082),
        ("PUT /fapi/v1/batchOrders", six.as_str(), -4082),
        ("POST /fapi/v1/batchOrders", "[1]", -1102),
        ("POST /fapi/v1/batchOrders", "nonsense", -1102),
    ] {
        assert_eq!(client.code(line, &batch(rows)), code, "{line} {rows}");
    }
    assert_eq!(client.code("POST /fapi/v1/batchOrders", ""), -1102);

    let change = r#"[{"symbol":"BTCUSDT","side":"BUY","origClientOrderId":"b1","quantity":"0.2","price":"58000"},{"symbol":"BTCUSDT","side":"BUY","origClientOrderId":"no","quantity":"0.2","price":"58000"}]"#;
    let body = client.done("PUT /fapi/v1/batchOrders", &batch(change));
    assert_eq!(
        (&body[0]["origQty"], &body[1]["code"]),
        (&"0.2".into(), &(-2013).into()),
        "{body}"
    );

    let delete = "DELETE /fapi/v1/batchOrders";
    let body = client.done(
        delete,
        "symbol=BTCUSDT&origClientOrderIdList=%5B%22no%22%2C%22b1%22%5D",
    );
    assert_eq!(
        (&body[0]["code"], &body[1]["status"]),
        (&(-2011).into(), &"CANCELED".into()),
        "{body}"
    );
    for (query, code) in [
        ("orderIdList=%5B1%5D", -1102),
        ("symbol=BTCUSDT", -1102),
        ("symbol=BTCUSDT&orderIdList=1", -1102),
        ("symbol=BTCUSDT&orderIdList=%5B%5D", -1130),
        (
            "symbol=BTCUSDT&orderIdList=%5B1%2C2%2C3%2C4%2C5%2C6%2C7%2C8%2C9%2C10%2C11%5D",
            -1130,
        ),
    ] {
        assert_eq!(client.code(delete, query), code, "{query}");
    }
}

#[test]
fn or_28_a_contract_that_does_not_trade_takes_cancels_only() {
    let mut client = client_with(
        LONG,
        "[[event]]\nat = '1s'\nkind = 'halt'\nsymbol = 'BTCUSDT'\n[[event]]\nat = '5s'\nkind = 'resume'\nsymbol = 'BTCUSDT'\n[[event]]\nat = '8s'\nkind = 'delist'\nsymbol = 'BTCUSDT'",
    );
    let (buy, sell) = (
        "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1",
        "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.1&reduceOnly=true",
    );
    client.order("side=BUY&type=LIMIT&quantity=0.1&price=59000&timeInForce=GTC&newClientOrderId=r");
    client.wait(1_100);
    assert_eq!((client.code(POST, buy), client.code(POST, sell)), (-4140, -4141));
    assert_eq!(
        client.code(
            "PUT /fapi/v1/order",
            "symbol=BTCUSDT&side=BUY&origClientOrderId=r&quantity=0.1&price=58000"
        ),
        -5024
    );
    assert_eq!(client.code("DELETE /fapi/v1/allOpenOrders", "symbol=BTCUSDT"), 0);
    let info = client.done("GET /fapi/v1/exchangeInfo", "");
    assert_eq!(info["symbols"][0]["status"], "TRADING_HALT");
    client.wait(4_000);
    assert_eq!((client.code(POST, buy), client.code(POST, sell)), (0, 0));
    client.order("side=BUY&type=LIMIT&quantity=0.1&price=59000&timeInForce=GTC&newClientOrderId=last");
    client.wait(4_000);
    assert_eq!(client.state("last"), ("EXPIRED".into(), 7));
    assert_eq!(client.code(POST, sell), -4141);
    assert!(client.venue.report().positions.is_empty(), "settled by the venue");
    let venue = client
        .venue
        .orders
        .values()
        .find(|order| order.who == "venue")
        .unwrap();
    assert!(
        venue.client_id.starts_with("settlement_autoclose-"),
        "{}",
        venue.client_id
    );
}
