//! The matching engine: filling, trimming, ending. It checks the guard's promise at every fill.

use super::account::{Leg, margin_asset};
use super::admission::GUARD;
use super::events::Fill;
use super::exchange::Exchange;
use super::orders::Order;
use super::report::leg_name;
use rust_decimal::Decimal;

/// What a taker finds: price, quantity, and whose it is when it is the account's own.
pub(super) type Offer = (Decimal, Decimal, Option<i64>);

impl Exchange {
    /// Signed amount of a leg.
    pub(super) fn held(&self, leg: &Leg) -> Decimal {
        self.ledger.amount(leg)
    }

    /// What an order finds within its price, best first, own orders before others of the same price.
    pub(super) fn offers(&self, order: &Order) -> Vec<Offer> {
        let Some(market) = self.markets.get(&order.symbol) else {
            return Vec::new();
        };
        let bound = market.price * market.rules.market_bound;
        let reaches = |price: Decimal| match (order.kind == "MARKET", order.buys()) {
            (true, _) => (price - market.price).abs() <= bound,
            (false, true) => price <= order.price,
            (false, false) => price >= order.price,
        };
        let own = self
            .orders
            .values()
            .filter(|other| other.is_open() && !other.is_algo && other.id != order.id)
            .filter(|other| other.symbol == order.symbol && other.side != order.side)
            .map(|other| (other.price, other.remaining(), Some(other.id)));
        let book = market.levels(order.buys()).into_iter();
        let book = book.map(|(price, quantity)| (price, quantity, None));
        let mut offers: Vec<Offer> = own.chain(book).filter(|offer| reaches(offer.0)).collect();
        offers.sort_by(|a, b| {
            if order.buys() {
                a.0.cmp(&b.0)
            } else {
                b.0.cmp(&a.0)
            }
        });
        offers
    }

    /// Lets an order take from the book; what cannot rest expires.
    pub(super) fn take(&mut self, id: i64) {
        let Some(order) = self.orders.get(&id).cloned() else {
            return;
        };
        let is_ioc = matches!(order.tif.as_str(), "IOC" | "FOK");
        for (price, quantity, own) in self.offers(&order) {
            let rest = self.orders.get(&id).map_or(Decimal::ZERO, Order::remaining);
            let rest = self.reducible(id, rest);
            if rest <= Decimal::ZERO {
                break;
            }
            match own {
                None => self.fill(id, quantity.min(rest), price, false),
                // Knocked out by one of the fills before.
                Some(maker) if self.orders.get(&maker).is_none_or(|maker| !maker.is_open()) => {}
                Some(maker) => {
                    if !self.meet_own(&order, maker, rest, price) {
                        break;
                    }
                }
            }
        }
        let Some(now) = self.orders.get(&id) else { return };
        if now.is_open() && order.kind == "MARKET" {
            self.end_order(id, "EXPIRED", "EXPIRED", 9);
        } else if now.is_open() && is_ioc {
            self.end_order(id, "EXPIRED", "EXPIRED", 2);
        }
    }

    /// A taker meets an order of the same account: its mode decides who goes (er=1). Whether it may go on.
    ///
    /// The mode counts for IOC, GTC and GTD, and so for market orders; a FOK order trades with its owner (6.1).
    fn meet_own(&mut self, taker: &Order, maker: i64, rest: Decimal, price: Decimal) -> bool {
        let mode = if taker.tif == "FOK" {
            "NONE"
        } else {
            taker.self_trade()
        };
        let reason = if taker.tif == "IOC" { 3 } else { 1 };
        if matches!(mode, "EXPIRE_MAKER" | "EXPIRE_BOTH") {
            self.end_order(maker, "EXPIRED_IN_MATCH", "EXPIRED", 1);
        }
        if matches!(mode, "EXPIRE_TAKER" | "EXPIRE_BOTH") {
            self.end_order(taker.id, "EXPIRED_IN_MATCH", "EXPIRED", reason);
            return false;
        }
        if mode == "NONE" {
            let there = self.orders.get(&maker).map_or(Decimal::ZERO, Order::remaining);
            let both = self.reducible(maker, there).min(rest);
            if both > Decimal::ZERO {
                self.fill(maker, both, price, true);
                self.fill(taker.id, both, price, false);
            }
        }
        true
    }

    /// What an order may fill so that a reduce-only one takes no more than is there.
    pub(super) fn reducible(&self, id: i64, quantity: Decimal) -> Decimal {
        let Some(order) = self.orders.get(&id) else {
            return Decimal::ZERO;
        };
        if !order.only_reduces() {
            return quantity;
        }
        let held = self.held(&order.leg());
        let closable = if order.buys() { -held } else { held };
        quantity.min(closable.max(Decimal::ZERO))
    }

    /// Fills a part of an order: position, wallet, events, promise.
    pub(super) fn fill(&mut self, id: i64, quantity: Decimal, price: Decimal, is_maker: bool) {
        let Some(order) = self.orders.get_mut(&id) else {
            return;
        };
        order.executed += quantity;
        order.quote += quantity * price;
        order.updated = self.now;
        order.status = if order.executed >= order.quantity {
            "FILLED"
        } else {
            "PARTIALLY_FILLED"
        }
        .into();
        let order = order.clone();
        let leg = order.leg();
        let before = self.held(&leg);
        let signed = if order.buys() { quantity } else { -quantity };
        let realised = self.ledger.fill(&leg, signed, price, self.now);
        let fee = quantity
            * price
            * if is_maker {
                self.scenario.maker_fee
            } else {
                self.scenario.taker_fee
            };
        let asset = margin_asset(&self.markets, &order.symbol).to_owned();
        self.ledger.credit(&asset, realised - fee, self.now);
        self.next_trade += 1;
        let fill = Fill {
            trade: self.next_trade,
            quantity,
            price,
            fee,
            realised,
            is_maker,
        };
        self.fills
            .push((order.id, order.symbol.clone(), fill.clone(), self.now));
        let after = self.held(&leg);
        let largest = self.report.largest.entry(leg_name(&leg)).or_default();
        *largest = (*largest).max(after.abs());
        if order.client_id.starts_with(GUARD) {
            let grew = after.abs() > before.abs();
            let flipped = !after.is_zero() && after.is_sign_negative() != before.is_sign_negative();
            if (grew || flipped) && !order.flag_ignored {
                self.violation(format!(
                    "order {} moved {} from {before} to {after}",
                    order.client_id,
                    leg_name(&leg)
                ));
            }
        }
        self.earn("COMMISSION", &asset, -fee, &order.symbol);
        if !realised.is_zero() {
            self.earn("REALIZED_PNL", &asset, realised, &order.symbol);
        }
        if order.kind == "LIQUIDATION" {
            self.push_order(&order, "CALCULATED", Some(&fill));
        } else {
            self.push_lite(&order, &fill);
            self.push_order(&order, "TRADE", Some(&fill));
        }
        self.push_account("ORDER", &[(asset, Decimal::ZERO)], std::slice::from_ref(&leg));
        self.trim_resting(&leg);
        self.finish_parent(id);
    }

    /// Resting reduce-only orders shrink with the position, and go when nothing is left (S30, OR-14).
    fn trim_resting(&mut self, leg: &Leg) {
        let held = self.held(leg);
        let resting: Vec<i64> = self
            .orders
            .values()
            .filter(|order| order.is_open() && !order.is_algo && order.leg() == *leg && order.reduce_only)
            .filter(|order| order.kind == "LIMIT")
            .map(|order| order.id)
            .collect();
        // Orders that live with the position end with it (er=6).
        let gone = |order: &&Order| {
            let closes = if order.buys() {
                held < Decimal::ZERO
            } else {
                held > Decimal::ZERO
            };
            order.is_open() && order.tif == "GTE_GTC" && order.leg() == *leg && !closes
        };
        let bound: Vec<i64> = self.orders.values().filter(gone).map(|order| order.id).collect();
        for id in bound {
            self.end_order(id, "EXPIRED", "EXPIRED", 6);
        }
        let mut room = held.abs();
        for id in resting {
            let Some(order) = self.orders.get(&id).cloned() else {
                continue;
            };
            let closes = if order.buys() {
                held < Decimal::ZERO
            } else {
                held > Decimal::ZERO
            };
            if !closes || room.is_zero() {
                self.end_order(id, "EXPIRED", "EXPIRED", 4);
            } else if order.remaining() > room {
                if let Some(order) = self.orders.get_mut(&id) {
                    order.quantity = order.executed + room;
                    order.updated = self.now;
                }
                room = Decimal::ZERO;
                if let Some(order) = self.orders.get(&id).cloned() {
                    self.push_order(&order, "AMENDMENT", None);
                }
            } else {
                room -= order.remaining();
            }
        }
    }

    /// Ends an order of either store with a status, an execution type and a reason.
    pub(super) fn end_order(&mut self, id: i64, status: &str, execution: &str, expiry: u8) {
        let Some(order) = self.orders.get_mut(&id) else {
            return;
        };
        order.status = status.into();
        order.expiry = expiry;
        order.updated = self.now;
        let order = order.clone();
        if order.is_algo {
            self.push_algo(&order, None);
        } else {
            self.push_order(&order, execution, None);
            self.finish_parent(id);
        }
    }

    /// A conditional order is finished when its child is over.
    fn finish_parent(&mut self, child: i64) {
        if self.orders.get(&child).is_none_or(Order::is_open) {
            return;
        }
        let parent = self
            .orders
            .values()
            .find(|order| order.child == Some(child))
            .map(|order| order.id);
        if let Some(id) = parent {
            self.end_order(id, "FINISHED", "", 0);
        }
    }

    /// Cancels one order by its number.
    pub(super) fn cancel(&mut self, id: i64) {
        self.end_order(id, "CANCELED", "CANCELED", 0);
    }
}
