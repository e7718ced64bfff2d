//! `plan`: what it says is what the exchange says and what the guard would do, and it leaves no trace.

use super::stage::{Exchange, Folder, guard_orders, position};
use backstop::journal::peek::peek;
use backstop::journal::store::Loaded;
use serde_json::{Value, json};

/// A long with half a stop and a short with none, near its limits; nothing moves.
const STILL: &str = r#"
name = "still"
description = "Nothing moves."
duration = "120s"
[[symbol]]
name = "BTCUSDT"
path = [ { at = "0s", price = "59000" } ]
[[symbol]]
name = "测试USDT"
path = [ { at = "0s", price = "0.5" } ]
[account]
wallet = { USDT = "10000" }
[[account.position]]
symbol = "BTCUSDT"
quantity = "1"
entry_price = "60000"
leverage = 20
[[account.position]]
symbol = "测试USDT"
quantity = "-2000"
entry_price = "0.5"
leverage = 10
[[order]]
symbol = "BTCUSDT"
side = "SELL"
type = "STOP_MARKET"
quantity = "0.5"
price = "55000"
reduce_only = true
[[order]]
symbol = "BTCUSDT"
side = "BUY"
type = "LIMIT"
quantity = "0.01"
price = "50000"
"#;

const POLICIES: &str = r#"
version = 1
name = "near"
[[policy]]
id = "size"
type = "max_position"
ladder = [ { at = "50000", action = "reduce", to = "30000" }, { at = "100000", action = "flatten" } ]
[[policy]]
id = "drawdown"
type = "drawdown"
ladder = [ { at = "20%", action = "flatten", latch = "manual" } ]
"#;

/// Runs it; gives the exit code and what it printed.
fn plan(folder: &Folder, arguments: &[&str]) -> (i32, String) {
    let output = folder.verb("plan").args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

fn json_of(folder: &Folder) -> Value {
    let (code, text) = plan(folder, &["--json"]);
    assert_eq!(code, 0, "{text}");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Waits until the state that is kept says this: the disk is slower than the story.
fn wait_until_kept(folder: &Folder, text: &str) {
    for _ in 0..1_000 {
        let kept = peek(&folder.state(), "main");
        if matches!(&kept, Ok(Loaded::State(state)) if state.contains(text)) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{text} is not kept: {:?}", peek(&folder.state(), "main"));
}

/// Everything in the state folder, by name; none before there is one.
fn state(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.state()).into_iter().flatten();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn its_numbers_are_the_exchanges_and_it_only_reads() {
    let exchange = Exchange::serve(STILL);
    let folder = Folder::for_exchange(&exchange, POLICIES);
    let seen = json_of(&folder);
    let report = exchange.report();

    assert_eq!(seen["equity"], report["equity"], "{seen:#}");
    assert_eq!(
        (
            &seen["account"],
            &seen["position_mode"],
            &seen["multi_assets"],
            &seen["environment"]
        ),
        (
            &json!("main"),
            &json!("one_way"),
            &json!(false),
            &json!("embedded exchange")
        )
    );
    assert_eq!(
        seen["margin"][0]["own"], seen["margin"][0]["venue"],
        "both count the same"
    );
    let [long, short] = &seen["positions"].as_array().unwrap()[..] else {
        panic!("{seen:#}");
    };
    for (shown, symbol) in [(long, "BTCUSDT"), (short, "测试USDT")] {
        assert_eq!(shown["symbol"], symbol);
        assert_eq!(shown["amount"].as_str(), report["positions"][symbol].as_str());
    }
    assert_eq!(
        (&long["notional"], &long["unrealised"], &long["coverage"]),
        (&json!("59000"), &json!("-1000"), &json!("0.5"))
    );
    assert_eq!((&short["coverage"], &short["stops"]), (&json!("0"), &json!([])));
    assert!(long["liquidation"].is_string(), "{long}");
    assert_eq!(long["stops"][0]["store"], "conditional");

    // 59 590 with the order to come is past 50 000: down to 30 000 is 0.508 of 59 000, and 0.492 of it goes.
    let size = &seen["policies"][0];
    assert_eq!(
        (&size["policy"], &size["scope"], &size["value"]),
        (&json!("size"), &json!("BTCUSDT"), &json!("59590"))
    );
    assert_eq!(
        (&size["state"], &size["rungs"][0]["headroom"]),
        (&json!("trips"), &json!("-9590"))
    );
    let order = &seen["now"]["orders"][0];
    assert_eq!(
        (&order["symbol"], &order["side"], &order["quantity"]),
        (&json!("BTCUSDT"), &json!("SELL"), &json!("0.492"))
    );
    assert_eq!(
        (&seen["now"]["cost"], &seen["now"]["cancelled"]),
        (&json!("29.028"), &json!(1))
    );
    // Not tripped, and shown all the same.
    let flatten = &seen["policies"].as_array().unwrap().last().unwrap()["rungs"][0];
    assert_eq!(
        (&flatten["state"], &flatten["headroom"]),
        (&json!("ok"), &json!("0.2"))
    );
    assert_eq!(
        flatten["effect"]["orders"].as_array().unwrap().len(),
        2,
        "{flatten:#}"
    );
    assert_eq!(flatten["effect"]["swept_when_flat"], 1, "{flatten:#}");

    let requests = report["requests"].as_object().unwrap();
    assert!(
        !requests.is_empty() && requests.keys().all(|line| line.starts_with("GET ")),
        "{requests:?}"
    );
    assert_eq!(
        (guard_orders(&report).len(), &report["open_orders"]),
        (0, &json!(1))
    );
    assert_eq!(state(&folder), [""; 0], "nothing is kept");

    let (code, page) = plan(&folder, &[]);
    assert_eq!(code, 0);
    for text in [
        "NO STOP  BTCUSDT, 测试USDT",
        "NO STOP AT THE VENUE",
        "stops cover only 50% at 55000",
        "size (BTCUSDT): reduce trips now",
        "SELL 0.492 BTCUSDT, cancels 1 order; cost 29.03",
    ] {
        assert!(page.contains(text), "{text}:\n{page}");
    }
    assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
    assert!(!page.contains('\u{1b}'), "no colours but on a terminal");

    // What it announced is what the guard does.
    let _guard = folder.guard(&["--live"]);
    let report = exchange.wait("the reduction", |report| position(report, "BTCUSDT") < 1.0);
    assert_eq!(guard_orders(&report)[0]["quantity"], "0.492", "{report:#}");
}

#[test]
fn a_shock_shows_what_would_fire_and_touches_nothing() {
    let exchange = Exchange::serve(STILL);
    let folder = Folder::for_exchange(&exchange, POLICIES);
    let plain = json_of(&folder);
    assert_eq!(plain["what_if"], Value::Null);
    let supposed = ["--shock", "BTCUSDT=-8%", "--withdraw", "3000"];
    let (code, text) = plan(&folder, &[&supposed[..], &["--json"]].concat());
    assert_eq!(code, 0, "{text}");
    let seen: Value = serde_json::from_str(&text).unwrap();
    for same in ["equity", "margin", "positions", "now"] {
        assert_eq!(seen[same], plain[same], "what is stays as it is");
    }
    assert_eq!(
        (&seen["what_if"]["withdrawal"], &seen["what_if"]["moves"]),
        (&json!("3000"), &json!([{"symbol": "BTCUSDT", "by": "-0.08"}]))
    );

    // 59 000 falls to 54 280: of 9 000 the owner takes 3 000 and the market 4 720, which is 78.67 % of the rest.
    let then = &seen["what_if"]["then"];
    assert_eq!(
        (&seen["equity"], &then["equity"]),
        (&json!("9000"), &json!("1280"))
    );
    let [before, after] = [&seen, then].map(|of| {
        let ratio = of["margin"][0]["own"]["ratio"].as_str().unwrap();
        ratio.parse::<f64>().unwrap()
    });
    assert!(after > 6.0 * before, "{before} {after}");
    let all = then["policies"].as_array().unwrap();
    let drawdown = all.iter().find(|policy| policy["policy"] == "drawdown").unwrap();
    assert_eq!(
        (&drawdown["state"], &drawdown["value"]),
        (&json!("trips"), &json!("0.78666667")),
        "{drawdown:#}"
    );
    assert_eq!(drawdown["rungs"][0]["headroom"], "-0.58666667");
    assert_eq!(then["now"]["orders"].as_array().unwrap().len(), 2, "{then:#}");
    // The venue was not asked what it would count.
    assert_eq!(
        (&then["margin"][0]["venue"], &then["positions"][0]["liquidation"]),
        (&Value::Null, &Value::Null)
    );

    let report = exchange.report();
    let requests = report["requests"].as_object().unwrap();
    assert!(
        requests.keys().all(|line| line.starts_with("GET ")),
        "{requests:?}"
    );
    assert_eq!(
        (
            position(&report, "BTCUSDT"),
            guard_orders(&report).len(),
            state(&folder).len()
        ),
        (1.0, 0, 0)
    );

    let (code, page) = plan(&folder, &supposed);
    assert_eq!(code, 0, "{page}");
    for text in [
        "WHAT IF   3,000.00 USDT withdrawn, BTCUSDT -8%",
        "BTCUSDT   59000 → 54280",
        "9,000.00 → 1,280.00",
        "THEN     size (BTCUSDT): reduce trips then",
        "drawdown (account): flatten trips then",
        "[20 points away]",
    ] {
        assert!(page.contains(text), "{text}:\n{page}");
    }
    assert!(page.lines().all(|line| line.chars().count() <= 100), "{page}");
}

#[test]
fn a_shock_that_makes_no_sense_is_refused_and_says_what_to_write() {
    let exchange = Exchange::serve(STILL);
    let folder = Folder::for_exchange(&exchange, POLICIES);
    for (arguments, told) in [
        (
            &["--shock", "BTCUSDT=-8"][..],
            "write SYMBOL=PERCENT, such as BTCUSDT=-8%",
        ),
        (&["--shock", "BTCUSDT=-100%"], "write more than -100%"),
        (&["--withdraw", "0"], "write money in USDT, such as 3000"),
        (
            &["--shock", "*=1%", "--shock", "*=2%"],
            "--shock * is there twice",
        ),
        (
            &["--shock", "BTC=-8%"],
            "--shock BTC: the venue lists no such contract",
        ),
        (
            &["--withdraw", "10000.01"],
            "the cross wallet holds only 10000 USDT; write at most that",
        ),
    ] {
        let (code, page) = plan(&folder, arguments);
        assert_eq!(code, 2, "{arguments:?}: {page}");
        assert!(page.contains(told), "{told}:\n{page}");
    }
    folder.write("secret", "wrong");
    let (code, page) = plan(&folder, &["--shock", "*=-8%"]);
    assert_eq!(code, 1, "{page}");
    assert!(page.contains("THEN") && !page.contains("nothing fires"), "{page}");
}

#[test]
fn beside_a_running_guard_it_judges_by_what_that_guard_keeps() {
    let falls = STILL.replace(
        r#"path = [ { at = "0s", price = "59000" } ]"#,
        r#"path = [ { at = "0s", price = "60000" }, { at = "4s", price = "60000" }, { at = "6s", price = "57000" } ]"#,
    );
    let exchange = Exchange::serve(&falls);
    let folder = Folder::for_exchange(&exchange, &POLICIES.replace("50000", "90000"));
    let guard = folder.guard(&[]);
    folder.wait_for("drawdown: flatten latched");
    wait_until_kept(&folder, "\"trips\":[{");
    let (files, sent) = (
        state(&folder),
        exchange.report()["requests"]["POST /fapi/v1/listenKey"].clone(),
    );
    let seen = json_of(&folder);
    let drawdown = seen["policies"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(drawdown["state"], "in_force", "{drawdown:#}");
    assert!(
        drawdown["why"]
            .as_str()
            .unwrap()
            .contains("high-water mark 10000 "),
        "{drawdown:#}"
    );
    assert!(
        seen["kept_state"].as_str().unwrap().contains("dry run"),
        "{seen:#}"
    );
    assert_eq!(seen["now"]["orders"].as_array().unwrap().len(), 2, "{seen:#}");
    assert_eq!(
        (
            state(&folder),
            exchange.report()["requests"]["POST /fapi/v1/listenKey"].clone()
        ),
        (files, sent)
    );
    // The guard did not notice.
    assert_eq!(guard.terminate().0, Some(0));
    assert!(!folder.log().contains("not durable"), "{}", folder.log());
}

#[test]
fn every_account_has_its_own_object_and_its_keys_rights() {
    let exchange = Exchange::serve(STILL);
    let folder = Folder::for_exchange(&exchange, POLICIES);
    let told = format!("sapi_url = \"{}\"\n[account.main.timing]", exchange.rest_url);
    folder.replace("[account.main.timing]", &told);
    let text = std::fs::read_to_string(folder.path().join("backstop.toml")).unwrap();
    let second = text
        .split_once("[account.main]")
        .unwrap()
        .1
        .replace("account.main", "account.other");
    folder.write("backstop.toml", &format!("{text}[account.other]{second}"));
    let (code, lines) = plan(&folder, &["--json"]);
    assert_eq!(code, 0, "{lines}");
    let objects: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let labels: Vec<&Value> = objects.iter().map(|object| &object["account"]).collect();
    assert_eq!(labels, ["main", "other"]);
    assert_eq!(
        objects[0]["key"],
        json!({"told": true, "beyond_need": [], "excessive": [], "may_trade_futures": true, "ip_restricted": true})
    );
    let (_, page) = plan(&folder, &["--account", "other"]);
    assert!(
        page.starts_with("other   ") && page.contains("no more than a guard needs"),
        "{page}"
    );
}

#[test]
fn what_cannot_be_read_is_named_and_never_called_well() {
    let exchange = Exchange::serve(STILL);
    let folder = Folder::for_exchange(&exchange, POLICIES);
    folder.write("secret", "wrong");
    let (code, page) = plan(&folder, &[]);
    assert_eq!(code, 1, "{page}");
    assert!(
        page.contains("FAILED") && page.contains("GET /fapi/v3/account,"),
        "{page}"
    );
    assert!(
        page.contains("UNKNOWN") && !page.contains("nothing fires"),
        "{page}"
    );
    assert!(
        !page.contains("no position") && !page.contains("nothing to"),
        "{page}"
    );

    std::fs::create_dir(folder.state()).unwrap();
    folder.write("secret", &exchange.secret);
    std::fs::write(folder.state().join("KILL"), "").unwrap();
    let seen = json_of(&folder);
    assert_eq!(seen["kills"].as_array().unwrap().len(), 1, "{seen:#}");
    assert_eq!(
        seen["now"]["orders"].as_array().unwrap().len(),
        2,
        "a guard would close everything: {seen:#}"
    );

    assert_eq!(plan(&folder, &["--account", "other"]).0, 2);
    folder.replace("policies.toml", "none.toml");
    assert_eq!(plan(&folder, &[]).0, 2);
}
