//! Open orders of both stores. An order that is over never comes back to life.

use crate::model::{ClientOrderId, Leg, Order, OrderId, Qty, Store, Symbol, Timestamp};
use std::collections::{BTreeMap, VecDeque};

use super::READ_LAG;

/// Orders kept; the venue allows 200 a symbol and 200 conditional ones (binance-usdm.md 5.2).
const OPEN_MAX: usize = 20_000;
/// Ended orders remembered, so that a late event cannot revive one; a burst of cancels fits.
const ENDED_MAX: usize = 2_048;

/// Open orders.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    open: BTreeMap<OrderId, Tracked>,
    ended: VecDeque<(OrderId, Timestamp)>,
    read_regular: Option<Timestamp>,
    read_conditional: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Tracked {
    order: Order,
    touched: Timestamp,
}

impl Orders {
    /// An event about one order; whether it is the first that is known of it.
    pub(super) fn update(&mut self, now: Timestamp, order: &Order) -> bool {
        if self.ended.iter().any(|(id, _)| *id == order.id) {
            return false;
        }
        let is_first = !self.open.contains_key(&order.id);
        if order.status.is_terminal() {
            self.forget(now, &order.id);
            return is_first;
        }
        let older = self.open.get(&order.id).is_some_and(|known| {
            known.order.at > order.at || (known.order.at == order.at && known.order.executed > order.executed)
        });
        if !older && (self.open.len() < OPEN_MAX || self.open.contains_key(&order.id)) {
            self.open.insert(
                order.id.clone(),
                Tracked {
                    order: order.clone(),
                    touched: now,
                },
            );
        }
        is_first
    }

    /// Whether an event tells of a fill that was not told before.
    pub(super) fn has_filled_more(&self, order: &Order) -> bool {
        let is_over = self.ended.iter().any(|(id, _)| *id == order.id);
        let known = self
            .open
            .get(&order.id)
            .map_or(Qty::ZERO, |known| known.order.executed);
        !is_over && order.executed > known
    }

    /// A complete reading of one store. Gives the orders that came since the one before it and were not told.
    pub(super) fn read(&mut self, now: Timestamp, store: Store, orders: &[Order]) -> Vec<Order> {
        let mut fresh = Vec::new();
        let mut listed: BTreeMap<&OrderId, &Order> = BTreeMap::new();
        for order in orders {
            listed.insert(&order.id, order);
        }
        self.open.retain(|id, tracked| {
            id.store != store || listed.contains_key(id) || now.since(tracked.touched) <= READ_LAG
        });
        // What a reading still lists long after it was said to be over is alive: it was said in error (OR-20).
        self.ended
            .retain(|(id, at)| !listed.contains_key(id) || now.since(*at) <= READ_LAG);
        for order in listed.into_values() {
            let touched = self
                .open
                .get(&order.id)
                .map_or(Timestamp::default(), |known| known.touched);
            if self.update(touched, order) && self.is_read(store) {
                fresh.push(order.clone());
            }
        }
        match store {
            Store::Regular => self.read_regular = Some(now),
            Store::Conditional => self.read_conditional = Some(now),
        }
        fresh
    }

    /// An order is over.
    pub(super) fn forget(&mut self, now: Timestamp, id: &OrderId) {
        self.open.remove(id);
        if !self.ended.iter().any(|(known, _)| known == id) {
            if self.ended.len() >= ENDED_MAX {
                self.ended.pop_front();
            }
            self.ended.push_back((id.clone(), now));
        }
    }

    /// Whether a store was ever read.
    pub fn is_read(&self, store: Store) -> bool {
        self.read_at(store).is_some()
    }

    /// When a store was last read, by our clock.
    pub fn read_at(&self, store: Store) -> Option<Timestamp> {
        match store {
            Store::Regular => self.read_regular,
            Store::Conditional => self.read_conditional,
        }
    }

    /// Every open order, by store, symbol and number.
    pub fn iter(&self) -> impl Iterator<Item = &Order> {
        self.open.values().map(|tracked| &tracked.order)
    }

    /// Open orders of a symbol in both stores.
    pub fn of<'a>(&'a self, symbol: &'a Symbol) -> impl Iterator<Item = &'a Order> + 'a {
        self.iter().filter(move |order| order.id.symbol == *symbol)
    }

    /// Open stops of a leg that a guard placed.
    pub fn our_stops<'a>(&'a self, leg: &'a Leg) -> impl Iterator<Item = &'a Order> + 'a {
        self.of(&leg.symbol).filter(move |order| {
            let ours = order.client_id.as_ref().is_some_and(ClientOrderId::is_our_stop);
            ours && order.id.store == Store::Conditional && order.position_side == leg.side
        })
    }

    /// One order, if it is open.
    pub fn get(&self, id: &OrderId) -> Option<&Order> {
        self.open.get(id).map(|tracked| &tracked.order)
    }

    /// Contracts that have open orders.
    pub fn symbols(&self) -> impl Iterator<Item = Symbol> {
        self.open.keys().map(|id| id.symbol.clone())
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}
