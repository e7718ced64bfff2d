//! A position of many market maxima, closed in slices while the rules change under it.

use super::language::Stage;
use rust_decimal::Decimal;

const POLICIES: &str = r#"
version = 1
name = "slices"
[[policy]]
id = "size"
type = "max_position"
measure = "quantity"
ladder = [ { at = "900000", action = "alert" } ]
"#;

/// The quantity of the sell order that was said, if there was one.
fn sold(said: &str) -> Option<Decimal> {
    let (_, rest) = said.split_once("SELL ")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[test]
fn or_21_thirty_seven_maxima_are_closed_in_slices_that_sum_exactly() {
    let mut stage = Stage::new(POLICIES);
    // ALTUSDT allows 10 a market order; 37 of them and an odd rest.
    for line in [
        "0s wallet 10000000",
        "0s hold ALTUSDT 370.007 400",
        "0s snapshot",
        "0s reads",
    ] {
        stage.play(line);
    }
    let mut held: Decimal = "370.007".parse().unwrap();
    let (mut total, mut slices, mut at) = (Decimal::ZERO, 0, 1_000);
    let mut said = stage.play("1s kill flatten");
    while !held.is_zero() {
        let slice = sold(&said).unwrap_or_else(|| panic!("{held} left: {said}"));
        at += 10;
        if slices == 20 {
            // Mid-way the venue refuses the size (-4005): one read of the rules, and no order until they are there.
            stage.play(&format!("{at}ms reads"));
            assert_eq!(slice, Decimal::TEN);
            stage.play(&format!("{at}ms outcome 1 size"));
            let reads = stage.play(&format!("{at}ms reads"));
            assert!(reads.contains("rules 1"), "{reads}");
            stage.play("1500ms most ALTUSDT 7.5");
            // Nothing goes out by time alone; with the rules comes an order of the new size.
            assert_eq!(sold(&stage.play("1800ms wait")), None);
            said = stage.play("1900ms rules");
            at = 1_900;
            slices += 1;
            continue;
        }
        let most: Decimal = if slices < 20 { "10" } else { "7.5" }.parse().unwrap();
        assert!(slice <= most, "{slice} above {most}");
        total += slice;
        held -= slice;
        slices += 1;
        stage.play(&format!("{at}ms outcome 1 filled {slice}"));
        said = stage.play(&format!("{at}ms position ALTUSDT {held}"));
    }
    assert_eq!(total, "370.007".parse().unwrap());
    assert!(sold(&said).is_none(), "{said}");
    let end = stage.play("1m wait") + &stage.play("1m holdings") + &stage.play("1m1s orders");
    assert!(end.contains("flat and verified"), "{end}");
}
