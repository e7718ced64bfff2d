//! Liquidation, the insurance fund, deleveraging and settlement.

use super::*;
use rust_decimal::{Decimal, dec};

/// A long of `quantity` from 60000 in a market that falls to `low` at once after five seconds; tiers of 50 and 100 thousand.
fn falling(wallet: &str, position: &str, low: &str, more: &str) -> Client {
    client_of(&format!(
        "name='t'\ndescription=''\nduration='2m'\n{more}\n[[symbol]]\nname='BTCUSDT'\ntiers=[['50000','0.02'],['100000','0.05'],['1000000','0.1']]\npath=[{{at='0s',price='60000'}},{{at='5s',price='60000'}},{{at='5001ms',price='{low}'}}]\n[account]\nwallet={{USDT='{wallet}'}}\n[[account.position]]\nsymbol='BTCUSDT'\n{position}"
    ))
}

fn held(client: &Client) -> Decimal {
    client
        .venue
        .report()
        .positions
        .get("BTCUSDT")
        .copied()
        .unwrap_or_default()
}

fn forced(client: &Client) -> Vec<String> {
    let venue = client.venue.orders.values().filter(|order| order.who == "venue");
    venue
        .map(|order| order.executed.normalize().to_string())
        .collect()
}

#[test]
fn or_27_a_cross_account_falls_tier_by_tier_and_refuses_orders_meanwhile() {
    // At 58000 two bitcoins need 5100 of maintenance; 9000 − 4000 = 5000 is less.
    let mut client = falling("9000", "quantity='2'\nentry_price='60000'", "58000", "");
    client.order(
        "side=SELL&type=LIMIT&quantity=0.5&price=62000&timeInForce=GTC&reduceOnly=true&newClientOrderId=tp",
    );
    client.frames();
    client.wait(5_100);
    assert_eq!(
        client.state("tp"),
        ("EXPIRED".into(), 5),
        "first all open orders go"
    );
    assert_eq!(
        forced(&client),
        ["0.276"],
        "one tier: what is above 100000 at 58000, rounded up to the step"
    );
    let reduce = "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.1&reduceOnly=true";
    assert_eq!(client.code("POST /fapi/v1/order", reduce), -2023);
    client.wait(1_000);
    let report = client.venue.report();
    assert_eq!(
        (report.liquidations, held(&client) > Decimal::ZERO),
        (1, true),
        "{}",
        report.summary()
    );
    assert_eq!(client.code("POST /fapi/v1/order", reduce), 0, "sound again");
    let liquidation = client
        .frames()
        .into_iter()
        .find(|frame| frame["o"]["o"] == "LIQUIDATION" && frame["o"]["x"] != "NEW");
    let liquidation = &liquidation.unwrap()["o"];
    assert!(liquidation["c"].as_str().unwrap().starts_with("autoclose-"));
    assert_eq!(
        [&liquidation["x"], &liquidation["X"], &liquidation["f"]],
        ["CALCULATED", "FILLED", "IOC"]
    );
    let rows = client.done(
        "GET /fapi/v1/forceOrders",
        "symbol=BTCUSDT&autoCloseType=LIQUIDATION",
    );
    assert_eq!(rows.as_array().unwrap().len(), forced(&client).len());
    assert_eq!(
        client.done("GET /fapi/v1/forceOrders", "autoCloseType=ADL"),
        Value::Array(Vec::new())
    );
    let income = client.done("GET /fapi/v1/income", "incomeType=INSURANCE_CLEAR");
    assert_eq!(
        income.as_array().unwrap().len(),
        forced(&client).len(),
        "a fee each: {income}"
    );
}

#[test]
fn what_has_no_equity_left_goes_to_the_insurance_fund_at_its_bankruptcy_price() {
    let mut client = falling("10000", "quantity='2'\nentry_price='60000'", "50000", "");
    client.wait(6_000);
    let report = client.venue.report();
    assert!(report.positions.is_empty());
    assert_eq!(report.wallets["USDT"], Decimal::ZERO, "nothing is owed");
    let order = client.venue.orders.values().next().unwrap();
    assert_eq!(
        order.average().normalize(),
        dec!(55000),
        "where 10000 on two bitcoins are gone"
    );
    let income = client.done("GET /fapi/v1/income", "incomeType=INSURANCE_CLEAR");
    assert!(!income.as_array().unwrap().is_empty());
}

#[test]
fn an_empty_book_leaves_the_position_to_the_insurance_fund() {
    let more = "[[fault]]\nfrom='1s'\nwhat='empty_book'\n";
    let mut client = falling("9000", "quantity='2'\nentry_price='60000'", "58000", more);
    client.wait(5_200);
    assert_eq!((held(&client), forced(&client).len()), (Decimal::ZERO, 1));
}

#[test]
fn an_isolated_position_falls_alone() {
    let mut client = falling(
        "10000",
        "quantity='0.5'\nentry_price='60000'\nisolated_wallet='1500'",
        "57500",
        "",
    );
    client.order("side=BUY&type=LIMIT&quantity=0.01&price=50000&timeInForce=GTC&newClientOrderId=own");
    client.wait(6_000);
    assert_eq!(held(&client), Decimal::ZERO);
    let wallet = client.venue.report().wallets["USDT"];
    assert!(
        wallet > dec!(8400) && wallet < dec!(8800),
        "the rest of the wallet is safe: {wallet}"
    );
    assert_eq!(client.state("own"), ("EXPIRED".into(), 5));
}

#[test]
fn deleveraging_and_settlement_close_what_nobody_ordered_to_close() {
    for (kind, fraction, prefix, left) in [
        ("adl", "fraction='0.4'\n", "adl_autoclose", "0.3"),
        ("settle", "", "settlement_autoclose-", "0"),
    ] {
        let more = format!("[[event]]\nat='1s'\nkind='{kind}'\nsymbol='BTCUSDT'\n{fraction}");
        let mut client = client_with(LONG, &more);
        client.frames();
        client.wait(1_200);
        assert_eq!(held(&client).to_string(), left, "{kind}");
        let frames = client.frames();
        let names: Vec<(&str, &str)> = frames
            .iter()
            .filter(|frame| frame["e"] == "ORDER_TRADE_UPDATE")
            .map(|frame| {
                (
                    frame["o"]["c"].as_str().unwrap(),
                    frame["o"]["X"].as_str().unwrap(),
                )
            })
            .collect();
        assert!(
            names.iter().all(|(name, _)| name.starts_with(prefix)),
            "{names:?}"
        );
        assert_eq!(
            names.iter().map(|(_, status)| *status).collect::<Vec<_>>(),
            ["NEW", "FILLED"]
        );
        assert!(client.venue.report().violations.is_empty());
    }
}

#[test]
fn collateral_counts_at_the_bid_and_debt_at_the_ask() {
    let client = |btc: &str, eth: &str| {
        client_of(&format!(
            "name='t'\ndescription=''\nduration='1m'\n[[symbol]]\nname='BTCUSDT'\npath=[{{at='0s',price='60000'}}]\n[[symbol]]\nname='BTCUSDC'\npath=[{{at='0s',price='60000'}}]\n[[symbol]]\nname='ETHUSDT'\npath=[{{at='0s',price='3000'}}]\n[account]\nmulti_assets=true\nwallet={{USDT='1000',BTC='{btc}',ETH='{eth}'}}\nbuffer={{ETH='0.2'}}\n[[account.position]]\nsymbol='BTCUSDC'\nquantity='0.1'\nentry_price='60000'\n"
        ))
    };
    for (btc, eth, balance) in [
        ("0", "0", "1000"),
        ("0.1", "0", "6400"),
        ("-0.1", "1", "-3200"),
        ("0.1", "-1", "2800"),
    ] {
        let mut client = client(btc, eth);
        let account = client.done("GET /fapi/v3/account", "");
        assert_eq!(account["totalMarginBalance"], balance, "{btc} {eth}");
        // A position in a second margin asset needs margin of the same pool.
        assert_eq!(account["totalMaintMargin"], "24");
    }
    let index = client("0", "0").done("GET /fapi/v1/assetIndex", "symbol=ETHUSD");
    assert_eq!([&index["bidRate"], &index["askRate"]], ["2400", "3600"]);
    assert_eq!(
        client("0", "0").code("GET /fapi/v1/assetIndex", "symbol=NOUSD"),
        -1121
    );
}
