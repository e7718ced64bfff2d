//! Fall from the high-water mark.

use crate::model::Money;

/// Fall from the high-water mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawdown {
    /// What the mark follows.
    pub high_water: HighWater,
    /// The floor (mark less the limit) stops rising when it reaches this equity. Only with money thresholds.
    pub lock_floor_at: Option<Money>,
}

/// What a high-water mark follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HighWater {
    /// Every new high of equity.
    Realtime,
    /// The equity at each day's end, UTC.
    DailyClose,
    /// The first trusted equity, for ever.
    Static,
}
