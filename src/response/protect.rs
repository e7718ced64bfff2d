//! The stop that a policy asks for (`place_stop`): placed once where a position has none that covers it, and withdrawn
//! when its position is gone, so that it hits no later one.
//!
//! There is one at most for each leg, whatever became of an answer: the book and the air are looked at before each.

use super::plan::{Planned, Planner, Round, Sight, highest};
use super::sweep::wants;
use super::verify::is_verified_flat;
use super::{Demand, Driver};
use crate::model::{Intent, IntentKey, Leg, OrderId, ProtectiveStop, Ratio, Side};
use crate::policy::{Action, Kind, Protection, Scope};

impl Planner {
    /// Places what is missing and withdraws what is left over.
    pub(super) fn protect(&mut self, sight: &Sight<'_>, round: &mut Round) {
        for (index, demand) in sight.demands.iter().enumerate() {
            if let (Action::PlaceStop(distance), Scope::Leg(leg)) = (demand.action, &demand.scope) {
                let stale = stale_stops(sight, leg, index);
                if stale.is_empty() {
                    self.place(sight, leg, distance, index, round);
                }
                for id in stale {
                    wants(sight, round, Some(index), Intent::Cancel(id));
                }
            }
        }
    }

    fn place(&mut self, sight: &Sight<'_>, leg: &Leg, distance: Ratio, index: usize, round: &mut Round) {
        let (book, now, key) = (sight.book, sight.book.now(), IntentKey::PlaceStop(leg.clone()));
        let is_known = book.orders().our_stops(leg).next().is_some()
            || sight.flights.has(&key)
            || sight.flights.is_paused(now, &key)
            || round.planned.iter().any(|planned| planned.intent.key() == key);
        let Some(demand) = sight.demands.get(index).filter(|_| !is_known) else {
            return;
        };
        // What is being closed needs no stop.
        let closes = highest(sight, leg)
            .and_then(|highest| sight.demands.get(highest))
            .is_some_and(|highest| highest.action == Action::Flatten);
        // After a restart the position is read before the orders, and a stop of an earlier run may stand.
        if closes || !book.is_ready() || !is_naked(sight, demand, leg) {
            return;
        }
        let (Ok(mark), true) = (book.mark_price(&leg.symbol), book.is_fresh()) else {
            round.needs.holdings = true;
            return;
        };
        let Ok(instrument) = book.instrument(&leg.symbol) else {
            round.needs.rules = true;
            return;
        };
        let (held, tick) = (book.amount(leg), instrument.tick);
        let stop = self
            .stop_id(demand, leg, held)
            .and_then(|id| ProtectiveStop::against(id, leg.clone(), held, mark, distance, tick));
        if let Some(stop) = stop {
            self.count(demand, leg);
            round.planned.push(Planned {
                demand: Some(index),
                intent: Intent::PlaceStop(stop),
            });
        }
    }
}

/// Whether the policy still finds no stop that covers the leg.
fn is_naked(sight: &Sight<'_>, demand: &Demand, leg: &Leg) -> bool {
    let Driver::Rung { policy, .. } = &demand.driver else {
        return false;
    };
    let kind = sight.policies.get(*policy).map(|policy| &policy.spec.kind);
    match (kind, sight.book.position(leg)) {
        (Some(Kind::UnprotectedPosition(policy)), Some(position)) => {
            policy.protection(sight.book, leg, position) == Protection::Naked
        }
        _ => false,
    }
}

/// Our stops of a leg that holds the other sign, or is verified to hold nothing as it is for a flatten.
fn stale_stops(sight: &Sight<'_>, leg: &Leg, index: usize) -> Vec<OrderId> {
    let closing = Side::closing(sight.book.amount(leg));
    let is_over = match closing {
        Some(_) => sight.book.is_fresh(),
        None => is_verified_flat(sight, leg, index),
    };
    let stops = sight.book.orders().our_stops(leg);
    stops
        .filter(|order| is_over && Some(order.side) != closing)
        .map(|order| order.id.clone())
        .collect()
}
