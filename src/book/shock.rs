//! How far the market may move against a bucket before the venue liquidates it.
//!
//! A scenario moves prices by a distance: all down, all up, or one contract alone in either direction; contracts that
//! their owner declared a pair move as one. What a scenario leaves of the buffer `balance − maintenance` is exact:
//! maintenance is taken from the tiers at the moved notional. The distance of a bucket is the largest move after which
//! no scenario has used the buffer up.
//!
//! Not covered: a pair whose other leg is taken away, and contracts that move more than others (every β is 1 in a live
//! book). In multi-assets mode a contract's currency counts as a dollar.
//!
//! Source: POLICIES.md b.2 and c.3.

use super::{Book, Bucket, Missing};
use crate::model::{Leg, Money, Ratio, Symbol, Tier};
use std::collections::{BTreeMap, BTreeSet};

/// Turns of the search for an edge. A turn lands on the edge or crosses a tier; no venue has more than a dozen tiers.
const TURNS_MAX: usize = 200;
/// Digits of a distance: a ten-thousandth of a basis point, and no quotient without end in a record.
const PLACES: u32 = 8;

/// A position as a move of the market meets it.
#[derive(Clone, Copy, Debug)]
pub struct Exposure<'a> {
    /// Which.
    pub leg: &'a Leg,
    /// Whether it gains when the price rises.
    pub is_long: bool,
    /// Its size at the mark price, never negative, in the bucket's currency.
    pub notional: Money,
    /// Its maintenance tiers by rising notional.
    pub tiers: &'a [Tier],
    /// How much it moves when the market moves by one.
    pub beta: Ratio,
    /// Exposures of the same number move together when nothing else moves.
    pub herd: usize,
}

/// A bucket as a move of the market meets it.
#[derive(Clone, Debug)]
pub struct Ground<'a> {
    /// Margin balance.
    pub balance: Money,
    /// What the venue demands for one unit of maintenance by our tiers.
    pub factor: Ratio,
    /// Its positions.
    pub held: Vec<Exposure<'a>>,
}

/// Which prices move, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scenario {
    /// One herd alone; `None` for the whole market.
    pub only: Option<usize>,
    /// Up, else down.
    pub is_up: bool,
}

/// The distance of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distance {
    /// The move as a fraction, rounded towards liquidation. Zero at liquidation and beyond.
    pub by: Ratio,
    /// What uses the buffer up first; `None` when no move does, or nothing is left of it.
    pub scenario: Option<Scenario>,
}

impl Exposure<'_> {
    /// The change of its price in a scenario, as a fraction; a price does not fall below zero.
    fn moved(&self, scenario: Scenario, by: Ratio) -> Ratio {
        if scenario.only.is_some_and(|herd| herd != self.herd) {
            return Ratio::ZERO;
        }
        let change = by.times(self.beta);
        if scenario.is_up {
            change
        } else {
            (-change).max(-Ratio::ONE)
        }
    }

    fn tier(&self, notional: Money) -> Option<&Tier> {
        let found = self.tiers.iter().find(|tier| notional <= tier.cap);
        found.or(self.tiers.last())
    }

    /// Maintenance by its tiers after its price changed by `change`.
    pub fn maintenance(&self, change: Ratio) -> Money {
        let notional = self.notional.share(Ratio::ONE + change);
        self.tier(notional).map_or(Money::ZERO, |tier| {
            (notional.share(tier.rate) - tier.deduction).max(Money::ZERO)
        })
    }

    /// Maintenance rate at its price changed by `change`; and how much can be closed, counted at the price of now, before
    /// another tier begins.
    pub fn marginal(&self, change: Ratio) -> (Ratio, Money) {
        let moved = Ratio::ONE + change;
        let notional = self.notional.share(moved);
        let Some(tier) = self.tier(notional) else {
            return (Ratio::ZERO, self.notional);
        };
        let above = notional - tier.floor;
        let room = if change.is_zero() {
            Some(above)
        } else {
            // A quotient ends somewhere: a little past the edge is in the next tier, and short of it would be no step.
            let above = above.decimal().checked_div(moved.decimal());
            above
                .and_then(|above| Money::new(above.round_dp(8)).ok())
                .map(|above| above + Money::SMALLEST)
        };
        let room = room.filter(|room| room.is_positive()).unwrap_or(self.notional);
        (tier.rate, room.min(self.notional))
    }

    /// What a change of its value by `amount` brings.
    fn gains(&self, amount: Money) -> Money {
        if self.is_long { amount } else { -amount }
    }
}

impl<'a> Ground<'a> {
    /// Maintenance by our tiers.
    pub fn maintenance(&self) -> Money {
        self.held.iter().map(|held| held.maintenance(Ratio::ZERO)).sum()
    }

    /// Maintenance ÷ balance; `None` when the balance is gone and something is needed.
    pub fn ratio(&self) -> Option<Ratio> {
        let needed = self.maintenance().share(self.factor);
        if needed.is_zero() {
            return Some(Ratio::ZERO);
        }
        needed.ratio_of(self.balance)
    }

    /// The worst scenario of a move `by`: which, what is then missing of the buffer (negative while some is left), and
    /// how fast that grows with the move.
    pub fn worst(&self, by: Ratio) -> (Scenario, Money, Ratio) {
        let mut all: BTreeMap<Scenario, (Money, Money)> = BTreeMap::new();
        for held in &self.held {
            for is_up in [false, true] {
                let way = |only| Scenario { only, is_up };
                let change = held.moved(way(None), by);
                let more = held.maintenance(change) - held.maintenance(Ratio::ZERO);
                let missing = more.share(self.factor) - held.gains(held.notional.share(change));
                let step = held.notional.share(if is_up { held.beta } else { -held.beta });
                let growth = step.share(held.marginal(change).0.times(self.factor)) - held.gains(step);
                for only in [None, Some(held.herd)] {
                    let sum = all.entry(way(only)).or_default();
                    *sum = (sum.0 + missing, sum.1 + growth);
                }
            }
        }
        let calm = self.maintenance().share(self.factor) - self.balance;
        let worst = all
            .into_iter()
            .max_by(|(a, (less, _)), (b, (more, _))| less.cmp(more).then(b.cmp(a)));
        match worst {
            Some((scenario, (missing, growth))) => {
                let growth = Ratio::new(growth.decimal()).unwrap_or_default();
                (scenario, calm + missing, growth)
            }
            None => (
                Scenario {
                    only: None,
                    is_up: false,
                },
                calm,
                Ratio::ZERO,
            ),
        }
    }

    /// What closing one unit of a position adds to the buffer in a scenario of a move `by`, before its cost; and how
    /// much can be closed before that changes.
    pub fn relief(&self, held: &Exposure<'_>, scenario: Scenario, by: Ratio) -> (Ratio, Money) {
        let change = held.moved(scenario, by);
        let (rate, room) = held.marginal(change);
        let released = rate.times(Ratio::ONE + change).times(self.factor);
        let forgone = if held.is_long { change } else { -change };
        (released - forgone, room)
    }

    /// The largest move after which something is left of the buffer in every scenario, at most 100 % of any price.
    pub fn distance(&self) -> Distance {
        let nothing_left = self.balance <= self.maintenance().share(self.factor);
        let (Some(beta), false) = (self.held.iter().map(|held| held.beta).max(), nothing_left) else {
            let by = if self.held.is_empty() {
                Ratio::ONE
            } else {
                Ratio::ZERO
            };
            return Distance { by, scenario: None };
        };
        let furthest = Ratio::ONE.over(beta).map_or(Ratio::ONE, |by| by.min(Ratio::ONE));
        let edge = last_safe(furthest, |by| {
            let (_, missing, growth) = self.worst(by);
            (missing, growth)
        });
        Distance {
            by: edge.rounded_down(PLACES),
            scenario: (edge < furthest).then(|| self.worst(edge).0),
        }
    }

    /// A scenario in words: `a fall of BTCUSDT alone`.
    pub fn words(&self, scenario: Scenario) -> String {
        let way = if scenario.is_up { "a rise" } else { "a fall" };
        let symbols = |herd: Option<usize>| {
            let members = self
                .held
                .iter()
                .filter(|held| herd.is_none_or(|herd| herd == held.herd));
            members
                .map(|held| held.leg.symbol.as_str())
                .collect::<BTreeSet<&str>>()
        };
        let all = symbols(None);
        let alone: Vec<&str> = symbols(scenario.only).into_iter().collect();
        match scenario.only {
            _ if all.len() == 1 => format!("{way} of {}", alone.join("")),
            None => format!("{way} of all prices"),
            Some(_) => format!("{way} of {} alone", alone.join(" and ")),
        }
    }
}

impl Book {
    /// A bucket as a move of the market meets it. Contracts of one of `pairs` move together.
    ///
    /// # Errors
    ///
    /// [`Missing`] as for [`Book::margin`].
    pub fn ground<'a>(&'a self, bucket: &'a Bucket, pairs: &[Vec<Symbol>]) -> Result<Ground<'a>, Missing> {
        let balance = self.margin(bucket)?.balance;
        let mut alone: Vec<&Symbol> = Vec::new();
        let mut held = Vec::new();
        for (leg, position) in self.in_bucket(bucket) {
            let pair = pairs.iter().position(|pair| pair.contains(&leg.symbol));
            let herd = pair.unwrap_or_else(|| {
                let known = alone.iter().position(|symbol| **symbol == leg.symbol);
                let number = known.unwrap_or(alone.len());
                if known.is_none() {
                    alone.push(&leg.symbol);
                }
                pairs.len().saturating_add(number)
            });
            held.push(Exposure {
                leg,
                is_long: position.amount.is_positive(),
                notional: position.amount.notional(self.mark_price(&leg.symbol)?),
                tiers: &self.instrument(&leg.symbol)?.tiers,
                beta: Ratio::ONE,
                herd,
            });
        }
        Ok(Ground {
            balance,
            factor: self.maintenance_factor(bucket),
            held,
        })
    }

    /// How far the mark price is from where the venue says that it liquidates an isolated position, as a share of the
    /// mark; zero once it is past it. `None` for cross positions, where the venue's price assumes that all else stands
    /// still, and when the venue said nothing of the position as it is.
    ///
    /// Source: POLICIES.md b.2; account page ("Position Information V3", `liquidationPrice`), read 2026-11-22.
    pub fn venue_distance(&self, leg: &Leg) -> Option<Ratio> {
        let position = self.position(leg)?;
        let (price, amount) = self.liquidations.get(leg)?;
        let is_as_said = *amount == position.amount && self.is_fresh();
        let mark = self.mark_price(&leg.symbol).ok()?;
        if !is_as_said || self.bucket_of(leg, None) != Some(Bucket::Isolated(leg.clone())) {
            return None;
        }
        let away = if amount.is_positive() {
            mark.minus(*price)
        } else {
            price.minus(mark)
        };
        let mark = Money::new(mark.decimal()).ok()?;
        away.max(Money::ZERO)
            .ratio_of(mark)
            .map(|by| by.rounded_down(PLACES))
    }
}

/// The largest number up to `furthest` at which nothing is missing; zero when something is missing at once.
///
/// `missing` says how much is missing at a number and how fast that grows there. It grows ever faster, so following the
/// growth back from where something is missing never leads too far back, and ends where a stretch without bends leads to
/// the edge. Should it mislead all the same, what is left is halved, and the answer is on the safe side.
pub fn last_safe(furthest: Ratio, missing: impl Fn(Ratio) -> (Money, Ratio)) -> Ratio {
    let (mut low, mut high) = (Ratio::ZERO, furthest);
    let (mut over, mut growth) = missing(high);
    if !over.is_positive() {
        return furthest;
    }
    for _ in 0..TURNS_MAX {
        let back = Some(growth)
            .filter(|growth| growth.is_positive())
            .and_then(|growth| over.decimal().checked_div(growth.decimal()))
            .and_then(|back| Ratio::new(back).ok())
            .map(|back| high - back.max(Ratio::SMALLEST))
            .filter(|next| low < *next);
        let Some(next) = back.or_else(|| (low + high).over(Ratio::TWO)) else {
            break;
        };
        let found = missing(next);
        if found.0.is_positive() {
            (high, (over, growth)) = (next, found);
        } else if back.is_some() {
            return next;
        } else {
            low = next;
        }
        if high - low <= Ratio::SMALLEST {
            break;
        }
    }
    low
}
