//! Policy tests: tests that must fail do fail and say why, and a wrong file is told where.

mod files;
mod mutants;
mod shipped;
mod worlds;

use backstop::config::policy;
use backstop::config::trial::{TestFile, parse};
use backstop::trial::Played;
use backstop::trial::suite::prove;

const STANDARD: &str = include_str!("../../policies/standard.toml");

/// A test file over some policies.
fn file(policies: &str, text: &str) -> TestFile {
    let text = format!("policies = [\"p.toml\"]\n{text}");
    parse("t.test.toml", &text, |_| {
        Ok((vec!["p.toml".into()], policy::parse("p.toml", policies)?))
    })
    .unwrap_or_else(|found| panic!("{found}"))
}

/// The only test of a file, played.
fn played(policies: &str, text: &str) -> Played {
    let file = file(policies, text);
    assert_eq!(file.tests.len(), 1);
    prove(&file.tests[0], &file.set)
}

/// A long bitcoin on 10000, with these steps and expectations.
fn long(steps: &str, expect: &str) -> String {
    format!(
        r#"[[test]]
name      = "t"
start     = "2026-03-29T00:55:00Z"
account   = {{ wallet = {{ USDT = "10000" }} }}
positions = [ {{ symbol = "BTCUSDT", quantity = "1", entry_price = "50000" }} ]
steps     = [
{steps}
]
expect    = [
{expect}
]
"#
    )
}

#[test]
fn each_clause_that_does_not_hold_is_named_with_what_was_expected_and_found() {
    let steps = r#"{ at = "10s", mark = { BTCUSDT = "48900" } },"#;
    for (expect, clause, expected, found) in [
        (r#"policy = "drawdown", state = "ok""#, "state", "ok", "tripped"),
        (r#"policy = "drawdown", rung = "none""#, "rung", "none", "alert"),
        (
            r#"policy = "drawdown", rungs = ["block"]"#,
            "rungs",
            "block",
            "alert",
        ),
        (r#"policy = "drawdown", value = "11.1%""#, "value", "11.1%", "11%"),
        (r#"policy = "drawdown", value = "11""#, "value", "11", "11%"),
        (
            r#"orders = [ { side = "SELL", quantity = "1" } ]"#,
            "orders",
            "SELL 1",
            "nothing",
        ),
        (
            "nothing = true",
            "nothing",
            "nothing",
            "drawdown alert tripped at 0.11; daily-loss alert tripped at 0.11",
        ),
        (
            r#"account_state = "blocked""#,
            "account_state",
            "blocked",
            "armed",
        ),
        (
            r#"position = { BTCUSDT = "0.9" }"#,
            "position",
            "0.9 BTCUSDT",
            "1 BTCUSDT",
        ),
        (r#"equity = "8900.1""#, "equity", "8900.1", "8900"),
        ("open_orders = 1", "open_orders", "1", "0"),
    ] {
        let played = played(STANDARD, &long(steps, &format!(r#"{{ at = "10s", {expect} }},"#)));
        let [failure] = &played.failures[..] else {
            panic!("{expect}: {:?}", played.failures);
        };
        let [wrong] = &failure.clauses[..] else {
            panic!("{expect}: {failure:?}");
        };
        assert_eq!((failure.line, failure.at), (11, 10_000), "{expect}");
        assert_eq!(
            (wrong.clause, wrong.expected.as_str(), wrong.found.as_str()),
            (clause, expected, found)
        );
    }
}

#[test]
fn what_holds_at_the_written_precision_passes() {
    let steps = r#"{ at = "10s", mark = { BTCUSDT = "48901" } },"#;
    let expect = r#"
  { at = "9s", nothing = true },
  { at = "10s", policy = "drawdown", state = "tripped", rung = "alert", rungs = ["alert"], value = "11%", orders = [] },
  { at = "10s", policy = "drawdown", value = "10.99%" },
  { at = "10s", account_state = "armed", position = { BTCUSDT = "1" }, equity = "8901", open_orders = 0 },"#;
    assert_eq!(played(STANDARD, &long(steps, expect)).failures, []);
}

#[test]
fn orders_are_one_to_one_in_any_order_and_each_window_is_its_own() {
    let steps = r#"{ at = "10s", mark = { BTCUSDT = "47900" } },"#;
    let sell = r#"{ side = "SELL", quantity = "1" }"#;
    for (orders, at, passes) in [
        (sell.to_owned(), "10s", true),
        (
            r#"{ kind = "reduce", symbol = "BTCUSDT" }"#.to_owned(),
            "10s",
            true,
        ),
        (r#"{ side = "BUY" }"#.to_owned(), "10s", false),
        (format!("{sell}, {sell}"), "10s", false),
        (String::new(), "10s", false),
        // The window begins after the expectation at 5 s, and not after the step.
        (sell.to_owned(), "20s", true),
    ] {
        let expect = format!(
            "{{ at = \"5s\", orders = [] }},\n{{ at = \"{at}\", orders = [ {orders} ] }},\n{{ at = \"30s\", orders = [], nothing = true }},"
        );
        let lines: Vec<usize> = played(STANDARD, &long(steps, &expect))
            .failures
            .iter()
            .map(|failure| failure.line)
            .collect();
        let expected = if passes { vec![] } else { vec![12] };
        assert_eq!(lines, expected, "[{orders}] at {at}");
    }
}

#[test]
fn a_step_that_does_not_happen_as_written_fails_the_test() {
    for (step, said) in [
        (
            r#"{ at = "5s", fill = { symbol = "BTCUSDT", side = "BUY", quantity = "100" } },"#,
            "-2019",
        ),
        (
            r#"{ at = "5s", order = { symbol = "BTCUSDT", side = "BUY", quantity = "0.1", price = "40000", refused = true } },"#,
            "was to refuse this order, and took it",
        ),
        (
            r#"{ at = "5s", rearm = "keep", refused = true },"#,
            "was to refuse, and did",
        ),
    ] {
        let played = played(STANDARD, &long(step, r#"{ at = "6s", equity = "10000" },"#));
        let [failure] = &played.failures[..] else {
            panic!("{step}: {:?}", played.failures);
        };
        let wrong = &failure.clauses[0];
        assert_eq!((failure.line, wrong.clause), (8, "step"), "{step}");
        assert!(wrong.found.contains(said), "{step}: {}", wrong.found);
    }
}

#[test]
fn the_day_of_a_policy_is_that_of_its_own_clock_where_clocks_change() {
    let policies = r#"
version = 1
[[policy]]
id = "day"
type = "period_loss"
timezone = "Europe/Prague"
ladder = [ { at = "5%", action = "alert" } ]
"#;
    // In Prague this day ends at 22:00 UTC, because its night had no hour from two to three.
    let text = long(
        r#"{ at = "1m", mark = { BTCUSDT = "49000" } },"#,
        r#"
  { at = "4m", policy = "day", value = "10%" },
  { at = "5m5s", policy = "day", value = "0%", state = "ok" },"#,
    );
    let text = text.replace("2026-03-29T00:55:00Z", "2026-03-29T21:55:00Z");
    assert_eq!(played(policies, &text).failures, []);
    let text = text.replace("2026-03-29T21:55:00Z", "2026-03-28T21:55:00Z");
    let lines: Vec<usize> = played(policies, &text).failures.iter().map(|f| f.line).collect();
    assert_eq!(
        lines,
        [13],
        "a day earlier the clocks are an hour behind, and the day goes on"
    );
}
