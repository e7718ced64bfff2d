//! Orders and cancels that fail in every way that they can; the exchange says what became of them.

use super::stage::{Armed, each, guard_orders, kept_its_word, position};
use rust_decimal::{Decimal, dec};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// A flat market, two contracts, half a bitcoin and four ether.
pub(super) const BOOK: &str = r#"
name = "book"
description = "A flat market."
duration = "10m"
[[symbol]]
name = "BTCUSDT"
path = [ { at = "0s", price = "60000" } ]
[[symbol]]
name = "ETHUSDT"
path = [ { at = "0s", price = "3000" } ]
[account]
wallet = { USDT = "100000" }
[[account.position]]
symbol = "BTCUSDT"
quantity = "0.5"
entry_price = "60000"
[[account.position]]
symbol = "ETHUSDT"
quantity = "-4"
entry_price = "3000"
"#;

/// A scenario in which the whole is taken in slices.
pub(super) fn sliced(size: &str) -> String {
    BOOK.replace(
        "[[symbol]]\nname = \"BTCUSDT\"\n",
        &format!("[[symbol]]\nname = \"BTCUSDT\"\nmarket_max = \"{size}\"\n"),
    )
}

pub(super) fn filled(report: &Value, symbol: &str) -> Decimal {
    guard_orders(report)
        .iter()
        .filter(|order| order["symbol"] == symbol)
        .map(|order| order["executed"].as_str().unwrap().parse::<Decimal>().unwrap())
        .sum()
}

/// Kills by file and waits until the exchange shows nothing any more, and the guard has verified it.
pub(super) fn flattened(stage: &Armed) -> Value {
    stage.kill_by_file();
    let report = stage.exchange.wait("flat and empty", |report| {
        report["positions"] == json!({}) && report["open_orders"] == 0 && report["open_algo_orders"] == 0
    });
    kept_its_word(&report);
    assert_eq!(
        filled(&report, "BTCUSDT"),
        dec!(0.5),
        "exactly what was there: {report:#}"
    );
    assert_eq!(
        filled(&report, "ETHUSDT"),
        dec!(4.0),
        "exactly what was there: {report:#}"
    );
    stage.folder.wait_for("flat and verified");
    report
}

#[test]
fn or_01_or_02_or_03_or_06_or_07_e8_whatever_is_answered_exactly_the_position_is_closed() {
    let order = |rest: &str| format!(r#"{{"answer":{{"route":"POST /fapi/v1/order",{rest}}}}}"#);
    each(
        [
            (
                "unknown, executed",
                order(
                    r#""status":503,"body":"Unknown error, please check your request or try again later.","executed":true"#,
                ),
            ),
            (
                "unknown, not executed",
                order(
                    r#""status":503,"body":"Unknown error, please check your request or try again later.""#,
                ),
            ),
            (
                "-1007, executed",
                order(
                    r#""status":408,"code":-1007,"message":"Timeout waiting for response from backend server.","executed":true"#,
                ),
            ),
            (
                "-1006, not executed",
                order(
                    r#""status":400,"code":-1006,"message":"An unexpected response was received from the message bus.""#,
                ),
            ),
            (
                "unavailable",
                order(r#""status":503,"body":"Service Unavailable.""#),
            ),
            (
                "overloaded",
                order(r#""status":503,"code":-1008,"message":"Server is currently overloaded""#),
            ),
            (
                "silent, executed",
                r#"{"silence":{"route":"POST /fapi/v1/order","executed":true}}"#.to_owned(),
            ),
            (
                "silent, not executed",
                r#"{"silence":{"route":"POST /fapi/v1/order"}}"#.to_owned(),
            ),
        ],
        |(name, what)| {
            let stage = Armed::new(BOOK, "");
            stage.exchange.fault(&format!(r#"{{"times":2,"what":{what}}}"#));
            let report = flattened(&stage);
            assert!(stage.struck() >= 1, "{name}");
            assert_eq!(
                report["errors"].get("-2022"),
                None,
                "{name}: nothing was sent for what was closed"
            );
        },
    );
}

#[test]
fn or_03_a_third_of_all_answers_is_lost_while_a_position_is_closed_in_slices() {
    each([1, 2, 3], |seed| {
        let scenario = sliced("0.05").replace("duration", &format!("seed = {seed}\nduration"));
        let stage = Armed::new(&scenario, "");
        stage
            .exchange
            .fault(r#"{"percent":30,"what":{"silence":{"route":"POST /fapi/v1/order","executed":true}}}"#);
        let report = flattened(&stage);
        let mut ids: Vec<&str> = guard_orders(&report)
            .iter()
            .map(|order| order["client_id"].as_str().unwrap())
            .collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "no id was used twice");
    });
}

#[test]
fn or_04_or_05_an_order_that_cannot_be_found_for_a_while_is_not_sent_again() {
    each(
        [
            // Readings show the account as it was: the order is not there yet.
            r#"{"until":"12s","what":{"read_lag":{"ms":4500}}}"#,
            // Nothing can be asked at all.
            r#"{"side":"rest","until":"6s","what":"cut"}"#,
            r#"{"side":"rest","until":"6s","what":"half_open"}"#,
        ],
        |fault| {
            let stage = Armed::new(BOOK, "");
            // No event of it either: only asking can tell.
            stage
                .exchange
                .fault(r#"{"until":"12s","what":{"drop":{"event":"*"}}}"#);
            stage
                .exchange
                .fault(r#"{"times":2,"what":{"silence":{"route":"POST /fapi/v1/order","executed":true}}}"#);
            stage.kill_by_file();
            stage
                .exchange
                .wait("sent", |report| guard_orders(report).len() == 2);
            stage.exchange.fault(fault);
            let report = flattened(&stage);
            assert_eq!(guard_orders(&report).len(), 2, "{fault}: {report:#}");
        },
    );
}

#[test]
fn or_06_a_connection_that_breaks_at_any_byte_leaves_the_order_unknown_and_not_sent_again() {
    each([1, 40, 150, 200, 260, 300, 420], |after| {
        for upload in [true, false] {
            let stage = Armed::new(BOOK, "");
            stage.exchange.fault(&format!(
                r#"{{"side":"rest","until":"4s","what":{{"reset":{{"after":{after},"upload":{upload}}}}}}}"#
            ));
            flattened(&stage);
        }
    });
}

#[test]
fn pa_10_li_11_an_answer_that_is_no_answer_leaves_the_order_unknown() {
    let order = |rest: &str| format!(r#"{{"answer":{{"route":"POST /fapi/v1/order",{rest}}}}}"#);
    each(
        [
            order(r#""status":200,"body":"<html>hello</html>","executed":true"#),
            order(r#""status":200,"body":"","executed":true"#),
            order(r#""status":200,"body":"{\"orderId\":9000000","executed":true"#),
            order(r#""status":200,"body":"xxxxxxxxxxxxxxxx","repeat":1100000,"executed":true"#),
            order(r#""status":302,"body":"","headers":{"Location":"http://127.0.0.1:9/"},"executed":true"#),
            order(
                r#""status":200,"code":-1000,"message":"An unknown error occurred while processing the request.""#,
            ),
        ],
        |what| {
            let stage = Armed::new(BOOK, "");
            stage.exchange.fault(&format!(r#"{{"times":2,"what":{what}}}"#));
            flattened(&stage);
            assert!(stage.struck() >= 2, "{what}");
        },
    );
}

#[test]
fn pa_10_mo_12_readings_that_are_no_readings_lower_no_exposure() {
    let read =
        |rest: &str| format!(r#"{{"until":"3s","what":{{"answer":{{"route":"GET /fapi/v3/*",{rest}}}}}}}"#);
    each(
        [
            read(r#""status":200,"body":"null""#),
            read(r#""status":200,"body":"""#),
            read(r#""status":200,"body":"{}""#),
            read(r#""status":200,"body":"[{\"symbol\":\"BTC"#).replace("BTC}", "BTC\"}"),
            read(r#""status":200,"body":"<html></html>""#),
            read(r#""status":502,"body":"bad gateway""#),
            r#"{"until":"3s","what":{"silence":{"route":"GET /fapi/v3/*"}}}"#.to_owned(),
        ],
        |fault| {
            let stage = Armed::new(BOOK, "");
            stage.exchange.fault(&fault);
            std::thread::sleep(Duration::from_secs(2));
            // Had the reading lowered the exposure, nothing would be closed now.
            flattened(&stage);
        },
    );
}

#[test]
fn or_08_e3_take_profits_that_hold_the_whole_position_are_cancelled_first() {
    let scenario = BOOK.replace("duration", "reduce_only_conflicts = true\nduration")
        + "[[order]]\nsymbol = \"BTCUSDT\"\nside = \"SELL\"\ntype = \"LIMIT\"\nquantity = \"0.5\"\nprice = \"62000\"\nreduce_only = true\n";
    let stage = Armed::new(&scenario, "");
    let report = flattened(&stage);
    let refused = report["errors"]["-4118"].as_u64().unwrap_or(0);
    assert!(refused <= 2, "{refused} refusals: no blind repetition");
}

#[test]
fn or_10_a_symbol_that_never_answers_does_not_hold_up_another() {
    let stage = Armed::new(BOOK, "");
    stage.exchange.fault(
        r#"{"until":"15s","what":{"answer":{"route":"POST /fapi/v1/order","naming":"BTCUSDT","status":503,"body":"Unknown error, please check your request or try again later."}}}"#,
    );
    stage.kill_by_file();
    let begun = Instant::now();
    stage.exchange.wait("the other leg is flat", |report| {
        position(report, "ETHUSDT") == 0.0
    });
    // Half a second for the KILL file to be seen, and the second that the other leg may cost at most.
    assert!(
        begun.elapsed() < Duration::from_millis(1_500),
        "{:?}",
        begun.elapsed()
    );
    flattened(&stage);
}

#[test]
fn or_15_e10_e11_e12_a_kill_empties_both_stores_however_full() {
    let mut scenario = BOOK.to_owned();
    for n in 0..40 {
        write!(
            scenario,
            "[[order]]\nsymbol = \"BTCUSDT\"\nside = \"BUY\"\ntype = \"LIMIT\"\nquantity = \"0.001\"\nprice = \"{}\"\n",
            58_000 + n * 10
        )
        .unwrap();
    }
    for n in 0..199 {
        let symbol = if n % 2 == 0 { "BTCUSDT" } else { "ETHUSDT" };
        let (side, price) = if n % 2 == 0 {
            ("SELL", 50_000 + n)
        } else {
            ("BUY", 4_000 + n)
        };
        write!(
            scenario,
            "[[order]]\nsymbol = \"{symbol}\"\nside = \"{side}\"\ntype = \"STOP_MARKET\"\nprice = \"{price}\"\nclose_position = true\n",
        )
        .unwrap();
    }
    let stage = Armed::new(&scenario, "");
    let before = stage.exchange.report();
    assert_eq!(
        (&before["open_orders"], &before["open_algo_orders"]),
        (&40.into(), &199.into())
    );
    flattened(&stage);
}

#[test]
fn or_16_e22_a_cancel_all_that_cancels_some_or_none_is_found_out() {
    each([0, 50], |percent| {
        let mut scenario = BOOK.to_owned();
        for n in 0..6 {
            write!(
                scenario,
                "[[order]]\nsymbol = \"BTCUSDT\"\nside = \"BUY\"\ntype = \"LIMIT\"\nquantity = \"0.001\"\nprice = \"{}\"\n",
                58_000 + n * 10
            )
            .unwrap();
        }
        let stage = Armed::new(&scenario, "");
        stage.exchange.fault(&format!(
            r#"{{"times":4,"what":{{"cancel_subset":{{"done_percent":{percent}}}}}}}"#
        ));
        let report = flattened(&stage);
        assert!(stage.struck() >= 1);
        let cancels: u64 = report["requests"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(line, _)| line.starts_with("DELETE "))
            .map(|(_, count)| count.as_u64().unwrap())
            .sum();
        assert!(cancels <= 24, "{cancels} cancels of 6 orders: {report:#}");
    });
}

#[test]
fn or_18_a_conditional_order_that_triggers_after_the_flatten_opens_nothing_for_long() {
    let stage = Armed::new(BOOK, "");
    flattened(&stage);
    // The bot's stop cannot be cancelled, and the market reaches it.
    stage
        .exchange
        .fault(r#"{"until":"8s","what":{"answer":{"route":"DELETE /fapi/v1/algo*","status":503,"body":"Service Unavailable."}}}"#);
    let (status, body) = stage.exchange.bot(
        "POST",
        "/fapi/v1/algoOrder",
        "algoType=CONDITIONAL&symbol=BTCUSDT&side=BUY&type=STOP_MARKET&triggerPrice=60001&quantity=0.01&workingType=MARK_PRICE",
    );
    assert_eq!(status, 200, "{body}");
    stage.exchange.heal();
    let report = stage.exchange.wait("nothing is left", |report| {
        report["open_algo_orders"] == 0 && position(report, "BTCUSDT") == 0.0
    });
    kept_its_word(&report);
    // And an opening order that fills at once is closed again.
    let (status, body) = stage.exchange.bot(
        "POST",
        "/fapi/v1/order",
        "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01",
    );
    assert_eq!(status, 200, "{body}");
    let begun = Instant::now();
    let report = stage
        .exchange
        .wait("closed again", |report| position(report, "BTCUSDT") == 0.0);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    kept_its_word(&report);
}

#[test]
fn or_27_or_28_a_leg_that_the_venue_does_not_let_close_waits_and_the_other_does_not() {
    each(
        [
            (-2023, "User in liquidation mode now."),
            (-4109, "This account is inactive, please activate it first."),
            (-1121, "Invalid symbol."),
            (-4141, "Symbol is closed."),
        ],
        |(code, message)| {
            let stage = Armed::new(BOOK, "");
            stage.exchange.fault(&format!(
                r#"{{"until":"6s","what":{{"answer":{{"route":"POST /fapi/v1/order","naming":"BTCUSDT","status":400,"code":{code},"message":"{message}"}}}}}}"#
            ));
            stage.kill_by_file();
            stage.exchange.wait("the other leg is flat", |report| {
                position(report, "ETHUSDT") == 0.0
            });
            let report = flattened(&stage);
            let tried = report["requests"]["POST /fapi/v1/order"].as_u64().unwrap();
            assert!(tried <= 12, "{code}: {tried} tries");
        },
    );
}

#[test]
fn or_29_readings_that_are_not_essential_may_fail_and_the_account_is_guarded() {
    let mut scenario = BOOK.to_owned();
    for route in [
        "GET /fapi/v1/income",
        "GET /fapi/v1/assetIndex",
        "GET /fapi/v1/symbolConfig",
        "GET /fapi/v1/leverageBracket",
        "GET /sapi/*",
    ] {
        write!(
            scenario,
            "[[fault]]\nwhat = {{ answer = {{ route = \"{route}\", status = 500, body = \"\" }} }}\n"
        )
        .unwrap();
    }
    flattened(&Armed::new(&scenario, ""));
}

#[test]
fn or_31_or_09_d13_bot_and_guard_close_the_same_position_and_nothing_flips() {
    each([0, 5, 20], |pause_ms| {
        let stage = Armed::new(&sliced("0.05"), "");
        stage.kill_by_file();
        stage
            .exchange
            .wait("some slices", |report| guard_orders(report).len() >= 2);
        std::thread::sleep(Duration::from_millis(pause_ms));
        // A position that the guard closed meanwhile is refused to the bot, which is as good.
        stage.exchange.bot(
            "POST",
            "/fapi/v1/order",
            "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.04&reduceOnly=true",
        );
        let report = stage
            .exchange
            .wait("flat", |report| report["positions"] == json!({}));
        kept_its_word(&report);
        assert!(filled(&report, "BTCUSDT") <= dec!(0.5));
    });
}

#[test]
fn mo_13_no_reading_works_and_a_kill_closes_what_the_stream_told() {
    let stage = Armed::new(BOOK, "");
    stage
        .exchange
        .fault(r#"{"what":{"answer":{"route":"GET /fapi/*","status":503,"body":"Service Unavailable."}}}"#);
    stage.folder.wait_for("armed -> blind");
    assert_eq!(
        guard_orders(&stage.exchange.report()).len(),
        0,
        "blindness alone orders nothing"
    );
    stage.kill_by_file();
    let report = stage
        .exchange
        .wait("flat", |report| report["positions"] == json!({}));
    kept_its_word(&report);
}

#[test]
fn mo_23_a_reading_from_before_a_fill_does_not_cut_a_second_time() {
    let size = r#"
version = 1
name = "size"
[[policy]]
id = "size"
type = "max_position"
symbols = ["BTCUSDT"]
measure = "quantity"
count_open_orders = false
ladder = [ { at = "0.75", action = "reduce", to = "0.5" } ]
"#;
    let stage = Armed::new(BOOK, size);
    // The order's own answer is all that tells of the fill for two seconds.
    for what in [
        r#"{"drop":{"event":"ACCOUNT_UPDATE"}}"#,
        r#"{"read_lag":{"ms":2000}}"#,
    ] {
        stage.exchange.fault(&format!(r#"{{"what":{what}}}"#));
    }
    let query = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.4";
    assert_eq!(stage.exchange.bot("POST", "/fapi/v1/order", query).0, 200);
    let cut = |report: &Value| !guard_orders(report).is_empty();
    stage.exchange.wait("cut", cut);
    std::thread::sleep(Duration::from_secs(4));
    let report = stage.exchange.report();
    kept_its_word(&report);
    assert_eq!(position(&report, "BTCUSDT"), 0.5, "{}", stage.folder.log());
    assert_eq!(guard_orders(&report).len(), 1, "{}", stage.folder.log());
}

#[test]
fn or_13_a_venue_that_ignores_reduce_only_is_told_and_its_leg_left_alone() {
    let stage = Armed::new(&sliced("0.05"), "");
    stage.exchange.fault(r#"{"times":1,"what":"ignore_reduce_only"}"#);
    // It strikes the first order, whichever contract that is for.
    stage.kill_by_file();
    stage
        .exchange
        .wait("struck", |report| report["faults"]["ignore_reduce_only"] == 1);
    stage.folder.wait_for("the leg is stopped until re-arm");
    std::thread::sleep(Duration::from_secs(2));
    let report = stage.exchange.report();
    assert_eq!(report["violations"], json!([]), "{report:#}");
    // The other leg is closed whole, and the stopped one holds what it held after the order that lost its flag.
    let lost: Vec<&Value> = guard_orders(&report)
        .into_iter()
        .filter(|order| order["flag_ignored"] == true)
        .collect();
    let [lost] = &lost[..] else {
        panic!("{report:#}");
    };
    let (stopped, other) = if lost["symbol"] == "BTCUSDT" {
        ("BTCUSDT", "ETHUSDT")
    } else {
        ("ETHUSDT", "BTCUSDT")
    };
    assert_eq!(position(&report, other), 0.0);
    let later = guard_orders(&report)
        .into_iter()
        .filter(|order| order["symbol"] == stopped && order["id"].as_i64() > lost["id"].as_i64());
    assert_eq!(
        later.count(),
        0,
        "no order follows to a leg whose protection is not there"
    );
}

#[test]
fn or_13_an_order_that_filled_past_zero_is_told_and_what_it_opened_is_closed() {
    let stage = Armed::new(BOOK, "");
    for what in [
        r#"{"drop":{"event":"*"}}"#,
        r#"{"read_lag":{"ms":2000}}"#,
        "\"ignore_reduce_only\"",
    ] {
        stage.exchange.fault(&format!(r#"{{"what":{what}}}"#));
    }
    // The guard does not know of it yet, and closes five times what is there.
    let query = "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.4";
    assert_eq!(stage.exchange.bot("POST", "/fapi/v1/order", query).0, 200);
    stage.kill_by_file();
    stage.folder.wait_for("the leg is stopped until re-arm");
    stage.exchange.heal();
    stage
        .exchange
        .wait("flat", |report| report["positions"] == json!({}));
}
