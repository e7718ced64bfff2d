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
    pub tiers: Vec<Tier>,
    /// Decimals of a price; finer ones are refused before the tick is looked at.
    pub price_precision: u32,
    /// The contract without its date.
    pub pair: String,
    /// `PERPETUAL`, `CURRENT_QUARTER` or `TRADIFI_PERPETUAL`.
    pub contract_type: String,
    /// Delivery, Unix ms; far away for perpetuals.
    pub delivery: i64,
    /// `TRADING`, `TRADING_HALT`, `SETTLING`, `CLOSE`, `PENDING_TRADING`.
    pub status: String,
}

/// A tier: floor, cap, rate, deduction.
pub type Tier = (Decimal, Decimal, Decimal, Decimal);

/// Delivery date of what is never delivered, as the venue writes it.
const NEVER: i64 = 4_133_404_800_000;

impl Rules {
    /// Usual rules of a symbol with a script's exceptions.
    pub fn new(script: &SymbolScript) -> Rules {
        let (pair, date) = match script.name.split_once('_') {
            Some((pair, date)) => (pair, delivery(date)),
            None => (script.name.as_str(), None),
        };
        let base = ["USDT", "USDC"].iter().find_map(|quote| pair.strip_suffix(quote));
        let base = base.unwrap_or(pair).to_owned();
        let margin_asset = if pair.ends_with("USDC") { "USDC" } else { "USDT" }.to_owned();
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
        let tick = script.tick.unwrap_or(tick);
        let kind = if date.is_some() {
            "CURRENT_QUARTER"
        } else {
            "PERPETUAL"
        };
        Rules {
            symbol: script.name.clone(),
            // Finer than the tick on the large contracts (S17).
            price_precision: tick
                .normalize()
                .scale()
                .max(if matches!(base.as_str(), "BTC" | "ETH") {
                    2
                } else {
                    0
                }),
            base,
            margin_asset,
            pair: pair.to_owned(),
            contract_type: script.contract_type.clone().unwrap_or_else(|| kind.to_owned()),
            delivery: date.unwrap_or(NEVER),
            status: script.status.clone().unwrap_or_else(|| "TRADING".to_owned()),
            tick,
            step: script.step.unwrap_or(step),
            limit_max,
            market_max: script.market_max.unwrap_or(market_max),
            min_notional: script.min_notional.unwrap_or(min_notional),
            band_up: dec!(1.05),
            band_down: dec!(0.95),
            market_bound: dec!(0.05),
            tiers: tiers_of(script.tiers.as_deref().unwrap_or(&usual)),
        }
    }

    /// Whether it is delivered some day, and so pays no funding.
    pub fn is_dated(&self) -> bool {
        self.delivery != NEVER
    }

    /// The most leverage of a tier, by its place in the table. Own values; the venue's fall alike.
    pub fn leverage_of(tier: usize) -> u32 {
        125 / u32::try_from(tier).unwrap_or(u32::MAX).saturating_add(1).min(125)
    }

    /// The largest notional that a leverage allows.
    pub fn notional_max(&self, leverage: u32) -> Decimal {
        let allowed = self
            .tiers
            .iter()
            .enumerate()
            .filter(|(index, _)| Rules::leverage_of(*index) >= leverage);
        allowed.map(|(_, tier)| tier.1).max().unwrap_or_default()
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
        let (_, _, rate, cum) = self.whole_tier(notional);
        (rate, cum)
    }

    /// Where the tier of a notional begins.
    pub fn floor(&self, notional: Decimal) -> Decimal {
        self.whole_tier(notional).0
    }

    fn whole_tier(&self, notional: Decimal) -> Tier {
        let found = self.tiers.iter().find(|tier| notional <= tier.1);
        found.or(self.tiers.last()).copied().unwrap_or_default()
    }
}

/// Tiers with floors and deductions from caps and rates.
pub fn tiers_of(rows: &[(Decimal, Decimal)]) -> Vec<Tier> {
    let mut tiers = Vec::new();
    let (mut floor, mut rate_before, mut cum) = (Decimal::ZERO, Decimal::ZERO, Decimal::ZERO);
    for (cap, rate) in rows {
        // cum_n = floor_n × (mmr_n − mmr_{n−1}) + cum_{n−1} (S38).
        cum += floor * (rate - rate_before);
        tiers.push((floor, *cap, *rate, cum));
        (floor, rate_before) = (*cap, *rate);
    }
    tiers
}

/// Delivery time of a date as `260327`: 08:00 UTC of that day.
fn delivery(date: &str) -> Option<i64> {
    let day = jiff::civil::Date::strptime("%y%m%d", date).ok()?;
    let moment = day.at(8, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(moment.timestamp().as_millisecond())
}
