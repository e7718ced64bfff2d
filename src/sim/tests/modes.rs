//! Position mode, asset mode, leverage, margin type, isolated margin, and the forms that hedge mode asks for.

use super::*;

const ISOLATED: &str = "[[account.position]]\nsymbol = 'BTCUSDT'\nquantity = '0.5'\nentry_price = '60000'\nisolated_wallet = '3000'\nleverage = 20\n";
const LEVERAGE: &str = "POST /fapi/v1/leverage";
const MARGIN: &str = "POST /fapi/v1/positionMargin";
const TYPE: &str = "POST /fapi/v1/marginType";
const DUAL: &str = "POST /fapi/v1/positionSide/dual";
const ASSETS: &str = "POST /fapi/v1/multiAssetsMargin";

#[test]
fn or_12_hedge_mode_asks_for_the_leg_and_forbids_the_flag() {
    let rows = [
        ("side=SELL&type=MARKET&quantity=0.1", -4061),
        ("side=SELL&type=MARKET&quantity=0.1&reduceOnly=true", -4061),
        (
            "side=SELL&type=MARKET&quantity=0.1&positionSide=LONG&reduceOnly=true",
            -1106,
        ),
        (
            "side=SELL&type=MARKET&quantity=0.1&positionSide=LONG&reduceOnly=false",
            -1106,
        ),
        ("side=SELL&type=MARKET&quantity=0.1&positionSide=LONG", 0),
        ("side=SELL&type=MARKET&quantity=0.501&positionSide=LONG", -2022),
        ("side=BUY&type=MARKET&quantity=0.1&positionSide=SHORT", -2022),
        // The closing side of a leg is exempt from the least value here; the venue's page leaves it open.
        ("side=SELL&type=MARKET&quantity=0.001&positionSide=LONG", 0),
        ("side=BUY&type=MARKET&quantity=0.001&positionSide=LONG", -4164),
    ];
    for (query, code) in rows {
        table(
            &client_with(HEDGE, ""),
            &[("POST /fapi/v1/order", &format!("symbol=BTCUSDT&{query}"), code)],
        );
    }
}

#[test]
fn a_setting_that_is_set_already_or_blocked_is_refused() {
    table(
        &client(),
        &[
            (DUAL, "", -1102),
            (DUAL, "dualSidePosition=yes", -1130),
            (DUAL, "dualSidePosition=false", -4059),
            (DUAL, "dualSidePosition=true", -4068),
            (TYPE, "symbol=BTCUSDT", -1102),
            (TYPE, "marginType=ISOLATED", -1102),
            (TYPE, "symbol=BTCUSDT&marginType=CROSS", -1130),
            (TYPE, "symbol=BTCUSDT&marginType=CROSSED", -4046),
            (TYPE, "symbol=BTCUSDT&marginType=ISOLATED", -4048),
            (MARGIN, "symbol=BTCUSDT&amount=10&type=1", -4049),
            (ASSETS, "", -1102),
            (ASSETS, "multiAssetsMargin=false", -4171),
            (ASSETS, "multiAssetsMargin=true", 0),
            (LEVERAGE, "symbol=BTCUSDT", -1102),
            (LEVERAGE, "symbol=BTCUSDT&leverage=2.5", -1100),
            (LEVERAGE, "symbol=BTCUSDT&leverage=0", -4028),
            (LEVERAGE, "symbol=BTCUSDT&leverage=126", -4028),
            (LEVERAGE, "symbol=NOPE&leverage=5", -1121),
            (LEVERAGE, "symbol=BTCUSDT&leverage=5", 0),
        ],
    );
    let mut flat = client_with("", "");
    flat.order("side=BUY&type=LIMIT&quantity=0.1&price=59000&timeInForce=GTC");
    table(
        &flat,
        &[
            (DUAL, "dualSidePosition=true", -4067),
            (TYPE, "symbol=BTCUSDT&marginType=ISOLATED", -4047),
            (ASSETS, "multiAssetsMargin=true", -4170),
        ],
    );
    table(
        &client_with("multi_assets = true\n", ""),
        &[
            (TYPE, "symbol=BTCUSDT&marginType=ISOLATED", -4168),
            (ASSETS, "multiAssetsMargin=true", -4171),
            (ASSETS, "multiAssetsMargin=false", 0),
        ],
    );
}

#[test]
fn an_isolated_position_has_margin_of_its_own() {
    let isolated = client_with(ISOLATED, "");
    table(
        &isolated,
        &[
            (MARGIN, "symbol=BTCUSDT&type=1", -1102),
            (MARGIN, "symbol=BTCUSDT&amount=10", -1102),
            (MARGIN, "symbol=BTCUSDT&amount=10&type=3", -1130),
            (MARGIN, "symbol=BTCUSDT&amount=0&type=1", -4055),
            (MARGIN, "symbol=BTCUSDT&amount=97001&type=1", -4050),
            (MARGIN, "symbol=BTCUSDT&amount=1501&type=2", -4051),
            (MARGIN, "symbol=BTCUSDT&amount=10&type=1&positionSide=LONG", -4061),
            (LEVERAGE, "symbol=BTCUSDT&leverage=19", -4161),
            (LEVERAGE, "symbol=BTCUSDT&leverage=21", 0),
            (ASSETS, "multiAssetsMargin=true", -4167),
            (TYPE, "symbol=BTCUSDT&marginType=ISOLATED", -4046),
        ],
    );
    let mut client = isolated.clone();
    client.frames();
    client.done(MARGIN, "symbol=BTCUSDT&amount=1000&type=1");
    let told = client.frames();
    let update = &told.last().unwrap()["a"];
    assert_eq!(
        [
            &update["m"],
            &update["P"][0]["iw"],
            &update["B"][0]["wb"],
            &update["B"][0]["cw"]
        ],
        ["MARGIN_TRANSFER", "4000", "100000", "96000"]
    );
    let mut flat = client_with("", "");
    flat.frames();
    flat.done(TYPE, "symbol=BTCUSDT&marginType=ISOLATED");
    assert_eq!(flat.frames().last().unwrap()["a"]["m"], "MARGIN_TYPE_CHANGE");
    assert_eq!(flat.code(MARGIN, "symbol=BTCUSDT&amount=10&type=1"), -4054);
    flat.order("side=BUY&type=MARKET&quantity=0.1");
    let shown = flat.done("GET /fapi/v3/positionRisk", "symbol=BTCUSDT");
    assert_eq!(
        shown[0]["isolatedWallet"], "300.03",
        "a twentieth of what was paid"
    );
}

#[test]
fn a_leverage_bounds_the_position() {
    let mut client = client();
    client.done(LEVERAGE, "symbol=BTCUSDT&leverage=125");
    let buy = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.4";
    assert_eq!(
        client.code("POST /fapi/v1/order", buy),
        -2027,
        "54000 is above the cap of 50000"
    );
    client.done(LEVERAGE, "symbol=BTCUSDT&leverage=62");
    assert_eq!(client.code("POST /fapi/v1/order", buy), 0);
    assert_eq!(client.code(LEVERAGE, "symbol=BTCUSDT&leverage=125"), -2027);
    let config = client.done("GET /fapi/v1/symbolConfig", "symbol=BTCUSDT");
    assert_eq!(config[0]["maxNotionalValue"], "250000");
}

#[test]
fn margin_is_that_of_the_asset_or_of_the_whole_account() {
    let world = |mode: &str, more: &str| {
        client_of(&format!(
            "name='t'\ndescription=''\nduration='1m'\n[[symbol]]\nname='BTCUSDT'\npath=[{{at='0s',price='60000'}}]\n[[symbol]]\nname='BTCUSDC'\npath=[{{at='0s',price='60000'}}]\n[account]\n{mode}\nwallet={{USDT='3000'}}\n{more}"
        ))
    };
    let buy =
        |symbol: &str, quantity: &str| format!("symbol={symbol}&side=BUY&type=MARKET&quantity={quantity}");
    let post = "POST /fapi/v1/order";
    for (mode, symbol, quantity, code) in [
        ("", "BTCUSDC", "0.01", -2019),
        ("multi_assets = true", "BTCUSDC", "0.01", 0),
        ("", "BTCUSDT", "0.99", 0),
        ("", "BTCUSDT", "1.01", -2019),
        ("multi_assets = true", "BTCUSDC", "1.01", -2019),
    ] {
        table(&world(mode, ""), &[(post, &buy(symbol, quantity), code)]);
    }
    // An isolated position has its margin already; only what is left is needed for another.
    let isolated = "[[account.position]]\nsymbol = 'BTCUSDT'\nquantity = '0.5'\nentry_price = '60000'\nisolated_wallet = '1500'\n";
    table(
        &world("", isolated),
        &[
            (post, &buy("BTCUSDT", "0.49"), 0),
            (post, &buy("BTCUSDT", "0.51"), -2019),
        ],
    );
}

#[test]
fn a_leg_with_an_order_and_no_position_has_a_row() {
    let mut client = client_with("", "");
    assert_eq!(
        client.done("GET /fapi/v3/positionRisk", ""),
        Value::Array(Vec::new())
    );
    client.order("side=BUY&type=LIMIT&quantity=0.1&price=59000&timeInForce=GTC");
    let rows = client.done("GET /fapi/v3/positionRisk", "symbol=BTCUSDT");
    assert_eq!(
        [&rows[0]["positionAmt"], &rows[0]["liquidationPrice"]],
        ["0", "0"]
    );
    assert_eq!(
        client.done("GET /fapi/v3/account", "")["positions"][0]["positionAmt"],
        "0"
    );
}

#[test]
fn or_11_a_human_changes_settings_as_far_as_the_venue_lets_him() {
    let more = "[[event]]\nat = '1s'\nkind = 'mode'\non = true\n[[event]]\nat = '2s'\nkind = 'leverage'\nsymbol = 'BTCUSDT'\nleverage = 5\n[[event]]\nat = '3s'\nkind = 'order'\nplace = { symbol = 'BTCUSDT', side = 'SELL', type = 'LIMIT', quantity = '0.1', price = '61000' }\n[[event]]\nat = '5s'\nkind = 'cancel'\nsymbol = 'BTCUSDT'\n";
    let mut client = client_with(LONG, more);
    client.frames();
    client.wait(4_000);
    assert!(!client.venue.ledger.hedge, "not while there is a position");
    let order = client.venue.orders.values().next().unwrap();
    assert_eq!((order.client_id.as_str(), order.who.as_str()), ("web_1", "human"));
    assert!(
        client
            .frames()
            .iter()
            .any(|frame| frame["e"] == "ACCOUNT_CONFIG_UPDATE" && frame["ac"]["l"] == 5)
    );
    client.wait(2_000);
    assert_eq!(client.state("web_1").0, "CANCELED");
    let mut flat = client_with("", more);
    flat.wait(1_100);
    assert!(flat.venue.ledger.hedge);
    assert_eq!(
        flat.code(
            "POST /fapi/v1/order",
            "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1"
        ),
        -4061
    );
}

#[test]
fn every_kind_of_event_has_the_effect_that_its_example_promises() {
    let mut client = client_of(include_str!("../../../fixtures/config/scenario.toml"));
    let mut shown = Vec::new();
    for second in 1..=23 {
        client.wait(if second == 1 { 1_050 } else { 1_000 });
        let venue = &client.venue;
        let btc = &venue.markets["BTCUSDT"];
        shown.push(match second {
            1 => venue.markets["ETHUSDC"].rules.status.clone(),
            2 => btc.rules.market_max.to_string(),
            3 => venue
                .orders
                .values()
                .map(|order| order.client_id.as_str())
                .collect(),
            4 => venue
                .ledger
                .positions
                .values()
                .map(|held| held.leverage.to_string())
                .collect(),
            5 => btc.price.normalize().to_string(),
            12 | 14 => btc.rules.status.clone(),
            15 => venue.report().positions["BTCUSDT"].to_string(),
            16 => venue.report().open_orders.to_string(),
            17 => format!("{} {}", btc.rules.status, venue.report().positions.len()),
            18 | 19 => venue
                .ledger
                .positions
                .values()
                .filter(|held| held.isolated.is_some())
                .count()
                .to_string(),
            20 => venue.ledger.multi_assets.to_string(),
            21 => venue.ledger.hedge.to_string(),
            22 => venue.markets["BTCUSDT_260327"].rules.status.clone(),
            _ => continue,
        });
    }
    assert_eq!(
        shown,
        [
            "TRADING",
            "0.05",
            "web_1",
            "10",
            "59400",
            "TRADING_HALT",
            "TRADING",
            "0.1",
            "0",
            "SETTLING 0",
            "1",
            "0",
            "true",
            "true",
            "CLOSE"
        ]
    );
    let (ten, _) = client.venue.limits.order_counts(client.now);
    assert!(
        ten > 100 && client.venue.limits.used() >= 1_000,
        "the neighbour was there"
    );
}

#[test]
fn contracts_on_stocks_want_a_signature_first() {
    let text = "name='t'\ndescription=''\nduration='1m'\n[[symbol]]\nname='TSLAUSDT'\ncontract_type='TRADIFI_PERPETUAL'\npath=[{at='0s',price='300'}]\n[account]\ntradfi_signed=false\nwallet={USDT='1000'}";
    let mut client = client_of(text);
    let buy = "symbol=TSLAUSDT&side=BUY&type=MARKET&quantity=1";
    assert_eq!(client.code("POST /fapi/v1/order", buy), -4411);
    client.done("POST /fapi/v1/stock/contract", "");
    assert_eq!(client.code("POST /fapi/v1/order", buy), 0);
}
