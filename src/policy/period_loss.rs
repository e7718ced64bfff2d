//! Loss since the period began.

use crate::model::Money;
use jiff::{civil::Time, tz::TimeZone};

/// Loss since the period began.
#[derive(Clone, Debug, PartialEq)]
pub struct PeriodLoss {
    /// How long a period is.
    pub period: Period,
    /// When a period begins, on the zone's clock.
    pub reset: Time,
    /// The zone.
    pub timezone: TimeZone,
    /// What a loss is measured from, and what percentages refer to.
    pub base: Base,
    /// The capital at the start, with `base = "initial"`.
    pub initial: Option<Money>,
}

/// How long a period is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// From one reset to the next day's.
    Day,
    /// From Monday's reset.
    Week,
    /// From the first day's reset.
    Month,
}

/// What a loss is measured from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Equity when the period began.
    Equity,
    /// Wallet balance when the period began; an open loss counts again.
    Balance,
    /// The higher of the two.
    Max,
    /// Equity when the period began, but percentages refer to `initial`.
    Initial,
}
