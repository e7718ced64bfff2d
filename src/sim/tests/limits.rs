//! Weights, order counts, overload, and the neighbours who use the same pools.

use super::*;

const ORDER: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=0.1&price=1000&timeInForce=GTC";
const REDUCE: &str = "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.1&reduceOnly=true";

#[test]
fn every_request_weighs_what_the_page_says() {
    for (line, query, expected) in [
        ("GET /fapi/v1/time", "", 1),
        ("GET /fapi/v1/premiumIndex", "", 10),
        ("GET /fapi/v1/premiumIndex", "symbol=BTCUSDT", 1),
        ("GET /fapi/v1/assetIndex", "", 10),
        ("GET /fapi/v1/symbolAdlRisk", "", 1),
        ("GET /fapi/v1/tradingSchedule", "", 5),
        ("GET /fapi/v3/account", "", 5),
        ("GET /fapi/v1/positionSide/dual", "", 30),
        ("GET /fapi/v1/multiAssetsMargin", "", 30),
        ("GET /fapi/v1/adlQuantile", "", 5),
        ("GET /fapi/v1/apiTradingStatus", "", 10),
        ("GET /fapi/v1/apiTradingStatus", "symbol=BTCUSDT", 1),
        ("GET /fapi/v1/openOrders", "", 40),
        ("GET /fapi/v1/openAlgoOrders", "", 40),
        ("GET /fapi/v1/openAlgoOrders", "symbol=BTCUSDT", 1),
        ("GET /fapi/v1/allAlgoOrders", "symbol=BTCUSDT", 5),
        ("GET /fapi/v1/forceOrders", "", 50),
        ("GET /fapi/v1/forceOrders", "symbol=BTCUSDT", 20),
        ("GET /fapi/v1/income", "", 30),
        ("POST /fapi/v1/order", ORDER, 0),
        ("PUT /fapi/v1/order", ORDER, 0),
        ("POST /fapi/v1/batchOrders", "batchOrders=%5B%5D", 5),
        ("DELETE /fapi/v1/batchOrders", "symbol=BTCUSDT", 1),
        ("DELETE /fapi/v1/allOpenOrders", "symbol=BTCUSDT", 1),
        (
            "POST /fapi/v1/countdownCancelAll",
            "symbol=BTCUSDT&countdownTime=0",
            10,
        ),
        ("POST /fapi/v1/stock/contract", "", 50),
    ] {
        let mut client = client();
        client.ask(line, query);
        assert_eq!(client.venue.limits.used(), expected, "{line} {query}");
    }
}

#[test]
fn a_batch_counts_as_five_of_ten_seconds_and_one_of_a_minute() {
    let mut client = client();
    client.ask("POST /fapi/v1/batchOrders", "batchOrders=%5B%5D");
    assert_eq!(client.venue.limits.order_counts(client.now), (5, 1));
    client.ask("POST /fapi/v1/order", ORDER);
    client.ask("PUT /fapi/v1/order", ORDER);
    let stop =
        "algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=0.1&triggerPrice=50000";
    client.ask("POST /fapi/v1/algoOrder", stop);
    assert_eq!(client.venue.limits.order_counts(client.now), (8, 4));
}

#[test]
fn li_01_the_weight_of_a_minute_ends_in_429_and_its_neglect_in_418() {
    let mut client = client();
    let mut statuses = Vec::new();
    for _ in 0..100 {
        statuses.push(client.ask("GET /fapi/v1/openOrders", "").0);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 60);
    assert_eq!((statuses[60], statuses[99]), (429, 418));
    let (_, body) = client.ask("GET /fapi/v1/time", "");
    assert!(body["msg"].as_str().unwrap().contains("banned until"), "{body}");
    client.wait(60_000);
    assert_eq!(
        client.ask("GET /fapi/v1/time", "").0,
        418,
        "a ban outlives the minute"
    );
    client.wait(70_000);
    assert_eq!(client.ask("GET /fapi/v1/time", "").0, 200);
}

#[test]
fn li_02_a_neighbour_uses_up_the_weight_that_is_shared_and_leaves_no_ban() {
    let mut client = client_with(
        LONG,
        "[[load]]\nfrom = '0s'\nuntil = '10s'\nweight_per_second = 228\n",
    );
    client.wait(1_000);
    assert_eq!(client.venue.limits.used(), 228);
    client.wait(9_000);
    assert_eq!(client.venue.limits.used(), 2_280, "95 % of the minute");
    assert_eq!(client.ask("GET /fapi/v1/openOrders", "").0, 200);
    assert_eq!(client.ask("GET /fapi/v1/openOrders", "").0, 200);
    let mut greedy = client_with(
        LONG,
        "[[load]]\nfrom = '0s'\nuntil = '20s'\nweight_per_second = 500\n",
    );
    greedy.wait(15_000);
    // Orders weigh nothing, so an action goes through until the limit is not only reached but passed.
    assert_eq!(greedy.code("POST /fapi/v1/order", REDUCE), 0);
    assert_eq!(greedy.ask("GET /fapi/v1/time", "").0, 429);
    assert_eq!(greedy.code("POST /fapi/v1/order", REDUCE), -1003);
    greedy.wait(45_000);
    assert_eq!(greedy.ask("GET /fapi/v1/time", "").0, 200);
}

#[test]
fn li_03_a_neighbour_uses_up_the_order_counts_of_the_account() {
    let mut client = client_with(
        LONG,
        "[[load]]\nfrom = '0s'\nuntil = '5s'\norders_per_second = 100\n",
    );
    client.wait(5_000);
    assert_eq!(client.code("POST /fapi/v1/order", REDUCE), -1015);
    assert_eq!(
        client.code("DELETE /fapi/v1/allOpenOrders", "symbol=BTCUSDT"),
        0,
        "cancels are not counted"
    );
    client.wait(10_000);
    assert_eq!(client.code("POST /fapi/v1/order", REDUCE), 0);
}

#[test]
fn li_04_an_overloaded_venue_still_takes_what_only_reduces() {
    let more = "[[fault]]\nfrom = '1s'\nuntil = '5s'\nwhat = 'overload'\n";
    let mut one_way = client_with(LONG, more);
    one_way.order("side=BUY&type=LIMIT&quantity=0.1&price=59000&timeInForce=GTC&newClientOrderId=r");
    one_way.wait(2_000);
    let post = "POST /fapi/v1/order";
    table(
        &one_way,
        &[
            (post, ORDER, -1008),
            (post, "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.1", -1008),
            (post, REDUCE, 0),
            ("DELETE /fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=r", 0),
            (
                "POST /fapi/v1/algoOrder",
                "algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=STOP_MARKET&triggerPrice=50000&closePosition=true",
                0,
            ),
            (
                "POST /fapi/v1/algoOrder",
                "algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=STOP_MARKET&triggerPrice=50000&quantity=1",
                -1008,
            ),
        ],
    );
    assert_eq!(one_way.ask(post, ORDER).0, 503);
    let mut hedge = client_with(HEDGE, more);
    hedge.wait(2_000);
    table(
        &hedge,
        &[
            (
                post,
                "symbol=BTCUSDT&side=SELL&positionSide=LONG&type=MARKET&quantity=0.1",
                0,
            ),
            (
                post,
                "symbol=BTCUSDT&side=BUY&positionSide=LONG&type=MARKET&quantity=0.1",
                -1008,
            ),
        ],
    );
    one_way.wait(4_000);
    assert_eq!(one_way.code(post, ORDER), 0);
}

#[test]
fn or_21_filters_change_while_orders_are_on_their_way() {
    let more = "[[event]]\nat = '1s'\nkind = 'rules'\nsymbol = 'BTCUSDT'\nmarket_max = '0.2'\nstep = '0.01'\ntick = '1'\nmin_notional = '500'\nband = '0.01'\nmarket_bound = '0.00005'\n";
    let mut client = client_with(LONG, more);
    let post = "POST /fapi/v1/order";
    let limit = |side: &str, quantity: &str, price: &str| {
        format!("symbol=BTCUSDT&side={side}&type=LIMIT&quantity={quantity}&price={price}&timeInForce=GTC")
    };
    let rows = [
        (
            "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.3&reduceOnly=true".to_owned(),
            0,
            -4005,
        ),
        (
            "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.1&reduceOnly=true".to_owned(),
            0,
            -4131,
        ),
        (limit("BUY", "0.012", "59500"), 0, -1111),
        (limit("BUY", "0.1", "59500.5"), 0, -4014),
        (limit("BUY", "0.01", "40000"), 0, -4164),
        (limit("BUY", "0.1", "60700"), 0, -4016),
        (limit("SELL", "0.1", "59300"), 0, -4024),
    ];
    for (query, before, _) in &rows {
        table(&client, &[(post, query, *before)]);
    }
    client.wait(1_100);
    for (query, _, after) in &rows {
        table(&client, &[(post, query, *after)]);
    }
    let info = client.done("GET /fapi/v1/exchangeInfo", "");
    assert_eq!(info["symbols"][0]["filters"][2]["maxQty"], "0.2");
    assert_eq!(info["symbols"][0]["marketTakeBound"], "0.00005");
}

#[test]
fn histories_are_bounded() {
    let mut client = client();
    for index in 1..=5 {
        client.order(&format!(
            "side=SELL&type=MARKET&quantity=0.0{index}&reduceOnly=true"
        ));
        client.wait(1_000);
    }
    let (orders, trades) = ("GET /fapi/v1/allOrders", "GET /fapi/v1/userTrades");
    table(
        &client,
        &[
            (trades, "", -1102),
            (trades, "symbol=BTCUSDT&limit=1001", -1130),
            (trades, "symbol=BTCUSDT&limit=x", -1100),
            (trades, "symbol=BTCUSDT&fromId=1&startTime=1", -1128),
            (trades, "symbol=BTCUSDT&startTime=2&endTime=1", -1023),
            (trades, "symbol=BTCUSDT&startTime=1&endTime=604800002", -4165),
            (orders, "symbol=BTCUSDT&startTime=1&endTime=604800001", 0),
            ("GET /fapi/v1/forceOrders", "limit=101", -1130),
            ("GET /fapi/v1/forceOrders", "autoCloseType=BOTH", -1130),
        ],
    );
    // With only a limit, trades are the oldest and orders the newest.
    assert_eq!(client.done(trades, "symbol=BTCUSDT&limit=2")[1]["qty"], "0.02");
    assert_eq!(
        client.done(orders, "symbol=BTCUSDT&limit=2")[1]["origQty"],
        "0.05"
    );
}
