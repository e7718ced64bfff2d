//! The drill as its user has it: the verb, its exit code and its report; the exchange says what really happened.

use super::stage::{Exchange, Folder, backstop, kept_its_word};
use serde_json::{Value, json};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The market that the verb drills on by itself.
const QUIET: &str = include_str!("../../fixtures/scenarios/drill.toml");

/// A drill of the account of a folder, with the bot's key for its trader.
fn drill(exchange: &Exchange, folder: &Folder) -> Command {
    let mut command = folder.verb("drill");
    command
        .args(["--json", "--report"])
        .arg(folder.path().join("report.md"))
        .env("BACKSTOP_DRILL__API_KEY", &exchange.bot_key)
        .env("BACKSTOP_DRILL__API_SECRET", &exchange.bot_secret);
    command
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The report that went to the terminal.
fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {}", said(output)))
}

fn step<'a>(report: &'a Value, name: &str) -> &'a Value {
    let steps = report["steps"].as_array().unwrap();
    steps.iter().find(|step| step["step"] == name).unwrap()
}

/// What is there, by the exchange's own account.
fn is_empty(exchange: &Exchange) -> bool {
    let shown = exchange.report();
    shown["positions"] == json!({}) && shown["open_orders"] == 0 && shown["open_algo_orders"] == 0
}

fn requests(exchange: &Exchange) -> Value {
    exchange.report()["requests"].clone()
}

#[test]
fn a_drill_passes_and_leaves_the_account_as_it_was() {
    let exchange = Exchange::serve(QUIET);
    let folder = Folder::for_exchange(&exchange, "");
    let output = drill(&exchange, &folder).arg("--hedge").output().unwrap();
    let found = report(&output);
    assert_eq!(code(&output), 0, "{found:#}");
    assert_eq!((&found["passed"], &found["left"]), (&json!(true), &Value::Null));
    assert_eq!(found["steps"].as_array().unwrap().len(), 8);
    assert!(is_empty(&exchange), "{:#}", exchange.report());
    kept_its_word(&exchange.report());

    // The drill says what the exchange says: each reduction in its evidence is an order of the guard, and there are no others.
    let text = std::fs::read_to_string(folder.path().join("report.md")).unwrap();
    let shown = exchange.report();
    let closes = super::stage::guard_orders(&shown);
    assert!(closes.len() >= 5, "{closes:#?}");
    let named = |step_name: &str| step(&found, step_name)["evidence"].to_string();
    for order in &closes[..3] {
        let id = order["client_id"].as_str().unwrap();
        let told = ["Reduce", "Kill switch: flatten and latch"]
            .iter()
            .any(|name| named(name).contains(id));
        assert!(told, "{id} is not in {text}");
    }

    // The eight questions of any test network, asked and answered; and what the embedded exchange was built to answer.
    let answer = |number: u64| {
        let probes = found["probes"].as_array().unwrap();
        let probe = probes.iter().find(|probe| probe["number"] == number).unwrap();
        probe["answer"].as_str().unwrap_or_default().to_owned()
    };
    for (number, expected) in [
        (
            1,
            "query with events: heard it; query without events: silent; path: silent",
        ),
        (3, "per account"),
        (4, "the regular order was cancelled, the conditional one left"),
        (5, "the regular order was cancelled, the conditional one left"),
        (6, "was accepted"),
        (7, "refused: -2022"),
        (8, "nothing was heard"),
        (11, "by algoId: found"),
        (
            12,
            "the guard says 0.000032, the venue's totalMaintMargin / totalMarginBalance is 0.000032",
        ),
        (2, ""),
    ] {
        assert!(
            answer(number).contains(expected) && (number == 2) == answer(number).is_empty(),
            "{number}: {}",
            answer(number)
        );
    }

    // A stranger may read it: no key, no secret, no listenKey.
    let all = format!("{text}{found}{}", said(&output));
    for secret in [
        &exchange.key,
        &exchange.secret,
        &exchange.bot_key,
        &exchange.bot_secret,
        "embedded-listen-key",
    ] {
        assert!(!all.contains(secret), "{secret}");
    }
    assert!(
        text.starts_with("# Backstop drill of ") && text.contains("**Passed: all 8 steps"),
        "{text}"
    );
}

#[test]
fn a_drill_needs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = backstop()
        .arg("drill")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), 0, "{shown}{}", said(&output));
    assert!(
        shown.contains("Passed: all 8 steps") && shown.contains("no order of the guard could have raised"),
        "{shown}"
    );
    let written: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        matches!(&written[..], [name] if name.to_string_lossy().starts_with("drill-20")),
        "{written:?}"
    );
}

#[test]
fn pr_17_the_real_exchange_is_refused_without_a_request() {
    let exchange = Exchange::serve(QUIET);
    // By its label, although the host is this machine; and by its host.
    let labelled = Folder::for_exchange(&exchange, "");
    labelled.replace("venue = \"sim\"", "venue = \"binance-usdm\"");
    let real = Folder::for_exchange(&exchange, "");
    real.replace("venue = \"sim\"", "venue = \"binance-usdm\"");
    real.replace(&exchange.rest_url, "https://fapi.binance.com");
    real.replace(&exchange.stream_url, "wss://fstream.binance.com");
    for (folder, why) in [(labelled, "not known to be a test network"), (real, "real money")] {
        for flags in [
            &[][..],
            &["--testnet"],
            &["--testnet", "--account", "main", "--hedge"],
        ] {
            let output = drill(&exchange, &folder).args(flags).output().unwrap();
            assert_eq!(code(&output), 3, "{}", said(&output));
            assert!(said(&output).contains(why), "{}", said(&output));
            assert!(!folder.path().join("report.md").exists());
        }
    }
    assert_eq!(requests(&exchange), json!({}));
    assert_eq!(exchange.report()["orders"], json!([]));
}

#[test]
fn an_account_that_is_not_empty_is_refused_by_name_and_left_alone() {
    let position =
        "[[account.position]]\nsymbol = \"BTCUSDT\"\nquantity = \"0.3\"\nentry_price = \"40000\"\n";
    let order = "[[order]]\nsymbol = \"BTCUSDT\"\nside = \"BUY\"\ntype = \"LIMIT\"\nquantity = \"0.01\"\nprice = \"30000\"\n";
    for (more, named) in [
        (position, "position 0.3 BTCUSDT"),
        (order, "order bot-1"),
        ("", "hedge mode"),
    ] {
        let wallet = "wallet = { USDT = \"10000\" }";
        let hedge = if more.is_empty() {
            format!("hedge = true\n{wallet}")
        } else {
            wallet.to_owned()
        };
        let exchange = Exchange::serve(&format!("{}\n{more}", QUIET.replace(wallet, &hedge)));
        let folder = Folder::for_exchange(&exchange, "");
        let before = exchange.report()["orders"].clone();
        let output = drill(&exchange, &folder).output().unwrap();
        assert_eq!(code(&output), 3, "{}", said(&output));
        assert!(said(&output).contains(named), "{}", said(&output));
        assert_eq!(exchange.report()["orders"], before, "nothing was done");
        assert_eq!(is_empty(&exchange), more.is_empty());
    }
}

#[test]
fn wrong_usage_is_2() {
    let exchange = Exchange::serve(QUIET);
    let folder = Folder::for_exchange(&exchange, "");
    let run = |mut command: Command| {
        let output = command.output().unwrap();
        (code(&output), said(&output))
    };
    let mut keyless = drill(&exchange, &folder);
    keyless
        .env_remove("BACKSTOP_DRILL__API_KEY")
        .env_remove("BACKSTOP_DRILL__API_SECRET");
    let mut half = drill(&exchange, &folder);
    half.env_remove("BACKSTOP_DRILL__API_SECRET");
    let mut unknown = drill(&exchange, &folder);
    unknown.args(["--symbol", "NOPEUSDT"]);
    let mut nobody = drill(&exchange, &folder);
    nobody.args(["--account", "nobody"]);
    let testnet = Folder::for_exchange(&exchange, "");
    testnet.replace("venue = \"sim\"", "venue = \"binance-usdm-testnet\"");
    for (command, hint) in [
        (keyless, "the bot's key"),
        (half, "set both of"),
        (unknown, "NOPEUSDT does not trade"),
        (nobody, "configured are: main"),
        (drill(&exchange, &testnet), "--testnet"),
    ] {
        let (code, said) = run(command);
        assert!(code == 2 && said.contains(hint), "{code} {said}");
    }
    assert_eq!(exchange.report()["orders"], json!([]));
}

#[test]
fn a_position_that_cannot_be_closed_fails_the_drill_within_its_deadline() {
    // No order of the guard is ever taken; those of the drill's own trader are.
    let exchange = Exchange::serve(QUIET);
    exchange.fault(
        r#"{"what":{"answer":{"route":"POST /fapi/v1/order","naming":"newClientOrderId=bs-","status":400,"code":-4131,"message":"The counterparty's best price does not meet the PERCENT_PRICE filter limit."}}}"#,
    );
    let folder = Folder::for_exchange(&exchange, "");
    let begun = Instant::now();
    let output = drill(&exchange, &folder).output().unwrap();
    let found = report(&output);
    assert_eq!(code(&output), 1, "{found:#}");
    assert!(
        begun.elapsed() < Duration::from_secs(120),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(step(&found, "Alert and block")["verdict"], "passed", "{found:#}");
    let failed = step(&found, "Reduce");
    assert_eq!(failed["verdict"], "failed");
    let seen = failed["seen"].as_str().unwrap();
    assert!(seen.contains("the venue shows: position 0.004"), "{seen}");
    assert_eq!(step(&found, "Dry run against live")["verdict"], "not_run");
    // What could be taken back was.
    assert_eq!(found["left"], Value::Null);
    assert!(is_empty(&exchange), "{:#}", exchange.report());
    let text = std::fs::read_to_string(folder.path().join("report.md")).unwrap();
    assert!(text.contains("**Failed at step 4 of 8: Reduce.**"), "{text}");
}

#[test]
fn what_somebody_else_opens_meanwhile_fails_the_drill_and_is_named() {
    let bot = "[[bot]]\nevery = \"100ms\"\nfrom = \"6s\"\nwhen_no_order = true\nplace = { symbol = \"BTCUSDT\", side = \"SELL\", type = \"LIMIT\", quantity = \"0.01\", offset_bps = 300 }\n";
    let exchange = Exchange::serve(&format!("{QUIET}\n{bot}"));
    let folder = Folder::for_exchange(&exchange, "");
    let output = drill(&exchange, &folder).output().unwrap();
    let found = report(&output);
    assert_eq!(code(&output), 1, "{found:#}");
    assert_eq!(found["passed"], false);
    let left = found["left"].as_str().unwrap();
    assert!(left.starts_with("in BTCUSDT: order bot-"), "{left}");
    let orders = exchange.report()["orders"].clone();
    let cancelled =
        |order: &&Value| order["who"] == "bot" && order["client_id"].as_str().unwrap().starts_with("drill-");
    assert!(
        orders
            .as_array()
            .unwrap()
            .iter()
            .filter(cancelled)
            .all(|order| order["status"] != "NEW"),
        "{orders:#}"
    );
}

#[test]
fn an_interrupted_drill_takes_back_what_is_its_own() {
    let exchange = Exchange::serve(QUIET);
    let folder = Folder::for_exchange(&exchange, "");
    let child = drill(&exchange, &folder)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    exchange.wait("a position with its stop", |shown| {
        shown["positions"] != json!({}) && shown["open_algo_orders"] == 1
    });
    assert!(
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    let found = report(&output);
    assert_eq!(code(&output), 1, "{found:#}");
    assert!(
        found["verdict"].as_str().unwrap().starts_with("Interrupted"),
        "{found:#}"
    );
    assert_eq!(found["left"], Value::Null);
    assert!(is_empty(&exchange), "{:#}", exchange.report());
}

/// The same on a test network, for whoever has keys of one: `BACKSTOP_DRILL_CONFIG` names a configuration.
#[test]
fn a_drill_on_a_test_network_passes() {
    let Some(config) = std::env::var_os("BACKSTOP_DRILL_CONFIG") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let output = backstop()
        .args(["drill", "--testnet", "--json", "--config"])
        .arg(config)
        .arg("--report")
        .arg(folder.path().join("report.md"))
        .output()
        .unwrap();
    let found = report(&output);
    assert_eq!(code(&output), 0, "{found:#}");
    assert_eq!((&found["passed"], &found["left"]), (&json!(true), &Value::Null));
}
