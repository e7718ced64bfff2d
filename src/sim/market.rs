//! The scripted market: a price for every moment, and a synthetic book around it.

use super::rules::Rules;
use super::scenario::{Point, SymbolScript};
use rust_decimal::Decimal;

/// One contract's market.
#[derive(Clone, Debug)]
pub struct Market {
    /// Its rules.
    pub rules: Rules,
    path: Vec<Point>,
    noise_bps: u32,
    spread_bps: u32,
    depth: Decimal,
    level_bps: u32,
    levels: u32,
    random: u64,
    /// What jumps have made of the path, as a factor.
    gap: Decimal,
    /// The present price; mark, index and last are the same.
    pub price: Decimal,
    /// Whether nobody is in the book: a fault.
    pub deserted: bool,
}

impl Market {
    /// A market from its script.
    pub fn new(script: &SymbolScript, seed: u64) -> Market {
        let rules = Rules::new(script);
        let mut market = Market {
            depth: script.depth.unwrap_or(rules.market_max),
            rules,
            path: script.path.clone(),
            noise_bps: script.noise_bps,
            spread_bps: script.spread_bps,
            level_bps: script.level_bps.max(1),
            levels: script.levels.min(1_000),
            random: seed
                ^ script.name.bytes().fold(7_u64, |hash, byte| {
                    hash.wrapping_mul(31).wrapping_add(u64::from(byte))
                }),
            gap: Decimal::ONE,
            price: Decimal::ONE,
            deserted: false,
        };
        market.move_to(0);
        market
    }

    /// Moves to a time after the start, in ms.
    pub fn move_to(&mut self, at: i64) {
        let mut price = self.path.first().map_or(Decimal::ONE, |point| point.price);
        for pair in self.path.windows(2) {
            let [from, to] = pair else { continue };
            if at >= to.at.0 {
                price = to.price;
            } else if at > from.at.0 {
                let share = Decimal::from(at - from.at.0) / Decimal::from((to.at.0 - from.at.0).max(1));
                price = from.price + (to.price - from.price) * share;
                break;
            } else {
                break;
            }
        }
        if self.noise_bps > 0 {
            let range = i64::from(self.noise_bps) * 2 + 1;
            let bps = (self.next_random() % range.unsigned_abs()) as i64 - i64::from(self.noise_bps);
            price += price * Decimal::new(bps, 4);
        }
        self.price = self.rules.to_tick(price * self.gap).max(self.rules.tick);
    }

    /// The price jumps by hundredths of a percent, and the rest of the path with it.
    pub fn jump(&mut self, bps: i64) {
        self.gap *= Decimal::ONE + Decimal::new(bps, 4);
    }

    /// A price away from the present one, in hundredths of a percent, on the tick.
    pub fn offset(&self, bps: i64) -> Decimal {
        self.rules.to_tick(self.price + self.price * Decimal::new(bps, 4))
    }

    /// What a taker finds: prices from the best away, with the quantity at each.
    pub fn levels(&self, buys: bool) -> Vec<(Decimal, Decimal)> {
        let sign = if buys { 1 } else { -1 };
        let levels = if self.deserted { 0 } else { self.levels };
        (0..levels)
            .map(|level| {
                let bps = i64::from(self.spread_bps) + i64::from(self.level_bps) * i64::from(level);
                (self.offset(sign * bps), self.depth)
            })
            .filter(|(price, quantity)| *price > Decimal::ZERO && *quantity > Decimal::ZERO)
            .collect()
    }

    /// splitmix64 (public domain constants by Sebastiano Vigna).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
