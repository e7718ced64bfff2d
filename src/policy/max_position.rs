//! Size of one symbol's position.

/// Size of one symbol's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPosition {
    /// What is compared with the thresholds.
    pub measure: Measure,
    /// Whether orders that could add exposure count as if filled.
    pub count_open_orders: bool,
}

/// What a size is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Size × mark price; thresholds are money.
    Notional,
    /// Contract units.
    Quantity,
    /// Notional ÷ equity; thresholds are written like `3x`.
    EquityMultiple,
}
