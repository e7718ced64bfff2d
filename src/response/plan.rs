//! What is still missing: the difference between what is demanded and what the book and the air already hold.
//!
//! Level-triggered: it is asked after every input and remembers nothing of what it answered, so a lost reply, a refusal,
//! a manual trade or a refilling bot need no path of their own.

use super::cut::{COST, Piece, least_cut};
use super::demand::Demand;
use super::flights::Flights;
use super::offend::offenders;
use super::sweep::cancels;
use super::verify::verify;
use super::{Driver, Needs};
use crate::book::{Book, Bucket};
use crate::model::{ClientOrderId, Instrument, Intent, Leg, Pricing, Qty, Ratio, ReduceOrder, Side, Store};
use crate::policy::envelope::Policy;
use crate::policy::{Action, Amount, Cut, Kind, Scope};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Requests that one step may ask for; the rest comes with the next input, a moment later.
const INTENTS_MAX: usize = 64;
/// Legs and episodes whose orders are counted.
const COUNTERS_MAX: usize = 4_096;

/// One thing to do, and the demand that it serves.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Index of the demand.
    pub demand: usize,
    /// What.
    pub intent: Intent,
}

/// What a round of planning found.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// What to do now.
    pub planned: Vec<Planned>,
    /// Demands that are done and verified.
    pub fulfilled: Vec<usize>,
    /// Demands that still have work to do or to verify.
    pub working: Vec<usize>,
    /// What to read.
    pub needs: Needs,
}

/// Plans for one account.
#[derive(Clone, Debug, Default)]
pub struct Planner {
    account: String,
    /// Orders sent so far, by episode and leg: the number in a client order id.
    counters: BTreeMap<(String, Leg), u32>,
}

/// What one round looks at.
pub(super) struct Sight<'a> {
    pub book: &'a Book,
    pub policies: &'a [Policy],
    pub demands: &'a [Demand],
    pub flights: &'a Flights,
}

impl Planner {
    /// A planner for an account, by its label.
    pub fn new(account: &str) -> Planner {
        Planner {
            account: account.into(),
            counters: BTreeMap::new(),
        }
    }

    /// Orders sent so far, to survive a restart.
    pub fn counters(&self) -> impl Iterator<Item = (&(String, Leg), &u32)> {
        self.counters.iter()
    }

    /// Takes back a count.
    pub fn restore(&mut self, episode: String, leg: Leg, count: u32) {
        self.counters.insert((episode, leg), count);
    }

    /// Forgets the counts of episodes that are over.
    pub fn retain(&mut self, demands: &[Demand]) {
        self.counters
            .retain(|(episode, _), _| demands.iter().any(|demand| demand.episode == *episode));
    }

    /// What is missing now.
    pub fn round(
        &mut self,
        book: &Book,
        policies: &[Policy],
        demands: &[Demand],
        flights: &mut Flights,
    ) -> Round {
        let mut round = Round::default();
        if demands.is_empty() {
            flights.stand_down();
            return round;
        }
        let sight = Sight {
            book,
            policies,
            demands,
            flights,
        };
        cancels(&sight, &mut round);
        offenders(&sight, &mut round);
        self.protect(&sight, &mut round);
        let targets = targets(&sight);
        for (leg, (target, demand)) in &targets {
            self.reduce(&sight, leg, *target, *demand, &mut round);
        }
        verify(&sight, &targets, &mut round);
        let mut solved = solved_conflicts(&sight, &round);
        // Nothing is to be taken from these any more: what once held them is no longer in the way.
        solved.extend(
            sight
                .flights
                .conflicted()
                .filter(|leg| !targets.contains_key(*leg))
                .cloned(),
        );
        for planned in &round.planned {
            let before = match &planned.intent {
                Intent::Reduce(order) => book.amount(order.leg()),
                Intent::PlaceStop(stop) => book.amount(stop.leg()),
                _ => Qty::ZERO,
            };
            flights.launch(book.now(), planned.intent.clone(), before);
        }
        for leg in solved {
            flights.conflict_solved(&leg);
        }
        round
    }

    /// The next order that brings a leg to its target, if none is in the air.
    fn reduce(&mut self, sight: &Sight<'_>, leg: &Leg, target: Qty, index: usize, round: &mut Round) {
        let (book, now) = (sight.book, sight.book.now());
        let (amount, unseen) = (book.amount(leg), sight.flights.unseen(now, leg));
        let held = if amount.is_negative() {
            (amount + unseen).min(Qty::ZERO)
        } else {
            (amount - unseen).max(Qty::ZERO)
        };
        let (Some(demand), true) = (sight.demands.get(index), held.abs() > target) else {
            return;
        };
        if sight.flights.is_busy(now, leg) || round.planned.len() >= INTENTS_MAX {
            return;
        }
        if !book.is_fresh() && !demand.may_act_blind {
            round.needs.holdings = true;
            return;
        }
        if sight.flights.stops().forbids(leg, Side::closing(held)) {
            return;
        }
        let trouble = sight.flights.trouble(leg);
        if trouble.is_some_and(|trouble| trouble.not_before > now) {
            return;
        }
        // It was asked for with the refusal.
        if sight.flights.wants_look(book, leg) {
            return;
        }
        if trouble.is_some_and(|trouble| trouble.conflict) && any_regular(book, leg) {
            return;
        }
        let Ok(instrument) = book.instrument(&leg.symbol) else {
            round.needs.rules = true;
            return;
        };
        let (wanted, pricing) = attempt(
            book,
            leg,
            instrument,
            held.abs(),
            target,
            trouble.map_or(0, |trouble| trouble.band),
        );
        let counter = (demand.episode.clone(), leg.clone());
        let number = self.counters.get(&counter).copied().unwrap_or(0);
        let Some(id) = self.client_id(&counter, held, number) else {
            return;
        };
        let step = instrument.market_lot.step;
        if let Some(order) = ReduceOrder::against(id, leg.clone(), held, wanted, step, pricing) {
            self.count(demand, leg);
            round.planned.push(Planned {
                demand: index,
                intent: Intent::Reduce(order),
            });
        }
    }

    /// `bs-` and twenty hexadecimal digits that the account, episode, leg, number and what the leg holds determine
    /// (SPEC.md section 5). The holding is in it because a crash can lose the newest number: an order that filled meanwhile
    /// left another holding, so its id is not given again; one that did not is the same attempt, and has the same id.
    fn client_id(&self, counter: &(String, Leg), held: Qty, number: u32) -> Option<ClientOrderId> {
        self.named(ClientOrderId::PREFIX, counter, held, number)
    }

    fn named(
        &self,
        prefix: &str,
        (episode, leg): &(String, Leg),
        held: Qty,
        number: u32,
    ) -> Option<ClientOrderId> {
        let digest = Sha256::digest(format!("{}|{episode}|{leg}|{held}|{number}", self.account));
        let text = hex::encode(digest.get(..10)?);
        ClientOrderId::new(&format!("{prefix}{text}")).ok()
    }

    /// The id of the next stop of an episode: made as those of reductions are, under a prefix of its own.
    pub(super) fn stop_id(&self, demand: &Demand, leg: &Leg, held: Qty) -> Option<ClientOrderId> {
        let counter = (demand.episode.clone(), leg.clone());
        let number = self.counters.get(&counter).copied().unwrap_or(0);
        self.named(ClientOrderId::STOP_PREFIX, &counter, held, number)
    }

    /// Counts an order of an episode.
    pub(super) fn count(&mut self, demand: &Demand, leg: &Leg) {
        let counter = (demand.episode.clone(), leg.clone());
        if self.counters.len() < COUNTERS_MAX || self.counters.contains_key(&counter) {
            let number = self.counters.entry(counter).or_insert(0);
            *number = number.saturating_add(1);
        }
    }
}

/// How much to ask for, and how: the whole in slices at the market; where nobody is inside the band, smaller, then at
/// the band's edge (POLICIES.md c.4; binance-usdm.md 6.3).
fn attempt(
    book: &Book,
    leg: &Leg,
    instrument: &Instrument,
    held: Qty,
    target: Qty,
    band_refusals: u32,
) -> (Qty, Pricing) {
    let step = instrument.market_lot.step;
    let mut wanted = (held - target).ceil_to(step).min(held);
    let rest = held - wanted;
    let mark = book.last_mark(&leg.symbol);
    let too_small = rest < instrument.lot.min.max(instrument.market_lot.min)
        || mark.is_some_and(|mark| rest.notional(mark) < instrument.min_notional);
    if rest.is_positive() && too_small {
        wanted = held;
    }
    let sliced = |qty: Qty, ceiling: Option<Qty>| ceiling.map_or(qty, |ceiling| qty.min(ceiling));
    match band_refusals {
        0 => (sliced(wanted, instrument.market_lot.ceiling()), Pricing::Market),
        1 => {
            let quarter = wanted.share(Ratio::bps(2_500)).ceil_to(step);
            (sliced(quarter, instrument.market_lot.ceiling()), Pricing::Market)
        }
        _ => {
            let buys = book.amount(leg).is_negative();
            let edge = mark
                .zip(instrument.band)
                .and_then(|(mark, band)| band.edge(buys, mark));
            let inside = edge.and_then(|edge| {
                if buys {
                    edge.floor_to(instrument.tick)
                } else {
                    edge.ceil_to(instrument.tick)
                }
            });
            match inside {
                Some(price) => (sliced(wanted, instrument.lot.ceiling()), Pricing::Ioc(price)),
                None => (sliced(wanted, instrument.market_lot.ceiling()), Pricing::Market),
            }
        }
    }
}

/// The highest demand on a leg that blocks: the first of the most severe.
pub(super) fn highest(sight: &Sight<'_>, leg: &Leg) -> Option<usize> {
    let mut best: Option<(u8, usize)> = None;
    for (index, demand) in sight.demands.iter().enumerate() {
        let level = demand.action.severity();
        if !demand.action.blocks() {
            continue;
        }
        if best.is_none_or(|(known, _)| level > known) && demand.covers(sight.book, sight.policies, leg) {
            best = Some((level, index));
        }
    }
    best.map(|(_, index)| index)
}

/// What each leg is to be brought to, with the demand that asks for the most.
fn targets(sight: &Sight<'_>) -> BTreeMap<Leg, (Qty, usize)> {
    let mut targets: BTreeMap<Leg, (Qty, usize)> = BTreeMap::new();
    let mut ask = |leg: &Leg, target: Qty, index: usize| {
        let lower = targets.get(leg).is_none_or(|(known, _)| target < *known);
        if lower {
            targets.insert(leg.clone(), (target, index));
        }
    };
    for (index, demand) in sight.demands.iter().enumerate() {
        let covered: Vec<&Leg> = sight
            .book
            .positions()
            .map(|(leg, _)| leg)
            .filter(|leg| demand.covers(sight.book, sight.policies, leg))
            .collect();
        match demand.action {
            Action::Alert | Action::Cancel | Action::PlaceStop(_) | Action::Block => {}
            Action::Flatten => covered.into_iter().for_each(|leg| ask(leg, Qty::ZERO, index)),
            Action::Reduce(_) if demand.fulfilled => {}
            Action::Reduce(Cut::Fraction(_)) => {
                for (leg, aim) in &demand.aims {
                    ask(leg, *aim, index);
                }
            }
            Action::Reduce(Cut::To(to)) => {
                for (leg, target) in aims(sight, demand, &covered, to) {
                    ask(&leg, target, index);
                }
            }
        }
    }
    targets
}

/// The size that each leg may keep so that a measure reaches its target.
fn aims(sight: &Sight<'_>, demand: &Demand, covered: &[&Leg], to: Amount) -> Vec<(Leg, Qty)> {
    let Driver::Rung { policy, .. } = &demand.driver else {
        return Vec::new();
    };
    let Some(policy) = sight.policies.get(*policy) else {
        return Vec::new();
    };
    if policy.has_reached(sight.book, &demand.scope, to) {
        return Vec::new();
    }
    match (&policy.spec.kind, &demand.scope, to) {
        (Kind::MaxPosition(_), _, _) => covered
            .iter()
            .filter_map(|leg| {
                policy
                    .allowed(sight.book, leg, to)
                    .map(|allowed| ((*leg).clone(), allowed))
            })
            .collect(),
        // Closing a part of an isolated position releases its margin in proportion and leaves the ratio where it was
        // (POLICIES.md c.3): only closing it helps.
        (_, Scope::Bucket(Bucket::Isolated(leg)), _) => covered
            .iter()
            .filter(|own| **own == leg)
            .map(|own| ((*own).clone(), Qty::ZERO))
            .collect(),
        (_, Scope::Bucket(bucket), Amount::Ratio(target)) => margin_aims(sight, bucket, covered, target),
        _ => Vec::new(),
    }
}

fn margin_aims(sight: &Sight<'_>, bucket: &Bucket, covered: &[&Leg], target: Ratio) -> Vec<(Leg, Qty)> {
    let book = sight.book;
    let mut pieces = Vec::new();
    let mut balance = match book.margin(bucket) {
        Ok(margin) => margin.balance,
        // A number is missing: nothing can be sized. `margin_ratio` shows "unknown", and the missing is being read.
        Err(_) => return Vec::new(),
    };
    for (leg, position) in book.in_bucket(bucket) {
        let (Ok(mark), Ok(instrument)) = (book.mark_price(&leg.symbol), book.instrument(&leg.symbol)) else {
            return Vec::new();
        };
        // What is in the air counts as if it had happened, so that two legs are not cut for one need.
        let flying = sight.flights.pending(leg).min(position.amount.abs());
        let notional = (position.amount.abs() - flying).notional(mark);
        balance = balance - flying.notional(mark).share(COST);
        // A leg with an order in the air keeps its place: what it is to give comes with its next slice, and no
        // costlier leg is cut in its stead.
        let is_free = covered.contains(&leg);
        pieces.push(Piece {
            leg,
            notional,
            tiers: &instrument.tiers,
            cost: COST,
            is_free,
        });
    }
    // Where the venue demands a multiple of what our tiers say, the aim by our tiers is lower by as much.
    let target = target.over(book.maintenance_factor(bucket)).unwrap_or(target);
    let cut = least_cut(balance, &pieces, target);
    let mut aims = Vec::new();
    for (piece, taken) in pieces.iter().zip(&cut.notionals) {
        if let Some(share) = taken.ratio_of(piece.notional).filter(|_| taken.is_positive()) {
            let kept = book.amount(piece.leg).abs() - sight.flights.pending(piece.leg);
            aims.push((piece.leg.clone(), (kept - kept.share(share)).max(Qty::ZERO)));
        }
    }
    aims
}

/// Whether somebody's regular order of this leg is still open.
fn any_regular(book: &Book, leg: &Leg) -> bool {
    book.orders().of(&leg.symbol).any(|order| {
        let ours = order.client_id.as_ref().is_some_and(ClientOrderId::is_ours);
        order.id.store == Store::Regular && order.leg() == *leg && !ours
    })
}

/// A rest that no order can close: less than a step.
pub(super) fn is_dust(book: &Book, leg: &Leg) -> bool {
    let held = book.amount(leg).abs();
    let step = book
        .instrument(&leg.symbol)
        .map_or(Qty::ZERO, |found| found.market_lot.step);
    held.floor_to(step).is_zero()
}

/// Legs whose conflicting orders are gone.
fn solved_conflicts(sight: &Sight<'_>, round: &Round) -> Vec<Leg> {
    let legs = round.planned.iter().filter_map(|planned| match &planned.intent {
        Intent::Reduce(order) => Some(order.leg().clone()),
        _ => None,
    });
    legs.filter(|leg| sight.flights.trouble(leg).is_some_and(|trouble| trouble.conflict))
        .collect()
}
