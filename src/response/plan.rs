//! What is still missing: the difference between what is demanded and what the book and the air already hold.
//!
//! Level-triggered: it is asked after every input and remembers nothing of what it answered, so a lost reply, a refusal,
//! a manual trade or a refilling bot need no path of their own.

use super::cut::{COST, Piece, least_cut};
use super::demand::Demand;
use super::flights::Flights;
use super::{Driver, Needs};
use crate::book::{Book, Bucket};
use crate::model::{
    ClientOrderId, Instrument, Intent, IntentKey, Leg, Order, OrderKind, Pricing, Qty, Ratio, ReduceOrder,
    Span, Store, Symbol, Timestamp,
};
use crate::policy::envelope::Policy;
use crate::policy::{Action, Amount, Cut, Kind, Scope};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Requests that one step may ask for; the rest comes with the next input, a moment later.
const INTENTS_MAX: usize = 64;
/// How many of them may be cancels, so that a grid of orders never keeps a reduction waiting.
const CANCELS_MAX: usize = 48;
/// A reading that only confirms is asked for this often at most.
const CONFIRM_EVERY: Span = Span::from_secs(5);
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
struct Sight<'a> {
    book: &'a Book,
    policies: &'a [Policy],
    demands: &'a [Demand],
    flights: &'a Flights,
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
        let mut round = Round {
            needs: flights.settle(book),
            ..Round::default()
        };
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
        let held = book.amount(leg);
        let (Some(demand), true) = (sight.demands.get(index), held.abs() > target) else {
            return;
        };
        if sight.flights.is_busy(leg) || round.planned.len() >= INTENTS_MAX {
            return;
        }
        if !book.is_fresh() && !demand.may_act_blind {
            round.needs.holdings = true;
            return;
        }
        let trouble = sight.flights.trouble(leg);
        if trouble.is_some_and(|trouble| trouble.not_before > now) {
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
            if self.counters.len() < COUNTERS_MAX || self.counters.contains_key(&counter) {
                self.counters.insert(counter, number.saturating_add(1));
            }
            round.planned.push(Planned {
                demand: index,
                intent: Intent::Reduce(order),
            });
        }
    }

    /// `bs-` and twenty hexadecimal digits that the account, episode, leg, number and what the leg holds determine
    /// (SPEC.md section 5). The holding is in it because a crash can lose the newest number: an order that filled meanwhile
    /// left another holding, so its id is not given again; one that did not is the same attempt, and has the same id.
    fn client_id(&self, (episode, leg): &(String, Leg), held: Qty, number: u32) -> Option<ClientOrderId> {
        let digest = Sha256::digest(format!("{}|{episode}|{leg}|{held}|{number}", self.account));
        let text = hex::encode(digest.get(..10)?);
        ClientOrderId::new(&format!("{}{text}", ClientOrderId::PREFIX)).ok()
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

/// The highest demand on a leg: the first of the most severe.
fn highest(sight: &Sight<'_>, leg: &Leg) -> Option<usize> {
    let mut best: Option<(u8, usize)> = None;
    for (index, demand) in sight.demands.iter().enumerate() {
        let level = demand.level();
        if best.is_none_or(|(known, _)| level > known) && demand.covers(sight.book, sight.policies, leg) {
            best = Some((level, index));
        }
    }
    best.map(|(_, index)| index)
}

fn wants(sight: &Sight<'_>, round: &mut Round, demand: usize, intent: Intent) {
    let key = intent.key();
    let known = sight.flights.has(&key)
        || sight.flights.is_paused(sight.book.now(), &key)
        || round.planned.iter().any(|planned| planned.intent.key() == key);
    if !known && round.planned.len() < CANCELS_MAX {
        round.planned.push(Planned { demand, intent });
    }
}

/// Cancels: under block and reduce what could add exposure; under flatten every regular order, and conditional ones
/// once the position is verified zero. Protective stops stay until then.
fn cancels(sight: &Sight<'_>, round: &mut Round) {
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
                .filter(|order| order.id.store == store && order.kind != OrderKind::Liquidation)
                .collect();
            let mut doomed: Vec<(usize, &Order)> = Vec::new();
            let spare = spare_closers(sight.book, &symbol);
            for order in &open {
                let Some(index) = highest(sight, &order.leg()) else {
                    continue;
                };
                let flattens = sight
                    .demands
                    .get(index)
                    .is_some_and(|demand| demand.action == Action::Flatten);
                let conflicted = sight
                    .flights
                    .trouble(&order.leg())
                    .is_some_and(|trouble| trouble.conflict);
                let ours = order.client_id.as_ref().is_some_and(ClientOrderId::is_ours);
                let goes = match store {
                    Store::Regular if flattens || conflicted => !ours,
                    Store::Conditional if flattens && is_verified_flat(sight, &order.leg(), index) => true,
                    _ => could_add(order, &spare),
                };
                if goes {
                    doomed.push((index, order));
                }
            }
            let Some((first, _)) = doomed.first() else {
                continue;
            };
            // One request for the lot when nothing else of the symbol would go with it.
            if doomed.len() > 1 && doomed.len() == open.len() {
                let all = match store {
                    Store::Regular => Intent::CancelAll(symbol.clone()),
                    Store::Conditional => Intent::CancelAllConditional(symbol.clone()),
                };
                wants(sight, round, *first, all);
            } else {
                let all = IntentKey::CancelAll(store, symbol.clone());
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
            Action::Alert | Action::Block => {}
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
fn is_dust(book: &Book, leg: &Leg) -> bool {
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

/// Zero by stream and by a reading that is younger than the last thing we did there.
fn is_verified_flat(sight: &Sight<'_>, leg: &Leg, demand: usize) -> bool {
    let since = sight
        .demands
        .get(demand)
        .map_or(Timestamp::default(), |demand| demand.since);
    let after = since.max(last_reduction(sight));
    is_dust(sight.book, leg)
        && !sight.flights.is_busy(leg)
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
fn verify(sight: &Sight<'_>, targets: &BTreeMap<Leg, (Qty, usize)>, round: &mut Round) {
    let book = sight.book;
    let is_held = |index: usize| {
        let demand = sight.demands.get(index);
        book.positions().any(|(leg, _)| {
            !is_dust(book, leg) && demand.is_some_and(|demand| demand.covers(book, sight.policies, leg))
        })
    };
    for (index, demand) in sight.demands.iter().enumerate() {
        match demand.action {
            Action::Alert | Action::Block => {}
            Action::Reduce(_) if demand.fulfilled => {}
            Action::Reduce(_) => {
                let open = targets
                    .iter()
                    .any(|(leg, (target, by))| *by == index && book.amount(leg).abs() > *target);
                let flying = sight.flights.reductions().next().is_some();
                if !open && !flying && is_reached(sight, demand) {
                    round.fulfilled.push(index);
                } else if open || flying {
                    round.working.push(index);
                }
            }
            Action::Flatten => {
                let open_orders = book.orders().iter().any(|order| {
                    let ours = order.client_id.as_ref().is_some_and(ClientOrderId::is_ours);
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
