//! Accounts of every kind, and more than one at a time.

use super::stage::{Armed, Exchange, Folder, guard_orders, kept_its_word, position};
use std::collections::BTreeSet;

fn book(quantity: &str) -> String {
    format!(
        r#"
name = "book"
description = "A flat market."
duration = "10m"
[[symbol]]
name = "BTCUSDT"
market_max = "0.1"
path = [ {{ at = "0s", price = "60000" }} ]
[account]
wallet = {{ USDT = "100000" }}
[[account.position]]
symbol = "BTCUSDT"
quantity = "{quantity}"
entry_price = "60000"
"#
    )
}

#[test]
fn mo_17_two_accounts_with_the_same_contract_on_opposite_sides_never_mix() {
    let (long, short) = (Exchange::serve(&book("0.5")), Exchange::serve(&book("-0.3")));
    let folder = Folder::for_exchange(&long, "");
    let text = std::fs::read_to_string(folder.path().join("backstop.toml")).unwrap();
    let first = text.split_once("[account.main]").unwrap().1;
    let second = first
        .replace("[account.main.timing]", "[account.other.timing]")
        .replace(&long.rest_url, &short.rest_url)
        .replace(&long.stream_url, &short.stream_url);
    folder.write("backstop.toml", &format!("{text}\n[account.other]{second}"));
    let port = super::doors::free_port();
    folder.replace("listen = \"\"", &format!("listen = \"127.0.0.1:{port}\""));
    let _guard = folder.guard(&["--live"]);
    for exchange in [&long, &short] {
        exchange.wait("read", |report| {
            report["requests"]["GET /fapi/v3/account"].as_u64() >= Some(3)
        });
    }
    // Each is shown with what is its own.
    let shown = folder.verb("status").arg("--json").output().unwrap().stdout;
    let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    let held: Vec<(&str, &str)> = shown["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|account| {
            let amount = account["positions"][0]["amount"].as_str().unwrap();
            (account["label"].as_str().unwrap(), amount)
        })
        .collect();
    assert_eq!(held, [("main", "0.5"), ("other", "-0.3")]);
    // And each is closed by orders of its own.
    std::fs::write(folder.state().join("KILL"), "").unwrap();
    let mut ids = BTreeSet::new();
    for (exchange, side, held) in [(&long, "SELL", 0.5), (&short, "BUY", 0.3)] {
        let report = exchange.wait("flat", |report| position(report, "BTCUSDT") == 0.0);
        kept_its_word(&report);
        let filled: f64 = guard_orders(&report)
            .iter()
            .map(|order| {
                assert_eq!(order["side"], side);
                assert!(
                    ids.insert(order["client_id"].as_str().unwrap().to_owned()),
                    "an id of both accounts"
                );
                order["executed"].as_str().unwrap().parse::<f64>().unwrap()
            })
            .sum();
        assert!((filled - held).abs() < 1e-9, "{filled}");
    }
}

#[test]
fn f6_pr_15_an_empty_account_without_history_is_armed_and_nothing_trips() {
    let empty = book("0.5")
        .split("[[account.position]]")
        .next()
        .unwrap()
        .replace("100000", "0");
    let stage = Armed::new(&empty, "");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(stage.folder.state_word(), "armed");
    // And from its first position on it is guarded.
    let stage = Armed::new(&empty.replace("USDT = \"0\"", "USDT = \"1000\""), "");
    let (status, body) = stage.exchange.bot(
        "POST",
        "/fapi/v1/order",
        "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1",
    );
    assert_eq!(status, 200, "{body}");
    stage.kill_by_file();
    let report = stage.exchange.wait("flat", |report| {
        position(report, "BTCUSDT") == 0.0 && !guard_orders(report).is_empty()
    });
    kept_its_word(&report);
}

#[test]
fn e6_mo_18_leverage_that_changes_in_the_middle_changes_no_quantity() {
    let stage = Armed::new(&book("0.5"), "");
    stage
        .exchange
        .fault(r#"{"until":"5s","side":"rest","what":{"latency":{"ms":100}}}"#);
    stage.kill_by_file();
    stage
        .exchange
        .wait("some slices", |report| !guard_orders(report).is_empty());
    let (status, body) = stage
        .exchange
        .bot("POST", "/fapi/v1/leverage", "symbol=BTCUSDT&leverage=50");
    assert_eq!(status, 200, "{body}");
    let report = stage
        .exchange
        .wait("flat", |report| position(report, "BTCUSDT") == 0.0);
    kept_its_word(&report);
    let sizes: Vec<&str> = guard_orders(&report)
        .iter()
        .map(|order| order["executed"].as_str().unwrap())
        .collect();
    assert_eq!(sizes, ["0.1"; 5]);
}

#[test]
fn li_12_proxies_of_the_environment_are_not_used() {
    let exchange = Exchange::serve(&book("0.5"));
    let folder = Folder::for_exchange(&exchange, "");
    // Nobody listens there.
    let nowhere = "http://127.0.0.1:9";
    let _guard = folder.guard_with(
        &["--live"],
        &[
            ("HTTP_PROXY", nowhere),
            ("HTTPS_PROXY", nowhere),
            ("ALL_PROXY", nowhere),
            ("http_proxy", nowhere),
        ],
    );
    folder.wait_for("starting -> armed");
}

#[test]
fn mo_18_mo_15_or_21_or_28_what_venue_and_humans_do_is_followed() {
    let stage = Armed::new(&book("0.5"), "");
    // The market maximum shrinks, the venue takes a part by auto-deleveraging, and a human sells another.
    stage
        .exchange
        .event(r#"{"kind":"rules","symbol":"BTCUSDT","market_max":"0.05"}"#);
    stage
        .exchange
        .event(r#"{"kind":"adl","symbol":"BTCUSDT","fraction":"0.2"}"#);
    stage.exchange.event(
        r#"{"kind":"order","place":{"symbol":"BTCUSDT","side":"SELL","type":"MARKET","quantity":"0.05","reduce_only":true}}"#,
    );
    // Trading stops for a while when it is to be closed.
    stage.exchange.event(r#"{"kind":"halt","symbol":"BTCUSDT"}"#);
    stage.kill_by_file();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(position(&stage.exchange.report(), "BTCUSDT"), 0.35);
    stage.exchange.event(r#"{"kind":"resume","symbol":"BTCUSDT"}"#);
    let report = stage
        .exchange
        .wait("flat", |report| position(report, "BTCUSDT") == 0.0);
    kept_its_word(&report);
    let filled: f64 = guard_orders(&report)
        .iter()
        .map(|order| order["executed"].as_str().unwrap().parse::<f64>().unwrap())
        .sum();
    assert!((filled - 0.35).abs() < 1e-9, "{filled}");
    stage.folder.wait_for("flat and verified");
}

/// Cross, isolated, USDC, dated, on stocks, and with a name that is not ASCII; the account's own lines go where `MODE` is.
const SHAPES: &str = r#"
name = "shapes"
description = "Contracts of every kind."
duration = "10m"
[[symbol]]
name = "BTCUSDT"
path = [ { at = "0s", price = "60000" } ]
[[symbol]]
name = "ETHUSDT"
path = [ { at = "0s", price = "3000" } ]
[[symbol]]
name = "ETHUSDC"
path = [ { at = "0s", price = "3000" } ]
[[symbol]]
name = "BTCUSDT_260327"
path = [ { at = "0s", price = "60100" } ]
[[symbol]]
name = "TSLAUSDT"
contract_type = "TRADIFI_PERPETUAL"
path = [ { at = "0s", price = "300" } ]
[[symbol]]
name = "测试USDT"
path = [ { at = "0s", price = "0.5" } ]
[account]
MODE
wallet = { USDT = "20000", USDC = "5000", BTC = "0.1" }
buffer = { BTC = "0.05" }
[[account.position]]
symbol = "BTCUSDT"
quantity = "0.5"
entry_price = "60500"
[[account.position]]
symbol = "ETHUSDT"
quantity = "-4"
entry_price = "2950"
ISOLATED
[[account.position]]
symbol = "ETHUSDC"
quantity = "3"
entry_price = "3100"
[[account.position]]
symbol = "BTCUSDT_260327"
quantity = "-0.2"
entry_price = "60000"
[[account.position]]
symbol = "TSLAUSDT"
quantity = "12"
entry_price = "310"
[[account.position]]
symbol = "测试USDT"
quantity = "-4000"
entry_price = "0.45"
"#;

#[test]
fn pa_08_mo_11_accounts_of_every_shape_are_closed_whole_and_their_margin_is_the_venues() {
    for (mode, isolated, buckets) in [
        // Cross in two assets, and one isolated position.
        ("", "isolated_wallet = \"900\"", 3),
        // One pool, with collateral that counts for less than it is worth.
        ("multi_assets = true", "", 1),
    ] {
        let stage = Armed::new(&SHAPES.replace("MODE", mode).replace("ISOLATED", isolated), "");
        let output = stage.folder.verb("plan").arg("--json").output().unwrap();
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let margin = plan["margin"].as_array().unwrap();
        assert_eq!(margin.len(), buckets, "{plan:#}");
        for bucket in margin {
            assert_eq!(bucket["own"], bucket["venue"], "{plan:#}");
            assert!(bucket["own"]["ratio"].is_string(), "{plan:#}");
        }
        stage.kill_by_file();
        let report = stage
            .exchange
            .wait("flat", |report| report["positions"] == serde_json::json!({}));
        kept_its_word(&report);
        assert_eq!(guard_orders(&report).len(), 6, "one order a position: {report:#}");
        stage.folder.wait_for("flat and verified");
    }
}
