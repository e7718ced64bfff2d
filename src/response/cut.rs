//! How much of which position to close so that a bucket is safe again at the least cost.
//!
//! Two aims, alone or together: a margin ratio, and a distance to liquidation in every scenario ([`Ground::worst`]).
//! Closing one unit of a position costs `c` of the balance, which profit that becomes real does not change. It lowers
//! maintenance by the rate `m` of its tier, and takes its part in every scenario away. So of what is missing it brings
//!
//! - to the ratio `R`: `m − R·c` of `MM − R·B`; where that is not positive, closing would worsen the ratio;
//! - to a buffer after a move `δ` of its price: `m·(1 + δ) − s·δ − c`, which for a hedge is negative.
//!
//! The worst-violated aim is filled, slice by slice between the bends of the tiers, with what brings the most for its
//! cost. For a ratio alone that is the least costly cut, because relief only falls and cost only rises. Scenarios pull
//! against each other, so that a slice for one can prove superfluous after the next: what is not needed is given back,
//! the most expensive first; and the cheapest of all cuts (`corner`) is taken where that is cheaper still.
//!
//! Source: POLICIES.md c.3.

mod corner;

use crate::book::shock::{Exposure, Ground, Scenario, last_safe};
use crate::model::{Money, Ratio};
use corner::Corner;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Cost of closing, all in, when nothing better is known: taker fee 0.05 % and as much again for the spread.
pub const COST: Ratio = Ratio::bps(10);
/// Turns of the filling loop: each fills one tier of one position.
const TURNS_MAX: usize = 10_000;
/// Units up to which the cheapest of all cuts is looked for; the work grows with the cube. More are only filled.
const UNITS_MAX: usize = 32;
/// Limits that the search for it may learn: aims and scenarios times tiers, a fraction of which matter.
const LIMITS_MAX: usize = 200;
/// How many times dearer what is to be last is in it.
const LAST_COSTS: Ratio = Ratio::bps(10_000_000);
/// What may be missing of an aim that counts as reached: quotients end somewhere.
const NOTHING: Money = Money::SMALLEST;

/// A position that may be cut.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// What it is.
    pub held: Exposure<'a>,
    /// What closing costs for one unit of notional.
    pub cost: Ratio,
    /// What its owner wishes.
    pub wish: Wish,
    /// Pieces of the same number are cut in the same proportion.
    pub unit: usize,
}

/// Whether a piece may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wish {
    /// Like any other.
    Free,
    /// Only when cutting the others does not help any more.
    Last,
    /// Not at all; it still counts for what it needs.
    Never,
}

/// Where a bucket is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aim {
    /// The highest margin ratio.
    pub ratio: Option<Ratio>,
    /// The move that every scenario must survive.
    pub distance: Option<Ratio>,
}

/// What an aim asks that decides how much is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The margin ratio.
    Ratio,
    /// The distance, in this scenario.
    Distance(Scenario),
}

/// What to cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeastCut {
    /// Notional to close of each piece, in the order given.
    pub notionals: Vec<Money>,
    /// Whether every aim is reached by it.
    pub is_reached: bool,
    /// What it costs.
    pub cost: Money,
    /// What decides how much: the aim that is reached just so, or that is not reached. `None` without an aim.
    pub bound: Option<Bound>,
}

/// A bucket that is to be made safe.
#[derive(Clone, Debug)]
pub struct Problem<'a> {
    /// Margin balance.
    pub balance: Money,
    /// What the venue demands for one unit of maintenance by our tiers.
    pub factor: Ratio,
    /// Everything held in it.
    pub pieces: Vec<Piece<'a>>,
    /// Where it is to be.
    pub aim: Aim,
}

/// What can be taken of a unit before something bends.
struct Slice {
    /// What is left of each of its pieces.
    members: Vec<(usize, Money)>,
    /// What is left of all of them.
    total: Money,
    /// How much can be taken.
    room: Money,
    /// What one unit of notional brings.
    relief: Ratio,
}

impl<'a> Problem<'a> {
    /// The least costly cut that reaches the aim.
    ///
    /// With no positive balance everything goes that may: no aim can be reached. Where the aim cannot be reached, the
    /// cut goes as far as closing helps.
    pub fn least_cut(&self) -> LeastCut {
        if !self.balance.is_positive() {
            return LeastCut {
                is_reached: false,
                ..self.everything()
            };
        }
        let filled = self.fill();
        if self.aim.distance.is_none() {
            return self.finish(&filled);
        }
        let filled = self.finish(&self.give_back(filled));
        let Some(cheapest) = self.cheapest().filter(|cheapest| cheapest.is_reached) else {
            return filled;
        };
        let of_the_last = |cut: &LeastCut| {
            let pieces = self.pieces.iter().zip(&cut.notionals);
            let last = pieces.filter(|(piece, _)| piece.wish == Wish::Last);
            last.map(|(_, taken)| *taken).sum::<Money>()
        };
        let is_cheaper = cheapest.cost + Money::CENT < filled.cost;
        let spares_as_much = of_the_last(&cheapest) <= of_the_last(&filled) + Money::CENT;
        if !filled.is_reached || (is_cheaper && spares_as_much) {
            cheapest
        } else {
            filled
        }
    }

    /// The pieces named closed one after the other, each wholly before the next, no more than the aim asks.
    pub fn in_order(&self, order: &[usize]) -> LeastCut {
        let mut ground = self.ground();
        for index in order {
            if self.is_reached(&ground) {
                break;
            }
            self.close(&mut ground, *index, Money::MAX);
            ground = self.without_superfluous(ground, |other| other == *index);
        }
        self.finish(&ground)
    }

    /// Everything closed that may be.
    pub fn everything(&self) -> LeastCut {
        let mut ground = self.ground();
        for index in 0..self.pieces.len() {
            self.close(&mut ground, index, Money::MAX);
        }
        self.finish(&ground)
    }

    /// The bucket after a cut.
    pub fn after(&self, cut: &LeastCut) -> Ground<'a> {
        let mut ground = self.ground();
        for (held, taken) in ground.held.iter_mut().zip(&cut.notionals) {
            held.notional = held.notional - *taken;
        }
        ground.balance = ground.balance - cut.cost;
        ground
    }

    /// Whether a cut reaches every aim.
    pub fn reaches(&self, cut: &LeastCut) -> bool {
        self.is_reached(&self.after(cut))
    }

    /// The collateral that would reach the aim without a cut; `None` when nothing is missing.
    pub fn top_up(&self) -> Option<Money> {
        let ground = self.ground();
        let for_ratio = self.target().and_then(|target| {
            let wanted = ground.maintenance().decimal().checked_div(target.decimal())?;
            Some(Money::new(wanted).ok()? - self.balance)
        });
        let for_distance = self.aim.distance.map(|by| ground.worst(by).1);
        let most = for_ratio.into_iter().chain(for_distance).max();
        most.filter(|missing| missing.is_positive())
    }

    /// The bucket as it is.
    fn ground(&self) -> Ground<'a> {
        Ground {
            balance: self.balance,
            factor: self.factor,
            held: self.pieces.iter().map(|piece| piece.held).collect(),
        }
    }

    /// Where the venue demands a multiple of what our tiers say, the aim by our tiers is lower by as much.
    fn target(&self) -> Option<Ratio> {
        self.aim
            .ratio
            .map(|target| target.over(self.factor).unwrap_or(target))
    }

    fn missing_ratio(&self, ground: &Ground<'_>) -> Option<Money> {
        let target = self.target()?;
        Some(ground.maintenance() - ground.balance.share(target))
    }

    fn missing_distance(&self, ground: &Ground<'_>) -> Option<(Scenario, Money)> {
        let (scenario, missing, _) = ground.worst(self.aim.distance?);
        Some((scenario, missing))
    }

    /// The aim of which the most is missing, and how much; negative when all are more than reached.
    fn missing(&self, ground: &Ground<'_>) -> Option<(Bound, Money)> {
        let ratio = self.missing_ratio(ground).map(|missing| (Bound::Ratio, missing));
        let distance = self.missing_distance(ground);
        let distance = distance.map(|(scenario, missing)| (Bound::Distance(scenario), missing));
        match (ratio, distance) {
            (Some(ratio), Some(distance)) if ratio.1 < distance.1 => Some(distance),
            (ratio, distance) => ratio.or(distance),
        }
    }

    fn is_reached(&self, ground: &Ground<'_>) -> bool {
        self.missing(ground).is_none_or(|(_, missing)| missing <= NOTHING)
    }

    /// What closing one unit of a piece brings to an aim, and how much of it before that changes.
    fn brings(&self, ground: &Ground<'_>, index: usize, bound: Bound) -> Option<(Ratio, Money)> {
        let (piece, held) = self.pieces.get(index).zip(ground.held.get(index))?;
        match bound {
            Bound::Ratio => {
                let (rate, room) = held.marginal(Ratio::ZERO);
                Some((rate - self.target()?.times(piece.cost), room))
            }
            Bound::Distance(scenario) => {
                let (relief, room) = ground.relief(held, scenario, self.aim.distance?);
                Some((relief - piece.cost, room))
            }
        }
    }

    /// Cuts until every aim is reached, or closing helps none that is not.
    fn fill(&self) -> Ground<'a> {
        let mut ground = self.ground();
        let (mut is_ratio_stuck, mut is_distance_stuck) = (false, false);
        for _ in 0..TURNS_MAX {
            let needs = |missing: &Money| *missing > NOTHING;
            let ratio = self
                .missing_ratio(&ground)
                .filter(|missing| !is_ratio_stuck && needs(missing));
            let distance = self
                .missing_distance(&ground)
                .filter(|(_, missing)| !is_distance_stuck && needs(missing));
            let (bound, need) = match (ratio, distance) {
                (Some(ratio), distance) if distance.is_none_or(|(_, distance)| distance <= ratio) => {
                    (Bound::Ratio, ratio)
                }
                (_, Some((scenario, distance))) => (Bound::Distance(scenario), distance),
                _ => break,
            };
            let slice = self.best(&ground, bound);
            let taken = slice.as_ref().and_then(|slice| {
                let wanted = need.decimal().checked_div(slice.relief.decimal())?;
                Some(Money::new(wanted).unwrap_or(slice.room).min(slice.room))
            });
            match (slice, taken) {
                (Some(slice), Some(taken)) if taken.is_positive() => self.take(&mut ground, &slice, taken),
                _ if bound == Bound::Ratio => is_ratio_stuck = true,
                _ => is_distance_stuck = true,
            }
        }
        ground
    }

    /// The cheapest of all cuts that reach every aim; `None` when it was not found, or there is none.
    fn cheapest(&self) -> Option<LeastCut> {
        let units: BTreeSet<usize> = self.pieces.iter().map(|piece| piece.unit).collect();
        let units: Vec<usize> = units.into_iter().collect();
        if UNITS_MAX < units.len() {
            return None;
        }
        // Of each unit, if all of it were taken.
        let of_units = |of: &dyn Fn(usize, &Piece<'a>) -> Option<Ratio>| -> Option<Vec<Ratio>> {
            let of_unit = |unit: &usize| -> Option<Ratio> {
                let members = self.pieces.iter().enumerate();
                let members = members.filter(|(_, piece)| piece.unit == *unit && piece.wish != Wish::Never);
                let each = members.map(|(index, piece)| Some(piece.held.notional.share(of(index, piece)?)));
                Ratio::new(each.sum::<Option<Money>>()?.decimal()).ok()
            };
            units.iter().map(of_unit).collect()
        };
        let cost = |_: usize, piece: &Piece<'a>| {
            let weight = if piece.wish == Wish::Last {
                LAST_COSTS
            } else {
                Ratio::ONE
            };
            Some(piece.cost.times(weight))
        };
        let mut corner = Corner::new(of_units(&cost)?);
        for _ in 0..LIMITS_MAX {
            let shares = corner.shares();
            if let Some(over) = shares
                .iter()
                .position(|share| Ratio::ONE + Ratio::SMALLEST < *share)
            {
                let mut weights = vec![Ratio::ZERO; units.len()];
                *weights.get_mut(over)? = -Ratio::ONE;
                corner.learn(&weights, -Ratio::ONE).then_some(())?;
                continue;
            }
            let mut ground = self.ground();
            for (index, piece) in self.pieces.iter().enumerate() {
                let (_, share) = units.iter().zip(&shares).find(|(unit, _)| **unit == piece.unit)?;
                self.close(&mut ground, index, piece.held.notional.share(*share));
            }
            let Some((bound, missing)) = self.missing(&ground).filter(|(_, missing)| NOTHING < *missing)
            else {
                return Some(self.finish(&ground));
            };
            let weights = of_units(&|index, _| Some(self.brings(&ground, index, bound)?.0))?;
            let brought = weights
                .iter()
                .zip(&shares)
                .map(|(weight, share)| weight.times(*share));
            let least = Ratio::new(missing.decimal()).ok()? + brought.sum();
            corner.learn(&weights, least).then_some(())?;
        }
        None
    }

    /// What brings the most to an aim for its cost: of what is not to be last, as long as that brings anything; and
    /// before what would use up a buffer that is already at its aim (a hedge).
    fn best(&self, ground: &Ground<'_>, bound: Bound) -> Option<Slice> {
        let tight = match bound {
            Bound::Ratio => self.missing_distance(ground),
            Bound::Distance(_) => None,
        };
        let units: BTreeSet<usize> = self.pieces.iter().map(|piece| piece.unit).collect();
        let slices = units.into_iter().filter_map(|unit| {
            let mut slice = self.slice(ground, unit, bound)?;
            let cost = mean(&slice.members, |index| Some(self.pieces.get(index)?.cost))?;
            let per_cost = slice.relief.over(cost).unwrap_or(slice.relief);
            let used = tight.and_then(|(scenario, missing)| {
                let of = |index| Some(self.brings(ground, index, Bound::Distance(scenario))?.0);
                let used = -mean(&slice.members, of)?;
                used.is_positive().then_some((used, -missing))
            });
            // Less than any order closes is no slice.
            let until_tight = used.map(|(used, buffer)| buffer.over(used).unwrap_or(Money::ZERO));
            let is_harmful = until_tight.is_some_and(|until| until <= Money::ONE);
            if let Some(until) = until_tight.filter(|_| !is_harmful) {
                slice.room = slice.room.min(until);
            }
            let wish = slice
                .members
                .iter()
                .filter_map(|(index, _)| Some(self.pieces.get(*index)?.wish))
                .max();
            Some((
                (Reverse(wish), Reverse(is_harmful), per_cost, Reverse(unit)),
                slice,
            ))
        });
        slices.max_by(|(a, _), (b, _)| a.cmp(b)).map(|(_, slice)| slice)
    }

    /// The pieces of a unit that may be cut, and what is left of each.
    fn members(&self, ground: &Ground<'_>, unit: usize) -> Vec<(usize, Money)> {
        let all = self.pieces.iter().zip(&ground.held).enumerate();
        all.filter(|(_, (piece, held))| {
            piece.unit == unit && piece.wish != Wish::Never && held.notional.is_positive()
        })
        .map(|(index, (_, held))| (index, held.notional))
        .collect()
    }

    /// What can be taken of a unit for an aim; `None` when nothing is left of it or taking it brings nothing.
    fn slice(&self, ground: &Ground<'_>, unit: usize, bound: Bound) -> Option<Slice> {
        let members = self.members(ground, unit);
        let total: Money = members.iter().map(|(_, left)| *left).sum();
        let mut room = total;
        for (index, left) in &members {
            let (_, own) = self.brings(ground, *index, bound)?;
            room = room.min(own.over(left.ratio_of(total)?)?);
        }
        let relief = mean(&members, |index| Some(self.brings(ground, index, bound)?.0))?;
        relief.is_positive().then_some(Slice {
            members,
            total,
            room,
            relief,
        })
    }

    /// Takes an amount of a unit, in proportion to what is left of each piece.
    fn take(&self, ground: &mut Ground<'_>, slice: &Slice, amount: Money) {
        let share = amount.ratio_of(slice.total).unwrap_or_default();
        for (index, left) in &slice.members {
            let is_alone = *left == slice.total;
            self.close(ground, *index, if is_alone { amount } else { left.share(share) });
        }
    }

    /// Closes some of a piece, at most what is left; a negative amount is given back.
    fn close(&self, ground: &mut Ground<'_>, index: usize, amount: Money) {
        let piece = self.pieces.get(index).filter(|piece| piece.wish != Wish::Never);
        let (Some(piece), Some(held)) = (piece, ground.held.get_mut(index)) else {
            return;
        };
        let amount = amount.min(held.notional);
        held.notional = held.notional - amount;
        ground.balance = ground.balance - amount.share(piece.cost);
    }

    /// What is not needed of each unit, when all are cut, given back: what is to be last first, then the most expensive.
    fn give_back(&self, mut ground: Ground<'a>) -> Ground<'a> {
        let mut units: Vec<(Reverse<Wish>, Reverse<Ratio>, usize)> = Vec::new();
        for piece in &self.pieces {
            if !units.iter().any(|(_, _, unit)| *unit == piece.unit) {
                units.push((Reverse(piece.wish), Reverse(piece.cost), piece.unit));
            }
        }
        units.sort();
        for (_, _, unit) in units {
            let is_of = |index: usize| self.pieces.get(index).is_some_and(|piece| piece.unit == unit);
            ground = self.without_superfluous(ground, is_of);
        }
        ground
    }

    /// The same share of each chosen cut given back, as large as every aim stays reached.
    fn without_superfluous(&self, ground: Ground<'a>, is_chosen: impl Fn(usize) -> bool) -> Ground<'a> {
        if !self.is_reached(&ground) {
            return ground;
        }
        let cuts: Vec<(usize, Money)> = self
            .pieces
            .iter()
            .zip(&ground.held)
            .map(|(piece, held)| piece.held.notional - held.notional)
            .enumerate()
            .filter(|(index, cut)| is_chosen(*index) && cut.is_positive())
            .collect();
        let without = |share: Ratio| {
            let mut ground = ground.clone();
            for (index, cut) in &cuts {
                self.close(&mut ground, *index, -cut.share(share));
            }
            ground
        };
        let share = last_safe(Ratio::ONE, |share| {
            let ground = without(share);
            let Some((bound, missing)) = self.missing(&ground) else {
                return (Money::ZERO, Ratio::ZERO);
            };
            let growth = cuts
                .iter()
                .filter_map(|(index, cut)| Some(cut.share(self.brings(&ground, *index, bound)?.0)))
                .sum::<Money>();
            (
                missing - NOTHING,
                Ratio::new(growth.decimal()).unwrap_or_default(),
            )
        });
        without(share)
    }

    fn finish(&self, ground: &Ground<'_>) -> LeastCut {
        let notionals: Vec<Money> = self
            .pieces
            .iter()
            .zip(&ground.held)
            .map(|(piece, held)| piece.held.notional - held.notional)
            .collect();
        let costs = self.pieces.iter().zip(&notionals);
        let is_reached = self.is_reached(ground);
        let is_idle = is_reached && notionals.iter().all(|cut| cut.is_zero());
        LeastCut {
            is_reached,
            cost: costs.map(|(piece, cut)| cut.share(piece.cost)).sum(),
            bound: self.missing(ground).map(|(bound, _)| bound).filter(|_| !is_idle),
            notionals,
        }
    }
}

/// The mean of a number of pieces, each by what is left of it.
fn mean(members: &[(usize, Money)], of: impl Fn(usize) -> Option<Ratio>) -> Option<Ratio> {
    let total: Money = members.iter().map(|(_, left)| *left).sum();
    let mut mean = Ratio::ZERO;
    for (index, left) in members {
        mean += of(*index)?.times(left.ratio_of(total)?);
    }
    Some(mean)
}

#[cfg(test)]
mod tests;
