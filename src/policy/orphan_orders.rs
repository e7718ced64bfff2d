//! Time that a closing order outlives its position.
//!
//! A closing order is reduce-only, close-position, or on the closing side of a hedge leg, in either store. It is an orphan
//! while its leg holds nothing that it could close: flat, or of the other sign. Each order has a clock of its own, from
//! the moment when it was first seen so; a leg is measured by its oldest orphan, and trips at or above a threshold.
//! `cancel` takes the orphans that are as old as its threshold. Before the account was read, and while holdings are too
//! old to say that nothing is held, it is unknown. Recovers when no orphan is left. A restart begins every clock anew.
//! The guard's own reductions do not count, a stop that it placed does. Does not cover plain orders without a
//! reduce-only flag: those open positions, which is what `block` is for.
//!
//! Source: POLICIES.md b.5.

use super::{Amount, Assessment, Measured, Memory, PolicySpec, Scope, View};
use crate::book::{Book, Missing};
use crate::model::{ClientOrderId, Leg, Order, OrderId, Side, Span, Store, Timestamp};

/// Time that a closing order outlives its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrphanOrders;

impl OrphanOrders {
    pub(super) fn observe(&self, memory: &mut Memory, spec: &PolicySpec, book: &Book) {
        if !book.is_ready() || !book.is_fresh() {
            return;
        }
        let is_orphan = |order: &Order| spec.symbols.covers(&order.id.symbol) && is_orphan(book, order);
        memory
            .orphans
            .retain(|id, _| book.orders().get(id).is_some_and(is_orphan));
        for order in book.orders().iter().filter(|order| is_orphan(order)) {
            if !memory.orphans.contains_key(&order.id) {
                memory.orphans.insert(order.id.clone(), book.now());
            }
        }
    }

    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        let unknown = |why: Missing| Assessment {
            scope: Scope::Account,
            measured: Measured::Unknown(why),
        };
        if !view.book.is_ready() {
            return out.push(unknown(Missing::Snapshot));
        }
        if !view.book.is_fresh() {
            return out.push(unknown(Missing::StaleHoldings));
        }
        let mut legs: Vec<Leg> = orphans(view).map(|(order, _)| order.leg()).collect();
        legs.sort();
        legs.dedup();
        for leg in legs {
            let age = ages(view, &leg).map(|(_, age)| age).max().unwrap_or(Span::ZERO);
            out.push(Assessment {
                scope: Scope::Leg(leg),
                measured: Measured::Value(Amount::Time(age)),
            });
        }
    }

    pub(super) fn offenders(&self, view: View<'_>, scope: &Scope, at: Option<Amount>) -> Vec<OrderId> {
        let Scope::Leg(leg) = scope else {
            return Vec::new();
        };
        let is_due = |age: Span| match at {
            Some(Amount::Time(at)) => age >= at,
            _ => true,
        };
        ages(view, leg)
            .filter(|(_, age)| is_due(*age))
            .map(|(order, _)| order.id.clone())
            .collect()
    }

    pub(super) fn explain(&self, view: View<'_>, scope: &Scope) -> String {
        let Scope::Leg(leg) = scope else {
            return "no order".into();
        };
        let told: Vec<String> = ages(view, leg)
            .map(|(order, age)| {
                let name = order.client_id.as_ref().map_or("", ClientOrderId::as_str);
                format!("{} order {} {name} for {age}", order.side, order.id.id)
            })
            .collect();
        match told.is_empty() {
            true => format!("{leg}: no closing order without a position"),
            false => format!("{leg} holds nothing to close for: {}", told.join(", ")),
        }
    }

    pub(super) fn next_change(&self, view: View<'_>) -> Option<Timestamp> {
        view.next_threshold(view.memory.orphans.values().copied())
    }
}

fn is_orphan(book: &Book, order: &Order) -> bool {
    let ours = order.client_id.as_ref().is_some_and(ClientOrderId::is_ours);
    order.can_only_reduce()
        && order.forced().is_none()
        && !(ours && order.id.store == Store::Regular)
        && Side::closing(book.amount(&order.leg())) != Some(order.side)
}

/// Every orphan, and since when it is one.
fn orphans(view: View<'_>) -> impl Iterator<Item = (&Order, Timestamp)> {
    let (memory, book) = (view.memory, view.book);
    memory
        .orphans
        .iter()
        .filter_map(|(id, since)| Some((book.orders().get(id)?, *since)))
}

fn ages<'a>(view: View<'a>, leg: &'a Leg) -> impl Iterator<Item = (&'a Order, Span)> {
    let now = view.book.now();
    orphans(view)
        .filter(|(order, _)| order.id.symbol == leg.symbol && order.position_side == leg.side)
        .map(move |(order, since)| (order, now.since(since)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AccountUpdate, Event, PositionChange, Reason};
    use crate::model::{Money, OrderKind, OrderStatus, PositionSide, Qty, Symbol};

    fn q(text: &str) -> Qty {
        text.parse().unwrap()
    }

    #[test]
    fn an_orphan_is_what_only_closes_and_has_nothing_to_close() {
        let (both, long) = (PositionSide::Both, PositionSide::Long);
        for (leg_side, held, side, reduce_only, client, store, expected) in [
            (both, "0", Side::Sell, true, "bot", Store::Regular, true),
            (both, "0", Side::Sell, true, "bot", Store::Conditional, true),
            (both, "1", Side::Sell, true, "bot", Store::Conditional, false),
            (both, "-1", Side::Sell, true, "bot", Store::Conditional, true),
            (both, "-1", Side::Buy, true, "bot", Store::Regular, false),
            (both, "0", Side::Sell, false, "bot", Store::Regular, false),
            (long, "0", Side::Sell, false, "bot", Store::Regular, true),
            (long, "0", Side::Buy, false, "bot", Store::Regular, false),
            (long, "1", Side::Sell, false, "bot", Store::Regular, false),
            (both, "0", Side::Sell, true, "bs-1", Store::Regular, false),
            (both, "0", Side::Sell, true, "bs-1", Store::Conditional, true),
            (both, "0", Side::Sell, true, "autoclose-1", Store::Regular, false),
        ] {
            let leg = Leg {
                symbol: Symbol::new("BTCUSDT").unwrap(),
                side: leg_side,
            };
            let mut book = Book::default();
            let change = PositionChange {
                leg: leg.clone(),
                amount: q(held),
                entry: None,
                margin: None,
                isolated_wallet: Money::ZERO,
            };
            let update = AccountUpdate {
                reason: Reason::Profit,
                balances: vec![],
                positions: vec![change],
                at: Timestamp::from_ms(1),
            };
            book.apply(Timestamp::from_ms(1), &Event::Account(update));
            let order = Order {
                id: OrderId {
                    store,
                    symbol: leg.symbol.clone(),
                    id: 1,
                },
                client_id: ClientOrderId::new(client).ok(),
                side,
                position_side: leg_side,
                kind: OrderKind::Limit,
                price: None,
                trigger: None,
                quantity: q("1"),
                executed: Qty::ZERO,
                average: None,
                trade: None,
                reduce_only,
                close_position: false,
                status: OrderStatus::New,
                at: Timestamp::from_ms(1),
            };
            assert_eq!(is_orphan(&book, &order), expected, "{leg} {held} {order:?}");
        }
    }
}
