//! Text in, findings out.

use super::*;
use crate::policy::drawdown::HighWater;
use crate::policy::spec::{Action, Clear, Cut};

/// A file with one policy.
fn file(policy: &str) -> String {
    format!("version = 1\nname = \"t\"\n[[policy]]\n{policy}\n")
}

/// `fine`, or `code line:column` of each finding.
fn check(text: &str) -> String {
    match parse("p.toml", text) {
        Ok(_) => "fine".into(),
        Err(found) => {
            let all: Vec<String> = found
                .items
                .iter()
                .map(|item| format!("{} {}:{}", item.code, item.line, item.column))
                .collect();
            all.join(", ")
        }
    }
}

/// The first hint, else the first message.
fn hint(text: &str) -> String {
    match parse("p.toml", text) {
        Ok(_) => "fine".into(),
        Err(found) => found
            .items
            .first()
            .map(|item| item.hint.clone().unwrap_or(item.message.clone()))
            .unwrap_or_default(),
    }
}

const MARGIN: &str = "id = \"m\"\ntype = \"margin_ratio\"\n";

fn margin(ladder: &str) -> String {
    file(&format!("{MARGIN}ladder = [ {ladder} ]"))
}

#[test]
fn the_standard_policies_are_fine() {
    let set = parse(
        "policies/standard.toml",
        include_str!("../../../policies/standard.toml"),
    )
    .unwrap_or_else(|found| panic!("{found}"));
    let ids: Vec<&str> = set.policies.iter().map(|policy| policy.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "margin",
            "margin-call",
            "position",
            "drawdown",
            "daily-loss",
            "blind"
        ]
    );
    let sentences: Vec<String> = set
        .policies
        .iter()
        .flat_map(|policy| policy.ladder.iter().map(|rung| sentence(policy, rung)))
        .collect();
    assert_eq!(
        sentences.get(2).map(String::as_str),
        Some(
            "when the maintenance margin is 70% of the margin balance: cancels orders that could add exposure and \
             closes the least that brings the margin ratio to 45%; stays until it is back at 65%."
        )
    );
    assert!(
        sentences
            .iter()
            .any(|text| text.starts_with("when one position is worth 15x the equity"))
    );
    assert!(
        sentences
            .iter()
            .any(|text| text.contains("until an operator re-arms"))
    );
}

#[test]
fn the_first_example_of_the_specification_is_read() {
    let text = file(
        "id = \"margin\"\ntype = \"margin_ratio\"\nmode = \"enforce\"\nsymbols = [\"*\"]\nfor = \"0s\"\nclear = \"5%\"\n\
         latch = \"until_clear\"\nladder = [\n{ at = \"50%\", action = \"alert\" },\n{ at = \"60%\", action = \"block\" },\n\
         { at = \"70%\", action = \"reduce\", to = \"45%\" },\n{ at = \"90%\", action = \"flatten\" },\n]",
    );
    let set = parse("p.toml", &text).unwrap_or_else(|found| panic!("{found}"));
    let policy = &set.policies[0];
    assert_eq!(policy.clear, Clear::By(Amount::Ratio("0.05".parse().unwrap())));
    assert_eq!(policy.ladder[2].at, Some(Amount::Ratio("0.7".parse().unwrap())));
    assert_eq!(
        policy.ladder[2].action,
        Action::Reduce(Cut::To(Amount::Ratio("0.45".parse().unwrap())))
    );
}

#[test]
fn every_mistake_of_a_file_is_reported_with_its_place() {
    let text = "version = 2\nnaem = \"x\"\n[[policy]]\nid = \"A b\"\ntype = \"margin_ratio\"\nladder = [\n  { at = 0.7, action = \"alrt\" },\n]\n[[policy]]\nid = \"b\"\ntype = \"custom\"\n";
    assert_eq!(
        check(text),
        "version 1:11, unknown-key 2:1, id 4:6, bare-float 7:10, unknown-word 7:24, not-built 11:8"
    );
}

#[test]
fn the_head_of_a_file_is_strict() {
    for (text, expected) in [
        ("", "missing-key 1:1, missing-key 1:1"),
        ("version = 1", "missing-key 1:1"),
        ("version = \"1\"\n", "missing-key 1:1, version 1:11"),
        ("version = 1\n[policy]\nid = \"x\"", "wrong-kind 2:1"),
        ("version = 1\nversion = 1", "toml 2:1"),
        ("version = ", "toml 1:11"),
        ("\u{feff}", "missing-key 1:1, missing-key 1:1"),
    ] {
        assert_eq!(check(text), expected, "{text:?}");
    }
}

#[test]
fn rungs_are_strict() {
    for (ladder, expected) in [
        (r#"{ at = "50%", action = "alert" }"#, "fine"),
        (
            r#"{ at = "50%", action = "alert", mode = "shadow", for = "5s", latch = "for 1h" }"#,
            "fine",
        ),
        (r#"{ action = "alert" }"#, "missing-key 6:12"),
        (r#"{ at = "50%" }"#, "missing-key 6:12"),
        (r#"{ at = "0%", action = "alert" }"#, "range 6:19"),
        (r#"{ at = "120%", action = "alert" }"#, "range 6:19"),
        (r#"{ at = "0.5", action = "alert" }"#, "percent 6:19"),
        (r#"{ at = 50, action = "alert" }"#, "percent 6:19"),
        (
            r#"{ at = "50%", acton = "alert" }"#,
            "missing-key 6:12, unknown-key 6:26",
        ),
        (r#"{ at = "50%", action = "reduce" }"#, "missing-key 6:12"),
        (
            r#"{ at = "50%", action = "reduce", to = "40%", fraction = "5%" }"#,
            "target 6:45",
        ),
        (r#"{ at = "50%", action = "reduce", to = "50%" }"#, "target 6:50"),
        (r#"{ at = "50%", action = "reduce", to = "60%" }"#, "target 6:50"),
        (r#"{ at = "50%", action = "reduce", fraction = "50%" }"#, "fine"),
        (
            r#"{ at = "50%", action = "reduce", fraction = "0.5" }"#,
            "percent 6:56",
        ),
        (
            r#"{ at = "50%", action = "reduce", fraction = "150%" }"#,
            "range 6:56",
        ),
        (r#"{ at = "50%", action = "block", to = "40%" }"#, "target 6:44"),
        (r#"{ at = "50%", action = "place_stop" }"#, "action 6:35"),
        (
            r#"{ at = "50%", action = "block", distance = "3%" }"#,
            "target 6:44",
        ),
        (r#"{ at = "50%", action = "cancel" }"#, "action 6:35"),
        (
            r#"{ at = "50%", action = "alert", latch = "until_reset" }"#,
            "latch 6:52",
        ),
        (
            r#"{ at = "50%", action = "alert" }, { at = "50%", action = "block" }"#,
            "order 6:53",
        ),
        (
            r#"{ at = "60%", action = "alert" }, { at = "50%", action = "block" }"#,
            "order 6:53",
        ),
        (
            r#"{ at = "50%", action = "block" }, { at = "60%", action = "alert" }"#,
            "order 6:69",
        ),
        (
            r#"{ at = "50%", action = "alert" }, { at = "60%", action = "alert" }"#,
            "fine",
        ),
        ("", "ladder 6:10"),
        ("7", "wrong-kind 6:12"),
    ] {
        assert_eq!(check(&margin(ladder)), expected, "{ladder}");
    }
}

#[test]
fn the_envelope_is_strict() {
    for (line, expected) in [
        ("mode = \"shadow\"", "fine"),
        ("mode = \"Shadow\"", "unknown-word 6:8"),
        ("symbols = [\"*\", \"!XUSDT\"]", "fine"),
        ("symbols = []", "symbols 6:11"),
        ("symbols = \"*\"", "wrong-kind 6:11"),
        ("symbols = [\"btc*\"]", "symbols 6:12"),
        ("symbols = [\"测试*\"]", "fine"),
        ("symbols = [\"!\"]", "symbols 6:12"),
        ("for = \"15s\"", "fine"),
        ("for = 15", "duration 6:7"),
        ("for = \"-15s\"", "duration 6:7"),
        ("clear = \"5%\"", "fine"),
        ("clear = \"0%\"", "range 6:9"),
        ("clear = \"50%\"", "clear 6:9"),
        ("clear = \"0.05\"", "percent 6:9"),
        ("latch = \"manual\"", "fine"),
        ("latch = \"for 90m\"", "fine"),
        ("latch = \"for 0s\"", "latch 6:9"),
        ("latch = \"for ever\"", "latch 6:9"),
        ("latch = \"until_reset\"", "latch 6:9"),
        ("window = \"5m\"", "unknown-key 6:1"),
    ] {
        let text = file(&format!(
            "{MARGIN}{line}\nladder = [ {{ at = \"50%\", action = \"alert\" }} ]"
        ));
        assert_eq!(check(&text), expected, "{line}");
    }
}

#[test]
fn a_rung_must_be_able_to_clear() {
    let text = |clear: &str| {
        file(&format!(
            "{MARGIN}clear = \"{clear}\"\nladder = [ {{ at = \"3%\", action = \"alert\" }} ]"
        ))
    };
    assert_eq!(check(&text("2%")), "fine");
    assert_eq!(check(&text("3%")), "clear 6:9");
    assert_eq!(hint(&text("5%")), "write less than 3%, such as \"1.5%\"");
}

#[test]
fn clear_is_points_under_ratios_and_a_share_of_other_thresholds() {
    let points = |text: &str| Clear::By(Amount::Ratio(text.parse().unwrap()));
    let share = |text: &str| Clear::Share(text.parse().unwrap());
    for (own, at, clear, expected) in [
        ("type = \"drawdown\"", "10%", "clear = \"2%\"", points("0.02")),
        ("type = \"drawdown\"", "1000", "clear = \"2%\"", share("0.02")),
        (
            "type = \"drawdown\"",
            "1000",
            "clear = \"50\"",
            Clear::By(Amount::Money("50".parse().unwrap())),
        ),
        (
            "type = \"max_position\"\nmeasure = \"equity_multiple\"",
            "3x",
            "clear = \"10%\"",
            share("0.1"),
        ),
        (
            "type = \"max_position\"\nmeasure = \"equity_multiple\"",
            "3x",
            "clear = \"1x\"",
            Clear::By(Amount::Multiple("1".parse().unwrap())),
        ),
        (
            "type = \"blind\"",
            "15s",
            "clear = \"5s\"",
            Clear::By(Amount::Time(Span::from_secs(5))),
        ),
        ("type = \"blind\"", "15s", "", share("0.05")),
    ] {
        let text = file(&format!(
            "id = \"a\"\n{own}\n{clear}\nladder = [ {{ at = \"{at}\", action = \"alert\" }} ]"
        ));
        let set = parse("p.toml", &text).unwrap_or_else(|found| panic!("{found}"));
        assert_eq!(set.policies[0].clear, expected, "{text}");
    }
}

#[test]
fn each_type_has_its_own_keys() {
    let alert = |at: &str| format!("ladder = [ {{ at = \"{at}\", action = \"alert\" }} ]");
    for (own, ladder, expected) in [
        ("type = \"max_position\"", alert("5000"), "fine"),
        ("type = \"max_position\"", alert("5%"), "unit 6:19"),
        (
            "type = \"max_position\"\nmeasure = \"quantity\"\ncount_open_orders = false",
            alert("0.5"),
            "fine",
        ),
        (
            "type = \"max_position\"\ncount_open_orders = \"yes\"",
            alert("5000"),
            "wrong-kind 6:21",
        ),
        (
            "type = \"max_position\"\nmeasure = \"equity_multiple\"",
            alert("3"),
            "unit 7:19",
        ),
        (
            "type = \"max_position\"\nmeasure = \"notionl\"",
            alert("3"),
            "unknown-word 6:11",
        ),
        ("type = \"drawdown\"", alert("10%"), "fine"),
        (
            "type = \"drawdown\"\nhigh_water = \"static\"",
            alert("500"),
            "fine",
        ),
        (
            "type = \"drawdown\"\nlock_floor_at = \"10000\"",
            alert("500"),
            "fine",
        ),
        (
            "type = \"drawdown\"\nlock_floor_at = \"10000\"",
            alert("5%"),
            "lock-floor 6:1",
        ),
        (
            "type = \"drawdown\"\nlock_floor_at = 10000.5",
            alert("500"),
            "bare-float 6:17",
        ),
        (
            "type = \"drawdown\"\nperiod = \"day\"",
            alert("5%"),
            "unknown-key 6:1",
        ),
        ("type = \"period_loss\"", alert("5%"), "fine"),
        (
            "type = \"period_loss\"\nbase = \"initial\"",
            alert("5%"),
            "missing-key 3:1",
        ),
        (
            "type = \"period_loss\"\nbase = \"initial\"\ninitial = \"10000\"",
            alert("5%"),
            "fine",
        ),
        (
            "type = \"period_loss\"\ninitial = \"10000\"",
            alert("5%"),
            "initial 6:1",
        ),
        (
            "type = \"period_loss\"\nreset = \"7:00\"",
            alert("5%"),
            "time 6:9",
        ),
        (
            "type = \"period_loss\"\ntimezone = \"Europe/Prague\"\nreset = \"17:30\"\nperiod = \"week\"",
            alert("5%"),
            "fine",
        ),
        (
            "type = \"period_loss\"\ntimezone = \"Europe/Pragu\"",
            alert("5%"),
            "timezone 6:12",
        ),
        (
            "type = \"period_loss\"\ntimezone = \"../etc/passwd\"",
            alert("5%"),
            "timezone 6:12",
        ),
        (
            "type = \"period_loss\"\nlatch = \"until_reset\"",
            alert("5%"),
            "fine",
        ),
        ("type = \"blind\"", alert("15s"), "fine"),
        ("type = \"blind\"", alert("15"), "unit 6:19"),
        ("type = \"blind\"", alert("15%"), "unit 6:19"),
        (
            "type = \"margin_call\"",
            "ladder = [ { action = \"alert\" }, { action = \"reduce\", to = \"45%\" } ]".into(),
            "fine",
        ),
        ("type = \"margin_call\"", alert("50%"), "at 6:14"),
        (
            "type = \"margin_call\"",
            "ladder = [ { action = \"reduce\", to = \"100%\" } ]".into(),
            "target 6:38",
        ),
        (
            "type = \"margin_call\"\nfor = \"5s\"",
            "ladder = [ { action = \"alert\" } ]".into(),
            "for 6:7",
        ),
        (
            "type = \"margin_call\"",
            "ladder = [ { action = \"alert\" }, { action = \"alert\" } ]".into(),
            "order 6:45",
        ),
        (
            "type = \"unprotected_position\"\nmin_coverage = \"100%\"\nmax_stop_distance = \"5%\"",
            "ladder = [ { at = \"10s\", action = \"alert\" }, { at = \"30s\", action = \"reduce\", fraction = \"50%\" } ]"
                .into(),
            "fine",
        ),
        (
            "type = \"unprotected_position\"\nmin_coverage = 0.95",
            "ladder = [ { at = \"10\", action = \"reduce\", to = \"5s\" } ]".into(),
            "bare-float 6:16, unit 7:19, target 7:44",
        ),
        (
            "type = \"foreign_activity\"",
            "ladder = [ { action = \"alert\" }, { action = \"block\", latch = \"for 1h\" } ]".into(),
            "fine",
        ),
        (
            "type = \"foreign_activity\"\nclient_id_prefixes = []",
            "ladder = [ { at = \"5s\", action = \"alert\" } ]".into(),
            "prefixes 6:22, at 7:14",
        ),
        (
            "type = \"foreign_activity\"\nclient_id_prefixes = [\"bot-\", \"\", \"b t\"]",
            "ladder = [ { action = \"alert\" } ]".into(),
            "prefixes 6:31, prefixes 6:35",
        ),
        (
            "type = \"unprotected_position\"",
            "ladder = [ { at = \"9s\", action = \"place_stop\", distance = \"3%\" } ]".into(),
            "fine",
        ),
        (
            "type = \"unprotected_position\"\nmax_stop_distance = \"2%\"",
            "ladder = [ { at = \"9s\", action = \"place_stop\", distance = \"3%\" } ]".into(),
            "distance 7:59",
        ),
        (
            "type = \"unprotected_position\"",
            "ladder = [ { at = \"9s\", action = \"place_stop\" } ]".into(),
            "missing-key 6:12",
        ),
        ("type = \"orphan_orders\"", alert("10s"), "fine"),
        ("type = \"orphan_orders\"", alert("10"), "unit 6:19"),
        (
            "type = \"orphan_orders\"",
            "ladder = [ { at = \"5s\", action = \"cancel\" } ]".into(),
            "fine",
        ),
        (
            "type = \"orphan_orders\"",
            "ladder = [ { at = \"5s\", action = \"cancel\" }, { at = \"9s\", action = \"block\" } ]".into(),
            "action 6:68",
        ),
        (
            "type = \"order_limits\"\nmax_open_orders = 50\nmax_price_deviation = \"10%\"",
            "ladder = [ { action = \"alert\" }, { action = \"cancel\" }, { action = \"block\" } ]".into(),
            "fine",
        ),
        (
            "type = \"order_limits\"",
            "ladder = [ { action = \"alert\" } ]".into(),
            "missing-key 3:1",
        ),
        (
            "type = \"order_limits\"\nmax_open_orders = 0\nmax_order_notional = \"5%\"\nmax_price_deviation = 0.1",
            "ladder = [ { action = \"flatten\" } ]".into(),
            "range 6:19, unit 7:22, bare-float 8:23, action 9:23",
        ),
        (
            "type = \"orphan_orders\"\nmax_open_orders = 5",
            alert("10s"),
            "unknown-key 6:1",
        ),
        ("type = \"custom\"", alert("1"), "not-built 5:8"),
        ("type = \"margin_ration\"", alert("50%"), "unknown-type 5:8"),
    ] {
        let text = file(&format!("id = \"a\"\n{own}\n{ladder}"));
        assert_eq!(check(&text), expected, "{text}");
    }
}

#[test]
fn a_target_where_closing_does_not_help_is_explained() {
    for kind in ["drawdown", "period_loss"] {
        let text = file(&format!(
            "id = \"a\"\ntype = \"{kind}\"\nladder = [ {{ at = \"10%\", action = \"reduce\", to = \"5%\" }} ]"
        ));
        assert_eq!(check(&text), "target 6:45", "{kind}");
        let found = parse("p.toml", &text).unwrap_err().to_string();
        assert!(found.contains("does not lower a loss"), "{found}");
    }
}

#[test]
fn units_are_not_mixed_in_one_policy() {
    let text = file(
        "id = \"a\"\ntype = \"drawdown\"\nladder = [ { at = \"10%\", action = \"alert\" }, { at = \"500\", action = \"block\" } ]",
    );
    assert_eq!(check(&text), "unit 6:53");
}

#[test]
fn ids_are_unique() {
    let one = format!("[[policy]]\n{MARGIN}ladder = [ {{ at = \"50%\", action = \"alert\" }} ]\n");
    assert_eq!(check(&format!("version = 1\n{one}{one}")), "id 7:6");
}

#[test]
fn hints_say_what_to_write() {
    for (text, expected) in [
        (margin(r#"{ at = "0.7", action = "alert" }"#), "write 70%"),
        (
            margin(r#"{ at = 0.7, action = "alert" }"#),
            "put it in quotes: \"0.7\"",
        ),
        (
            margin(r#"{ at = "70%", action = "alrt" }"#),
            "did you mean `alert`?",
        ),
        (
            file("id = \"a\"\ntype = \"drawdwn\"\nladder = []"),
            "did you mean `drawdown`?",
        ),
        (
            file("id = \"a\"\ntype = \"blind\"\nladdr = []"),
            "write ladder = [ { at = \"...\", action = \"alert\" } ]",
        ),
        (
            file(
                "id = \"a\"\ntype = \"blind\"\nhigh_water = \"static\"\nladder = [ { at = \"15s\", action = \"alert\" } ]",
            ),
            "`high_water` belongs to type `drawdown`",
        ),
        (
            file(
                "id = \"a\"\ntype = \"period_loss\"\ntimezone = \"europe/pragu\"\nladder = [ { at = \"5%\", action = \"alert\" } ]",
            ),
            "did you mean `Europe/Prague`?",
        ),
    ] {
        let found = hint(&text);
        assert!(found.starts_with(expected), "{found}: {text}");
    }
}

#[test]
fn defaults_are_those_of_the_specification() {
    let text = file("id = \"a\"\ntype = \"drawdown\"\nladder = [ { at = 500, action = \"alert\" } ]");
    let set = parse("p.toml", &text).unwrap_or_else(|found| panic!("{found}"));
    let policy = &set.policies[0];
    assert!(matches!(&policy.kind, Kind::Drawdown(kind) if kind.high_water == HighWater::Realtime));
    assert_eq!(
        (policy.mode, policy.hold, policy.latch),
        (Mode::Enforce, Span::ZERO, Latch::UntilClear)
    );
}

#[test]
fn limits_hold() {
    let rung = r#"{ at = "1%", action = "alert" },"#;
    assert_eq!(check(&margin(&rung.repeat(17))), "ladder 6:10");
    let many = (0..201)
        .map(|i| format!("[[policy]]\nid = \"p{i}\"\n"))
        .collect::<String>();
    assert_eq!(
        check(&format!("version = 1\n{many}")).split(' ').next(),
        Some("too-many")
    );
    assert_eq!(check(&"#".repeat(FILE_MAX + 1)), "too-large 0:0");
    let keys: String = (0..300).map(|i| format!("k{i} = 1\n")).collect();
    let found = parse("p.toml", &keys).unwrap_err();
    assert_eq!(found.items.len(), 101);
}

#[test]
fn a_file_cannot_drive_the_terminal() {
    let text = margin(r#"{ at = "50%", action = "\u001b[31mred" }"#);
    let found = parse("p.toml", &text).unwrap_err().to_string();
    assert!(!found.contains('\u{1b}'), "{found}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}") {
        let _ = parse("p.toml", &text).map_err(|found| found.to_string());
    }

    #[test]
    fn no_value_makes_the_reader_panic(value in "[-0-9.%xsmhe\"{}\\[\\], a-z]{0,24}") {
        for key in ["at", "to", "fraction", "for", "latch", "action"] {
            let _ = parse("p.toml", &margin(&format!("{{ at = \"50%\", {key} = {value} }}"))).map_err(|found| found.to_string());
        }
    }
}
