//! What a reduction asks of a bucket: its own aim, what others ask of the same bucket, and its owner's wishes.
//!
//! Where a ratio and a distance are both to be reached, they are reached by one plan: two plans side by side would cost
//! more. A cut for the ratio keeps the distance where a policy would have it, or where it is (E17).

use super::cut::{Aim, COST, LeastCut, Piece, Problem, Wish};
use super::plan::Sight;
use super::{Demand, Driver};
use crate::book::Bucket;
use crate::model::{Leg, Qty, Ratio};
use crate::policy::envelope::Policy;
use crate::policy::{Action, Amount, Cut, Kind, Mode, Scope, Wishes};

/// What is to be closed of a bucket.
#[derive(Debug)]
pub(super) struct BucketCut<'a> {
    pub problem: Problem<'a>,
    pub cut: LeastCut,
    /// The size that each leg may keep; legs that are not cut are absent.
    pub kept: Vec<(Leg, Qty)>,
}

/// The cut that brings a bucket to `to`, among the legs that the demand covers.
///
/// `None` when a number is missing: nothing can be sized. The policy shows "unknown", and the missing is being read.
pub(super) fn bucket_cut<'a>(
    sight: &Sight<'a>,
    demand: &Demand,
    bucket: &'a Bucket,
    covered: &[&Leg],
    to: Ratio,
) -> Option<BucketCut<'a>> {
    let (book, policy) = (sight.book, policy_of(sight, demand)?);
    let wishes = &policy.spec.wishes;
    let mut ground = book.ground(bucket, &wishes.pairs).ok()?;
    let aim = aim(sight, policy, bucket, to, || ground.distance().by);
    for held in &mut ground.held {
        let mark = book.mark_price(&held.leg.symbol).ok()?;
        // What is in the air counts as if it had happened, so that two legs are not cut for one need. A leg with an
        // order in the air keeps its place: what it is to give comes with its next slice, and no costlier leg is cut
        // in its stead.
        let amount = book.amount(held.leg).abs();
        let flying = sight.flights.pending(held.leg).min(amount);
        held.notional = (amount - flying).notional(mark);
        ground.balance = ground.balance - flying.notional(mark).share(COST);
    }
    let mut pieces: Vec<Piece<'a>> = Vec::new();
    for (index, held) in ground.held.into_iter().enumerate() {
        let wish = wish(wishes, held.leg, covered);
        let unit = unit(wishes, held.leg, wish, index);
        pieces.push(Piece {
            held,
            cost: COST,
            wish,
            unit,
        });
    }
    // What is cut in proportion to what may not be cut is not cut.
    let bound: Vec<usize> = pieces
        .iter()
        .filter(|piece| piece.wish == Wish::Never)
        .map(|piece| piece.unit)
        .collect();
    for piece in &mut pieces {
        if bound.contains(&piece.unit) {
            piece.wish = Wish::Never;
        }
    }
    let problem = Problem {
        balance: ground.balance,
        factor: ground.factor,
        pieces,
        aim,
    };
    let cut = problem.least_cut();
    let mut kept = Vec::new();
    for (piece, taken) in problem.pieces.iter().zip(&cut.notionals) {
        let leg = piece.held.leg;
        if let Some(share) = taken
            .ratio_of(piece.held.notional)
            .filter(|_| taken.is_positive())
        {
            let left = book.amount(leg).abs() - sight.flights.pending(leg);
            kept.push((leg.clone(), (left - left.share(share)).max(Qty::ZERO)));
        }
    }
    Some(BucketCut { problem, cut, kept })
}

fn policy_of<'a>(sight: &Sight<'a>, demand: &Demand) -> Option<&'a Policy> {
    match &demand.driver {
        Driver::Rung { policy, .. } => sight.policies.get(*policy),
        Driver::Kill(_) | Driver::Counter(_) => None,
    }
}

fn wish(wishes: &Wishes, leg: &Leg, covered: &[&Leg]) -> Wish {
    if !covered.contains(&leg) || !wishes.may_cut(&leg.symbol) {
        return Wish::Never;
    }
    match &wishes.last {
        Some(last) if last.covers(&leg.symbol) => Wish::Last,
        _ => Wish::Free,
    }
}

/// Which pieces are cut in one proportion: those of a pair, or all; what is to be last apart.
fn unit(wishes: &Wishes, leg: &Leg, wish: Wish, index: usize) -> usize {
    let pair = wishes.pairs.iter().position(|pair| pair.contains(&leg.symbol));
    match (wishes.is_pro_rata, pair) {
        (true, _) => match wish {
            Wish::Free => 0,
            Wish::Last => 1,
            Wish::Never => 2,
        },
        (false, Some(pair)) => pair,
        (false, None) => wishes.pairs.len().saturating_add(index),
    }
}

/// The aim of a policy, with what else is asked of the bucket.
fn aim(
    sight: &Sight<'_>,
    own: &Policy,
    bucket: &Bucket,
    to: Ratio,
    distance_now: impl FnOnce() -> Ratio,
) -> Aim {
    let is_distance = own.spec.kind.is_falling();
    let mut aim = Aim {
        ratio: Some(to).filter(|_| !is_distance),
        distance: Some(to).filter(|_| is_distance),
    };
    for demand in sight.demands {
        let (Some(other), Action::Reduce(Cut::To(to))) = (policy_of(sight, demand), demand.action) else {
            continue;
        };
        let is_alike = other.spec.symbols == own.spec.symbols && other.spec.wishes == own.spec.wishes;
        let is_open = !demand.fulfilled && !other.has_reached(sight.book, &demand.scope, to);
        let Amount::Ratio(to) = to else { continue };
        if is_alike && is_open && demand.scope == Scope::Bucket(bucket.clone()) {
            match (&other.spec.kind, is_distance) {
                (Kind::LiquidationDistance(_), false) => {
                    aim.distance = Some(aim.distance.map_or(to, |known| known.max(to)));
                }
                (Kind::MarginRatio(_) | Kind::MarginCall(_), true) => {
                    aim.ratio = Some(aim.ratio.map_or(to, |known| known.min(to)));
                }
                _ => {}
            }
        }
    }
    if aim.distance.is_none()
        && let Some(wanted) = wanted_distance(sight)
    {
        aim.distance = Some(wanted.min(distance_now())).filter(|by| by.is_positive());
    }
    aim
}

/// The longest distance that a policy at work would restore.
fn wanted_distance(sight: &Sight<'_>) -> Option<Ratio> {
    let at_work = sight
        .policies
        .iter()
        .filter(|policy| policy.spec.kind.is_falling());
    let rungs = at_work.flat_map(|policy| policy.spec.ladder.iter().map(move |rung| (policy, rung)));
    let wanted = rungs.filter_map(|(policy, rung)| match rung.action {
        Action::Reduce(Cut::To(Amount::Ratio(to))) if policy.mode(rung) == Mode::Enforce => Some(to),
        _ => None,
    });
    wanted.max()
}
