//! Size of one symbol's position, each leg alone.
//!
//! Measures the worst case: the position, and with `count_open_orders` also every open order that could add to it, as
//! if filled. Trips at or above a threshold. Unknown without a mark price (for money and multiples), without the
//! account's equity (for multiples) or before the account was read. Recovers when the worst case is `clear` under the
//! threshold. Does not cover conditional orders whose quantity the venue does not say.
//!
//! Source: POLICIES.md b.4.

use super::{Amount, Assessment, Measured, Scope, View};
use crate::book::Missing;
use crate::model::{Leg, Money, Order, PositionSide, Qty, Ratio, Side};

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

impl MaxPosition {
    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        if !view.book.is_ready() {
            let measured = Measured::Unknown(Missing::Snapshot);
            return out.push(Assessment {
                scope: Scope::Account,
                measured,
            });
        }
        let mut legs: Vec<Leg> = view.book.positions().map(|(leg, _)| leg.clone()).collect();
        if self.count_open_orders {
            legs.extend(
                view.book
                    .orders()
                    .iter()
                    .filter(|order| !order.can_only_reduce())
                    .map(Order::leg),
            );
            legs.sort();
            legs.dedup();
        }
        for leg in legs {
            if view.spec.symbols.covers(&leg.symbol) {
                let measured = match self.measure(view, &leg, self.worst_case(view, &leg)) {
                    Ok(Some(amount)) => Measured::Value(amount),
                    Ok(None) => Measured::Beyond,
                    Err(why) => Measured::Unknown(why),
                };
                out.push(Assessment {
                    scope: Scope::Leg(leg),
                    measured,
                });
            }
        }
    }

    /// The largest size that the leg could have if every order that adds to it filled.
    fn worst_case(&self, view: View<'_>, leg: &Leg) -> Qty {
        let held = view.book.amount(leg);
        if !self.count_open_orders {
            return held.abs();
        }
        let adding = |side: Side| -> Qty {
            let orders = view.book.orders().of(&leg.symbol);
            let adding = orders.filter(|order| {
                order.side == side && order.position_side == leg.side && !order.can_only_reduce()
            });
            adding.map(Order::remaining).sum()
        };
        let long = if held.is_positive() { held } else { Qty::ZERO } + adding(Side::Buy);
        let short = if held.is_negative() { held.abs() } else { Qty::ZERO } + adding(Side::Sell);
        match leg.side {
            PositionSide::Long => long,
            PositionSide::Short => short,
            PositionSide::Both => long.max(short),
        }
    }

    /// A size in this policy's measure; `None` when there is no positive equity to compare with.
    fn measure(&self, view: View<'_>, leg: &Leg, size: Qty) -> Result<Option<Amount>, Missing> {
        let notional = || view.book.mark_price(&leg.symbol).map(|mark| size.notional(mark));
        match self.measure {
            Measure::Quantity => Ok(Some(Amount::Quantity(size))),
            Measure::Notional => Ok(Some(Amount::Money(notional()?))),
            Measure::EquityMultiple => {
                let asset = &view.book.instrument(&leg.symbol)?.margin_asset;
                let value = view.book.value_of(asset, notional()?)?;
                Ok(value.ratio_of(view.book.equity()?).map(Amount::Multiple))
            }
        }
    }

    /// The size that a target in this policy's measure allows; `None` when it cannot be told.
    pub fn allowed(&self, view: View<'_>, leg: &Leg, to: Amount) -> Option<Qty> {
        let mark = view.book.last_mark(&leg.symbol);
        match (self.measure, to) {
            (Measure::Quantity, Amount::Quantity(size)) => Some(size),
            (Measure::Notional, Amount::Money(value)) => Some(value.units_at(mark?)),
            (Measure::EquityMultiple, Amount::Multiple(times)) => {
                let equity = view.book.equity().ok()?.max(Money::ZERO);
                Some(equity.share(times).units_at(mark?))
            }
            _ => None,
        }
    }

    pub(super) fn explain(&self, view: View<'_>, scope: &Scope) -> String {
        let Scope::Leg(leg) = scope else {
            return "no position".into();
        };
        let (held, worst) = (view.book.amount(leg), self.worst_case(view, leg));
        let size = match self.measure(view, leg, worst) {
            Ok(Some(amount)) => amount.to_string(),
            Ok(None) => "no equity to carry it".into(),
            Err(why) => why.to_string(),
        };
        match worst == held.abs() {
            true => format!("{leg}: position {held}, measured {size}"),
            false => format!("{leg}: position {held}, up to {worst} with open orders, measured {size}"),
        }
    }

    pub(super) fn has_reached(&self, view: View<'_>, scope: &Scope, to: Amount) -> bool {
        let Scope::Leg(leg) = scope else { return false };
        let held = view.book.amount(leg).abs();
        // Within 3 %: a tick of the price is no reason for another cut (POLICIES.md b.4, buffer).
        let enough = |allowed: Qty| held <= allowed + allowed.share(Ratio::bps(300));
        held.is_zero() || self.allowed(view, leg, to).is_some_and(enough)
    }
}
