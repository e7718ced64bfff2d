//! Contract rules: steps, limits, bands and maintenance tiers (binance-usdm.md 5.2, 9.1).

use super::scenario::SymbolScript;
use rust_decimal::Decimal;
use rust_decimal::dec;

/// The rules of one contract.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Symbol.
    pub symbol: String,
    /// Base asset.
    pub base: String,
    /// Margin asset.
    pub margin_asset: String,
    /// Price step.
    pub tick: Decimal,
    /// Quantity step.
    pub step: Decimal,
    /// Most of an order with a price.
    pub limit_max: Decimal,
    /// Most of a market order.
    pub market_max: Decimal,
    /// Least value of an opening order.
    pub min_notional: Decimal,
    /// Band of orders with a price: buys up to mark × up, sells down to mark × down.
    pub band_up: Decimal,
    /// See `band_up`.
    pub band_down: Decimal,
    /// How far from the mark a market order executes.
    pub market_bound: Decimal,
    /// Tiers: (floor, cap, rate, deduction).
    pub tiers: Vec<(Decimal, Decimal, Decimal, Decimal)>,
}

impl Rules {
    /// Usual rules of a symbol with a script's exceptions.
    pub fn new(script: &SymbolScript) -> Rules {
        let base = ["USDT", "USDC"]
            .iter()
            .find_map(|quote| script.name.strip_suffix(quote));
        let base = base.unwrap_or(&script.name).to_owned();
        let margin_asset = if script.name.ends_with("USDC") {
            "USDC"
        } else {
            "USDT"
        }
        .to_owned();
        // BTC and ETH as seen on 2026-09-30 (S17), the others plausible.
        let (tick, step, limit_max, market_max, min_notional) = match base.as_str() {
            "BTC" => (dec!(0.1), dec!(0.001), dec!(1000), dec!(120), dec!(50)),
            "ETH" => (dec!(0.01), dec!(0.001), dec!(10000), dec!(2000), dec!(20)),
            _ => (dec!(0.0001), dec!(1), dec!(10000000), dec!(1000000), dec!(5)),
        };
        let usual = vec![
            (dec!(50000), dec!(0.004)),
            (dec!(250000), dec!(0.005)),
            (dec!(1000000), dec!(0.01)),
            (dec!(10000000), dec!(0.025)),
            (dec!(100000000), dec!(0.05)),
        ];
        let mut tiers = Vec::new();
        let (mut floor, mut rate_before, mut cum) = (Decimal::ZERO, Decimal::ZERO, Decimal::ZERO);
        for (cap, rate) in script.tiers.clone().unwrap_or(usual) {
            // cum_n = floor_n × (mmr_n − mmr_{n−1}) + cum_{n−1} (S38).
            cum += floor * (rate - rate_before);
            tiers.push((floor, cap, rate, cum));
            (floor, rate_before) = (cap, rate);
        }
        Rules {
            symbol: script.name.clone(),
            base,
            margin_asset,
            tick: script.tick.unwrap_or(tick),
            step: script.step.unwrap_or(step),
            limit_max,
            market_max: script.market_max.unwrap_or(market_max),
            min_notional: script.min_notional.unwrap_or(min_notional),
            band_up: dec!(1.05),
            band_down: dec!(0.95),
            market_bound: dec!(0.05),
            tiers,
        }
    }

    /// Rounds to the nearest tick below.
    pub fn to_tick(&self, price: Decimal) -> Decimal {
        price - price % self.tick
    }

    /// Maintenance margin of a notional.
    pub fn maintenance(&self, notional: Decimal) -> Decimal {
        let (rate, cum) = self.tier(notional);
        (notional * rate - cum).max(Decimal::ZERO)
    }

    /// Rate and deduction for a notional.
    pub fn tier(&self, notional: Decimal) -> (Decimal, Decimal) {
        let found = self
            .tiers
            .iter()
            .find(|tier| notional <= tier.1)
            .or(self.tiers.last());
        found.map_or((Decimal::ZERO, Decimal::ZERO), |tier| (tier.2, tier.3))
    }
}
