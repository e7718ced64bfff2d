//! Size of all positions together: gross, net, or gross as a multiple of equity.
//!
//! `gross = Σ |notional|`, `net = |Σ signed notional|`, `leverage = gross ÷ equity`, of the positions that `symbols`
//! covers, at mark prices, in the account's currency. Trips at or above a threshold; a leverage without positive equity
//! is beyond all of them. Unknown before the account was read, without a fresh mark price or a value of a margin asset,
//! and for leverage without the account's equity. A reduction cuts each position by the same share; for `net` only those
//! of the side that makes the net, never the ones that hedge it. What is in the air counts as closed. Recovers when the
//! measure is `clear` under the threshold. Does not cover open orders, nor that contracts move together: each counts by
//! its full size.
//!
//! Source: POLICIES.md b.4.

use super::{Amount, Assessment, Measured, Scope, View};
use crate::book::Missing;
use crate::model::{Leg, Money, Price, Qty, Ratio, Symbol};

/// How far above its target a measure may stay after a reduction: a tick of the price is no reason for another cut.
///
/// Source: POLICIES.md b.4, buffer.
const REACHED_WITHIN: Ratio = Ratio::bps(300);

/// Size of all positions together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxExposure {
    /// What is compared with the thresholds.
    pub measure: Measure,
}

/// What an exposure is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The sum of all sizes; thresholds are money.
    Gross,
    /// What longs and shorts leave of each other; thresholds are money.
    Net,
    /// Gross ÷ equity; thresholds are written like `3x`.
    Leverage,
}

/// Longs and shorts apart, neither of them negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sides {
    long: Money,
    short: Money,
}

impl Sides {
    fn add(&mut self, is_long: bool, value: Money) {
        if is_long {
            self.long += value;
        } else {
            self.short += value;
        }
    }

    fn gross(self) -> Money {
        self.long + self.short
    }

    fn net(self) -> Money {
        (self.long - self.short).abs()
    }

    /// What a leg of this direction keeps when the measure is brought to `to`: a share of it.
    fn kept(self, measure: Measure, is_long: bool, to: Money) -> Ratio {
        let (own, wanted) = match measure {
            Measure::Gross | Measure::Leverage => (self.gross(), to),
            // The heavier side gives all that is too much; the lighter one is its hedge.
            Measure::Net if is_long == (self.long > self.short) => {
                (self.long.max(self.short), self.long.min(self.short) + to)
            }
            Measure::Net => return Ratio::ONE,
        };
        if own <= wanted {
            return Ratio::ONE;
        }
        wanted.max(Money::ZERO).ratio_of(own).unwrap_or(Ratio::ONE)
    }
}

impl MaxExposure {
    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        let measured = match self.measure(view) {
            Ok(Some(amount)) => Measured::Value(amount),
            Ok(None) => Measured::Beyond,
            Err(why) => Measured::Unknown(why),
        };
        out.push(Assessment {
            scope: Scope::Account,
            measured,
        });
    }

    /// The measure; `None` when something is held and there is no positive equity to compare it with.
    fn measure(&self, view: View<'_>) -> Result<Option<Amount>, Missing> {
        let sides = sides(view)?;
        Ok(match self.measure {
            Measure::Gross => Some(Amount::Money(sides.gross())),
            Measure::Net => Some(Amount::Money(sides.net())),
            Measure::Leverage if sides.gross().is_zero() => Some(Amount::Multiple(Ratio::ZERO)),
            Measure::Leverage => sides.gross().ratio_of(view.book.equity()?).map(Amount::Multiple),
        })
    }

    /// The size that each of `legs` may keep, so that together they reach `to`. A leg comes with the size that it has
    /// left when what is in the air has filled. Nothing when it cannot be told.
    pub(super) fn kept(&self, view: View<'_>, legs: &[(&Leg, Qty)], to: Amount) -> Vec<(Leg, Qty)> {
        let to = match (self.measure, to) {
            (Measure::Gross | Measure::Net, Amount::Money(to)) => Some(to),
            (Measure::Leverage, Amount::Multiple(times)) => {
                let equity = view.book.equity().ok();
                equity.map(|equity| equity.max(Money::ZERO).share(times))
            }
            _ => None,
        };
        let mut sides = Sides::default();
        for (leg, size) in legs {
            // For sizing, any price beats none.
            let value = view
                .book
                .last_mark(&leg.symbol)
                .map(|mark| value(view, &leg.symbol, *size, mark));
            let Some(Ok(value)) = value else { return Vec::new() };
            sides.add(view.book.amount(leg).is_positive(), value);
        }
        let Some(to) = to else { return Vec::new() };
        let kept = legs.iter().map(|(leg, size)| {
            let share = sides.kept(self.measure, view.book.amount(leg).is_positive(), to);
            ((*leg).clone(), size.share(share), share)
        });
        kept.filter(|(_, _, share)| *share < Ratio::ONE)
            .map(|(leg, size, _)| (leg, size))
            .collect()
    }

    pub(super) fn explain(&self, view: View<'_>) -> String {
        let sides = match sides(view) {
            Ok(sides) => sides,
            Err(why) => return why.to_string(),
        };
        let (long, short) = (Amount::Money(sides.long), Amount::Money(sides.short));
        let measured = match self.measure(view) {
            Ok(Some(amount)) => amount.to_string(),
            Ok(None) => "no equity to carry it".into(),
            Err(why) => why.to_string(),
        };
        match (self.measure, view.book.equity()) {
            (Measure::Gross, _) => format!("long {long} + short {short} = {measured}"),
            (Measure::Net, _) => format!("long {long} against short {short}: net {measured}"),
            (Measure::Leverage, Ok(equity)) => {
                let equity = Amount::Money(equity);
                format!("(long {long} + short {short}) / equity {equity} = {measured}")
            }
            (Measure::Leverage, Err(why)) => why.to_string(),
        }
    }

    pub(super) fn has_reached(&self, view: View<'_>, to: Amount) -> bool {
        let reached = |measured: Ratio, to: Ratio| measured <= to + to.times(REACHED_WITHIN);
        match (self.measure(view), to) {
            (Ok(Some(Amount::Money(measured))), Amount::Money(to)) => {
                measured <= to + to.share(REACHED_WITHIN)
            }
            (Ok(Some(Amount::Multiple(measured))), Amount::Multiple(to)) => reached(measured, to),
            _ => false,
        }
    }
}

/// Longs and shorts that the policy covers.
fn sides(view: View<'_>) -> Result<Sides, Missing> {
    if !view.book.is_ready() {
        return Err(Missing::Snapshot);
    }
    let mut sides = Sides::default();
    for (leg, position) in view.book.positions() {
        if view.spec.symbols.covers(&leg.symbol) {
            let mark = view.book.mark_price(&leg.symbol)?;
            let value = value(view, &leg.symbol, position.amount, mark)?;
            sides.add(position.amount.is_positive(), value);
        }
    }
    Ok(sides)
}

/// A size in the account's currency, never negative.
fn value(view: View<'_>, symbol: &Symbol, size: Qty, mark: Price) -> Result<Money, Missing> {
    let asset = &view.book.instrument(symbol)?.margin_asset;
    view.book.value_of(asset, size.notional(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reduction_takes_the_same_share_of_each_and_never_of_a_hedge() {
        let m = |text: &str| text.parse::<Money>().unwrap();
        for (measure, long, short, to, keeps_long, keeps_short) in [
            (Measure::Gross, "6000", "2000", "4000", "50%", "50%"),
            (Measure::Leverage, "6000", "2000", "4000", "50%", "50%"),
            (Measure::Gross, "6000", "2000", "8000", "100%", "100%"),
            (Measure::Gross, "0", "0", "10", "100%", "100%"),
            // Net 4000 to 1000: the long side goes to 3000, and the short side stays.
            (Measure::Net, "6000", "2000", "1000", "50%", "100%"),
            (Measure::Net, "2000", "6000", "1000", "100%", "50%"),
            (Measure::Net, "2000", "0", "500", "25%", "100%"),
            (Measure::Net, "2000", "2000", "500", "100%", "100%"),
        ] {
            let sides = Sides {
                long: m(long),
                short: m(short),
            };
            let kept = |is_long| sides.kept(measure, is_long, m(to)).percent();
            assert_eq!(
                (kept(true), kept(false)),
                (keeps_long.to_owned(), keeps_short.to_owned()),
                "{measure:?} {long} {short} to {to}"
            );
        }
    }
}
