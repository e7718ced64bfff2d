//! The matching engine: placing, filling, cancelling. It checks the guard's promise at every fill.

use super::account::{Leg, margin_asset};
use super::auth::{Refusal, refuse};
use super::events::Fill;
use super::exchange::Exchange;
use super::orders::Order;
use super::report::leg_name;
use rust_decimal::Decimal;
use rust_decimal::dec;

/// Taker fee (VIP 0).
const TAKER: Decimal = dec!(0.0005);
/// Maker fee (VIP 0).
const MAKER: Decimal = dec!(0.0002);
/// Regular orders of a symbol.
const OPEN_MAX: usize = 200;
/// Prefix of every order that a guard gives.
const GUARD: &str = "bs-";

impl Exchange {
    /// Signed amount of a leg.
    pub(super) fn held(&self, leg: &Leg) -> Decimal {
        self.ledger.amount(leg)
    }

    /// Open reduce-only orders of the regular store that close the same leg from the same side.
    fn resting_closers(&self, order: &Order) -> Vec<i64> {
        let closes = |other: &&Order| {
            other.is_open()
                && !other.is_algo
                && other.leg() == order.leg()
                && other.side == order.side
                && other.only_reduces()
                && other.id != order.id
        };
        self.orders
            .values()
            .filter(closes)
            .map(|other| other.id)
            .collect()
    }

    /// Accepts or refuses an order for the regular store, and lets it take what it finds.
    ///
    /// # Errors
    ///
    /// The venue's refusal, by the rules of binance-usdm.md 5.2 and section 6.
    pub(super) fn place(&mut self, mut order: Order) -> Result<i64, Refusal> {
        self.mistreat(&mut order)?;
        let Some(market) = self.markets.get(&order.symbol) else {
            return refuse(-1121, "Invalid symbol.");
        };
        if self.liquidating {
            return refuse(-2023, "User in liquidation mode now.");
        }
        let duplicate = |other: &&Order| other.is_open() && other.client_id == order.client_id;
        if self.orders.values().any(|other| duplicate(&other)) {
            return refuse(-4116, "ClientOrderId is duplicated.");
        }
        let rules = &market.rules;
        let is_market = order.kind == "MARKET";
        let max = if is_market {
            rules.market_max
        } else {
            rules.limit_max
        };
        check_quantity(order.quantity, rules.step, max)?;
        if !is_market {
            check_price(order.price, rules.tick)?;
            if order.buys() && order.price > market.price * rules.band_up {
                return refuse(-4016, "Limit price can't be higher than the band.");
            }
            if !order.buys() && order.price < market.price * rules.band_down {
                return refuse(-4024, "Limit price can't be lower than the band.");
            }
        }
        self.check_side(&order)?;
        let price = if is_market { market.price } else { order.price };
        let notional = price * order.quantity;
        // Reduce-only orders are exempt (text of -4164). Whether the closing side of a hedge leg is exempt too is an
        // open question of section 13; here it is, as -1008's exemption treats both alike.
        if notional < rules.min_notional && !order.only_reduces() {
            return refuse(
                -4164,
                "Order's notional must be no smaller than the minimum (unless you choose reduce only).",
            );
        }
        self.check_reduction(&mut order)?;
        if !order.only_reduces() {
            self.check_margin(&order, notional)?;
        }
        let open = self
            .orders
            .values()
            .filter(|o| o.is_open() && !o.is_algo && o.symbol == order.symbol)
            .count();
        if !is_market && open >= OPEN_MAX {
            return refuse(-2025, "Reach max open order limit.");
        }
        if is_market
            && self
                .markets
                .get(&order.symbol)
                .is_none_or(|m| m.levels(order.buys()).is_empty())
        {
            return refuse(
                -4131,
                "The counterparty's best price does not meet the PERCENT_PRICE filter limit.",
            );
        }
        self.check_promise(&order);
        order.id = self.next_order;
        self.next_order += 1;
        order.status = "NEW".into();
        (order.time, order.updated) = (self.now, self.now);
        let id = order.id;
        self.orders.insert(id, order.clone());
        self.push_order(&order, "NEW", None);
        self.take(id);
        Ok(id)
    }

    pub(super) fn check_side(&self, order: &Order) -> Result<(), Refusal> {
        let sided = order.position_side != "BOTH";
        if sided != self.ledger.hedge {
            return refuse(-4061, "Order's position side does not match user's setting.");
        }
        if sided && order.reduce_only {
            return refuse(-1106, "Parameter 'reduceonly' sent when not required.");
        }
        Ok(())
    }

    /// Reduce-only and hedge closes: something must be there, on the right side, and not already promised away (6.2, 6.5).
    fn check_reduction(&mut self, order: &mut Order) -> Result<(), Refusal> {
        if !order.only_reduces() {
            return Ok(());
        }
        let held = self.held(&order.leg());
        let closes = if order.buys() {
            held < Decimal::ZERO
        } else {
            held > Decimal::ZERO
        };
        if !closes {
            return refuse(-2022, "ReduceOnly Order is rejected.");
        }
        if order.position_side != "BOTH" && order.quantity > held.abs() {
            return refuse(-2022, "ReduceOnly Order is rejected.");
        }
        let resting = self.resting_closers(order);
        let promised: Decimal = resting
            .iter()
            .filter_map(|id| self.orders.get(id))
            .map(Order::remaining)
            .sum();
        if order.kind == "MARKET" {
            if promised >= held.abs() && self.scenario.reduce_only_conflicts {
                return refuse(
                    -4118,
                    "ReduceOnly order is rejected: cancel existing orders and resubmit.",
                );
            }
            // A market order of higher priority knocks resting ones out, newest first, until all fit (er=4).
            let mut room = held.abs() - order.quantity.min(held.abs());
            for id in resting {
                let rest = self.orders.get(&id).map_or(Decimal::ZERO, Order::remaining);
                if rest <= room {
                    room -= rest;
                } else {
                    self.end_order(id, "EXPIRED", "EXPIRED", 4);
                }
            }
        } else {
            if promised >= held.abs() {
                return refuse(-2022, "ReduceOnly Order is rejected.");
            }
            order.quantity = order.quantity.min(held.abs() - promised);
        }
        Ok(())
    }

    fn check_margin(&self, order: &Order, notional: Decimal) -> Result<(), Refusal> {
        let asset = margin_asset(&self.markets, &order.symbol);
        let leverage = self
            .ledger
            .positions
            .get(&order.leg())
            .map_or(20, |holding| holding.leverage.max(1));
        let held = self.ledger.held();
        let own = held
            .iter()
            .filter(|leg| margin_asset(&self.markets, &leg.0) == asset);
        let used: Decimal = own
            .map(|leg| self.ledger.initial(&self.markets, leg) - self.ledger.unrealised(&self.markets, leg))
            .sum();
        let open: Decimal = self
            .orders
            .values()
            .filter(|other| other.is_open() && !other.is_algo && !other.only_reduces())
            .map(|other| other.remaining() * other.price / Decimal::from(leverage))
            .sum();
        let wallet = self.ledger.cross_wallet(&self.markets, asset);
        // An order against a one-way position frees margin first.
        let amount = self.held(&order.leg());
        let against = order.position_side == "BOTH"
            && if order.buys() {
                amount < Decimal::ZERO
            } else {
                amount > Decimal::ZERO
            };
        if !against && notional / Decimal::from(leverage) > wallet - used - open {
            return refuse(-2019, "Margin is insufficient.");
        }
        Ok(())
    }

    /// The first half of the promise: what a guard sends must not be able to open anything.
    pub(super) fn check_promise(&mut self, order: &Order) {
        if order.client_id.starts_with(GUARD) && !order.only_reduces() && !order.flag_ignored {
            self.violation(format!(
                "order {} could open a position: {} {} {} without reduce-only",
                order.client_id, order.side, order.quantity, order.symbol
            ));
        }
    }

    /// Lets a fresh order take from the book; what cannot rest expires.
    fn take(&mut self, id: i64) {
        let Some(order) = self.orders.get(&id).cloned() else {
            return;
        };
        let Some(market) = self.markets.get(&order.symbol) else {
            return;
        };
        let is_market = order.kind == "MARKET";
        let bound = market.price * market.rules.market_bound;
        let reaches = |price: Decimal| match (is_market, order.buys()) {
            (true, _) => (price - market.price).abs() <= bound,
            (false, true) => price <= order.price,
            (false, false) => price >= order.price,
        };
        let levels: Vec<(Decimal, Decimal)> = market
            .levels(order.buys())
            .into_iter()
            .take_while(|(price, _)| reaches(*price))
            .collect();
        if !levels.is_empty() && order.tif == "GTX" {
            return self.end_order(id, "EXPIRED", "EXPIRED", 0);
        }
        let available: Decimal = levels.iter().map(|(_, quantity)| *quantity).sum();
        if order.tif == "FOK" && available < order.quantity {
            return self.end_order(id, "EXPIRED", "EXPIRED", 0);
        }
        for (price, quantity) in levels {
            let rest = self.orders.get(&id).map_or(Decimal::ZERO, Order::remaining);
            let quantity = self.reducible(id, quantity.min(rest));
            if quantity <= Decimal::ZERO {
                break;
            }
            self.expire_own_makers(&order, price);
            self.fill(id, quantity, price, false);
        }
        let Some(order) = self.orders.get(&id) else { return };
        if order.is_open() && is_market {
            self.end_order(id, "EXPIRED", "EXPIRED", 9);
        } else if order.is_open() && matches!(order.tif.as_str(), "IOC" | "FOK") {
            self.end_order(id, "EXPIRED", "EXPIRED", 2);
        }
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

    /// Self-trade prevention EXPIRE_MAKER: own resting orders that the taker would meet expire (er=1).
    fn expire_own_makers(&mut self, taker: &Order, price: Decimal) {
        let met: Vec<i64> = self
            .orders
            .values()
            .filter(|other| {
                other.is_open()
                    && !other.is_algo
                    && other.id != taker.id
                    && other.symbol == taker.symbol
                    && other.side != taker.side
                    && if taker.buys() {
                        other.price <= price
                    } else {
                        other.price >= price
                    }
            })
            .map(|other| other.id)
            .collect();
        for id in met {
            self.end_order(id, "EXPIRED_IN_MATCH", "EXPIRED", 1);
        }
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
        let fee = quantity * price * if is_maker { MAKER } else { TAKER };
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
        self.push_lite(&order, &fill);
        self.push_order(&order, "TRADE", Some(&fill));
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

pub(super) fn check_quantity(quantity: Decimal, step: Decimal, max: Decimal) -> Result<(), Refusal> {
    if quantity <= Decimal::ZERO {
        return refuse(-4003, "Quantity less than or equal to zero.");
    }
    if quantity.normalize().scale() > step.normalize().scale() {
        return refuse(-1111, "Precision is over the maximum defined for this asset.");
    }
    if quantity < step {
        return refuse(-4004, "Quantity less than min quantity.");
    }
    if quantity > max {
        return refuse(-4005, "Quantity greater than max quantity.");
    }
    if !(quantity % step).is_zero() {
        return refuse(-4023, "Quantity not increased by step size.");
    }
    Ok(())
}

pub(super) fn check_price(price: Decimal, tick: Decimal) -> Result<(), Refusal> {
    if price <= Decimal::ZERO {
        return refuse(-4013, "Price less than min price.");
    }
    if !(price % tick).is_zero() {
        return refuse(-4014, "Price not increased by tick size.");
    }
    Ok(())
}
