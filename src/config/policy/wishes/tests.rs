//! Falling thresholds and wishes: text in, findings out.

use crate::config::policy::{parse, sentence};

/// `fine`, or each code with its first words.
fn check(kind: &str, lines: &str, ladder: &str) -> String {
    let text =
        format!("version = 1\n[[policy]]\nid = \"a\"\ntype = \"{kind}\"\n{lines}\nladder = [ {ladder} ]\n");
    match parse("p.toml", &text) {
        Ok(_) => "fine".into(),
        Err(found) => {
            let all = found
                .items
                .iter()
                .map(|item| format!("{}: {}", item.code, item.message));
            all.collect::<Vec<String>>().join("; ")
        }
    }
}

#[test]
fn thresholds_of_a_distance_fall_and_targets_lie_above_them() {
    for (lines, ladder, expected) in [
        (
            "",
            r#"{ at = "15%", action = "alert" }, { at = "6%", action = "reduce", to = "10%" }"#,
            "fine",
        ),
        (
            "",
            r#"{ at = "6%", action = "alert" }, { at = "15%", action = "block" }"#,
            "order: 15% does not come after 6%: thresholds must fall",
        ),
        (
            "",
            r#"{ at = "6%", action = "alert" }, { at = "6%", action = "block" }"#,
            "order: 6% does not come after 6%: thresholds must fall",
        ),
        (
            "",
            r#"{ at = "6%", action = "reduce", to = "6%" }"#,
            "target: `to` 6% is not on the safe side of 6%",
        ),
        ("clear = \"2%\"", r#"{ at = "15%", action = "alert" }"#, "fine"),
        // Half of a threshold that grows could not be cleared by; above one that falls there is room.
        ("clear = \"20%\"", r#"{ at = "15%", action = "alert" }"#, "fine"),
        (
            "clear = \"20%\"",
            r#"{ at = "90%", action = "alert" }"#,
            "clear: 20% above the threshold 90% is above 100%: it would never clear",
        ),
    ] {
        assert_eq!(
            check("liquidation_distance", lines, ladder),
            expected,
            "{lines} {ladder}"
        );
    }
}

#[test]
fn wishes_that_contradict_each_other_or_mean_nothing_are_refused() {
    let to = r#"{ at = "70%", action = "reduce", to = "45%" }"#;
    let share = r#"{ at = "70%", action = "reduce", fraction = "50%" }"#;
    for (kind, lines, ladder, expected) in [
        ("margin_ratio", r#"never_cut = ["BTC*"]"#, to, "fine"),
        ("margin_ratio", r#"never_cut = ["BTC*"]"#, share, "fine"),
        (
            "margin_ratio",
            "never_cut = [\"BTC*\"]\nlast = [\"ETHUSDT\"]\npro_rata = true",
            to,
            "fine",
        ),
        (
            "margin_ratio",
            r#"pair_with = [["BTCUSDT", "ETHUSDT"], ["A1USDT", "B1USDT"]]"#,
            to,
            "fine",
        ),
        (
            "margin_ratio",
            r#"never_cut = ["*"]"#,
            to,
            "wish: `never_cut` forbids every reduction",
        ),
        ("margin_ratio", r#"never_cut = ["*", "!XUSDT"]"#, to, "fine"),
        (
            "margin_ratio",
            "never_cut = [\"BTC*\"]\nlast = [\"ETHUSDT\", \"BTC*\"]",
            to,
            "wish: `BTC*` is in `never_cut` and in `last`",
        ),
        (
            "margin_ratio",
            "never_cut = [\"BTC*\"]\npair_with = [[\"BTCUSDT\", \"ETHUSDT\"]]",
            to,
            "wish: BTCUSDT is never cut, so what it is paired with could not be cut either",
        ),
        (
            "margin_ratio",
            "last = [\"BTC*\"]\npair_with = [[\"BTCUSDT\", \"ETHUSDT\"]]",
            to,
            "wish: only a part of the pair of BTCUSDT is to be last",
        ),
        (
            "margin_ratio",
            "pro_rata = true\npair_with = [[\"BTCUSDT\", \"ETHUSDT\"]]",
            to,
            "wish: `pro_rata` cuts everything in one proportion, pairs too",
        ),
        (
            "margin_ratio",
            r#"last = ["BTC*"]"#,
            share,
            "wish: `last` has no meaning for a `fraction`, which takes the same of every position",
        ),
        (
            "margin_ratio",
            "pro_rata = true",
            r#"{ at = "70%", action = "flatten" }"#,
            "wish: `pro_rata` has no meaning without a rung that reduces",
        ),
        (
            "margin_ratio",
            r#"pair_with = [["BTCUSDT"]]"#,
            to,
            "pair_with: a group of `pair_with` has at least two contracts",
        ),
        (
            "margin_ratio",
            r#"pair_with = [["BTC*", "ETHUSDT", "XUSDT"]]"#,
            to,
            "pair_with: `BTC*` is not a symbol",
        ),
        (
            "margin_ratio",
            r#"pair_with = [["AUSDT", "BUSDT"], ["CUSDT", "BUSDT", "DUSDT"]]"#,
            to,
            "pair_with: BUSDT is in `pair_with` twice",
        ),
        (
            "margin_ratio",
            r#"pair_with = ["AUSDT", "BUSDT"]"#,
            to,
            "wrong-kind: a group of `pair_with` is a text, not a list; wrong-kind: a group of `pair_with` is a text, not a list",
        ),
        (
            "margin_ratio",
            "never_cut = []",
            to,
            "never_cut: `never_cut` has 0 entries, not 1 to 200",
        ),
        (
            "margin_ratio",
            r#"never_cut = ["btc*"]"#,
            to,
            "never_cut: `btc*` matches nothing: symbols are in capitals",
        ),
        (
            "margin_ratio",
            r#"pro_rata = "yes""#,
            to,
            "wrong-kind: `pro_rata` is a text, not true or false",
        ),
        (
            "drawdown",
            r#"never_cut = ["BTC*"]"#,
            r#"{ at = "10%", action = "alert" }"#,
            "unknown-key: unknown key `never_cut` in policy `a`",
        ),
    ] {
        assert_eq!(check(kind, lines, ladder), expected, "{lines} {ladder}");
    }
}

#[test]
fn a_rung_tells_of_wishes_and_of_where_it_clears() {
    let text = "version = 1\n[[policy]]\nid = \"a\"\ntype = \"liquidation_distance\"\nclear = \"2%\"\n\
                never_cut = [\"BTC*\"]\nlast = [\"ETHUSDT\"]\npair_with = [[\"AUSDT\", \"BUSDT\"]]\n\
                ladder = [ { at = \"6%\", action = \"reduce\", to = \"10%\" } ]\n";
    let set = parse("p.toml", text).unwrap();
    assert_eq!(
        sentence(&set.policies[0], &set.policies[0].ladder[0]),
        "when a move of 6% would reach liquidation: cancels orders that could add exposure and closes the least that \
         brings the distance to liquidation to 10%, never BTC*, last ETHUSDT, AUSDT and BUSDT in one proportion; stays \
         until it is back at 8%."
    );
}
