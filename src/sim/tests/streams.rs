//! What the market streams say, and how often.

use super::*;
use crate::sim::Target;

/// Frames of the market streams in a time: stream and text.
fn told(client: &mut Client, ms: i64) -> Vec<(String, Value)> {
    client.venue.drain();
    client.wait(ms);
    let frames = client.venue.drain().into_iter();
    frames
        .filter_map(|frame| match frame.target {
            Target::Market { stream } => Some((stream, serde_json::from_str(&frame.text).unwrap())),
            Target::Private { .. } | Target::Everybody(_) => None,
        })
        .collect()
}

const WORLD: &str = "name='t'\ndescription=''\nduration='2m'\n[[symbol]]\nname='BTCUSDT'\npath=[{at='0s',price='60000'}]\n[[symbol]]\nname='BTCUSDT_260327'\npath=[{at='0s',price='60100'}]\n[[symbol]]\nname='ETHUSDC'\npath=[{at='0s',price='3000'}]\n[[symbol]]\nname='TSLAUSDT'\ncontract_type='TRADIFI_PERPETUAL'\npath=[{at='0s',price='300'}]\n[[symbol]]\nname='NEWUSDT'\nstatus='PENDING_TRADING'\npath=[{at='0s',price='1'}]\n[[event]]\nat='2s'\nkind='list'\nsymbol='NEWUSDT'\n[[event]]\nat='3s'\nkind='rules'\nsymbol='BTCUSDT'\ntiers=[['50000','0.01']]\n[account]\nwallet={USDT='1000',ETH='1'}\n";

#[test]
fn marks_come_every_second_with_the_suffix_and_every_third_without() {
    let frames = told(&mut client_of(WORLD), 12_050);
    let count = |stream: &str| frames.iter().filter(|(name, _)| name == stream).count();
    assert_eq!(
        [
            count("btcusdt@markPrice@1s"),
            count("btcusdt@markPrice"),
            count("!markPrice@arr@1s"),
            count("!markPrice@arr"),
            count("ethusd@assetIndex"),
            count("!assetIndex@arr"),
        ],
        [12, 4, 24, 8, 12, 12],
        "arrays come in two messages: the usual contracts, and those on stocks"
    );
}

#[test]
fn no_array_is_the_whole_market_and_some_of_it_is_not_ours() {
    let frames = told(&mut client_of(WORLD), 150);
    let arrays: Vec<Vec<&str>> = frames
        .iter()
        .filter(|(name, _)| name == "!markPrice@arr@1s")
        .map(|(_, rows)| {
            rows.as_array()
                .unwrap()
                .iter()
                .map(|row| row["s"].as_str().unwrap())
                .collect()
        })
        .collect();
    assert_eq!(
        arrays,
        [
            vec!["BTCUSD_PERP", "BTCUSDT", "BTCUSDT_260327", "ETHUSDC", "NEWUSDT"],
            vec!["TSLAUSDT"]
        ]
    );
    let row = |symbol: &str| {
        let rows = frames.iter().filter_map(|(_, body)| body.as_array()).flatten();
        rows.clone().find(|row| row["s"] == symbol).unwrap().clone()
    };
    assert_eq!(
        (&row("BTCUSD_PERP")["st"], &row("BTCUSDT")["st"]),
        (&2.into(), &1.into())
    );
    let dated = row("BTCUSDT_260327");
    assert_eq!(
        (&dated["r"], &dated["T"]),
        (&"".into(), &0.into()),
        "a dated contract pays no funding"
    );
}

#[test]
fn dated_stock_and_dollar_contracts_say_what_they_are() {
    let mut client = client_of(WORLD);
    let info = client.done("GET /fapi/v1/exchangeInfo", "");
    let row = |symbol: &str| {
        let rows = info["symbols"].as_array().unwrap();
        rows.iter().find(|row| row["symbol"] == symbol).unwrap().clone()
    };
    let dated = row("BTCUSDT_260327");
    assert_eq!(
        [
            &dated["pair"],
            &dated["contractType"],
            &dated["baseAsset"],
            &dated["marginAsset"]
        ],
        ["BTCUSDT", "CURRENT_QUARTER", "BTC", "USDT"]
    );
    // 2026-03-27 08:00 UTC.
    assert_eq!(dated["deliveryDate"], 1_774_598_400_000_i64);
    assert_eq!(row("ETHUSDC")["marginAsset"], "USDC");
    assert_eq!(row("TSLAUSDT")["contractType"], "TRADIFI_PERPETUAL");
    assert_eq!(row("BTCUSDT")["deliveryDate"], 4_133_404_800_000_i64);
    assert_eq!(row("NEWUSDT")["status"], "PENDING_TRADING");
    let assets: Vec<&str> = info["assets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["asset"].as_str().unwrap())
        .collect();
    assert_eq!(assets, ["ETH", "USDC", "USDT"]);
    assert_eq!(
        client.code(
            "POST /fapi/v1/order",
            "symbol=NEWUSDT&side=BUY&type=MARKET&quantity=10"
        ),
        -4140
    );
}

#[test]
fn contract_info_tells_of_listings_and_of_new_tiers() {
    let frames = told(&mut client_of(WORLD), 4_000);
    let infos: Vec<&Value> = frames
        .iter()
        .filter(|(name, _)| name == "!contractInfo")
        .map(|(_, body)| body)
        .collect();
    assert_eq!(infos.len(), 2);
    assert_eq!([&infos[0]["s"], &infos[0]["cs"]], ["NEWUSDT", "TRADING"]);
    assert_eq!(
        (&infos[1]["s"], &infos[1]["bks"][0]["mmr"]),
        (&"BTCUSDT".into(), &serde_json::json!(0.01))
    );
}
