//! Which orders are to be cancelled under a demand.

use super::plan::{Planned, Round, Sight, highest};
use super::verify::is_verified_flat;
use crate::book::Book;
use crate::model::{ClientOrderId, Intent, IntentKey, Leg, Order, Qty, Store, Symbol};
use crate::policy::Action;

/// How many requests of a step may be cancels, so that a grid of orders never keeps a reduction waiting.
const CANCELS_MAX: usize = 48;

pub(super) fn wants(sight: &Sight<'_>, round: &mut Round, demand: Option<usize>, intent: Intent) {
    let key = intent.key();
    let known = sight.flights.has(&key)
        || sight.flights.is_paused(sight.book.now(), &key)
        || round.planned.iter().any(|planned| planned.intent.key() == key);
    if !known && round.planned.len() < CANCELS_MAX {
        round.planned.push(Planned { demand, intent });
    }
}

/// Cancels: under block and reduce what could add exposure; under flatten every regular order, and conditional ones
/// once the position is verified zero. Protective stops stay until then. An order of ours is withdrawn when it rested for
/// long enough, whether or not anything still asks for it.
pub(super) fn cancels(sight: &Sight<'_>, round: &mut Round) {
    let mut symbols: Vec<Symbol> = sight.book.orders().symbols().collect();
    symbols.dedup();
    symbols.sort();
    symbols.dedup();
    for symbol in symbols {
        for store in [Store::Regular, Store::Conditional] {
            let open: Vec<&Order> = sight
                .book
                .orders()
                .of(&symbol)
                .filter(|order| order.id.store == store && order.forced().is_none())
                .collect();
            let mut doomed: Vec<(Option<usize>, &Order)> = Vec::new();
            let spare = spare_closers(sight.book, &symbol);
            for order in &open {
                let ours = order.client_id.as_ref().is_some_and(ClientOrderId::is_ours);
                let highest = highest(sight, &order.leg());
                let demand = highest.and_then(|index| sight.demands.get(index));
                let asked = demand.map(|demand| demand.since);
                let is_overdue = ours
                    && store == Store::Regular
                    && sight.flights.is_overdue(sight.book.now(), order, asked);
                if is_overdue {
                    doomed.push((highest, order));
                    continue;
                }
                let (Some(index), Some(demand)) = (highest, demand) else {
                    continue;
                };
                let flattens = demand.action == Action::Flatten;
                let conflicted = sight
                    .flights
                    .trouble(&order.leg())
                    .is_some_and(|trouble| trouble.conflict);
                let goes = match store {
                    Store::Regular if flattens || conflicted => !ours,
                    Store::Conditional if flattens && is_verified_flat(sight, &order.leg(), index) => true,
                    _ => could_add(order, &spare),
                };
                if goes {
                    doomed.push((Some(index), order));
                }
            }
            let Some((first, _)) = doomed.first() else {
                continue;
            };
            // One request for the lot when nothing else of the symbol would go with it, unless it had no effect before.
            let all = IntentKey::CancelAll(store, symbol.clone());
            if doomed.len() > 1 && doomed.len() == open.len() && !sight.flights.is_ignored(&all) {
                let all = match store {
                    Store::Regular => Intent::CancelAll(symbol.clone()),
                    Store::Conditional => Intent::CancelAllConditional(symbol.clone()),
                };
                wants(sight, round, *first, all);
            } else {
                for (index, order) in doomed {
                    if !sight.flights.has(&all) {
                        wants(sight, round, index, Intent::Cancel(order.id.clone()));
                    }
                }
            }
        }
    }
}

/// Orders without a reduce-only flag that close a one-way position, oldest first, as long as they fit into it: the
/// owner's plain take-profits and stops.
fn spare_closers(book: &Book, symbol: &Symbol) -> Vec<crate::model::OrderId> {
    let held = book.amount(&Leg::both(symbol.clone()));
    let mut closers: Vec<&Order> = book
        .orders()
        .of(symbol)
        .filter(|order| !order.can_only_reduce() && crate::model::Side::closing(held) == Some(order.side))
        .collect();
    closers.sort_by_key(|order| (order.at, order.id.id));
    // Reduce-only orders close first: what they take is not there for the plain ones.
    let promised = book.orders().of(symbol).filter(|order| {
        order.reduce_only && !order.close_position && crate::model::Side::closing(held) == Some(order.side)
    });
    let promised: Qty = promised.map(Order::remaining).sum();
    let mut room = (held.abs() - promised).max(Qty::ZERO);
    let mut spared = Vec::new();
    for order in closers {
        if order.remaining().is_positive() && order.remaining() <= room {
            room = room - order.remaining();
            spared.push(order.id.clone());
        }
    }
    spared
}

fn could_add(order: &Order, spared: &[crate::model::OrderId]) -> bool {
    !order.can_only_reduce() && !spared.contains(&order.id)
}
