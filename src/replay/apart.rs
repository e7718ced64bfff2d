//! How far an account would have come apart from the recorded one, and the events that it would have seen.
//!
//! This is a model. A reduction that the recorded guard did not send fills whole and at once at the mark price, less
//! [`COST`]. A fill of the recorded guard that these policies did not ask for has not happened, and neither has a fill of an order
//! that they cancelled. What the owner did keeps being done: what was opened is opened, what was closed is closed as far as it is
//! there, and where the owner went flat, nothing is left. What it does not know: how the market and the owner would have
//! answered, what a liquidation would have taken, and another funding than the recorded one.

use super::told::{Fill, Told};
use crate::book::Book;
use crate::event::{AccountUpdate, BalanceChange, Event, Holdings, PositionChange, Reason, Report};
use crate::model::{
    Asset, Balance, Intent, IntentKey, Leg, MarkPrice, Money, Order, OrderId, OrderStatus, Position, Price,
    Qty, Ratio, ReduceOrder, Store, Timestamp,
};
use crate::response::cut::COST;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// Orders that count as cancelled here: a storm of an hour. When full, the oldest are forgotten and count as filled again.
const GONE_MAX: usize = 100_000;

/// What was closed of a leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// How much.
    pub qty: Qty,
    /// What that was worth at the mark price, in the margin asset.
    pub notional: Money,
    /// What closing cost against the mark price, fee included; negative when the fill was better than that.
    pub cost: Money,
    /// How much of it the recording shows as filled; the rest is modelled.
    pub recorded: Qty,
}

/// A position as it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lot {
    amount: Qty,
    entry: Option<Price>,
}

/// The difference between an account that would have been and the recorded one.
#[derive(Clone, Debug, Default)]
pub struct Apart {
    recorded: Book,
    /// Legs that are not as recorded.
    lots: BTreeMap<Leg, Lot>,
    /// What wallets have more than recorded.
    money: BTreeMap<Asset, Money>,
    /// Orders that were cancelled here and not in the recording.
    gone: BTreeSet<OrderId>,
    /// What was asked here exactly as recorded: the recording tells what became of it. At most what it shows as sent.
    adopted: BTreeSet<IntentKey>,
    closed: BTreeMap<Leg, Closed>,
    /// The newest time of the venue.
    newest: Timestamp,
}

impl Apart {
    /// The account as recorded.
    pub fn recorded(&self) -> &Book {
        &self.recorded
    }

    /// What was closed, by leg.
    pub fn closed(&self) -> &BTreeMap<Leg, Closed> {
        &self.closed
    }

    /// Whether the account would not be as recorded.
    pub fn is_apart(&self) -> bool {
        !self.lots.is_empty() || self.money.values().any(|money| !money.is_zero())
    }

    /// Takes what was asked as what the recording shows.
    pub fn adopt(&mut self, key: IntentKey) {
        self.adopted.insert(key);
    }

    /// Whether the recording tells what became of this.
    pub fn is_adopted(&self, key: &IntentKey) -> bool {
        self.adopted.contains(key)
    }

    /// What the account would have been told instead of `event`; `None` when nothing.
    pub fn instead(&mut self, now: Timestamp, event: Event, told: &Told) -> Option<Event> {
        match event {
            Event::Account(_) | Event::Holdings(_) => self.moved(now, event, told),
            Event::Order(order) => {
                self.newest = self.newest.max(order.at);
                let is_absent = self.is_absent(&order);
                let event = Event::Order(order);
                self.recorded.apply(now, &event);
                (!is_absent).then_some(event)
            }
            Event::OpenOrders(store, mut orders) => {
                self.recorded
                    .apply(now, &Event::OpenOrders(store, orders.clone()));
                orders.retain(|order| !self.is_absent(order));
                Some(Event::OpenOrders(store, orders))
            }
            other => {
                self.recorded.apply(now, &other);
                // The venue called the account that was recorded, and this is another one.
                let is_of_another = matches!(other, Event::MarginCall(_)) && self.is_apart();
                (!is_of_another).then_some(other)
            }
        }
    }

    fn is_absent(&self, order: &Order) -> bool {
        let ours = order.client_id.clone().filter(|id| id.is_ours());
        self.is_undone(&Fill {
            order: order.id.clone(),
            ours,
        })
    }

    /// Whether an order of the recording does not exist here.
    fn is_undone(&self, fill: &Fill) -> bool {
        let not_asked = |id: &crate::model::ClientOrderId| !self.is_adopted(&IntentKey::Reduce(id.clone()));
        self.gone.contains(&fill.order) || fill.ours.as_ref().is_some_and(not_asked)
    }

    /// Balances or positions changed in the recording.
    fn moved(&mut self, now: Timestamp, event: Event, told: &Told) -> Option<Event> {
        let before: BTreeMap<Leg, Position> = self.positions();
        let wallets: BTreeMap<Asset, Money> = self.wallets();
        self.recorded.apply(now, &event);
        if let Event::Account(update) = &event {
            self.newest = self.newest.max(update.at);
        }
        let after = self.positions();
        let legs: BTreeSet<Leg> = before.keys().chain(after.keys()).cloned().collect();
        let amount = |all: &BTreeMap<Leg, Position>, leg: &Leg| all.get(leg).map_or(Qty::ZERO, |p| p.amount);
        let moved: Vec<Leg> = legs
            .into_iter()
            .filter(|leg| amount(&before, leg) != amount(&after, leg))
            .collect();
        for leg in &moved {
            let at = self.recorded.position(leg).map_or(self.newest, |held| held.at);
            let at = if let Event::Account(update) = &event {
                update.at
            } else {
                at
            };
            let fill = told.fill_of(leg, at);
            let step = Step {
                before: before.get(leg).cloned(),
                after: after.get(leg).cloned(),
                // What a wallet moved by belongs to the one position that moved with it.
                gain: (moved.len() == 1).then(|| self.gain(leg, &wallets)).flatten(),
            };
            self.follow(leg, &step, fill);
        }
        if !self.is_apart() {
            return Some(event);
        }
        Some(match event {
            Event::Account(update) => Event::Account(self.update(update)),
            Event::Holdings(read) => Event::Holdings(self.reading(read.marks)),
            other => other,
        })
    }

    fn positions(&self) -> BTreeMap<Leg, Position> {
        self.recorded
            .positions()
            .map(|(leg, held)| (leg.clone(), held.clone()))
            .collect()
    }

    fn wallets(&self) -> BTreeMap<Asset, Money> {
        self.recorded
            .balances()
            .map(|(asset, balance)| (asset.clone(), balance.wallet))
            .collect()
    }

    fn asset(&self, leg: &Leg) -> Option<Asset> {
        self.recorded
            .instrument(&leg.symbol)
            .ok()
            .map(|rules| rules.margin_asset.clone())
    }

    /// What the wallet behind a leg moved by.
    fn gain(&self, leg: &Leg, wallets: &BTreeMap<Asset, Money>) -> Option<Money> {
        let asset = self.asset(leg)?;
        let before = *wallets.get(&asset)?;
        let (_, now) = self.recorded.balances().find(|(known, _)| **known == asset)?;
        Some(now.wallet - before)
    }

    /// One leg moved in the recording: what that means here.
    fn follow(&mut self, leg: &Leg, step: &Step, fill: Option<&Fill>) {
        let mark = self.recorded.last_mark(&leg.symbol);
        let Some(price) = step.price().or(mark) else {
            return;
        };
        let taken = step.taken();
        let is_ours = fill.is_some_and(|fill| fill.ours.is_some());
        if fill.is_some_and(|fill| self.is_undone(fill)) {
            let lot = self.lot(leg, step.before.as_ref());
            self.lots.insert(leg.clone(), lot);
            let gain = step
                .gain
                .unwrap_or_else(|| gained(taken, price, step.entry_before()));
            self.credit(leg, -gain);
            return self.join(leg, step);
        }
        if is_ours {
            let at_mark = mark.unwrap_or(price);
            self.tally(leg, taken, at_mark, taken.times(at_mark.minus(price)), true);
        }
        if !self.lots.contains_key(leg) {
            return;
        }
        let lot = self.lot(leg, step.before.as_ref());
        let trade = step.amount_after() - step.amount_before();
        let is_turned = step.is_growing() && !taken.is_zero();
        let trade = match (step.amount_after().is_zero() || is_turned, step.is_growing()) {
            // The owner went flat, or beyond; where the guard did it, it closed no more than it asked for.
            (true, _) if !is_ours => step.amount_after() - lot.amount,
            (_, true) => trade,
            _ => toward_zero(lot.amount, trade),
        };
        let (next, gain) = lot.traded(trade, price);
        self.lots.insert(leg.clone(), next);
        self.credit(leg, gain - gained(taken, price, step.entry_before()));
        self.join(leg, step);
    }

    /// A leg that is as recorded again is no difference any more.
    fn join(&mut self, leg: &Leg, step: &Step) {
        let same = self.lots.get(leg).is_some_and(|lot| {
            lot.amount == step.amount_after()
                && (lot.amount.is_zero() || lot.entry == step.after.as_ref().and_then(|held| held.entry))
        });
        if same {
            self.lots.remove(leg);
        }
    }

    fn lot(&self, leg: &Leg, recorded: Option<&Position>) -> Lot {
        self.lots.get(leg).cloned().unwrap_or_else(|| Lot {
            amount: recorded.map_or(Qty::ZERO, |held| held.amount),
            entry: recorded.and_then(|held| held.entry),
        })
    }

    fn credit(&mut self, leg: &Leg, gain: Money) {
        if let Some(asset) = self.asset(leg) {
            *self.money.entry(asset).or_default() += gain;
        }
    }

    fn tally(&mut self, leg: &Leg, taken: Qty, mark: Price, cost: Money, recorded: bool) {
        let closed = self.closed.entry(leg.clone()).or_default();
        closed.qty += taken.abs();
        closed.notional += taken.notional(mark);
        closed.cost += cost;
        if recorded {
            closed.recorded += taken.abs();
        }
    }

    /// A reduction fills here: what the account is told of it, and the answer. `None` when no price is known.
    pub fn fill(&mut self, now: Timestamp, order: &ReduceOrder, book: &Book) -> Option<(Event, Report)> {
        let leg = order.leg();
        let held = book.position(leg)?;
        let (mark, entry) = (book.last_mark(&leg.symbol)?, held.entry?);
        let taken = -toward_zero(held.amount, signed(order));
        let cost = taken.notional(mark).share(COST);
        let left = held.amount - taken;
        self.tally(leg, taken, mark, cost, false);
        self.credit(leg, taken.times(mark.minus(entry)) - cost);
        let lot = Lot {
            amount: left,
            entry: (!left.is_zero()).then_some(entry),
        };
        self.lots.insert(leg.clone(), lot);
        self.newest = if self.newest == Timestamp::default() {
            now
        } else {
            // A millisecond on: a fact of the same time would not be newer than what is known.
            self.newest.after(crate::model::Span::from_ms(1))
        };
        let update = AccountUpdate {
            reason: Reason::Profit,
            balances: self
                .asset(leg)
                .map(|asset| self.balance(&asset))
                .into_iter()
                .collect(),
            positions: vec![self.position(leg)],
            at: self.newest,
        };
        let report = Report {
            executed: taken.abs(),
            terminal: true,
            at: self.newest,
            reduce_only: Some(true),
        };
        Some((Event::Account(update), report))
    }

    /// A cancel works here: what the account is told of it.
    pub fn cancel(&mut self, intent: &Intent, book: &Book) -> Vec<Event> {
        let is_meant = |order: &&Order| match intent {
            Intent::Cancel(id) => order.id == *id,
            Intent::CancelAll(symbol) => order.id.store == Store::Regular && order.id.symbol == *symbol,
            Intent::CancelAllConditional(symbol) => {
                order.id.store == Store::Conditional && order.id.symbol == *symbol
            }
            // A stop that nothing has triggered changes nothing; what one would have closed is not modelled.
            Intent::Reduce(_) | Intent::PlaceStop(_) => false,
        };
        let orders: Vec<Order> = book.orders().iter().filter(is_meant).cloned().collect();
        for order in &orders {
            if self.gone.len() >= GONE_MAX {
                self.gone.pop_first();
            }
            self.gone.insert(order.id.clone());
        }
        let ended = |order: Order| {
            Event::Order(Order {
                status: OrderStatus::Ended,
                ..order
            })
        };
        orders.into_iter().map(ended).collect()
    }

    fn position(&self, leg: &Leg) -> PositionChange {
        let recorded = self.recorded.position(leg);
        let lot = self.lot(leg, recorded);
        PositionChange {
            leg: leg.clone(),
            amount: lot.amount,
            entry: lot.entry,
            margin: recorded.and_then(|held| held.margin),
            isolated_wallet: self.isolated(leg),
        }
    }

    /// The isolated wallet of a leg shrinks with it.
    fn isolated(&self, leg: &Leg) -> Money {
        let Some(recorded) = self.recorded.position(leg) else {
            return Money::ZERO;
        };
        match self.lots.get(leg) {
            None => recorded.isolated_wallet,
            Some(lot) => quotient(lot.amount, recorded.amount)
                .map_or(Money::ZERO, |share| recorded.isolated_wallet.share(share)),
        }
    }

    fn balance(&self, asset: &Asset) -> BalanceChange {
        let more = self.money.get(asset).copied().unwrap_or_default();
        let recorded = self.recorded.balances().find(|(known, _)| *known == asset);
        let (wallet, cross) = recorded.map_or((Money::ZERO, Money::ZERO), |(_, balance)| {
            (balance.wallet, balance.cross_wallet)
        });
        let freed: Money = self
            .lots
            .keys()
            .filter(|leg| self.asset(leg).as_ref() == Some(asset))
            .map(|leg| {
                self.recorded
                    .position(leg)
                    .map_or(Money::ZERO, |held| held.isolated_wallet)
                    - self.isolated(leg)
            })
            .sum();
        BalanceChange {
            asset: asset.clone(),
            wallet: wallet + more,
            cross_wallet: cross + more + freed,
            change: Money::ZERO,
        }
    }

    /// The same update of the account as it would be.
    fn update(&self, update: AccountUpdate) -> AccountUpdate {
        let balances = update.balances.iter().map(|change| BalanceChange {
            change: change.change,
            ..self.balance(&change.asset)
        });
        let positions = update.positions.iter().map(|change| self.position(&change.leg));
        AccountUpdate {
            balances: balances.collect(),
            positions: positions.collect(),
            // A transfer keeps its time, by which the list of transfers knows it.
            at: match update.reason {
                Reason::External => update.at,
                _ => update.at.max(self.newest),
            },
            reason: update.reason,
        }
    }

    /// A reading of the account as it would be.
    fn reading(&self, marks: Vec<MarkPrice>) -> Holdings {
        let at = self.newest;
        let assets: BTreeSet<&Asset> = self
            .recorded
            .balances()
            .map(|(asset, _)| asset)
            .chain(self.money.keys())
            .collect();
        let balances = assets.into_iter().map(|asset| {
            let BalanceChange {
                wallet, cross_wallet, ..
            } = self.balance(asset);
            let balance = Balance {
                wallet,
                cross_wallet,
                at,
            };
            (asset.clone(), balance)
        });
        let legs: BTreeSet<&Leg> = self
            .recorded
            .positions()
            .map(|(leg, _)| leg)
            .chain(self.lots.keys())
            .collect();
        let positions = legs.into_iter().filter_map(|leg| {
            let held = self.position(leg);
            let position = Position {
                amount: held.amount,
                entry: held.entry,
                margin: held.margin,
                isolated_wallet: held.isolated_wallet,
                at,
            };
            (!held.amount.is_zero()).then(|| (leg.clone(), position))
        });
        Holdings {
            balances: balances.collect(),
            positions: positions.collect(),
            marks,
            disputed: Vec::new(),
            liquidations: Vec::new(),
            // What the venue counted is of another account.
            claims: None,
        }
    }
}

/// How one leg moved in the recording.
struct Step {
    before: Option<Position>,
    after: Option<Position>,
    /// What the wallet moved by with it, when that is known to be of this leg.
    gain: Option<Money>,
}

impl Step {
    fn amount_before(&self) -> Qty {
        self.before.as_ref().map_or(Qty::ZERO, |held| held.amount)
    }

    fn amount_after(&self) -> Qty {
        self.after.as_ref().map_or(Qty::ZERO, |held| held.amount)
    }

    fn entry_before(&self) -> Option<Price> {
        self.before.as_ref().and_then(|held| held.entry)
    }

    /// Whether the position grew, or was turned.
    fn is_growing(&self) -> bool {
        self.amount_after()
            != toward_zero(self.amount_before(), self.amount_after() - self.amount_before())
                + self.amount_before()
    }

    /// What was closed, with the sign of the position.
    fn taken(&self) -> Qty {
        -toward_zero(self.amount_before(), self.amount_after() - self.amount_before())
    }

    /// The price of the trade, its fee in it when something was closed; `None` when the recording does not show it.
    fn price(&self) -> Option<Price> {
        let trade = self.amount_after() - self.amount_before();
        let basis = |held: &Option<Position>| match held {
            Some(held) => held.entry.map(|entry| held.amount.times(cost_of(entry))),
            None => Some(Money::ZERO),
        };
        if self.is_growing() && self.taken().is_zero() {
            return (basis(&self.after)? - basis(&self.before)?).per_unit(trade);
        }
        if !self.amount_after().is_zero() && self.is_growing() {
            // Turned: what is left was opened at its entry price.
            return self.after.as_ref()?.entry;
        }
        let taken = self.taken();
        (taken.times(cost_of(self.entry_before()?)) + self.gain?).per_unit(taken)
    }
}

impl Lot {
    /// The lot after a trade, and what it gained.
    fn traded(&self, trade: Qty, price: Price) -> (Lot, Money) {
        let taken = -toward_zero(self.amount, trade);
        let gain = gained(taken, price, self.entry);
        let amount = self.amount + trade;
        let entry = match (amount.is_zero(), taken.is_zero()) {
            (true, _) => None,
            // Grown: the average.
            (_, true) if !self.amount.is_zero() => self.entry.and_then(|entry| {
                (self.amount.times(cost_of(entry)) + trade.times(cost_of(price))).per_unit(amount)
            }),
            (_, true) => Some(price),
            _ if amount.is_positive() == self.amount.is_positive() => self.entry,
            _ => Some(price),
        };
        (Lot { amount, entry }, gain)
    }
}

/// The part of a trade that takes from a position, with the sign of the trade; never more than is there.
fn toward_zero(held: Qty, trade: Qty) -> Qty {
    if held.is_zero() || trade.is_zero() || held.is_positive() == trade.is_positive() {
        Qty::ZERO
    } else if trade.abs() <= held.abs() {
        trade
    } else {
        -held
    }
}

fn signed(order: &ReduceOrder) -> Qty {
    match order.side() {
        crate::model::Side::Buy => order.qty(),
        crate::model::Side::Sell => -order.qty(),
    }
}

fn gained(taken: Qty, price: Price, entry: Option<Price>) -> Money {
    entry.map_or(Money::ZERO, |entry| taken.times(price.minus(entry)))
}

/// A price as money for one unit.
fn cost_of(price: Price) -> Money {
    Money::new(price.decimal()).unwrap_or_default()
}

fn quotient(part: Qty, whole: Qty) -> Option<Ratio> {
    let share: Decimal = part.decimal().checked_div(whole.decimal())?;
    Ratio::new(share).ok()
}

#[cfg(test)]
mod tests;
