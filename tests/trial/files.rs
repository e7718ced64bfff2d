//! Files that are wrong are told where and what to write; the verb's words and exit codes.

use super::{STANDARD, long};
use assert_cmd::Command;
use backstop::config::policy;
use backstop::config::trial::parse;
use std::path::Path;

/// The test of SPEC.md 4.2.
const SPEC: &str = r#"policies = ["standard.toml"]

[[test]]
name      = "a withdrawal is not a loss"
start     = "2026-03-29T00:55:00Z"
account   = { position_mode = "one_way", wallet = { USDT = "10000" } }
positions = [ { symbol = "BTCUSDT", quantity = "0.5", entry_price = "60000", mark_price = "60000" } ]
steps  = [
  { at = "1m", transfer = { USDT = "-3000" } },
  { at = "2m", mark = { BTCUSDT = "52000" } },
  { at = "3m", margin_call = ["BTCUSDT"] },
  { at = "4m", stream = "down", for = "40s" },
]
expect = [
  { at = "1m", policy = "drawdown", state = "ok" },
  { at = "2m", policy = "margin", rung = "reduce", orders = [ { symbol = "BTCUSDT", side = "SELL", quantity = "0.2" } ] },
]
"#;

fn check(text: &str) -> String {
    let read = parse("t.test.toml", text, |_| {
        Ok((vec!["p.toml".into()], policy::parse("p.toml", STANDARD)?))
    });
    match read {
        Ok(_) => "fine".into(),
        Err(found) => {
            let item = &found.items[0];
            format!(
                "{}:{} {}; {}",
                item.line,
                item.code,
                item.message,
                item.hint.as_deref().unwrap_or("-")
            )
        }
    }
}

#[test]
fn a_wrong_test_file_is_told_where_and_what_to_write() {
    let good = format!(
        "policies = [\"p.toml\"]\n{}",
        long(
            r#"{ at = "10s", mark = { BTCUSDT = "48900" } },"#,
            r#"{ at = "10s", policy = "drawdown", rung = "alert" },"#
        )
    );
    assert_eq!(check(&good), "fine");
    assert_eq!(check(SPEC), "fine");
    for (from, to, said) in [
        (
            "policies =",
            "polices =",
            "1:missing-key this test file has no `policies`",
        ),
        (
            "[[test]]",
            "[[tests]]",
            "unknown-key unknown key `tests` in this test file; did you mean `test`?",
        ),
        (
            "mark =",
            "marks =",
            "8:step this step does nothing; did you mean `mark`?",
        ),
        (
            "mark =",
            "sleep = \"1m\", mark =",
            "8:step this step does 2 things: `mark`, `sleep`",
        ),
        (
            "at = \"10s\", mark",
            "at = \"10ms\", mark",
            "8:duration `at` is not a whole tenth of a second",
        ),
        (
            "at = \"10s\", mark",
            "mark",
            "8:missing-key this step has no `at`",
        ),
        ("{ BTCUSDT = \"48900\" }", "{ BTCUSDT = 48900.5 }", "8:bare-float"),
        (
            "{ BTCUSDT = \"48900\" }",
            "{ BTCUSDT = \"-1\" }",
            "8:number `BTCUSDT` is -1, not above 0",
        ),
        (
            "{ BTCUSDT = \"48900\" }",
            "{ ETHUSDT = \"1\" }",
            "8:price ETHUSDT has no price at the start",
        ),
        (
            "48900\" }",
            "48900\" }, for = \"1m\"",
            "8:unknown-key unknown key `for` in this step; `mark` happens at once",
        ),
        (
            "\"drawdown\"",
            "\"drawdwon\"",
            "11:policy no policy is called `drawdwon`; did you mean `drawdown`?",
        ),
        (
            "policy = \"drawdown\", ",
            "",
            "11:missing-key this expectation has no `policy`",
        ),
        ("\"alert\"", "\"alarm\"", "11:unknown-word `alarm` is not a rung"),
        (
            "rung = \"alert\"",
            "nothing = false",
            "11:expectation `nothing = false` expects nothing in particular",
        ),
        (
            ", rung = \"alert\"",
            "",
            "11:expectation this expectation expects nothing at all",
        ),
        (
            "2026-03-29T00:55:00Z",
            "yesterday",
            "4:start `yesterday` is not a start",
        ),
        ("\"10000\"", "\"much\"", "5:number"),
    ] {
        assert!(good.contains(from), "{from}");
        let found = check(&good.replacen(from, to, 1));
        assert!(found.contains(said), "{from} -> {to}: {found}");
    }
}

/// The verb in a folder with the standard policies and this test file.
fn backstop(text: &str, args: &[&str]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("standard.toml"), STANDARD).unwrap();
    std::fs::write(folder.path().join("a.test.toml"), text).unwrap();
    let ran = Command::new(Path::new(env!("CARGO_BIN_EXE_backstop")))
        .current_dir(folder.path())
        .args(["test", "."])
        .args(args)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (ran.status.code().unwrap(), text(&ran.stdout), text(&ran.stderr))
}

#[test]
fn a_failure_shows_the_clause_the_steps_and_the_numbers_of_the_policy() {
    let (code, said, _) = backstop(SPEC, &[]);
    assert_eq!(code, 1, "{said}");
    for part in [
        "FAIL  a withdrawal is not a loss\n  --> ./a.test.toml:16\n  at 2m, policy `margin`:\n",
        "    rung           expected  reduce\n                   found     none\n",
        "    orders         expected  SELL 0.2 BTCUSDT\n                   found     nothing\n",
        "» transfer USDT -3000 (line 9)",
        "= margin: ok: cross USDT: maintenance 120 / balance 7000 = 1.71%",
        "! drawdown: → reduce SELL 0.5 BTCUSDT",
        "0 passed, 1 failed",
    ] {
        assert!(said.contains(part), "{part}\n---\n{said}");
    }
    // What came after the expectation is not shown.
    assert!(!said.contains("margin_call BTCUSDT"), "{said}");
}

#[test]
fn the_exit_code_says_passed_failed_or_unreadable() {
    let passing = SPEC.replace("rung = \"reduce\"", "rung = \"none\"");
    let passing = passing.replace(
        "[ { symbol = \"BTCUSDT\", side = \"SELL\", quantity = \"0.2\" } ]",
        "[]",
    );
    for (text, args, code, said) in [
        (passing.as_str(), &[][..], 0, "ok    a withdrawal is not a loss"),
        (
            passing.as_str(),
            &["--coverage"],
            0,
            "never tripped: margin flatten at 90%",
        ),
        (
            passing.as_str(),
            &["--coverage=strict"],
            1,
            "6 of 16 rungs tripped",
        ),
        (SPEC, &["--mutate"], 1, "mend the tests first"),
        (
            SPEC,
            &["--only", "deposit"],
            2,
            "no test has `deposit` in its name",
        ),
        ("policies = 1", &[], 2, "not a list"),
        (
            &passing.replace("standard.toml", "absent.toml"),
            &[],
            2,
            "absent.toml",
        ),
    ] {
        let (found, out, err) = backstop(text, args);
        assert_eq!(found, code, "{args:?}\n{out}{err}");
        assert!(
            out.contains(said) || err.contains(said),
            "{args:?}: {said}\n{out}{err}"
        );
    }
}

#[test]
fn json_has_a_line_for_each_test_with_its_timeline() {
    let (_, out, _) = backstop(SPEC, &["--json", "--coverage"]);
    let lines: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["passed"], false);
    assert_eq!(lines[0]["failures"][0]["line"], 16);
    assert_eq!(lines[0]["failures"][0]["clauses"][0]["found"], "none");
    assert!(lines[0]["timeline"].as_array().unwrap().len() > 10);
    assert_eq!(lines[1]["coverage"]["never"].as_array().unwrap().len(), 10);
}
