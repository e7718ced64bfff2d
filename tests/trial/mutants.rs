//! A change of a policy that no test notices is named; one that a test notices is not.

use super::{file, long};
use backstop::trial::mutate::{mutants, try_one};
use backstop::trial::suite::{prove, tests};

const POLICIES: &str = r#"
version = 1
[[policy]]
id = "fall"
type = "drawdown"
clear = "2%"
ladder = [ { at = "10%", action = "block", latch = "manual" } ]
"#;

fn survivors(policies: &str, text: &str) -> Vec<String> {
    let files = [file(policies, text)];
    let played: Vec<_> = tests(&files)
        .iter()
        .map(|(file, test)| prove(test, &file.set))
        .collect();
    for played in &played {
        assert_eq!(played.failures, []);
    }
    let all = mutants(&files, &played);
    assert!(all.len() >= 5, "{}", all.len());
    let found = all.iter().filter_map(|mutant| try_one(mutant, &files, &played));
    found
        .map(|survivor| format!("{}: {}", survivor.mutant, survivor.why))
        .collect()
}

#[test]
fn a_limit_that_no_test_looks_at_survives_every_change() {
    let text = long(
        r#"{ at = "10s", mark = { BTCUSDT = "49900" } },"#,
        r#"{ at = "10s", policy = "fall", rung = "none" },"#,
    );
    let names = [
        "block at 10% -> 9%",
        "block at 10% -> 11%",
        "block at 10% for 10s",
        "block at 10% only warns",
        "block at 10% without its latch",
    ];
    let expected: Vec<String> = names
        .iter()
        .map(|name| format!("fall {name}: no test tells them apart"))
        .collect();
    assert_eq!(survivors(POLICIES, &text), expected);
}

#[test]
fn a_test_on_both_sides_of_a_limit_and_of_its_end_leaves_no_survivor() {
    let text = long(
        r#"
  { at = "5s", order = { symbol = "BTCUSDT", side = "BUY", quantity = "0.1", price = "45000" } },
  { at = "10s", mark = { BTCUSDT = "49010" } },
  { at = "20s", mark = { BTCUSDT = "49000" } },
  { at = "30s", mark = { BTCUSDT = "50000" } },"#,
        r#"
  { at = "10s", policy = "fall", rung = "none" },
  { at = "20s", policy = "fall", rung = "block", orders = [ { kind = "cancel" } ] },
  { at = "40s", policy = "fall", state = "latched" },"#,
    );
    assert_eq!(survivors(POLICIES, &text), Vec::<String>::new());
}

#[test]
fn how_far_a_rung_clears_is_only_changed_where_it_shows() {
    let text = long(
        r#"{ at = "10s", mark = { BTCUSDT = "49900" } },"#,
        r#"{ at = "10s", policy = "fall", rung = "none" },"#,
    );
    let clears = |policies: &str| {
        let found = survivors(policies, &text);
        found.iter().any(|survivor| survivor.contains("`clear`"))
    };
    // A person lets go of a manual latch, however far it has cleared.
    assert!(!clears(POLICIES));
    assert!(clears(&POLICIES.replace(r#", latch = "manual""#, "")));
    assert!(clears(&POLICIES.replace(
        "ladder = [",
        "ladder = [
  { at = \"5%\", action = \"alert\" },"
    )));
}
