//! Exposure or an order outside the contracts that the owner trades, each leg alone.
//!
//! `symbols` is the list of what is allowed; the policy judges, and its rungs act on, everything else. Fires for a leg
//! that is held or has an open order, and is quiet when both are gone. The guard's own orders and the venue's forced
//! ones do not count. Unknown before the account was read. Recovers as soon as nothing is left outside; `block` leaves
//! what can only reduce where it is, so an orphaned stop keeps it firing. Does not cover a position that was opened
//! and closed between two looks.
//!
//! Source: POLICIES.md b.4.

use super::{Assessment, Measured, Scope, View};
use crate::book::Missing;
use crate::model::{ClientOrderId, Leg, Order, Timestamp};
use std::collections::BTreeMap;

/// Exposure or an order outside a list of contracts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SymbolAllowlist;

impl SymbolAllowlist {
    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        if !view.book.is_ready() {
            let measured = Measured::Unknown(Missing::Snapshot);
            return out.push(Assessment {
                scope: Scope::Account,
                measured,
            });
        }
        let mut outside: BTreeMap<Leg, Timestamp> = BTreeMap::new();
        for (leg, position) in view.book.positions() {
            if view.spec.acts_on(&leg.symbol) {
                outside.insert(leg.clone(), position.at);
            }
        }
        for order in view.book.orders().iter().filter(|order| is_foreign(order)) {
            if view.spec.acts_on(&order.id.symbol) {
                outside.entry(order.leg()).or_insert(order.at);
            }
        }
        out.extend(outside.into_iter().map(|(leg, at)| Assessment {
            scope: Scope::Leg(leg),
            measured: Measured::Fired(at),
        }));
    }

    pub(super) fn explain(&self, view: View<'_>, scope: &Scope) -> String {
        let Scope::Leg(leg) = scope else {
            return "nothing outside the list".into();
        };
        let held = view.book.amount(leg);
        let orders = view.book.orders().of(&leg.symbol);
        let orders = orders
            .filter(|order| order.leg() == *leg && is_foreign(order))
            .count();
        format!("{leg} is not on the list: position {held}, open orders {orders}")
    }
}

/// Whether it is neither the guard's nor the venue's own.
fn is_foreign(order: &Order) -> bool {
    let ours = order.client_id.as_ref().is_some_and(ClientOrderId::is_ours);
    !ours && order.forced().is_none()
}
