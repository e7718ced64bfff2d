//! Limits, time and network: what the venue asks for is honoured, and the account is closed all the same.

use super::stage::{Armed, QUIET, each, guard_orders, kept_its_word, position};
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

fn flattened(stage: &Armed) -> Value {
    let report = stage.exchange.wait("flat and empty", |report| {
        report["positions"] == serde_json::json!({}) && report["open_orders"] == 0
    });
    kept_its_word(&report);
    stage.folder.wait_for("flat and verified");
    report
}

/// Requests of the guard's key so far.
fn asked(report: &Value) -> u64 {
    let counts = report["requests"].as_object().unwrap().values();
    counts.map(|count| count.as_u64().unwrap()).sum()
}

#[test]
fn li_01_f11_silence_is_kept_to_the_named_time_and_the_kill_comes_after_it() {
    each(
        [
            (429, "Retry-After", "10", "Too many requests."),
            (
                418,
                "X-Nothing",
                "0",
                "Way too many requests; IP banned until UNTIL.",
            ),
        ],
        |(status, header, value, message)| {
            let stage = Armed::new(QUIET, "");
            let until = super::stage::now_ms() + 10_000;
            let message = message.replace("UNTIL", &until.to_string());
            // Once: had the guard asked again before the time, it would have been answered.
            stage.exchange.fault(&format!(
                r#"{{"times":1,"what":{{"answer":{{"route":"GET /fapi/v3/account","status":{status},"code":-1003,"message":"{message}","headers":{{"{header}":"{value}"}}}}}}}}"#
            ));
            stage
                .exchange
                .wait("told", |report| report["faults"]["answer"] == 1);
            std::thread::sleep(Duration::from_millis(500));
            let before = asked(&stage.exchange.report());
            stage.kill_by_file();
            std::thread::sleep(Duration::from_millis(4_000));
            let report = stage.exchange.report();
            assert_eq!(asked(&report), before, "nothing was asked in the time of silence");
            assert_eq!(position(&report, "BTCUSDT"), 0.5);
            flattened(&stage);
        },
    );
}

#[test]
fn li_04_an_overloaded_venue_takes_what_only_reduces() {
    let stage = Armed::new(QUIET, "");
    stage.exchange.fault(r#"{"what":"overload"}"#);
    let (status, body) = stage.exchange.bot(
        "POST",
        "/fapi/v1/order",
        "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1",
    );
    assert_eq!((status, &body["code"]), (503, &(-1008).into()));
    stage.kill_by_file();
    let report = flattened(&stage);
    assert_eq!(report["errors"]["-1008"], 1, "only the bot was refused");
}

#[test]
fn li_05_b9_a_clock_that_is_off_or_jumps_is_corrected_and_the_position_closed() {
    each([-10_000i64, -3_000, 2_500, 10_000], |offset| {
        // Off from the start: the guard must not need a refusal to know.
        let scenario = format!(
            "{QUIET}[[fault]]\nwhat = {{ clock = {{ offset_ms = {offset}, drift_ppm = 200 }} }}\n[[fault]]\nwhat = {{ latency = {{ ms = 100, jitter_ms = 100 }} }}\n"
        );
        let stage = Armed::new(&scenario, "");
        // And then the other way, at once.
        stage.exchange.heal();
        stage
            .exchange
            .fault(&format!(r#"{{"what":{{"clock":{{"offset_ms":{}}}}}}}"#, -offset));
        stage.kill_by_file();
        let begun = Instant::now();
        let report = flattened(&stage);
        assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
        let refused = report["errors"]["-1021"].as_u64().unwrap_or(0);
        assert!(refused <= 8, "{offset}: {refused} refusals");
    });
}

#[test]
fn li_05_a_clock_that_jumps_under_an_order_costs_one_retry_and_two_seconds() {
    each([-10_000i64, -3_000, 3_000, 10_000], |offset| {
        let stage = Armed::new(QUIET, "");
        // Up to 300 ms there and back, and not the same in both directions.
        stage
            .exchange
            .fault(r#"{"what":{"latency":{"ms":50,"jitter_ms":100}}}"#);
        stage
            .exchange
            .fault(&format!(r#"{{"what":{{"clock":{{"offset_ms":{offset}}}}}}}"#));
        stage.kill_by_file();
        let ms = |report: &Value| report["elapsed_ms"].as_i64().unwrap();
        let refused = |report: &Value| report["errors"]["-1021"].as_u64() >= Some(1);
        // By the exchange's own time, from its first refusal to the close.
        let first = ms(&stage.exchange.wait("a refusal", |report| {
            refused(report) || report["positions"] == serde_json::json!({})
        }));
        let report = stage
            .exchange
            .wait("flat", |report| report["positions"] == serde_json::json!({}));
        let took = ms(&report) - first;
        println!("{offset}: {took} ms, {}", report["errors"]);
        assert!(refused(&report), "{offset}: the jump was not felt");
        assert!(took <= 2_000, "{offset}: {took} ms");
        let sent = report["requests"]["POST /fapi/v1/order"].as_u64().unwrap();
        assert!(sent <= 2, "{offset}: {sent} orders sent");
        kept_its_word(&report);
    });
}

#[test]
fn li_06_b8_a_process_that_was_asleep_reads_before_it_decides() {
    let stage = Armed::new(QUIET, "");
    let signal = |name: &str| {
        let done = Command::new("kill").args([name, &stage.pid()]).status();
        assert!(done.unwrap().success());
    };
    signal("-STOP");
    // While it sleeps, the position that it knows is closed and another one opened.
    for query in [
        "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.5&reduceOnly=true",
        "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.2",
    ] {
        let (status, body) = stage.exchange.bot("POST", "/fapi/v1/order", query);
        assert_eq!(status, 200, "{body}");
    }
    stage.kill_by_file();
    std::thread::sleep(Duration::from_secs(6));
    signal("-CONT");
    let report = flattened(&stage);
    let sides: Vec<&Value> = guard_orders(&report).iter().map(|order| &order["side"]).collect();
    assert_eq!(
        sides,
        ["BUY"],
        "what is there now was closed, not what was there before"
    );
}

#[test]
fn li_09_a_key_that_may_not_trade_is_shown_and_works_again() {
    let stage = Armed::new(QUIET, "");
    stage.exchange.fault(
        r#"{"times":1,"what":{"answer":{"route":"POST /fapi/v1/order","status":401,"code":-2015,"message":"Invalid API-key, IP, or permissions for action."}}}"#,
    );
    stage.kill_by_file();
    stage.folder.wait_for("-> powerless");
    flattened(&stage);
}

#[test]
fn li_09_a_key_that_may_do_nothing_makes_the_guard_powerless_and_is_tried_slowly() {
    let stage = Armed::new(QUIET, "");
    let refuse = |route: &str| {
        stage.exchange.fault(&format!(
            r#"{{"what":{{"answer":{{"route":"{route}","status":401,"code":-2015,"message":"Invalid API-key, IP, or permissions for action."}}}}}}"#
        ));
    };
    // The readings alone tell it: nothing was sent that could be refused.
    refuse("GET /fapi/v*");
    stage.folder.wait_for("armed -> powerless");
    assert_eq!(stage.requests("POST /fapi/v1/order"), 0);
    refuse("POST /fapi/v1/order");
    refuse("DELETE *");
    stage.kill_by_file();
    stage
        .exchange
        .wait("tried", |report| report["requests"]["POST /fapi/v1/order"] == 1);
    let lines = [
        "GET /fapi/v3/account",
        "GET /fapi/v1/openOrders",
        "POST /fapi/v1/order",
    ];
    let before = lines.map(|line| stage.requests(line));
    std::thread::sleep(Duration::from_secs(15));
    for (line, before) in lines.into_iter().zip(before) {
        let tries = stage.requests(line) - before;
        assert!(tries <= 2, "{line}: {tries} tries in 15 s");
    }
    assert_eq!(stage.folder.state_word(), "powerless");
    stage.exchange.heal();
    flattened(&stage);
}

#[test]
fn li_13_a_firewall_stops_readings_and_no_mutation() {
    let stage = Armed::new(QUIET, "");
    stage.exchange.fault(
        r#"{"what":{"answer":{"route":"GET /fapi/v3/*","status":403,"body":"<html>blocked</html>"}}}"#,
    );
    stage
        .exchange
        .wait("told", |report| report["faults"]["answer"].as_u64() >= Some(1));
    let before = stage.requests("GET /fapi/v3/account");
    stage.kill_by_file();
    let report = stage
        .exchange
        .wait("flat", |report| report["positions"] == serde_json::json!({}));
    kept_its_word(&report);
    std::thread::sleep(Duration::from_secs(8));
    let tries = stage.requests("GET /fapi/v3/account") - before;
    assert!(tries <= 1, "{tries} readings in 8 s of a pause of at least 30 s");
}

#[test]
fn li_13_a_firewall_before_everything_is_not_knocked_at_without_pause() {
    let stage = Armed::new(QUIET, "");
    for route in ["GET *", "POST /fapi/v1/listenKey"] {
        stage.exchange.fault(&format!(
            r#"{{"what":{{"answer":{{"route":"{route}","status":403,"body":"<html>blocked</html>"}}}}}}"#
        ));
    }
    stage
        .exchange
        .fault(r#"{"times":1,"what":{"close":{"code":1001,"reason":"maintenance"}}}"#);
    std::thread::sleep(Duration::from_secs(3));
    let before = stage.exchange.report();
    std::thread::sleep(Duration::from_secs(25));
    let after = stage.exchange.report();
    assert!(
        asked(&after) - asked(&before) <= 2,
        "{:#}\n{:#}\n{}",
        before["requests"],
        after["requests"],
        stage.folder.log()
    );
}

#[test]
fn li_14_maintenance_refuses_everything_for_a_while_and_the_episode_is_completed_after_it() {
    let stage = Armed::new(QUIET, "");
    for (route, rest) in [
        (
            "POST /fapi/v1/order",
            r#""status":503,"code":-1016,"message":"This service is no longer available.""#,
        ),
        ("DELETE *", r#""status":503,"body":"Service Unavailable.""#),
    ] {
        stage.exchange.fault(&format!(
            r#"{{"until":"12s","what":{{"answer":{{"route":"{route}",{rest}}}}}}}"#
        ));
    }
    stage.kill_by_file();
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(position(&stage.exchange.report(), "BTCUSDT"), 0.5);
    let begun = Instant::now();
    flattened(&stage);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn li_11_a_redirected_reading_is_a_failed_reading() {
    let stage = Armed::new(QUIET, "");
    stage.exchange.fault(
        r#"{"until":"4s","what":{"answer":{"route":"GET /fapi/v3/*","status":307,"body":"","headers":{"Location":"/fapi/v1/time"}}}}"#,
    );
    std::thread::sleep(Duration::from_secs(3));
    stage.kill_by_file();
    flattened(&stage);
}

#[test]
fn li_02_li_03_the_bot_uses_up_the_weight_and_the_guard_still_closes() {
    let stage = Armed::new(QUIET, "");
    // 2,400 a minute, 40 for each list of all orders: the bot takes nearly all that is left of the minute.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        let (status, _) = stage.exchange.bot("GET", "/fapi/v1/openOrders", "");
        if status != 200 {
            break;
        }
        let (status, _) = stage.exchange.bot("GET", "/fapi/v1/openAlgoOrders", "");
        if status != 200 {
            break;
        }
    }
    stage.kill_by_file();
    let report = stage
        .exchange
        .wait("flat after the minute at the latest", |report| {
            report["positions"] == serde_json::json!({})
        });
    kept_its_word(&report);
    assert_eq!(
        guard_orders(&report)
            .iter()
            .filter(|order| order["status"] == "FILLED")
            .count(),
        1
    );
}
