//! The account as a fold of events: balances, positions, marks, orders, rules, and how far they may be trusted.
//!
//! Rules: absence in a stream event means unchanged; absence in a complete reading means zero, unless the stream
//! spoke of it a moment ago; a failed reading changes nothing; older facts never undo newer ones.

mod acts;
mod cover;
mod equity;
mod fills;
mod gap;
mod link;
mod margin;
mod missing;
mod orders;
mod reading;
pub mod shock;
mod suppose;
mod transfers;

pub use acts::Act;
pub use cover::{Cover, Stop, cover};
pub use equity::CURRENCY;
pub use fills::Fill;
pub use gap::Gap;
pub use link::LinkView;
pub use margin::{Bucket, BucketMargin};
pub use missing::Missing;
pub use orders::Orders;
pub use transfers::{Telling, TransferMemory};

use crate::event::{AccountUpdate, Event, Reason, Settings};
use crate::model::{
    Asset, AssetIndex, Balance, Instrument, Leg, MarginType, Money, Order, Position, PositionMode, Price,
    Qty, Ratio, Span, Store, Symbol, Tier, Timestamp,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::OnceLock;

/// How long after the stream spoke of something a reading that says otherwise is taken for a late one.
///
/// Source: FAILURES.md MO-23, readings lag the stream by up to five seconds.
const READ_LAG: Span = Span::from_secs(5);
/// A time of the venue this far from ours is no time: the event counts as of its receipt, and is told (MO-22).
const CLOCKS_APART_MAX: Span = Span::from_secs(60);
/// A mark price older than this is stale: one digest and a margin (POLICIES.md d.6 says 5 s for the stream;
/// the digest brings marks every five seconds when the market stream is away).
const MARK_AGE_MAX: Span = Span::from_secs(10);
/// Holdings older than this are no ground for closing anything (POLICIES.md d.6).
const HOLDINGS_AGE_MAX: Span = Span::from_secs(30);
/// A balance that moved untold may be judged this long after, when the list of transfers still has nothing for it: it
/// was a fill or a fee then. The list lags behind the balance by seconds.
const EXPLAIN_WITHIN: Span = Span::from_secs(5);
/// Readings in a row that must show the same balances before a move that nothing explains is believed: one reading can be
/// wrong (INCIDENTS.md A6).
const AGREEING: u32 = 3;
/// Symbols that may have mark prices kept; more than any venue lists.
const MARKS_MAX: usize = 4_096;

/// A mark price this far from a fresh index, relative to it, is doubtful (POLICIES.md b.1, price quorum).
const MARK_APART_MAX: Ratio = Ratio::bps(2_000);

/// A mark price and when we got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    price: Price,
    /// The newest index, and when we got it.
    index: Option<(Price, Timestamp)>,
    at: Timestamp,
    received: Timestamp,
}

/// A position; when the stream last spoke of it, and when a reading of it was last believed, by our clock.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    position: Position,
    touched: Timestamp,
    read: Option<Timestamp>,
}

/// A balance and when the stream last spoke of it, by our clock.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Purse {
    balance: Balance,
    touched: Timestamp,
}

/// The account as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Book {
    now: Timestamp,
    settings: Option<Settings>,
    instruments: BTreeMap<Symbol, Instrument>,
    tiers: BTreeMap<Symbol, Vec<Tier>>,
    margin_types: BTreeMap<Symbol, MarginType>,
    indexes: BTreeMap<Asset, AssetIndex>,
    purses: BTreeMap<Asset, Purse>,
    held: BTreeMap<Leg, Held>,
    marks: BTreeMap<Symbol, Mark>,
    orders: Orders,
    link: link::LinkState,
    transfers: TransferMemory,
    transfers_due: Option<Timestamp>,
    /// Readings in a row that show the balances as they are since one moved untold.
    agreeing: u32,
    /// Whether the move is measured: after a restart nobody knows what balances were before.
    is_measured: bool,
    /// What was believed in this step although nothing explains it, in [`CURRENCY`].
    believed: Option<Money>,
    /// What balances moved by untold, less what the list explained since, in [`CURRENCY`].
    unexplained: Money,
    /// Equity at this step, once somebody asked.
    equity_now: OnceLock<Result<Money, Missing>>,
    /// Grows with everything but mark prices.
    revision: u64,
    /// Whether something was known of the account before this process.
    is_resumed: bool,
    holdings_read: Option<Timestamp>,
    settings_read: Option<Timestamp>,
    rules_read: Option<Timestamp>,
    calls: BTreeMap<Bucket, Timestamp>,
    gaps: BTreeMap<Bucket, Gap>,
    /// Where the venue says that it liquidates, and the amount that it said so of.
    liquidations: BTreeMap<Leg, (Price, Qty)>,
    flow: Option<Money>,
    forced_fill: Option<(Leg, &'static str)>,
    fill: Option<Fill>,
    /// Fills that were told, by contract and number.
    fills_told: VecDeque<(Symbol, i64)>,
    acts: Vec<Act>,
    unclassified: bool,
    mismatches: u64,
    unknown_events: u64,
    failed_reads: u64,
    odd_times: u64,
}

impl Book {
    /// Takes in one event at `now`, which never runs backwards.
    pub fn apply(&mut self, now: Timestamp, event: &Event) {
        self.begin(now);
        if !matches!(event, Event::Marks(_)) {
            self.revision = self.revision.wrapping_add(1);
        }
        match event {
            Event::Link(change) => self.link.change(now, change),
            Event::Account(update) => {
                self.link.spoke(now);
                let at = self.plausible(update.at);
                self.account(update, at);
            }
            Event::Order(order) => {
                self.link.spoke(now);
                let at = self.plausible(order.at);
                let forced = order.forced().filter(|_| self.orders.has_filled_more(order));
                self.forced_fill = forced.map(|what| (order.leg(), what));
                self.fill = self.fill_of(order);
                let trade = None;
                let order = Order {
                    at,
                    trade,
                    ..order.clone()
                };
                if self.orders.update(now, &order) {
                    self.acts.push(Act::Order(order));
                }
            }
            Event::MarginCall(call) => {
                self.link.spoke(now);
                self.margin_call(call);
            }
            Event::SettingsChanged => {
                self.link.spoke(now);
                self.acts.push(Act::Setting("leverage or asset mode".into()));
            }
            Event::FillHint(_) => self.link.spoke(now),
            Event::Marks(marks) => {
                for mark in marks {
                    self.mark(&mark.symbol, (mark.price, mark.index), mark.at);
                }
            }
            Event::Holdings(holdings) => self.holdings(holdings),
            Event::OpenOrders(store, orders) => {
                let fresh = self.orders.read(now, *store, orders);
                self.acts.extend(fresh.into_iter().map(Act::Order));
            }
            Event::Settings(settings) => {
                if self.settings.is_some_and(|known| known != *settings) {
                    self.acts.push(Act::Setting("position mode or asset mode".into()));
                }
                self.settings = Some(*settings);
                self.settings_read = Some(now);
            }
            Event::MarginTypes(types) => {
                for (symbol, margin) in types {
                    let known = self.margin_types.insert(symbol.clone(), *margin);
                    if known.is_some_and(|known| known != *margin) {
                        self.acts.push(Act::Setting(format!("margin type of {symbol}")));
                    }
                }
            }
            Event::Rules(instruments) => self.rules(instruments),
            Event::Tiers(tiers) => {
                for (symbol, tiers) in tiers {
                    if let Some(instrument) = self.instruments.get_mut(symbol) {
                        instrument.tiers.clone_from(tiers);
                    }
                    self.tiers.insert(symbol.clone(), tiers.clone());
                }
            }
            Event::AssetIndexes(indexes) => {
                self.indexes
                    .extend(indexes.iter().map(|index| (index.asset.clone(), index.clone())));
            }
            Event::Transfers(transfers) => {
                self.transfers_read(now, transfers);
            }
            Event::ReadFailed(_) => self.failed_reads = self.failed_reads.saturating_add(1),
            // It says something of the key, and nothing of the account.
            Event::KeyRefused => {}
            Event::Unknown(_) => self.unknown_events = self.unknown_events.saturating_add(1),
        }
    }

    /// Starts a step without an event: time passes, and what belonged to the last step is over.
    pub fn begin(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.flow = None;
        self.believed = None;
        self.forced_fill = None;
        self.fill = None;
        self.acts.clear();
        self.unclassified = false;
        self.equity_now.take();
    }

    /// The venue's time of an event, when it can be one. From the future it would outrank all that comes after it.
    fn plausible(&mut self, at: Timestamp) -> Timestamp {
        let (ahead, behind) = (at.since(self.now), self.now.since(at));
        if ahead.max(behind) > CLOCKS_APART_MAX {
            self.odd_times = self.odd_times.saturating_add(1);
        }
        if ahead > CLOCKS_APART_MAX { self.now } else { at }
    }

    fn account(&mut self, update: &AccountUpdate, at: Timestamp) {
        for change in &update.balances {
            let purse = self.purses.get(&change.asset);
            // The same again is a repeated delivery: what it told of a transfer was counted.
            let is_old = |purse: &Purse| {
                purse.balance.at > at
                    || (purse.balance.at == at
                        && purse.balance.wallet == change.wallet
                        && purse.balance.cross_wallet == change.cross_wallet)
            };
            if purse.is_some_and(is_old) {
                continue;
            }
            match &update.reason {
                Reason::External => {
                    if self.transfers.streamed(&change.asset, change.change, update.at) {
                        self.add_flow(&change.asset, change.change);
                    }
                }
                Reason::Unclassified(_) => {
                    // Losses are judged again when the list of transfers was read: it may be one after all.
                    self.is_measured |= self.transfers_due.is_none();
                    self.agreeing = 1;
                    self.transfers_due.get_or_insert(self.now);
                    let before = purse.map_or(change.wallet, |purse| purse.balance.wallet);
                    let moved = self.value_of(&change.asset, change.wallet - before);
                    self.unexplained += moved.unwrap_or(Money::ZERO);
                }
                Reason::Internal | Reason::Profit => {}
            }
            let balance = Balance {
                wallet: change.wallet,
                cross_wallet: change.cross_wallet,
                at,
            };
            self.purses.insert(
                change.asset.clone(),
                Purse {
                    balance,
                    touched: self.now,
                },
            );
        }
        for change in &update.positions {
            let known = self.held.get(&change.leg);
            if known.is_some_and(|held| held.position.at > at) {
                continue;
            }
            let read = known.and_then(|held| held.read);
            let margins = known.and_then(|held| held.position.margin).zip(change.margin);
            if margins.is_some_and(|(known, margin)| known != margin) {
                let what = format!("margin type of {}", change.leg.symbol);
                self.acts.push(Act::Setting(what));
            }
            let position = Position {
                amount: change.amount,
                entry: change.entry,
                margin: change.margin,
                isolated_wallet: change.isolated_wallet,
                at,
            };
            self.held.insert(
                change.leg.clone(),
                Held {
                    position,
                    touched: self.now,
                    read,
                },
            );
        }
    }

    fn mark(&mut self, symbol: &Symbol, (price, index): (Price, Option<Price>), at: Timestamp) {
        let mark = Mark {
            price,
            index: index.map(|index| (index, self.now)),
            at,
            received: self.now,
        };
        let has_room = self.marks.len() < MARKS_MAX;
        match self.marks.get_mut(symbol) {
            Some(known) if known.at > at => {}
            Some(known) => {
                *known = Mark {
                    index: mark.index.or(known.index),
                    ..mark
                }
            }
            None if has_room => {
                self.marks.insert(symbol.clone(), mark);
            }
            None => {}
        }
    }

    fn rules(&mut self, instruments: &[Instrument]) {
        self.rules_read = Some(self.now);
        for instrument in instruments {
            let mut instrument = instrument.clone();
            if instrument.tiers.is_empty()
                && let Some(tiers) = self.tiers.get(&instrument.symbol)
            {
                instrument.tiers.clone_from(tiers);
            }
            self.instruments.insert(instrument.symbol.clone(), instrument);
        }
    }

    fn margin_call(&mut self, call: &crate::event::MarginCall) {
        for called in &call.positions {
            if let Some(price) = called.mark {
                self.mark(&called.leg.symbol, (price, None), call.at);
            }
            if let Some(bucket) = self.bucket_of(&called.leg, Some(called.margin)) {
                self.calls.insert(bucket, self.now);
            }
        }
    }

    fn add_flow(&mut self, asset: &Asset, amount: Money) {
        if amount.is_negative() {
            self.acts.push(Act::TransferOut(asset.clone(), amount.abs()));
        }
        match self.value_of(asset, amount) {
            Ok(value) => self.flow = Some(self.flow.unwrap_or(Money::ZERO) + value),
            Err(_) => self.unclassified = true,
        }
    }

    /// A number that changes with everything but mark prices: the same number, the same positions and orders.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The time of the newest step.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Whether enough was read to judge margin and positions.
    pub fn is_ready(&self) -> bool {
        self.settings.is_some()
            && self.holdings_read.is_some()
            && !self.instruments.is_empty()
            && self.orders.is_read(Store::Regular)
            && self.orders.is_read(Store::Conditional)
    }

    /// Whether holdings are fresh enough to close something on their ground.
    pub fn is_fresh(&self) -> bool {
        let read = self
            .holdings_read
            .is_some_and(|read| self.now.since(read) <= HOLDINGS_AGE_MAX);
        read || self
            .link
            .proof_age(self.now)
            .is_some_and(|age| age <= HOLDINGS_AGE_MAX)
    }

    /// When the holdings were last read over REST, by our clock.
    pub fn holdings_read(&self) -> Option<Timestamp> {
        self.holdings_read
    }

    /// When a reading of this leg was last believed, by our clock. A reading that was refused as older than what is known
    /// says nothing of the leg. Of a leg that was never seen every reading of all holdings tells.
    pub fn leg_read(&self, leg: &Leg) -> Option<Timestamp> {
        self.held.get(leg).map_or(self.holdings_read, |held| held.read)
    }

    /// When the account's modes were last read, by our clock.
    pub fn settings_read(&self) -> Option<Timestamp> {
        self.settings_read
    }

    /// When the rules of the contracts were last read, by our clock.
    pub fn rules_read(&self) -> Option<Timestamp> {
        self.rules_read
    }

    /// What must be read again before equity can be trusted.
    pub fn wants_transfers(&self) -> bool {
        self.transfers_due.is_some()
    }

    /// One-way or hedge, when known.
    pub fn position_mode(&self) -> Option<PositionMode> {
        self.settings.map(|settings| settings.mode)
    }

    /// Whether all assets back all positions.
    pub fn is_multi_assets(&self) -> bool {
        self.settings.is_some_and(|settings| settings.multi_assets)
    }

    /// Every position that is not flat.
    pub fn positions(&self) -> impl Iterator<Item = (&Leg, &Position)> {
        self.held
            .iter()
            .filter(|(_, held)| !held.position.amount.is_zero())
            .map(|(leg, held)| (leg, &held.position))
    }

    /// Signed amount of a leg; zero when nothing is known of it. Ask [`Book::is_ready`] first.
    pub fn amount(&self, leg: &Leg) -> Qty {
        self.held.get(leg).map_or(Qty::ZERO, |held| held.position.amount)
    }

    /// A position by its leg, if ever seen.
    pub fn position(&self, leg: &Leg) -> Option<&Position> {
        self.held.get(leg).map(|held| &held.position)
    }

    /// Rules of a contract.
    pub fn instrument(&self, symbol: &Symbol) -> Result<&Instrument, Missing> {
        self.instruments
            .get(symbol)
            .ok_or_else(|| Missing::Instrument(symbol.clone()))
    }

    /// The mark price of a contract, if it is fresh.
    pub fn mark_price(&self, symbol: &Symbol) -> Result<Price, Missing> {
        let mark = self
            .marks
            .get(symbol)
            .ok_or_else(|| Missing::Mark(symbol.clone()))?;
        if self.now.since(mark.received) > MARK_AGE_MAX {
            return Err(Missing::StaleMark(symbol.clone()));
        }
        Ok(mark.price)
    }

    /// Whether a mark price is far from a fresh index: the venue may liquidate by it, and it is no ground to judge what
    /// the account has won or lost.
    pub fn is_doubtful(&self, symbol: &Symbol) -> bool {
        self.marks.get(symbol).is_some_and(|mark| {
            let fresh = mark
                .index
                .filter(|(_, received)| self.now.since(*received) <= MARK_AGE_MAX);
            fresh.is_some_and(|(index, _)| {
                let apart = mark.price.minus(index).abs();
                let share = Money::new(index.decimal())
                    .ok()
                    .and_then(|whole| apart.ratio_of(whole));
                share.is_none_or(|share| share > MARK_APART_MAX)
            })
        })
    }

    /// The newest mark price, however old: for sizing orders, where any price beats none.
    pub fn last_mark(&self, symbol: &Symbol) -> Option<Price> {
        self.marks.get(symbol).map(|mark| mark.price)
    }

    /// When the oldest mark of a held contract turns stale.
    pub fn marks_stale_at(&self) -> Option<Timestamp> {
        self.positions()
            .filter_map(|(leg, _)| self.marks.get(&leg.symbol))
            .map(|mark| mark.received.after(MARK_AGE_MAX).after(Span::from_ms(1)))
            .filter(|at| *at > self.now)
            .min()
    }

    /// Open orders of both stores.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// An order is known to be over, from the answer to a cancel.
    pub fn forget_order(&mut self, id: &crate::model::OrderId) {
        self.orders.forget(self.now, id);
    }

    /// The private stream and its proofs of life.
    pub fn link(&self) -> LinkView<'_> {
        LinkView::new(&self.link, self.now)
    }

    /// Money that crossed the account's border in this step, in [`CURRENCY`].
    pub fn flow(&self) -> Option<Money> {
        self.flow
    }

    /// What was done on the account in this step. A reading of all open orders bounds it.
    pub fn acts(&self) -> &[Act] {
        &self.acts
    }

    /// What balances moved by that nothing explains, believed in this step because readings agree on it, in [`CURRENCY`].
    pub fn believed(&self) -> Option<Money> {
        self.believed
    }

    /// A fill that the venue forced in this step, and what it was.
    pub fn forced_fill(&self) -> Option<&(Leg, &'static str)> {
        self.forced_fill.as_ref()
    }

    /// A fill that was told in this step, and not before.
    pub fn fill(&self) -> Option<&Fill> {
        self.fill.as_ref()
    }

    /// Whether money of an unknown worth crossed the border in this step.
    pub fn is_unclassified(&self) -> bool {
        self.unclassified
    }

    /// When each bucket was last called for margin, by our clock.
    pub fn calls(&self) -> &BTreeMap<Bucket, Timestamp> {
        &self.calls
    }

    /// What is remembered of transfers, to survive a restart.
    pub fn transfer_memory(&self) -> &TransferMemory {
        &self.transfers
    }

    /// Takes back what was remembered of transfers.
    pub fn restore_transfers(&mut self, memory: TransferMemory) {
        self.is_resumed = memory.horizon.is_some();
        self.transfers = memory;
    }

    /// Contracts whose mark prices are needed.
    pub fn watched(&self) -> std::collections::BTreeSet<Symbol> {
        self.positions()
            .map(|(leg, _)| leg.symbol.clone())
            .chain(self.orders.symbols())
            .collect()
    }

    /// Counters for people: digests that differed, events not known, reads that failed, times that were none.
    pub fn counters(&self) -> [(&'static str, u64); 4] {
        [
            ("digest_mismatches", self.mismatches),
            ("unknown_events", self.unknown_events),
            ("failed_reads", self.failed_reads),
            ("odd_times", self.odd_times),
        ]
    }
}
