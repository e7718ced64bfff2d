//! What an account holds: balances and positions, and the prices that value them.

use super::{Asset, Money, Price, Qty, Symbol, Timestamp};
use std::fmt;

/// The side of an order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// Adds to a long, takes from a short.
    Buy,
    /// Takes from a long, adds to a short.
    Sell,
}

/// The leg of a symbol: `Both` in one-way mode, `Long` or `Short` in hedge mode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PositionSide {
    /// One-way mode: one signed position a symbol.
    Both,
    /// Hedge mode: the long leg.
    Long,
    /// Hedge mode: the short leg.
    Short,
}

/// How an account keeps positions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PositionMode {
    /// One signed position a symbol.
    OneWay,
    /// A long and a short leg a symbol.
    Hedge,
}

/// Whose margin a position stands on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MarginType {
    /// The margin asset's whole cross balance.
    Cross,
    /// A wallet of its own.
    Isolated,
}

/// One leg of one symbol; the key of a position.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Leg {
    /// The contract.
    pub symbol: Symbol,
    /// The leg.
    pub side: PositionSide,
}

/// A signed holding in one contract; long is positive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// What is held: positive for long, negative for short (also on a hedge account's short leg).
    pub amount: Qty,
    /// Average entry price; `None` when the venue reports none (flat, or zero).
    pub entry: Option<Price>,
    /// Whose margin it stands on; `None` when not yet known.
    pub margin: Option<MarginType>,
    /// The isolated wallet; zero for cross.
    pub isolated_wallet: Money,
    /// The venue's time of the newest fact that this is from.
    pub at: Timestamp,
}

/// A wallet in one asset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Balance {
    /// Wallet balance, isolated margin included.
    pub wallet: Money,
    /// Cross wallet balance, isolated margin excluded.
    pub cross_wallet: Money,
    /// The venue's time of the newest fact that this is from.
    pub at: Timestamp,
}

/// A mark price reading.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MarkPrice {
    /// The contract.
    pub symbol: Symbol,
    /// The reference price for unrealised profit and liquidation.
    pub price: Price,
    /// The price of the underlying by other markets, when the source says it.
    pub index: Option<Price>,
    /// The venue's time of the price.
    pub at: Timestamp,
}

/// What one unit of an asset is worth in US dollars, with the venue's collateral buffers applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AssetIndex {
    /// The asset.
    pub asset: Asset,
    /// Index price in USD.
    pub index: Price,
    /// Index less the bid buffer: values positive balances in multi-assets mode.
    pub bid: Price,
    /// Index plus the ask buffer: values negative balances in multi-assets mode.
    pub ask: Price,
}

impl Side {
    /// The other side.
    pub fn opposite(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }

    /// The side that takes from a position of this sign; `None` when it is flat.
    pub fn closing(amount: Qty) -> Option<Side> {
        match (amount.is_positive(), amount.is_negative()) {
            (true, _) => Some(Side::Sell),
            (_, true) => Some(Side::Buy),
            _ => None,
        }
    }
}

impl Leg {
    /// The one-way leg of a symbol.
    pub fn both(symbol: Symbol) -> Leg {
        Leg {
            symbol,
            side: PositionSide::Both,
        }
    }
}

impl Position {
    /// Profit not yet realised at `mark`; `None` when the entry price of a held position is not known.
    pub fn unrealised(&self, mark: Price) -> Option<Money> {
        if self.amount.is_zero() {
            return Some(Money::ZERO);
        }
        self.entry.map(|entry| self.amount.times(mark.minus(entry)))
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Buy => "BUY",
            Side::Sell => "SELL",
        })
    }
}

impl fmt::Display for PositionSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PositionSide::Both => "BOTH",
            PositionSide::Long => "LONG",
            PositionSide::Short => "SHORT",
        })
    }
}

impl fmt::Display for Leg {
    /// `BTCUSDT`, or `BTCUSDT LONG` in hedge mode.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.side {
            PositionSide::Both => write!(f, "{}", self.symbol),
            side => write!(f, "{} {side}", self.symbol),
        }
    }
}
