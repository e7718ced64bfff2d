//! Legs on which the venue did not keep to reduce-only.
//!
//! An order that was sent reduce-only and shows without its flag, or that filled past zero, proves that the one
//! protection which the venue gives is not there. From then on no order of that side goes to the leg until an operator
//! re-arms; only what closes an opposite position may follow, and one that our own order opened is closed at once
//! (SPEC.md section 8, OR-13). Kept over a restart, because the next order on the leg could open something again.

use crate::model::{Leg, PositionSide, Qty, ReduceOrder, Side, Span, Timestamp};
use std::collections::BTreeMap;

/// How long after a fill its account event may come: the stream sends both at once.
const WATCH: Span = Span::from_secs(2);

/// What stops a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The side of the order that the venue mistreated.
    pub side: Side,
    /// Since when what it opened is to be closed; `None` when nothing is.
    pub overshot: Option<Timestamp>,
}

/// A fill of ours whose effect is not seen cleanly yet.
#[derive(Clone, Copy, Debug)]
struct Watch {
    side: Side,
    executed: Qty,
    /// The venue's time of the fill.
    at: Timestamp,
    since: Timestamp,
}

/// All legs that are stopped.
#[derive(Clone, Debug, Default)]
pub struct Stops {
    legs: BTreeMap<Leg, Stop>,
    watched: BTreeMap<Leg, Watch>,
    alarms: Vec<String>,
    is_changed: bool,
}

impl Stops {
    /// One of our orders as the venue shows it, in an event or an answer. On hedge legs there is no flag to lose.
    pub(super) fn echo(&mut self, leg: &Leg, side: Side, reduce_only: Option<bool>) {
        if leg.side == PositionSide::Both && reduce_only == Some(false) {
            self.stop(leg.clone(), side, "is shown without its reduce-only flag");
        }
    }

    /// An order of ours filled so far, by the venue's time `at`, and what its leg held before and holds now. Where the one
    /// does not explain the other, somebody else traded too, and what comes next is watched.
    pub(super) fn filled(
        &mut self,
        now: Timestamp,
        order: &ReduceOrder,
        (executed, at): (Qty, Timestamp),
        before: Qty,
        held: Qty,
    ) {
        if !executed.is_positive() || order.leg().side != PositionSide::Both {
            return;
        }
        let flipped = Side::closing(held) == Some(order.side().opposite());
        if !flipped && before.abs() - held.abs() == executed {
            self.watched.remove(order.leg());
        } else {
            let watch = Watch {
                side: order.side(),
                executed,
                at,
                since: now,
            };
            self.watched.insert(order.leg().clone(), watch);
        }
    }

    /// Looks at what the watched legs hold now, and since when by the venue's time: the other sign, no more of it than our
    /// order filled, and since that very fill, is what it opened. More, or of another time, somebody else opened: a fill
    /// and the change of the position that it makes carry the same transaction time.
    ///
    /// Source: venues/binance-usdm.md section 4.0 (`T`) and 4.11, read 2026-11-22.
    pub(super) fn look(&mut self, now: Timestamp, held: impl Fn(&Leg) -> (Qty, Timestamp)) {
        for (leg, watch) in std::mem::take(&mut self.watched) {
            let (held, at) = held(&leg);
            let is_other = Side::closing(held) == Some(watch.side.opposite());
            if is_other && held.abs() <= watch.executed && at == watch.at {
                self.stop(leg.clone(), watch.side, "filled past zero");
                if let Some(stop) = self.legs.get_mut(&leg) {
                    stop.overshot.get_or_insert(now);
                    self.is_changed = true;
                }
            } else if now.since(watch.since) < WATCH {
                self.watched.insert(leg, watch);
            }
        }
    }

    fn stop(&mut self, leg: Leg, side: Side, what: &str) {
        if !self.legs.contains_key(&leg) {
            self.alarms.push(format!(
                "a {side} order of the guard in {leg} {what}: the leg is stopped until re-arm, and only what closes \
                 an opposite position may follow"
            ));
            self.legs.insert(leg, Stop { side, overshot: None });
            self.is_changed = true;
        }
    }

    /// A stop of an earlier run, of which people were told then.
    pub fn restore(&mut self, leg: Leg, stop: Stop) {
        self.legs.insert(leg, stop);
    }

    /// Every stop, by leg.
    pub fn iter(&self) -> impl Iterator<Item = (&Leg, &Stop)> {
        self.legs.iter()
    }

    /// Whether no order of this side may go to the leg.
    pub fn forbids(&self, leg: &Leg, side: Option<Side>) -> bool {
        self.legs.get(leg).is_some_and(|stop| Some(stop.side) == side)
    }

    /// Legs on which a position stands that an order of ours opened, and since when.
    pub fn overshot(&self) -> impl Iterator<Item = (&Leg, Timestamp)> {
        self.legs
            .iter()
            .filter_map(|(leg, stop)| Some((leg, stop.overshot?)))
    }

    /// What an order of ours opened is closed again.
    pub fn countered(&mut self, leg: &Leg) {
        if let Some(stop) = self.legs.get_mut(leg) {
            stop.overshot = None;
            self.is_changed = true;
        }
    }

    /// An operator has seen it.
    pub fn release(&mut self) {
        self.legs.clear();
    }

    /// Whether something must be kept that was not when this was asked last.
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// What people must be told, once.
    pub(super) fn take_alarms(&mut self) -> Vec<String> {
        std::mem::take(&mut self.alarms)
    }
}
