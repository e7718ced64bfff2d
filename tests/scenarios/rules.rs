//! The contracts of the scenarios.

use backstop::model::{Asset, Instrument, LotRule, Money, Price, PriceBand, Qty, Ratio, Tier, TradingStatus};

/// A symbol of more than a hundred characters.
const LONG_SYMBOL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZUSDT";

/// BTCUSDT and ALTUSDT, and others of every shape, with the tiers of binance-usdm.md 9.3 and POLICIES.md c.3.
pub fn rules() -> Vec<Instrument> {
    let q = |text: &str| text.parse::<Qty>().unwrap();
    let m = |text: &str| text.parse::<Money>().unwrap();
    let r = |text: &str| text.parse::<Ratio>().unwrap();
    let tiers = |rows: &[(&str, &str, &str, &str)]| -> Vec<Tier> {
        rows.iter()
            .map(|(floor, cap, rate, cum)| Tier {
                floor: m(floor),
                cap: m(cap),
                rate: r(rate),
                deduction: m(cum),
            })
            .collect()
    };
    let instrument = |symbol: &str, tiers: Vec<Tier>, most: &str| Instrument {
        symbol: symbol.parse().unwrap(),
        margin_asset: Asset::new(if symbol.ends_with("USDC") { "USDC" } else { "USDT" }).unwrap(),
        status: TradingStatus::Trading,
        tick: "0.1".parse::<Price>().unwrap().decimal(),
        lot: LotRule {
            min: q("0.001"),
            max: q("1000"),
            step: q("0.001"),
        },
        market_lot: LotRule {
            min: q("0.001"),
            max: q(most),
            step: q("0.001"),
        },
        min_notional: m("50"),
        band: Some(PriceBand {
            up: r("1.05"),
            down: r("0.95"),
        }),
        market_bound: Some(r("0.05")),
        tiers,
    };
    let shapes = ["BTCUSDC", "BTCUSDT_260327", "TSLAUSDT", "测试USDT", LONG_SYMBOL];
    let simple = || tiers(&[("0", "50000", "0.004", "0"), ("50000", "250000", "0.005", "50")]);
    let mut rules: Vec<Instrument> = shapes.map(|symbol| instrument(symbol, simple(), "120")).into();
    rules.extend([
        // binance-usdm.md 9.3 and POLICIES.md c.3.
        instrument(
            "BTCUSDT",
            tiers(&[("0", "50000", "0.004", "0"), ("50000", "250000", "0.005", "50")]),
            "120",
        ),
        instrument(
            "ALTUSDT",
            tiers(&[
                ("0", "5000", "0.01", "0"),
                ("5000", "25000", "0.025", "75"),
                ("25000", "100000", "0.05", "700"),
            ]),
            "10",
        ),
    ]);
    rules
}
