//! What comes of each scenario that is shipped, guarded live under the standard policies.

use super::stage::{Exchange, Folder, guard_orders, kept_its_word, position};
use serde_json::Value;

/// Guards a scenario until its end; gives the exchange's report, and the folder with what the guard said.
fn guarded(scenario: &str, until: i64) -> (Value, Folder) {
    let exchange = Exchange::serve(scenario);
    let folder = Folder::for_exchange(&exchange, "");
    let guard = folder.guard(&["--live"]);
    exchange.wait("the end of the script", |report| {
        report["elapsed_ms"].as_i64().unwrap() > until
    });
    let report = exchange.report();
    assert_eq!(guard.terminate().0, Some(0), "{}", folder.log());
    kept_its_word(&report);
    (report, folder)
}

#[test]
fn a_flash_crash_is_called_cut_and_closed_before_the_venue_liquidates() {
    let (report, folder) = guarded("flash-crash", 39_000);
    assert_eq!(report["liquidations"], 0, "{}", folder.log());
    assert!(report["margin_calls"].as_u64().unwrap() >= 1);
    let orders = guard_orders(&report);
    assert_eq!(orders.len(), 2, "one cut and one close: {orders:#?}");
    assert!(
        orders
            .iter()
            .all(|order| order["side"] == "SELL" && order["status"] == "FILLED")
    );
    let quantity = |order: &Value| order["executed"].as_str().unwrap().parse::<f64>().unwrap();
    assert!(
        quantity(orders[0]) < 0.6,
        "the cut is the least that reaches 45 %: {}",
        orders[0]
    );
    assert!((quantity(orders[0]) + quantity(orders[1]) - 1.5).abs() < 1e-9);
    assert_eq!(position(&report, "BTCUSDT"), 0.0);
    assert_eq!(
        (&report["open_orders"], &report["open_algo_orders"]),
        (&0.into(), &0.into()),
        "both stores are swept"
    );
    let equity: f64 = report["equity"].as_str().unwrap().parse().unwrap();
    assert!(equity > 7_600.0, "closed near 20 % under 9 700: {equity}");
}

#[test]
fn a_slow_bleed_is_stopped_at_the_drawdown_limit() {
    let (report, folder) = guarded("slow-bleed", 41_000);
    assert_eq!(position(&report, "ETHUSDT"), 0.0, "{}", folder.log());
    assert_eq!(report["liquidations"], 0);
    let equity: f64 = report["equity"].as_str().unwrap().parse().unwrap();
    assert!(
        (7_850.0..8_010.0).contains(&equity),
        "20 % under 10 000, less fees and one step: {equity}"
    );
}

#[test]
fn or_17_d3_a_refilling_bot_is_closed_again_and_again_while_latched() {
    let (report, folder) = guarded("refilling-bot", 41_000);
    assert_eq!(position(&report, "BTCUSDT"), 0.0, "{}", folder.log());
    assert_eq!(report["open_orders"], 0, "{}", folder.log());
    let closes = guard_orders(&report).len();
    assert!(closes >= 5, "the position and each reopening: {closes}");
    // What the bot opened lived no longer than detect and close: its fills are followed by ours.
    let orders = report["orders"].as_array().unwrap();
    let opened = orders
        .iter()
        .filter(|o| o["who"] == "bot" && o["kind"] == "MARKET" && o["status"] == "FILLED");
    for order in opened {
        let at = order["updated"].as_i64().unwrap();
        let closed = guard_orders(&report)
            .into_iter()
            .map(|o| o["updated"].as_i64().unwrap())
            .find(|c| *c >= at);
        let lived = closed.unwrap_or(i64::MAX) - at;
        assert!(lived < 2_000, "exposure lived {lived} ms");
    }
}

#[test]
fn or_12_a_hedge_book_is_cut_on_its_legs_with_sides_and_without_flags() {
    let (report, folder) = guarded("hedge-book", 37_000);
    assert_eq!(report["liquidations"], 0, "{}", folder.log());
    assert_eq!(position(&report, "BTCUSDT LONG"), 0.0, "{}", folder.log());
    assert_eq!(position(&report, "BTCUSDT SHORT"), 0.0, "{}", folder.log());
    for order in guard_orders(&report) {
        let side = if order["position_side"] == "LONG" {
            "SELL"
        } else {
            "BUY"
        };
        assert_eq!(order["side"], side, "{order}");
    }
    let sides: Vec<&str> = guard_orders(&report)
        .iter()
        .map(|order| order["position_side"].as_str().unwrap())
        .collect();
    assert!(sides.contains(&"LONG") && sides.contains(&"SHORT"), "{sides:?}");
}

#[test]
fn a_calm_day_with_transfers_and_funding_is_left_alone() {
    let (report, folder) = guarded("calm-day", 31_000);
    assert_eq!(guard_orders(&report).len(), 0, "{}", folder.log());
    assert_eq!(position(&report, "BTCUSDT"), 0.2);
    assert_eq!(position(&report, "测试USDT"), -2000.0);
    assert_eq!(report["open_algo_orders"], 1, "the owner's stop stays");
    let changed: Vec<&String> = report["requests"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|line| !line.starts_with("GET "))
        .collect();
    assert_eq!(changed, ["POST /fapi/v1/listenKey"], "nothing was even tried");
    assert!(!folder.log().contains("tripped"), "{}", folder.log());
}
