//! The process dies, and comes back.

use super::stage::{Exchange, Folder, guard_orders, kept_its_word, position};
use std::collections::BTreeSet;

/// A position that takes thirty market orders to close, and a fall that demands it.
const SLICED: &str = r#"
name = "sliced"
description = "A flatten in thirty slices."
duration = "60s"
[[symbol]]
name = "BTCUSDT"
market_max = "0.05"
path = [ { at = "0s", price = "60000" }, { at = "3s", price = "60000" }, { at = "4s", price = "58000" } ]
[account]
wallet = { USDT = "14000" }
[[account.position]]
symbol = "BTCUSDT"
quantity = "1.5"
entry_price = "60000"
leverage = 20
[[order]]
symbol = "BTCUSDT"
side = "SELL"
type = "STOP_MARKET"
price = "50000"
close_position = true
"#;

const FLATTEN: &str = r#"
version = 1
name = "flatten"
[[policy]]
id = "drawdown"
type = "drawdown"
latch = "manual"
ladder = [ { at = "20%", action = "flatten" } ]
"#;

fn filled(report: &serde_json::Value) -> f64 {
    guard_orders(report)
        .iter()
        .map(|order| order["executed"].as_str().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[test]
fn pr_01_pr_02_pr_24_d8_kill_9_in_the_middle_of_a_flatten_and_nothing_is_closed_twice() {
    let exchange = Exchange::serve(SLICED);
    let folder = Folder::for_exchange(&exchange, FLATTEN);
    // Killed after the first fills, and again a few fills later, during the recovery (PR-02).
    for fills in [2, 7, 12] {
        let guard = folder.guard(&["--live"]);
        exchange.wait("some fills", |report| guard_orders(report).len() >= fills);
        guard.kill();
    }
    let between = exchange.report();
    assert!(
        position(&between, "BTCUSDT") > 0.0,
        "the kill was in the middle: {between:#}"
    );
    let guard = folder.guard(&["--live"]);
    let report = exchange.wait("flat and swept", |report| {
        position(report, "BTCUSDT") == 0.0 && report["open_algo_orders"] == 0
    });
    folder.wait_for("flat and verified");
    kept_its_word(&report);
    assert!(
        (filled(&report) - 1.5).abs() < 1e-9,
        "exactly what was there: {}",
        filled(&report)
    );
    let ids: BTreeSet<&str> = guard_orders(&report)
        .iter()
        .map(|order| order["client_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), guard_orders(&report).len(), "no id was used twice");
    assert_eq!(
        report["errors"].get("-2022"),
        None,
        "nothing was sent for what was already closed"
    );
    assert_eq!(guard.terminate().0, Some(0));
}

#[test]
fn pr_10_a_latch_outlives_the_process_and_new_exposure_is_closed_by_the_next_one() {
    let scenario = SLICED.replace("market_max = \"0.05\"", "market_max = \"120\"")
        + "[[bot]]\nevery = \"1s\"\nfrom = \"9s\"\nwhen_flat = true\nplace = { symbol = \"BTCUSDT\", side = \"BUY\", type = \"MARKET\", quantity = \"0.01\" }\n";
    let exchange = Exchange::serve(&scenario);
    let folder = Folder::for_exchange(&exchange, FLATTEN);
    let guard = folder.guard(&["--live"]);
    exchange.wait("flat", |report| {
        position(report, "BTCUSDT") == 0.0 && guard_orders(report).len() == 1
    });
    guard.kill();
    // The bot opens again while nobody is there.
    exchange.wait("the bot's position", |report| position(report, "BTCUSDT") > 0.0);
    let _guard = folder.guard(&["--live"]);
    let report = exchange.wait("closed again", |report| {
        guard_orders(report).len() >= 2 && position(report, "BTCUSDT") == 0.0
    });
    kept_its_word(&report);
}

#[test]
fn pr_09_f10_a_lost_state_starts_latched_and_says_why() {
    let exchange = Exchange::serve("calm-day");
    let folder = Folder::for_exchange(&exchange, "");
    let guard = folder.guard(&["--live"]);
    folder.wait_for("starting -> armed");
    assert_eq!(guard.terminate().0, Some(0));
    std::fs::remove_file(folder.state().join("main.db")).unwrap();
    let guard = folder.guard(&["--live"]);
    folder.wait_for("starting -> latched");
    assert!(
        folder.log().contains("the kept state is lost"),
        "{}",
        folder.log()
    );
    assert_eq!(guard.terminate().0, Some(0));
}

#[test]
fn pr_24_sigterm_leaves_positions_alone_and_is_quick() {
    let exchange = Exchange::serve("calm-day");
    let folder = Folder::for_exchange(&exchange, "");
    let guard = folder.guard(&["--live"]);
    folder.wait_for("starting -> armed");
    let (code, took) = guard.terminate();
    assert_eq!(code, Some(0), "{}", folder.log());
    assert!(took.as_secs() < 5, "{took:?}");
    let report = exchange.report();
    assert_eq!(position(&report, "BTCUSDT"), 0.2);
    assert_eq!(guard_orders(&report).len(), 0);
    assert_eq!(
        report["requests"].get("DELETE /fapi/v1/listenKey"),
        None,
        "the key is never deleted"
    );
}

#[test]
fn or_13_an_ignored_flag_is_learned_from_the_answer_and_a_restart_does_not_forget_it() {
    let exchange = Exchange::serve(SLICED);
    // The stream does not tell of orders: only the answer shows that the flag is not there.
    exchange.fault(r#"{"what":"ignore_reduce_only"}"#);
    exchange.fault(r#"{"what":{"drop":{"event":"ORDER_TRADE_UPDATE"}}}"#);
    let folder = Folder::for_exchange(&exchange, FLATTEN);
    let guard = folder.guard(&["--live"]);
    folder.wait_for("the leg is stopped until re-arm");
    let once = |when: &str| {
        std::thread::sleep(std::time::Duration::from_secs(2));
        let report = exchange.report();
        assert_eq!(guard_orders(&report).len(), 1, "{when}: {report:#}");
        assert_eq!(position(&report, "BTCUSDT"), 1.45, "{when}");
    };
    once("before");
    guard.kill();
    let _guard = folder.guard(&["--live"]);
    folder.wait_for("starting -> ");
    once("after a restart");
}
