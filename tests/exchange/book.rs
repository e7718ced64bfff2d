//! The book that the guard meets: a position larger than one order may be, nobody in it, the account itself in it.

use super::orders::{BOOK, filled, flattened, sliced};
use super::stage::{Armed, guard_orders, kept_its_word, position};
use rust_decimal::dec;
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn or_21_e13_thirty_seven_times_the_market_maximum_goes_in_slices_that_sum_exactly() {
    let scenario = sliced("0.0135")
        .replace("quantity = \"0.5\"", "quantity = \"0.4995\"")
        .replace(
            "name = \"BTCUSDT\"\nmarket_max",
            "name = \"BTCUSDT\"\nstep = \"0.0005\"\nmarket_max",
        );
    let stage = Armed::new(&scenario, "");
    stage.kill_by_file();
    let report = stage
        .exchange
        .wait("flat", |report| report["positions"] == json!({}));
    kept_its_word(&report);
    assert_eq!(
        filled(&report, "BTCUSDT"),
        dec!(0.4995),
        "exactly what was there: {report:#}"
    );
    let slices = guard_orders(&report)
        .iter()
        .filter(|order| order["symbol"] == "BTCUSDT")
        .count();
    assert_eq!(slices, 37);
    assert_eq!(report["errors"], json!({}), "no slice was refused");
}

#[test]
fn or_22_d10_an_empty_book_is_tried_with_patience_and_closed_when_it_fills() {
    let stage = Armed::new(BOOK, "");
    stage.exchange.fault(r#"{"until":"14s","what":"empty_book"}"#);
    std::thread::sleep(Duration::from_millis(300));
    stage.kill_by_file();
    let from = Instant::now();
    // Whoever comes first is served: an order of the guard waits at the mark price, and can only reduce.
    let mut waiting = None;
    while from.elapsed() < Duration::from_secs(12) {
        std::thread::sleep(Duration::from_millis(200));
        // Of one symbol: a list of all would use up the weight that the account and its guard share.
        let (_, open) = stage.exchange.bot("GET", "/fapi/v1/openOrders", "symbol=BTCUSDT");
        waiting = waiting.or(open[0].as_object().cloned());
    }
    let waiting = waiting.expect("an order that waits");
    let told = ["side", "timeInForce", "price", "reduceOnly", "origQty"].map(|key| waiting[key].clone());
    assert_eq!(
        told,
        [
            json!("SELL"),
            json!("GTC"),
            json!("60000"),
            json!(true),
            json!("0.5")
        ]
    );
    let report = stage.exchange.report();
    let tried = report["requests"]["POST /fapi/v1/order"].as_u64().unwrap();
    assert!((4..=24).contains(&tried), "{tried} tries for two legs in 12 s");
    assert_eq!(position(&report, "BTCUSDT"), 0.5);
    flattened(&stage);
}

#[test]
fn or_24_the_guards_order_meets_the_accounts_own_and_closes_all_the_same() {
    // The bot's bid stands where the guard will sell.
    let scenario = BOOK.to_owned()
        + "[[order]]\nsymbol = \"BTCUSDT\"\nside = \"BUY\"\ntype = \"LIMIT\"\nquantity = \"0.3\"\nprice = \"59990\"\n";
    flattened(&Armed::new(&scenario, ""));
}
