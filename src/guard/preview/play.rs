//! A demand played to its end on a copy of the book: the real planner asks, and every order fills at once at the mark.
//!
//! What the market does meanwhile is not in it: each order is sized as the guard would size it if nothing else moved.

use crate::book::Book;
use crate::event::{AccountUpdate, BalanceChange, Event, Outcome, PositionChange, Reason, Report};
use crate::model::{
    Intent, Leg, Money, Order, OrderId, OrderKind, OrderStatus, ProtectiveStop, Qty, ReduceOrder, Side,
    Store, Timestamp,
};
use crate::policy::Action;
use crate::policy::envelope::Policy;
use crate::response::cut::COST;
use crate::response::weigh::Reasoning;
use crate::response::{Demand, Flights, Planner};

/// Rounds of planning that one look plays; each closes at most one slice of every leg.
const ROUNDS_MAX: usize = 512;

/// What serving some demands takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effect {
    /// What is closed, a line a leg, in the order in which the planner asked.
    pub closes: Vec<Close>,
    /// Stops that are placed.
    pub stops: Vec<ProtectiveStop>,
    /// Orders cancelled at once.
    pub cancels: usize,
    /// Orders of the conditional store that stay until the position is verified zero, and are swept then.
    pub sweeps: usize,
    /// What closing costs by the model of [`COST`], in [`crate::book::CURRENCY`]; `None` when a price is missing.
    pub cost: Option<Money>,
    /// Why as much is closed of each bucket as is, and what could be done instead.
    pub reasons: Vec<Reasoning>,
    /// Why the planner could not size it, in words; then `closes` is what it could.
    pub unsized_because: Option<String>,
    /// More rounds than a look plays: there is more to close than is listed.
    pub is_cut_short: bool,
}

/// What is closed of one leg.
#[derive(Clone, Debug, PartialEq)]
pub struct Close {
    /// Which.
    pub leg: Leg,
    /// The closing side.
    pub side: Side,
    /// How much, in contract units.
    pub quantity: Qty,
    /// In how many orders.
    pub slices: u32,
    /// Its size at the mark price, in margin currency; `None` without a mark price.
    pub notional: Option<Money>,
}

impl Effect {
    /// Whether nothing at all would be sent, as far as could be sized.
    pub fn is_nothing(&self) -> bool {
        self.closes.is_empty() && self.stops.is_empty() && self.cancels == 0 && self.sweeps == 0
    }

    fn closed(&mut self, book: &Book, order: &ReduceOrder) {
        let mark = book.last_mark(&order.leg().symbol);
        let notional = mark.map(|mark| order.qty().notional(mark));
        match self.closes.iter_mut().find(|close| close.leg == *order.leg()) {
            Some(close) => {
                close.quantity += order.qty();
                close.slices = close.slices.saturating_add(1);
                close.notional = close.notional.zip(notional).map(|(all, more)| all + more);
            }
            None => self.closes.push(Close {
                leg: order.leg().clone(),
                side: order.side(),
                quantity: order.qty(),
                slices: 1,
                notional,
            }),
        }
    }
}

/// Plays `demands` to their end on a copy of `book`.
pub(super) fn play(book: &Book, policies: &[Policy], demands: &[Demand]) -> Effect {
    let mut effect = Effect::default();
    let (mut book, mut flights, mut planner) = (
        book.clone(),
        Flights::default(),
        Planner::new("preview").thorough(),
    );
    let now = book.now();
    for round in 0.. {
        // Each order has filled at once: its effect is there.
        flights.settle(&book);
        let asked = planner.round(&book, policies, demands, &mut flights);
        if asked.needs.rules {
            effect.unsized_because = Some("the rules of a held contract were not read".into());
        }
        if asked.planned.is_empty() {
            break;
        }
        // Later rounds weigh what the earlier ones have left.
        if round == 0 {
            effect.reasons = asked
                .reasons
                .into_iter()
                .map(|(_, reasoning)| reasoning)
                .collect();
        }
        if round == ROUNDS_MAX {
            effect.is_cut_short = true;
            break;
        }
        for planned in asked.planned {
            let outcome = match &planned.intent {
                Intent::Reduce(order) => {
                    effect.closed(&book, order);
                    fill(&mut book, order);
                    Outcome::Accepted(Some(Report {
                        executed: order.qty(),
                        terminal: true,
                        at: now,
                        reduce_only: None,
                    }))
                }
                Intent::PlaceStop(stop) => {
                    effect.stops.push(stop.clone());
                    book.apply(now, &Event::Order(standing(stop)));
                    Outcome::Accepted(None)
                }
                Intent::Cancel(id) => {
                    effect.cancels += forget(&mut book, |known| known == id);
                    Outcome::Done
                }
                Intent::CancelAll(symbol) => {
                    let of = |id: &OrderId| id.store == Store::Regular && id.symbol == *symbol;
                    effect.cancels += forget(&mut book, of);
                    Outcome::Done
                }
                Intent::CancelAllConditional(symbol) => {
                    let of = |id: &OrderId| id.store == Store::Conditional && id.symbol == *symbol;
                    effect.cancels += forget(&mut book, of);
                    Outcome::Done
                }
            };
            flights.outcome(now, &mut book, &planned.intent.key(), &outcome);
        }
    }
    let flattened = demands.iter().filter(|demand| demand.action == Action::Flatten);
    let flattened: Vec<&Demand> = flattened.collect();
    let swept = book.orders().iter().filter(|order| {
        order.id.store == Store::Conditional
            && flattened
                .iter()
                .any(|demand| demand.covers(&book, policies, &order.leg()))
    });
    effect.sweeps = swept.count();
    effect.cost = cost(&book, &effect.closes);
    effect
}

fn cost(book: &Book, closes: &[Close]) -> Option<Money> {
    let of = |close: &Close| {
        let asset = &book.instrument(&close.leg.symbol).ok()?.margin_asset;
        book.value_of(asset, close.notional?.share(COST)).ok()
    };
    closes.iter().map(of).sum()
}

/// A stop as the venue shows it. The venue's numbers are positive, so this one is nobody's.
fn standing(stop: &ProtectiveStop) -> Order {
    Order {
        id: OrderId {
            store: Store::Conditional,
            symbol: stop.leg().symbol.clone(),
            id: -1,
        },
        client_id: Some(stop.id().clone()),
        side: stop.side(),
        position_side: stop.leg().side,
        kind: OrderKind::Stop,
        price: None,
        trigger: Some(stop.trigger()),
        quantity: Qty::ZERO,
        executed: Qty::ZERO,
        average: None,
        trade: None,
        reduce_only: true,
        close_position: true,
        status: OrderStatus::New,
        at: Timestamp::default(),
    }
}

/// Takes orders out of the book, and says how many there were.
fn forget(book: &mut Book, of: impl Fn(&OrderId) -> bool) -> usize {
    let ids: Vec<OrderId> = book
        .orders()
        .iter()
        .map(|order| order.id.clone())
        .filter(|id| of(id))
        .collect();
    for id in &ids {
        book.forget_order(id);
    }
    ids.len()
}

/// The position shrinks by the order at the mark, and the wallet takes the profit less the cost. An isolated position
/// gives its margin back in proportion (POLICIES.md c.3).
fn fill(book: &mut Book, order: &ReduceOrder) {
    let leg = order.leg();
    let Some(position) = book.position(leg).cloned() else {
        return;
    };
    let taken = if order.side() == Side::Sell {
        order.qty()
    } else {
        -order.qty()
    };
    let left = position.amount - taken;
    let mut released = position.isolated_wallet;
    let mut at = position.at.max(book.now());
    let mut balances = Vec::new();
    let asset = book
        .instrument(&leg.symbol)
        .ok()
        .map(|found| found.margin_asset.clone());
    if let (Some(mark), Some(asset)) = (book.last_mark(&leg.symbol), asset) {
        let notional = order.qty().notional(mark);
        let share = notional
            .ratio_of(position.amount.notional(mark))
            .unwrap_or_default();
        released = position.isolated_wallet.share(share);
        let profit = position
            .entry
            .map_or(Money::ZERO, |entry| taken.times(mark.minus(entry)));
        let gained = profit - notional.share(COST);
        let purse = book
            .balances()
            .find(|(known, _)| **known == asset)
            .map(|(_, balance)| balance.clone());
        if let Some(purse) = purse {
            at = at.max(purse.at);
            balances.push(BalanceChange {
                asset,
                wallet: purse.wallet + gained,
                cross_wallet: purse.cross_wallet + gained + released,
                change: Money::ZERO,
            });
        }
    }
    let change = PositionChange {
        leg: leg.clone(),
        amount: left,
        entry: position.entry.filter(|_| !left.is_zero()),
        margin: position.margin,
        isolated_wallet: position.isolated_wallet - released,
    };
    let now = book.now();
    let update = AccountUpdate {
        reason: Reason::Profit,
        balances,
        positions: vec![change],
        at,
    };
    book.apply(now, &Event::Account(update));
}
