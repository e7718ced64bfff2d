//! What the venue says of a contract: steps, limits, bands and maintenance tiers.

use super::{Asset, Money, Price, Qty, Ratio, Symbol};
use rust_decimal::Decimal;

/// Rules of one contract.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instrument {
    /// The contract.
    pub symbol: Symbol,
    /// The asset that profit and margin are in.
    pub margin_asset: Asset,
    /// Whether it trades.
    pub status: TradingStatus,
    /// Prices are multiples of this; zero when free.
    pub tick: Decimal,
    /// Sizes of orders with a price.
    pub lot: LotRule,
    /// Sizes of market orders: the maximum is much smaller than that of `lot`.
    pub market_lot: LotRule,
    /// The least value of an order that is not reduce-only.
    pub min_notional: Money,
    /// How far from the mark price an order with a price may lie.
    pub band: Option<PriceBand>,
    /// How far from the mark price a market order may execute.
    pub market_bound: Option<Ratio>,
    /// Maintenance tiers by rising notional; empty until they were read.
    pub tiers: Vec<Tier>,
}

/// Least, most and step of an order's quantity; a zero maximum is no maximum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LotRule {
    /// Least quantity.
    pub min: Qty,
    /// Most quantity.
    pub max: Qty,
    /// Quantities are multiples of this.
    pub step: Qty,
}

/// A one-sided band around the mark price: a buy may not be above `mark × up`, a sell not below `mark × down`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PriceBand {
    /// Upper multiplier.
    pub up: Ratio,
    /// Lower multiplier.
    pub down: Ratio,
}

/// Whether a contract trades.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TradingStatus {
    /// Open for orders.
    Trading,
    /// Anything else: halted, settling, delisted, unknown. A held position does not vanish by it.
    Other,
}

/// One maintenance tier: for a notional above `floor` and up to `cap`, maintenance is `notional × rate − deduction`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tier {
    /// The tier begins above this notional.
    pub floor: Money,
    /// The tier ends at this notional.
    pub cap: Money,
    /// Maintenance margin rate.
    pub rate: Ratio,
    /// Amount that makes maintenance continuous at the floor (the venue's `cum`).
    pub deduction: Money,
}

impl Instrument {
    /// The tier that a notional falls in: the first whose cap is not below it, else the last.
    ///
    /// `None` when the instrument has no tiers.
    ///
    /// Source: binance-usdm.md 9.1 (`notionalFloor < notional ≤ notionalCap`, edge inclusion unsure; both
    /// readings give the same maintenance because it is continuous at the edge).
    pub fn tier(&self, notional: Money) -> Option<&Tier> {
        self.tiers
            .iter()
            .find(|tier| notional <= tier.cap)
            .or(self.tiers.last())
    }

    /// Maintenance margin of a notional, in margin currency, never negative.
    ///
    /// `notional × rate − deduction` of the tier that `notional` falls in. `None` when no tiers are known.
    ///
    /// Source: binance-usdm.md 9.1 and S38, read 2026-11-22.
    pub fn maintenance(&self, notional: Money) -> Option<Money> {
        self.tier(notional)
            .map(|tier| (notional.share(tier.rate) - tier.deduction).max(Money::ZERO))
    }
}

impl LotRule {
    /// The most that one order may carry: `max` rounded down to the step; `None` when there is no maximum.
    pub fn ceiling(&self) -> Option<Qty> {
        let ceiling = self.max.floor_to(self.step);
        ceiling.is_positive().then_some(ceiling)
    }
}

impl PriceBand {
    /// The worst price that a closing order on this side of `mark` may carry.
    pub fn edge(&self, buy: bool, mark: Price) -> Option<Price> {
        mark.times(if buy { self.up } else { self.down })
    }
}
