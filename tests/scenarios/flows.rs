//! Money that comes and goes is no gain and no loss: whatever an account has lived through, a transfer leaves what every
//! loss policy measures as it was.

use super::language::Stage;
use proptest::prelude::*;
use rust_decimal::Decimal;

const POLICIES: &str = r#"
version = 1
name = "flows"
[[policy]]
id = "drawdown"
type = "drawdown"
ladder = [ { at = "90%", action = "alert" } ]
[[policy]]
id = "drawdown-money"
type = "drawdown"
ladder = [ { at = "100000", action = "alert" } ]
[[policy]]
id = "velocity"
type = "loss_velocity"
ladder = [ { at = "90%", action = "alert" } ]
[[policy]]
id = "velocity-money"
type = "loss_velocity"
window = "20s"
ladder = [ { at = "100000", action = "alert" } ]
[[policy]]
id = "day"
type = "period_loss"
ladder = [ { at = "90%", action = "alert" } ]
[[policy]]
id = "giveback"
type = "profit_giveback"
arm_at = "1"
ladder = [ { at = "100%", action = "alert" } ]
"#;
const IDS: [&str; 6] = [
    "drawdown",
    "drawdown-money",
    "velocity",
    "velocity-money",
    "day",
    "giveback",
];

/// What each policy measures, to twelve decimals: a scaled mark is rounded in its twenty-eighth digit.
fn measured(stage: &Stage) -> Vec<Decimal> {
    let number = |id: &&str| {
        stage
            .measured(id)
            .unwrap_or_else(|| panic!("{id} is unknown"))
            .number()
    };
    IDS.iter().map(|id| number(id).round_dp(12)).collect()
}

fn started() -> Stage {
    let mut stage = Stage::new(POLICIES);
    for start in [
        "0s wallet 10000",
        "0s hold BTCUSDT 0.1 60000",
        "0s hold ALTUSDT -5 400",
        "0s snapshot",
    ] {
        stage.play(start);
    }
    stage
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a2_a3_no_transfer_changes_what_a_loss_policy_measures(
        life in prop::collection::vec((0u64..4_000, 40_000i64..80_000, 200i64..600, -300_000i64..600_000), 1..25)
    ) {
        let mut stage = started();
        let mut at = 0;
        for (pause, bitcoin, other, cents) in life {
            at += pause;
            stage.play(&format!("{at}ms mark BTCUSDT {bitcoin}"));
            stage.play(&format!("{at}ms mark ALTUSDT {other}"));
            let before = measured(&stage);
            // What nobody has cannot be taken out.
            let amount = Decimal::new(cents, 2);
            if stage.wallet() + amount > Decimal::from(7_000) {
                stage.play(&format!("{at}ms transfer {amount}"));
            }
            prop_assert_eq!(before, measured(&stage), "{} after {}", amount, at);
        }
    }
}
