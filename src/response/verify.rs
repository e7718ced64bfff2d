//! Which demands are done, proven by readings that are younger than the last action.

use super::plan::{Round, Sight, is_dust};
use super::{Demand, Driver};
use crate::model::{ClientOrderId, Intent, Leg, Qty, Span, Store, Timestamp};
use crate::policy::{Action, Cut};
use std::collections::BTreeMap;

/// A reading that only confirms is asked for this often at most.
const CONFIRM_EVERY: Span = Span::from_secs(5);

/// Zero by stream and by a reading that is younger than the last thing we did there.
pub(super) fn is_verified_flat(sight: &Sight<'_>, leg: &Leg, demand: usize) -> bool {
    let since = sight
        .demands
        .get(demand)
        .map_or(Timestamp::default(), |demand| demand.since);
    let after = since.max(last_reduction(sight));
    is_dust(sight.book, leg)
        && !sight.flights.is_busy(sight.book.now(), leg)
        && sight.book.holdings_read().is_some_and(|read| read > after)
}

/// The last moment at which something happened that a verification must be younger than.
fn last_reduction(sight: &Sight<'_>) -> Timestamp {
    sight.flights.last_action()
}

/// Whether something that serves this demand, or touches what it covers, is in the air or about to be.
fn is_flying(sight: &Sight<'_>, round: &Round, demand: &Demand) -> bool {
    let touches = |intent: &Intent| match intent {
        Intent::Reduce(order) => demand.covers(sight.book, sight.policies, order.leg()),
        other => demand.covers_symbol(sight.policies, other.symbol()),
    };
    sight.flights.iter().any(|(_, flight)| touches(&flight.intent))
        || round.planned.iter().any(|planned| touches(&planned.intent))
}

/// Which demands are done: by readings younger than the last action, nothing held, nothing open, nothing in the air.
pub(super) fn verify(sight: &Sight<'_>, targets: &BTreeMap<Leg, (Qty, usize)>, round: &mut Round) {
    let book = sight.book;
    let is_held = |index: usize| {
        let demand = sight.demands.get(index);
        book.positions().any(|(leg, _)| {
            !is_dust(book, leg) && demand.is_some_and(|demand| demand.covers(book, sight.policies, leg))
        })
    };
    for (index, demand) in sight.demands.iter().enumerate() {
        match demand.action {
            Action::Alert | Action::Cancel | Action::PlaceStop(_) | Action::Block => {}
            Action::Reduce(_) if demand.fulfilled => {}
            // Nothing is known of any position yet, which is not the same as nothing being held.
            Action::Reduce(_) if book.holdings_read().is_none() => round.working.push(index),
            Action::Reduce(_) => {
                // A share is this demand's own, whatever another asks of the same leg.
                let open = targets
                    .iter()
                    .any(|(leg, (target, by))| *by == index && book.amount(leg).abs() > *target)
                    || demand.aims.iter().any(|(leg, aim)| book.amount(leg).abs() > *aim);
                let flying = sight.flights.reductions().next().is_some();
                if !open && !flying && is_reached(sight, demand) {
                    round.fulfilled.push(index);
                } else if open || flying {
                    round.working.push(index);
                }
            }
            Action::Flatten => {
                let open_orders = book.orders().iter().any(|order| {
                    let ours = order.client_id.as_ref().is_some_and(ClientOrderId::is_ours)
                        && order.id.store == Store::Regular;
                    !ours && demand.covers(book, sight.policies, &order.leg())
                });
                let flying = is_flying(sight, round, demand);
                if is_held(index) || open_orders || flying {
                    // Once it was flat and verified, orders that come and are cancelled are the latch at work.
                    if is_held(index) || !demand.fulfilled {
                        round.working.push(index);
                    }
                    // Something is left that only a look can confirm: zero by the stream, and stops to sweep.
                    if !is_held(index) && !flying {
                        let after = demand.since.max(last_reduction(sight));
                        let due = |read: Option<Timestamp>| {
                            read.is_none_or(|read| read <= after || book.now().since(read) >= CONFIRM_EVERY)
                        };
                        round.needs.holdings |= due(book.holdings_read());
                        round.needs.orders |= due(book.orders().read_at(Store::Regular));
                    }
                    continue;
                }
                if demand.fulfilled {
                    continue;
                }
                let after = demand.since.max(last_reduction(sight));
                let fresh = |at: Option<Timestamp>| at.is_some_and(|at| at > after);
                let holdings = fresh(book.holdings_read());
                let orders = fresh(book.orders().read_at(Store::Regular))
                    && fresh(book.orders().read_at(Store::Conditional));
                if holdings && orders {
                    round.fulfilled.push(index);
                } else {
                    round.working.push(index);
                    round.needs.holdings |= !holdings;
                    round.needs.orders |= !orders;
                }
            }
        }
    }
}

fn is_reached(sight: &Sight<'_>, demand: &Demand) -> bool {
    match (demand.action, &demand.driver) {
        (Action::Reduce(Cut::Fraction(_)), _) => true,
        (Action::Reduce(Cut::To(to)), Driver::Rung { policy, .. }) => sight
            .policies
            .get(*policy)
            .is_some_and(|policy| policy.has_reached(sight.book, &demand.scope, to)),
        _ => false,
    }
}
