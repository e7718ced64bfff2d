//! Limits on orders: how many are open, how large, how far from the mark price, how many in a minute.
//!
//! Fires while something is above a limit: more orders open than `max_open_orders`, or placed within a minute than
//! `max_orders_per_minute`; an order that is worth more than `max_order_notional`, or lies further from the mark price
//! than `max_price_deviation`. Counts are over all contracts of the policy together. `cancel` takes the orders that are
//! beyond: the newest of too many, the latest of too fast, and each that is too large or too far. What can only reduce
//! counts as an order, and is never too large or too far, and never cancelled: a stop is not to be lost to a limit. Of the
//! guard's own orders and of the venue's none counts. Before the account was read, or when only a missing mark price
//! could tell, it is unknown. Recovers when nothing is beyond any more. An order is seen after the venue took it, so
//! one that fills at once counts for its rate alone. Does not cover changes of an order that is open.
//!
//! Source: POLICIES.md b.4.

use super::{Assessment, Measured, Memory, PolicySpec, Scope, View};
use crate::book::{Act, Book, Missing};
use crate::model::{ClientOrderId, Money, Order, OrderId, Price, Ratio, Span, Timestamp};

/// What a rate is counted over.
const MINUTE: Span = Span::from_secs(60);
/// Orders of a minute that are remembered: more than three times what the venue takes (binance-usdm.md 8, ORDERS).
const PLACED_MAX: usize = 4_096;
/// Orders that an explanation names.
const NAMED_MAX: usize = 3;

/// Limits on orders; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderLimits {
    /// Open orders of both stores.
    pub max_open_orders: Option<u32>,
    /// Quantity × price of one order, in margin currency.
    pub max_order_notional: Option<Money>,
    /// Orders placed within a minute.
    pub max_orders_per_minute: Option<u32>,
    /// Distance of one order's price from the mark price, as a share of it.
    pub max_price_deviation: Option<Ratio>,
}

/// What is beyond the limits.
#[derive(Debug, Default)]
struct Excess<'a> {
    open: usize,
    is_over: bool,
    too_many: Vec<&'a Order>,
    placed: usize,
    too_fast: Vec<&'a OrderId>,
    too_large: Vec<&'a Order>,
    too_far: Vec<&'a Order>,
    /// What kept an order from being judged.
    missing: Option<Missing>,
}

impl OrderLimits {
    pub(super) fn observe(&self, memory: &mut Memory, spec: &PolicySpec, book: &Book) {
        if self.max_orders_per_minute.is_none() {
            return;
        }
        let now = book.now();
        while memory
            .placed
            .front()
            .is_some_and(|(_, at)| now.since(*at) >= MINUTE)
        {
            memory.placed.pop_front();
        }
        for act in book.acts() {
            let Act::Order(order) = act else { continue };
            if counts(order) && spec.symbols.covers(&order.id.symbol) {
                if memory.placed.len() >= PLACED_MAX {
                    memory.placed.pop_front();
                }
                memory.placed.push_back((order.id.clone(), now));
            }
        }
    }

    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        let measured = if view.book.is_ready() {
            let excess = self.excess(view);
            match (excess.is_nothing(), excess.missing) {
                (false, _) => Measured::Fired(view.book.now()),
                (true, Some(why)) => Measured::Unknown(why),
                (true, None) => Measured::Quiet,
            }
        } else {
            Measured::Unknown(Missing::Snapshot)
        };
        out.push(Assessment {
            scope: Scope::Account,
            measured,
        });
    }

    fn excess<'a>(&self, view: View<'a>) -> Excess<'a> {
        let covered = |order: &&Order| counts(order) && view.spec.symbols.covers(&order.id.symbol);
        let mut excess = Excess::default();
        let mut open: Vec<&Order> = view.book.orders().iter().filter(covered).collect();
        excess.open = open.len();
        for order in open.iter().filter(|order| !order.can_only_reduce()) {
            match is_above(self.max_order_notional, || notional(view.book, order)) {
                Ok(true) => excess.too_large.push(order),
                Ok(false) => {}
                Err(why) => excess.missing = Some(why),
            }
            match is_above(self.max_price_deviation, || deviation(view.book, order)) {
                Ok(true) => excess.too_far.push(order),
                Ok(false) => {}
                Err(why) => excess.missing = Some(why),
            }
        }
        let most = self.max_open_orders.map_or(usize::MAX, |most| most as usize);
        excess.is_over = open.len() > most;
        if excess.is_over {
            open.sort_by_key(|order| std::cmp::Reverse((order.at, order.id.id)));
            let newest = open.iter().filter(|order| !order.can_only_reduce());
            excess.too_many = newest.take(excess.open - most).copied().collect();
            excess.too_many.reverse();
        }
        excess.placed = view.memory.placed.len();
        let most = self
            .max_orders_per_minute
            .map_or(usize::MAX, |most| most as usize);
        excess.too_fast = view.memory.placed.iter().skip(most).map(|(id, _)| id).collect();
        excess
    }

    pub(super) fn offenders(&self, view: View<'_>) -> Vec<OrderId> {
        let excess = self.excess(view);
        let may_go = |id: &&OrderId| {
            let order = view.book.orders().get(id);
            order.is_some_and(|order| !order.can_only_reduce())
        };
        let orders = [excess.too_many, excess.too_large, excess.too_far].concat();
        let mut ids: Vec<OrderId> = orders.iter().map(|order| order.id.clone()).collect();
        ids.extend(excess.too_fast.into_iter().filter(may_go).cloned());
        ids.sort();
        ids.dedup();
        ids
    }

    pub(super) fn explain(&self, view: View<'_>) -> String {
        let excess = self.excess(view);
        let mut told = Vec::new();
        if let Some(most) = self.max_open_orders {
            told.push(format!("{} orders open of at most {most}", excess.open));
        }
        if let Some(most) = self.max_orders_per_minute {
            told.push(format!("{} placed in a minute of at most {most}", excess.placed));
        }
        for (orders, what) in [
            (&excess.too_large, "too large"),
            (&excess.too_far, "too far away"),
        ] {
            told.extend(orders.iter().take(NAMED_MAX).map(|order| {
                let price = price(view.book, order).map_or("the market".into(), |price| price.to_string());
                let (side, quantity, symbol) = (order.side, order.quantity, &order.id.symbol);
                format!("{} {side} {quantity} {symbol} at {price} is {what}", name(order))
            }));
            if orders.len() > NAMED_MAX {
                told.push(format!("and {} more are {what}", orders.len() - NAMED_MAX));
            }
        }
        if let Some(why) = &excess.missing {
            told.push(why.to_string());
        }
        if told.is_empty() {
            told.push("every order is within its limits".into());
        }
        told.join(", ")
    }

    /// When so many placements are older than a minute that their rate is within its limit.
    pub(super) fn next_change(&self, view: View<'_>) -> Option<Timestamp> {
        let most = self.max_orders_per_minute? as usize;
        let index = view.memory.placed.len().checked_sub(most)?.checked_sub(1)?;
        let (_, at) = view.memory.placed.get(index)?;
        Some(at.after(MINUTE))
    }
}

impl Excess<'_> {
    fn is_nothing(&self) -> bool {
        !self.is_over && self.too_fast.is_empty() && self.too_large.is_empty() && self.too_far.is_empty()
    }
}

/// Whether it is somebody's order, and neither the guard's nor the venue's own.
fn counts(order: &Order) -> bool {
    let ours = order.client_id.as_ref().is_some_and(ClientOrderId::is_ours);
    !ours && order.forced().is_none()
}

fn is_above<T: PartialOrd>(
    limit: Option<T>,
    measured: impl Fn() -> Result<Option<T>, Missing>,
) -> Result<bool, Missing> {
    let Some(limit) = limit else { return Ok(false) };
    Ok(measured()?.is_some_and(|value| value > limit))
}

/// What the rest of an order is worth at its price.
fn notional(book: &Book, order: &Order) -> Result<Option<Money>, Missing> {
    Ok(Some(order.remaining().notional(price(book, order)?)))
}

/// How far an order's price is from the mark price, as a share of it; `None` for an order without a price.
fn deviation(book: &Book, order: &Order) -> Result<Option<Ratio>, Missing> {
    let Some(price) = order.price.or(order.trigger) else {
        return Ok(None);
    };
    let mark = book.mark_price(&order.id.symbol)?;
    let whole = Money::new(mark.decimal()).unwrap_or_default();
    Ok(price.minus(mark).abs().ratio_of(whole))
}

/// The price that an order would fill at: its own, its trigger, or the mark price.
fn price(book: &Book, order: &Order) -> Result<Price, Missing> {
    match order.price.or(order.trigger) {
        Some(price) => Ok(price),
        None => book.mark_price(&order.id.symbol),
    }
}

fn name(order: &Order) -> &str {
    order.client_id.as_ref().map_or("an order", ClientOrderId::as_str)
}
