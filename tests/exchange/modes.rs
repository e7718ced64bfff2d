//! Live, dry and replayed: the same inputs give the same decisions, and only live sends.

use super::stage::{Exchange, Folder, guard_orders, kept_its_word, position};
use serde_json::Value;
use std::fs;

/// Falls once, far, and stays there.
const FALL: &str = r#"
name = "fall"
description = "One fall, within one step, so that every guard first sees the same of it."
duration = "60s"
[[symbol]]
name = "BTCUSDT"
path = [ { at = "0s", price = "60000" }, { at = "6s", price = "60000" }, { at = "6100ms", price = "57500" } ]
[account]
wallet = { USDT = "10000" }
[[account.position]]
symbol = "BTCUSDT"
quantity = "1"
entry_price = "60000"
leverage = 20
[[order]]
symbol = "BTCUSDT"
side = "BUY"
type = "LIMIT"
quantity = "0.01"
price = "50000"
"#;

fn decisions(folder: &Folder) -> Vec<Value> {
    let text = fs::read_to_string(folder.path().join("run.jsonl")).unwrap();
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| line["body"].get("decision").cloned())
        .collect()
}

/// What a decision says, without what differs between two runs: its time, and ids that come from it.
fn essence(decision: &Value) -> Value {
    let mut decision = decision.clone();
    decision["at"] = Value::Null;
    for order in decision["orders"].as_array_mut().unwrap() {
        order["client_order_id"] = Value::Null;
    }
    decision
}

#[test]
fn pr_16_dry_run_decides_as_live_does_and_sends_nothing() {
    let (live_exchange, dry_exchange) = (Exchange::serve(FALL), Exchange::serve(FALL));
    let live = Folder::for_exchange(&live_exchange, "");
    let dry = Folder::for_exchange(&dry_exchange, "");
    let record = |folder: &Folder| folder.path().join("run.jsonl").display().to_string();
    let (live_record, dry_record) = (record(&live), record(&dry));
    let live_guard = live.guard(&["--live", "--record", &live_record]);
    let dry_guard = dry.guard(&["--record", &dry_record]);
    live.wait_for("flat and verified");
    dry.wait_for("drawdown: flatten latched");
    assert_eq!(live_guard.terminate().0, Some(0));
    assert_eq!(dry_guard.terminate().0, Some(0));

    // At the venue: live closed, dry touched nothing.
    let report = live_exchange.report();
    kept_its_word(&report);
    assert_eq!(position(&report, "BTCUSDT"), 0.0);
    let report = dry_exchange.report();
    assert_eq!(position(&report, "BTCUSDT"), 1.0);
    assert_eq!(
        (guard_orders(&report).len(), &report["open_orders"]),
        (0, &1.into())
    );
    let changed: Vec<&String> = report["requests"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|line| !line.starts_with("GET "))
        .collect();
    assert_eq!(changed, ["POST /fapi/v1/listenKey"]);

    // Up to the first thing that live did and dry did not, both saw the same and decided the same.
    let (of_live, of_dry) = (decisions(&live), decisions(&dry));
    let acted = |decision: &&Value| {
        decision["orders"]
            .as_array()
            .is_some_and(|orders| !orders.is_empty())
    };
    let first = |all: &[Value]| all.iter().find(acted).map(essence).unwrap();
    assert_eq!(first(&of_live)["policy"], first(&of_dry)["policy"]);
    assert_eq!(first(&of_live)["rung"], first(&of_dry)["rung"]);
    assert_eq!(first(&of_live)["orders"], first(&of_dry)["orders"]);

    // Replayed, each gives its own decisions byte for byte: the replay compares them and says so by its exit code.
    for folder in [&live, &dry] {
        let replayed = super::stage::backstop()
            .args(["replay", "--policies"])
            .arg(folder.path().join("policies.toml"))
            .arg(folder.path().join("run.jsonl"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&replayed.stdout);
        assert_eq!(
            replayed.status.code(),
            Some(0),
            "{said}{}",
            String::from_utf8_lossy(&replayed.stderr)
        );
        assert!(
            said.contains("the same decisions as the run that was recorded"),
            "{said}"
        );
    }

    // The live run's inputs, replayed: dry decisions on live inputs are the live decisions.
    let json = super::stage::backstop()
        .args(["replay", "--json", "--policies"])
        .arg(live.path().join("policies.toml"))
        .arg(live.path().join("run.jsonl"))
        .output()
        .unwrap();
    let replayed: Vec<Value> = String::from_utf8(json.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(replayed, of_live);
}

#[test]
fn a_changed_decision_in_a_recording_is_found_and_named() {
    let exchange = Exchange::serve(FALL);
    let folder = Folder::for_exchange(&exchange, "");
    let record = folder.path().join("run.jsonl").display().to_string();
    let guard = folder.guard(&["--live", "--record", &record]);
    folder.wait_for("flat and verified");
    assert_eq!(guard.terminate().0, Some(0));
    let text = fs::read_to_string(&record).unwrap();
    let forged = text.replacen("\"quantity\":\"1\"", "\"quantity\":\"2\"", 1);
    assert_ne!(forged, text);
    fs::write(&record, forged).unwrap();
    let replayed = super::stage::backstop()
        .args(["replay", "--policies"])
        .arg(folder.path().join("policies.toml"))
        .arg(&record)
        .output()
        .unwrap();
    assert_eq!(replayed.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&replayed.stderr).contains("the replay differs"),
        "{replayed:?}"
    );
}

#[test]
fn a_recording_made_by_record_alone_can_be_replayed() {
    let exchange = Exchange::serve(FALL);
    let folder = Folder::for_exchange(&exchange, "");
    let tape = folder.path().join("tape.jsonl");
    let made = folder
        .verb("record")
        .args(["--for", "12", "-o"])
        .arg(&tape)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let text = fs::read_to_string(&tape).unwrap();
    assert!(
        !text.contains(&exchange.secret)
            && !text.contains(&exchange.key)
            && !text.contains("embedded-listen-key")
    );
    let replayed = super::stage::backstop()
        .args(["replay", "--json"])
        .arg(&tape)
        .output()
        .unwrap();
    assert_eq!(replayed.status.code(), Some(0), "{replayed:?}");
    let said = String::from_utf8(replayed.stdout).unwrap();
    assert!(
        said.contains("\"policy\":\"drawdown\"") && said.contains("\"kind\":\"reduce\""),
        "{said}"
    );
    assert_eq!(position(&exchange.report(), "BTCUSDT"), 1.0, "record only reads");
}
