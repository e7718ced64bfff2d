//! Random lives of an account: whatever happens in whatever order, no order can add risk, nothing panics, and the same
//! life gives the same decisions. A failing case prints its lines; kept ones are in `proptest-regressions`.

use super::language::Stage;
use proptest::prelude::*;
use rust_decimal::Decimal;

const POLICIES: &str = r#"
version = 1
name = "random"
[[policy]]
id = "margin"
type = "margin_ratio"
ladder = [ { at = "40%", action = "block" }, { at = "60%", action = "reduce", to = "30%" }, { at = "90%", action = "flatten" } ]
[[policy]]
id = "call"
type = "margin_call"
ladder = [ { action = "reduce", to = "30%" } ]
[[policy]]
id = "size"
type = "max_position"
latch = "for 1m"
ladder = [ { at = "30000", action = "reduce", to = "20000" } ]
[[policy]]
id = "drawdown"
type = "drawdown"
ladder = [ { at = "10%", action = "reduce", fraction = "50%" }, { at = "20%", action = "flatten", latch = "manual" } ]
[[policy]]
id = "day"
type = "period_loss"
ladder = [ { at = "15%", action = "block", latch = "until_reset" } ]
[[policy]]
id = "blind"
type = "blind"
ladder = [ { at = "20s", action = "block" } ]
[[policy]]
id = "net"
type = "max_exposure"
measure = "net"
ladder = [ { at = "25000", action = "reduce", to = "15000" } ]
[[policy]]
id = "leverage"
type = "max_exposure"
measure = "leverage"
ladder = [ { at = "4x", action = "reduce", to = "3x" } ]
[[policy]]
id = "velocity"
type = "loss_velocity"
window = "20s"
ladder = [ { at = "8%", action = "reduce", fraction = "30%" } ]
[[policy]]
id = "list"
type = "symbol_allowlist"
symbols = ["BTC*"]
ladder = [ { action = "alert" }, { action = "flatten", for = "40s" } ]
"#;

/// One event: its kind, two small choices, and the time since the one before.
type Draw = (u8, u8, i16, u32);

/// The line that a draw stands for, given where the account is.
fn line(stage: &Stage, at: u64, (kind, choice, number, _): Draw, orders: &mut i64) -> String {
    let (symbol, price) = if choice % 2 == 0 {
        ("BTCUSDT", 60_000)
    } else {
        ("ALTUSDT", 400)
    };
    // Thousandths: up to 0.75 BTC or 100 ALT, either way.
    let thousandths = if choice % 2 == 0 {
        i64::from(number) / 40
    } else {
        i64::from(number) * 10 / 3
    };
    let quantity = Decimal::new(thousandths, 3);
    let event = match kind % 21 {
        0..=3 => format!("mark {symbol} {}", price + price * i64::from(number) / 90_000),
        4 | 5 => format!("position {symbol} {quantity}"),
        6 => format!("silently {symbol} {quantity}"),
        7 => "holdings".into(),
        8 => "orders".into(),
        9 => "transfers".into(),
        10 => format!("transfer {}", i32::from(number) / 10),
        11 => format!("transfer {} silently", i32::from(number) / 10),
        12 => {
            *orders += 1;
            let side = if number < 0 { "SELL" } else { "BUY" };
            let extra = ["", " ro", " stop", " stop close"][usize::from(choice) % 4];
            format!(
                "order {orders} {symbol} {side} {}{extra}",
                Decimal::new(thousandths.abs() + 1, 3)
            )
        }
        13 => match stage.open_ids().get(usize::from(choice) % 7) {
            Some(id) => format!("gone {id}"),
            None => "wait".into(),
        },
        14 => {
            let results = [
                "filled 0",
                "filled 0.1",
                "accepted",
                "done",
                "suppressed",
                "unknown",
                "conflict",
                "band",
                "absent",
                "powerless",
                "retry",
                "mode",
                "size",
                "stuck",
                "structural",
                "partly 0.05",
            ];
            format!(
                "outcome any {choice} {}",
                results[usize::from(number.unsigned_abs()) % results.len()]
            )
        }
        15 => ["link down", "link up", "snapshot", "wait"][usize::from(choice) % 4].into(),
        16 => [
            "kill block",
            "kill flatten ALTUSDT",
            "kill flatten",
            "rearm keep",
            "rearm rebase",
            "killfile on",
            "killfile off",
        ][usize::from(choice) % 7]
            .into(),
        // An order of ours as the stream shows it, with and without its flag.
        17 => {
            let status = ["new 0", "partly 0.05", "filled 0.1", "ended 0"][usize::from(choice) % 4];
            let flag = if number % 3 == 0 { " plain" } else { "" };
            format!("own {} {status}{flag}", usize::from(choice) % 3 + 1)
        }
        18 => format!("says USDT {} {}", i32::from(number).abs() / 20, i32::from(number)),
        19 => ["disputed BTCUSDT", "disputed", "fails holdings", "unknown THING"][usize::from(choice) % 4]
            .into(),
        _ => ["restart", "call BTCUSDT", "lost", "wait"][usize::from(choice) % 4].into(),
    };
    format!("{at}ms {event}")
}

/// Lives one life; gives what was said at each line.
fn live(draws: &[Draw]) -> Vec<String> {
    let mut stage = Stage::new(POLICIES);
    let mut said = Vec::new();
    for start in [
        "0s digests",
        "0s wallet 10000",
        "0s hold BTCUSDT 0.3 60000",
        "0s hold ALTUSDT -10 400",
        "0s snapshot",
    ] {
        said.push(stage.play(start));
    }
    let (mut at, mut orders) = (0u64, 0);
    for draw in draws {
        at += u64::from(draw.3);
        let line = line(&stage, at, *draw, &mut orders);
        let decided = stage.play(&line);
        said.push(format!("{line} -> {decided}"));
    }
    for what in ["now", "margin", "stops"] {
        said.push(stage.play(&format!("{at}ms look {what}")));
    }
    said
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_life_of_an_account_makes_an_order_that_could_add_risk(
        draws in prop::collection::vec((any::<u8>(), any::<u8>(), -30_000i16..30_000, 0u32..4_000), 1..120)
    ) {
        let once = live(&draws);
        let twice = live(&draws);
        prop_assert_eq!(once, twice, "the same life gives the same decisions");
    }
}
