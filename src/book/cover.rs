//! What stands at the venue between a position and its liquidation: stops, in both of the venue's stores.
//!
//! Source: POLICIES.md b.5, `unprotected_position`.

use super::Book;
use crate::model::{Leg, Money, Order, OrderKind, Position, Price, Qty, Ratio, Side, Store};

/// The stops of one leg.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cover {
    /// Share of the position that they close, at most 1.
    pub share: Ratio,
    /// The stops that count, the nearest to the mark first.
    pub stops: Vec<Stop>,
    /// Stops on the closing side that do not count: they could also open a position, or their trigger is on the wrong
    /// side of the mark, or too far from it.
    pub passed_over: usize,
}

/// A stop that closes.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    /// Where it was found.
    pub store: Store,
    /// Its trigger; `None` for a trailing stop that the venue tells none of.
    pub trigger: Option<Price>,
    /// How much it closes, in contract units.
    pub quantity: Qty,
}

/// The stops that cover a position at this mark price; those whose trigger is further from it than `furthest`, as a
/// share of it, do not count. Without a mark price every trigger is believed to be on the right side.
pub fn cover(
    book: &Book,
    leg: &Leg,
    position: &Position,
    mark: Option<Price>,
    furthest: Option<Ratio>,
) -> Cover {
    let mut cover = Cover::default();
    let held = position.amount.abs();
    let closing = book.orders().of(&leg.symbol).filter(|order| {
        matches!(order.kind, OrderKind::Stop | OrderKind::Trailing)
            && order.position_side == leg.side
            && Some(order.side) == Side::closing(position.amount)
    });
    for order in closing {
        if order.can_only_reduce() && is_ahead(order, mark) && is_near(order, mark, furthest) {
            cover.stops.push(Stop {
                store: order.id.store,
                trigger: order.trigger,
                quantity: if order.close_position {
                    held
                } else {
                    order.remaining()
                },
            });
        } else {
            cover.passed_over += 1;
        }
    }
    // A long is met from above, a short from below.
    cover.stops.sort_by_key(|stop| stop.trigger);
    if position.amount.is_positive() {
        cover.stops.reverse();
    }
    let covered: Qty = cover.stops.iter().map(|stop| stop.quantity).sum();
    cover.share = share(covered.min(held), held);
    cover
}

/// Whether its trigger still lies on the adverse side of the mark. Without a mark, or without a trigger, it is believed.
fn is_ahead(order: &Order, mark: Option<Price>) -> bool {
    match (order.trigger, mark, order.side) {
        (Some(trigger), Some(mark), Side::Sell) => trigger < mark,
        (Some(trigger), Some(mark), Side::Buy) => trigger > mark,
        _ => true,
    }
}

/// Whether its trigger is near enough. One that the venue does not tell is not.
fn is_near(order: &Order, mark: Option<Price>, furthest: Option<Ratio>) -> bool {
    let (Some(mark), Some(furthest)) = (mark, furthest) else {
        return true;
    };
    let away = order.trigger.and_then(|trigger| {
        let whole = Money::new(mark.decimal()).ok()?;
        trigger.minus(mark).abs().ratio_of(whole)
    });
    away.is_some_and(|away| away <= furthest)
}

fn share(part: Qty, whole: Qty) -> Ratio {
    let quotient = part.decimal().checked_div(whole.decimal());
    quotient
        .and_then(|value| Ratio::new(value).ok())
        .unwrap_or_default()
}
