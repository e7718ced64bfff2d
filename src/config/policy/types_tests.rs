//! The keys of each type: what is read, what is refused, and what it is said to do.

use super::{parse, sentence};

/// The sentence of the last rung, or `code: hint` of the first finding.
fn check(type_name: &str, keys: &str, ladder: &str) -> String {
    let text = format!(
        "version = 1\n[[policy]]\nid = \"a\"\ntype = \"{type_name}\"\n{keys}\nladder = [ {ladder} ]\n"
    );
    match parse("p.toml", &text) {
        Ok(set) => {
            let policy = &set.policies[0];
            sentence(policy, policy.ladder.last().unwrap())
        }
        Err(found) => {
            let first = &found.items[0];
            format!("{}: {}", first.code, first.hint.clone().unwrap_or_default())
        }
    }
}

#[test]
fn each_type_reads_its_keys_and_says_what_it_does() {
    const EVENT: &str = "{ action = \"alert\" }";
    let at = |at: &str| format!("{{ at = \"{at}\", action = \"alert\" }}");
    for (kind, keys, ladder, expected) in [
        (
            "loss_velocity",
            "",
            at("2%"),
            "when equity is 2% under its highest of the last 5m: tells people.",
        ),
        (
            "loss_velocity",
            "window = \"30s\"",
            at("500"),
            "when equity is 500 under its highest of the last 30s: tells people.",
        ),
        (
            "loss_velocity",
            "window = \"0s\"",
            at("2%"),
            "range: write it like \"5m\"",
        ),
        (
            "max_exposure",
            "",
            at("5000"),
            "when all positions together are worth 5000: tells people.",
        ),
        (
            "max_exposure",
            "measure = \"net\"",
            at("5000"),
            "when longs and shorts together leave 5000 of net exposure: tells people.",
        ),
        (
            "max_exposure",
            "measure = \"leverage\"",
            at("3x"),
            "when all positions together are worth 3x the equity: tells people.",
        ),
        (
            "max_exposure",
            "measure = \"leverage\"",
            at("3"),
            "unit: write \"3x\"",
        ),
        (
            "max_exposure",
            "",
            "{ at = \"5000\", action = \"reduce\", to = \"6000\" }".into(),
            "target: write less than 5000",
        ),
        (
            "profit_giveback",
            "arm_at = \"500\"\nreset = \"17:00\"\nlatch = \"until_reset\"",
            at("50%"),
            "when, after a profit of 500 in the day (since 17:00 UTC), 50% of the best profit is given back: tells people.",
        ),
        (
            "profit_giveback",
            "",
            at("50%"),
            "missing-key: write arm_at = \"500\", the profit from which on it is guarded",
        ),
        (
            "profit_giveback",
            "arm_at = \"500\"",
            at("50"),
            "percent: write 50%",
        ),
        (
            "trading_window",
            "",
            EVENT.into(),
            "outside Mon,Tue,Wed,Thu,Fri 08:00-20:00 UTC: tells people.",
        ),
        (
            "trading_window",
            "allow = [\"22:00-06:00\"]\ntimezone = \"Europe/Prague\"\nfor = \"5m\"",
            EVENT.into(),
            "outside 22:00-06:00 Europe/Prague for 5m: tells people.",
        ),
        (
            "trading_window",
            "allow = []",
            EVENT.into(),
            "hours: write [\"Mon-Fri 08:00-20:00\"]",
        ),
        (
            "trading_window",
            "allow = [\"Mon-Fry 08:00-20:00\"]",
            EVENT.into(),
            "hours: write \"Mon-Fri 08:00-20:00\", \"Sat,Sun 10:00-12:00\", or \"22:00-06:00\" for every night",
        ),
        (
            "trading_window",
            "latch = \"until_reset\"",
            EVENT.into(),
            "latch: `until_reset` is for `period_loss` and `profit_giveback`; write \"until_clear\", \"manual\" or \"for 1h\"",
        ),
        ("trading_window", "", at("5m"), "at: remove `at`"),
        (
            "symbol_allowlist",
            "symbols = [\"BTC*\"]",
            EVENT.into(),
            "when a position or an order is in a contract that is not listed: tells people.",
        ),
        (
            "symbol_allowlist",
            "",
            EVENT.into(),
            "missing-key: write symbols = [\"BTCUSDT\"], the contracts that are allowed",
        ),
        (
            "forced_event",
            "",
            EVENT.into(),
            "for an hour after a liquidation, auto-deleveraging or settlement fill: tells people.",
        ),
        ("forced_event", "for = \"5s\"", EVENT.into(), "for: remove `for`"),
        (
            "loss_streak",
            "min_loss = \"5\"",
            "{ at = \"3\", action = \"block\" }".into(),
            "when 3 round trips in a row within 24h have lost: cancels orders that could add exposure; stays until it is back at 2.",
        ),
        ("loss_streak", "window = \"2h\"", at("2.5"), "unit: "),
        (
            "loss_streak",
            "",
            "{ at = \"3\", action = \"reduce\", to = \"1\" }".into(),
            "target: write `fraction` (of the position), such as fraction = \"50%\"",
        ),
        (
            "drawdown",
            "window = \"5m\"",
            at("5%"),
            "unknown-key: `window` belongs to type `loss_velocity`, `loss_streak`",
        ),
    ] {
        assert_eq!(check(kind, keys, &ladder), expected, "{kind} {keys} {ladder}");
    }
}
