//! What is still missing: the difference between what is demanded and what the book and the air already hold.
//!
//! Level-triggered: it is asked after every input and remembers nothing of what it answered, so a lost reply, a refusal,
//! a manual trade or a refilling bot need no path of their own.

use super::bucket::{BucketCut, bucket_cut};
use super::demand::Demand;
use super::flights::Flights;
use super::offend::offenders;
use super::sweep::cancels;
use super::trouble::Trouble;
use super::verify::verify;
use super::weigh::Reasoning;
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
    /// Index of the demand; `None` when an order of ours is withdrawn that nothing asks for any more.
    pub demand: Option<usize>,
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
    /// Why as much is closed as is, by demand.
    pub reasons: Vec<(usize, Reasoning)>,
    /// What to read.
    pub needs: Needs,
}

/// Plans for one account.
#[derive(Clone, Debug, Default)]
pub struct Planner {
    account: String,
    /// Orders sent so far, by episode and leg: the number in a client order id.
    counters: BTreeMap<(String, Leg), u32>,
    is_thorough: bool,
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
            is_thorough: false,
        }
    }

    /// The same, weighing all that could be done instead, for a look: it takes time.
    pub fn thorough(self) -> Planner {
        Planner {
            is_thorough: true,
            ..self
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
        let (targets, cuts) = targets(&sight);
        for (leg, (target, demand)) in &targets {
            self.reduce(&sight, leg, *target, *demand, &mut round);
        }
        for (demand, BucketCut { problem, cut, .. }) in &cuts {
            let mut served = round
                .planned
                .iter()
                .filter(|planned| planned.demand == Some(*demand));
            if served.any(|planned| matches!(planned.intent, Intent::Reduce(_))) {
                round
                    .reasons
                    .push((*demand, Reasoning::of(problem, cut, self.is_thorough)));
            }
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
            flights.launch(book, planned.intent.clone());
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
        let (wanted, pricing) = attempt(book, leg, instrument, held.abs(), target, trouble);
        let counter = (demand.episode.clone(), leg.clone());
        let number = self.counters.get(&counter).copied().unwrap_or(0);
        let Some(id) = self.client_id(&counter, held, number) else {
            return;
        };
        let step = instrument.market_lot.step;
        if let Some(order) = ReduceOrder::against(id, leg.clone(), held, wanted, step, pricing) {
            self.count(demand, leg);
            round.planned.push(Planned {
                demand: Some(index),
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
/// the band's edge, and then in turn waiting at the mark price and at the band's edge (POLICIES.md c.4; FAILURES.md OR-22;
/// binance-usdm.md 6.3).
fn attempt(
    book: &Book,
    leg: &Leg,
    instrument: &Instrument,
    held: Qty,
    target: Qty,
    trouble: Option<&Trouble>,
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
    let buys = book.amount(leg).is_negative();
    // Towards the side where it gives nothing away.
    let fair = mark.and_then(|mark| {
        if buys {
            mark.floor_to(instrument.tick)
        } else {
            mark.ceil_to(instrument.tick)
        }
    });
    if let (true, Some(price)) = (trouble.is_some_and(Trouble::waits), fair) {
        return (sliced(wanted, instrument.lot.ceiling()), Pricing::Resting(price));
    }
    match trouble.map_or(0, |trouble| trouble.band) {
        0 => (sliced(wanted, instrument.market_lot.ceiling()), Pricing::Market),
        1 => {
            let quarter = wanted.share(Ratio::bps(2_500)).ceil_to(step);
            (sliced(quarter, instrument.market_lot.ceiling()), Pricing::Market)
        }
        _ => {
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

/// What each leg is to be brought to, and by which demand.
type Targets = BTreeMap<Leg, (Qty, usize)>;

/// What each leg is to be brought to, with the demand that asks for the most; and the cuts of buckets behind it.
fn targets<'a>(sight: &Sight<'a>) -> (Targets, Vec<(usize, BucketCut<'a>)>) {
    let mut cuts = Vec::new();
    let mut targets = Targets::new();
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
                for (leg, target) in aims(sight, demand, &covered, to, |cut| cuts.push((index, cut))) {
                    ask(&leg, target, index);
                }
            }
        }
    }
    (targets, cuts)
}

/// The size that each leg may keep so that a measure reaches its target.
fn aims<'a>(
    sight: &Sight<'a>,
    demand: &'a Demand,
    covered: &[&Leg],
    to: Amount,
    mut note: impl FnMut(BucketCut<'a>),
) -> Vec<(Leg, Qty)> {
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
        (Kind::MaxExposure(_), _, _) => {
            let left = covered.iter().map(|leg| {
                let flying = sight.flights.pending(leg);
                (*leg, (sight.book.amount(leg).abs() - flying).max(Qty::ZERO))
            });
            let legs: Vec<(&Leg, Qty)> = left.collect();
            policy.kept(sight.book, &legs, to)
        }
        // Closing a part of an isolated position releases its margin in proportion and leaves the ratio where it was
        // (POLICIES.md c.3): only closing it helps.
        (_, Scope::Bucket(Bucket::Isolated(leg)), _) => covered
            .iter()
            .filter(|own| **own == leg && policy.spec.wishes.may_cut(&leg.symbol))
            .map(|own| ((*own).clone(), Qty::ZERO))
            .collect(),
        (_, Scope::Bucket(bucket), Amount::Ratio(target)) => {
            let Some(cut) = bucket_cut(sight, demand, bucket, covered, target) else {
                return Vec::new();
            };
            let kept = cut.kept.clone();
            note(cut);
            kept
        }
        _ => Vec::new(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Symbol;
    use std::collections::BTreeSet;

    fn id(account: &str, episode: &str, symbol: &str, held: &str, number: u32) -> ClientOrderId {
        let leg = Leg::both(Symbol::new(symbol).unwrap());
        let counter = (episode.to_owned(), leg);
        let id = Planner::new(account).client_id(&counter, held.parse().unwrap(), number);
        id.unwrap()
    }

    #[test]
    fn mo_17_the_same_attempt_has_the_same_id_and_another_account_another_one() {
        let attempts = [
            ("main", "drawdown/account/1/5", "BTCUSDT", "0.5", 0),
            ("other", "drawdown/account/1/5", "BTCUSDT", "0.5", 0),
            ("main", "drawdown/account/1/6", "BTCUSDT", "0.5", 0),
            ("main", "drawdown/account/1/5", "ETHUSDT", "0.5", 0),
            ("main", "drawdown/account/1/5", "BTCUSDT", "0.4", 0),
            ("main", "drawdown/account/1/5", "BTCUSDT", "-0.5", 0),
            ("main", "drawdown/account/1/5", "BTCUSDT", "0.5", 1),
        ];
        let ids = |(account, episode, symbol, held, number)| id(account, episode, symbol, held, number);
        let all: BTreeSet<ClientOrderId> = attempts.into_iter().map(ids).collect();
        assert_eq!(all.len(), attempts.len());
        // After a crash too.
        assert_eq!(all, attempts.into_iter().map(ids).collect());
        assert!(all.iter().all(|id| id.is_ours() && id.as_str().len() <= 36));
    }
}
