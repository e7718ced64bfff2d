//! The conditional store: orders that wait for a trigger, and the orders that come of them (binance-usdm.md section 7).

use super::admission::{check_price, check_quantity};
use super::auth::{Refusal, refuse};
use super::exchange::Exchange;
use super::orders::Order;
use rust_decimal::{Decimal, dec};

/// Conditional orders of an account (S4).
const ALGO_MAX: usize = 200;
/// Least and most that a trailing order may let the price come back, in percent (S4, since 2026-10-23).
const CALLBACK: (Decimal, Decimal) = (dec!(0.1), dec!(20));

impl Exchange {
    /// Accepts or refuses an order for the conditional store. No margin is checked before the trigger (S4).
    ///
    /// # Errors
    ///
    /// The venue's refusal.
    pub(super) fn place_algo(&mut self, mut order: Order) -> Result<i64, Refusal> {
        self.check_account(&order)?;
        let open = self
            .orders
            .values()
            .filter(|other| other.is_open() && other.is_algo)
            .count();
        if open >= ALGO_MAX {
            return refuse(-4045, "Reach max stop order limit.");
        }
        if self.named(&order.client_id) {
            return refuse(-4116, "ClientOrderId is duplicated.");
        }
        self.check_side(&order)?;
        let (rules, mark) = (self.rules_of(&order.symbol)?, self.mark(&order.symbol));
        if order.trails() {
            check_trail(&order, mark)?;
            if !order.activate.is_zero() {
                check_price(order.activate, rules)?;
            }
        } else {
            check_price(order.trigger, rules)?;
        }
        if !order.price.is_zero() {
            check_price(order.price, rules)?;
        }
        if order.close_position {
            let opens = matches!(
                (order.position_side.as_str(), order.buys()),
                ("LONG", true) | ("SHORT", false)
            );
            if opens {
                return refuse(-4138, "Position side cannot be closed by this side.");
            }
        } else {
            let max = if order.kind.ends_with("MARKET") {
                rules.market_max
            } else {
                rules.limit_max
            };
            check_quantity(order.quantity, rules.step, max)?;
        }
        if order.tif == "GTE_GTC" && self.held(&order.leg()).is_zero() {
            return refuse(
                -4509,
                "Time in Force (TIF) GTE can only be used with open positions. Please ensure that positions are available.",
            );
        }
        if is_triggered(&order, mark) {
            return refuse(-2021, "Order would immediately trigger.");
        }
        self.check_promise(&order);
        order.id = self.next_order;
        self.next_order += 1;
        order.is_algo = true;
        order.status = "NEW".into();
        (order.time, order.updated) = (self.now, self.now);
        let id = order.id;
        self.orders.insert(id, order.clone());
        self.push_algo(&order, None);
        self.follow(id);
        Ok(id)
    }

    /// Follows, triggers, fills and ends what the present price and time reach. A halted contract stands still.
    pub(super) fn sweep(&mut self) {
        let open: Vec<i64> = self
            .orders
            .values()
            .filter(|order| order.is_open())
            .filter(|order| {
                self.rules_of(&order.symbol)
                    .is_ok_and(|rules| rules.status == "TRADING")
            })
            .map(|order| order.id)
            .collect();
        for id in open.iter().copied() {
            self.follow(id);
            let Some(order) = self.orders.get(&id).filter(|order| order.is_open()) else {
                continue;
            };
            if order.tif == "GTD" && order.good_till <= self.now {
                self.end_order(id, "EXPIRED", "EXPIRED", 0);
            } else if order.is_algo && order.status == "NEW" && is_triggered(order, self.mark(&order.symbol))
            {
                self.trigger(id);
            } else if order.status == "TRIGGERING" && order.due <= self.now {
                self.send_child(id);
            }
        }
        for id in open {
            let Some(order) = self.orders.get(&id).filter(|order| order.is_open()).cloned() else {
                continue;
            };
            let price = self.mark(&order.symbol);
            let reached = if order.buys() {
                price <= order.price
            } else {
                price >= order.price
            };
            // A price that nobody trades at fills nothing.
            let deserted = self
                .markets
                .get(&order.symbol)
                .is_none_or(|market| market.deserted);
            if order.is_algo || order.kind != "LIMIT" || !reached || deserted {
                continue;
            }
            let quantity = self.reducible(id, order.remaining());
            if quantity.is_zero() {
                self.end_order(id, "EXPIRED", "EXPIRED", 4);
            } else {
                self.fill(id, quantity, order.price, true);
            }
        }
    }

    /// A trailing order wakes at its activation price, then remembers the best price. It says `NEW` twice (4.6).
    fn follow(&mut self, id: i64) {
        let Some(order) = self.orders.get_mut(&id).filter(|order| order.trails()) else {
            return;
        };
        let Some(price) = self.markets.get(&order.symbol).map(|market| market.price) else {
            return;
        };
        let sells = !order.buys();
        let asleep = order.best.is_zero();
        let wakes = order.activate.is_zero()
            || if sells {
                price >= order.activate
            } else {
                price <= order.activate
            };
        if asleep && wakes {
            order.best = price;
            let order = order.clone();
            self.push_algo(&order, None);
        } else if !asleep {
            order.best = if sells {
                order.best.max(price)
            } else {
                order.best.min(price)
            };
        }
    }

    fn trigger(&mut self, id: i64) {
        let Some(parent) = self.orders.get_mut(&id) else {
            return;
        };
        parent.status = "TRIGGERING".into();
        parent.updated = self.now;
        parent.due = self.now + self.scenario.trigger_ms.0;
        let parent = parent.clone();
        self.push_algo(&parent, None);
        if parent.due <= self.now {
            self.send_child(id);
        }
    }

    fn send_child(&mut self, id: i64) {
        let Some(parent) = self.orders.get(&id).cloned() else {
            return;
        };
        let quantity = if parent.close_position {
            self.held(&parent.leg()).abs()
        } else {
            parent.quantity
        };
        if quantity.is_zero() {
            return self.end_order(id, "EXPIRED", "", 6);
        }
        let is_limit = matches!(parent.kind.as_str(), "STOP" | "TAKE_PROFIT");
        let child = Order {
            client_id: parent.client_id.clone(),
            symbol: parent.symbol.clone(),
            side: parent.side.clone(),
            position_side: parent.position_side.clone(),
            kind: if is_limit { "LIMIT" } else { "MARKET" }.into(),
            tif: match parent.tif.as_str() {
                tif @ ("IOC" | "FOK" | "GTX" | "GTD") if is_limit => tif,
                _ => "GTC",
            }
            .into(),
            quantity,
            price: parent.price,
            reduce_only: parent.position_side == "BOTH" && (parent.reduce_only || parent.close_position),
            working_type: "CONTRACT_PRICE".into(),
            who: parent.who.clone(),
            self_trade: parent.self_trade.clone(),
            price_match: parent.price_match.clone(),
            good_till: parent.good_till,
            ..Order::default()
        };
        // The name passes on to the child: it must not count as a duplicate of its parent.
        if let Some(parent) = self.orders.get_mut(&id) {
            parent.status = "TRIGGERED".into();
            parent.child = Some(self.next_order);
        }
        match self.place(child) {
            Ok(_) => {
                let done = self
                    .orders
                    .get(&id)
                    .is_some_and(|order| order.status == "FINISHED");
                if let (false, Some(parent)) = (done, self.orders.get(&id).cloned()) {
                    self.push_algo(&parent, None);
                }
            }
            Err(refusal) => {
                if let Some(parent) = self.orders.get_mut(&id) {
                    parent.status = "REJECTED".into();
                    parent.child = None;
                    let parent = parent.clone();
                    self.push_algo(&parent, Some(&refusal.message));
                }
            }
        }
    }
}

/// STOP* sells at or below its trigger and buys at or above; TAKE_PROFIT* the other way round (section 7). A trailing order
/// sells when the price has come back from its best by the callback, and buys when it has risen by it.
fn is_triggered(order: &Order, price: Decimal) -> bool {
    if order.trails() {
        let share = order.callback / Decimal::ONE_HUNDRED;
        return !order.best.is_zero()
            && if order.buys() {
                price >= order.best * (Decimal::ONE + share)
            } else {
                price <= order.best * (Decimal::ONE - share)
            };
    }
    let falls = order.buys() == order.kind.starts_with("TAKE_PROFIT");
    if falls {
        price <= order.trigger
    } else {
        price >= order.trigger
    }
}

/// Callback within bounds; an activation price that the market has already passed is refused.
fn check_trail(order: &Order, mark: Decimal) -> Result<(), Refusal> {
    if !(CALLBACK.0..=CALLBACK.1).contains(&order.callback) {
        return refuse(-2007, "Invalid callBack rate.");
    }
    let passed = if order.buys() {
        order.activate > mark
    } else {
        order.activate < mark
    };
    if !order.activate.is_zero() && passed {
        return refuse(-2021, "Order would immediately trigger.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Scenario;

    fn exchange(path: &str) -> Exchange {
        let text = format!(
            "name='t'\ndescription=''\nduration='60s'\n[[symbol]]\nname='BTCUSDT'\npath=[{path}]\n[account]\nwallet={{USDT='10000'}}\n[[account.position]]\nsymbol='BTCUSDT'\nquantity='0.5'\nentry_price='60000'\n"
        );
        Exchange::new(Scenario::parse(&text).unwrap(), 0)
    }

    fn order(kind: &str, quantity: &str, price: &str, trigger: &str) -> Order {
        Order {
            client_id: format!("x-{kind}-{quantity}-{price}"),
            symbol: "BTCUSDT".into(),
            side: "SELL".into(),
            position_side: "BOTH".into(),
            kind: kind.into(),
            tif: "GTC".into(),
            quantity: quantity.parse().unwrap(),
            price: price.parse().unwrap(),
            trigger: trigger.parse().unwrap(),
            reduce_only: true,
            who: "bot".into(),
            ..Order::default()
        }
    }

    #[test]
    fn a_stop_triggers_closes_by_its_child_and_is_finished() {
        let mut exchange =
            exchange("{at='0s',price='60000'},{at='5s',price='60000'},{at='6s',price='58000'}");
        let stop = Order {
            reduce_only: false,
            close_position: true,
            ..order("STOP_MARKET", "0", "0", "59000")
        };
        let id = exchange.place_algo(stop).unwrap();
        exchange.cancel_all("BTCUSDT", false);
        exchange.advance(5_000);
        assert_eq!(
            exchange.orders[&id].status, "NEW",
            "the regular store's cancel-all leaves it alone"
        );
        exchange.advance(7_000);
        assert_eq!(exchange.orders[&id].status, "FINISHED");
        let child = &exchange.orders[&exchange.orders[&id].child.unwrap()];
        assert_eq!(
            (child.client_id.as_str(), child.status.as_str()),
            ("x-STOP_MARKET-0-0", "FILLED")
        );
        assert!(exchange.ledger.held().is_empty());
    }

    #[test]
    fn or_14_resting_reduce_only_orders_shrink_and_go_with_the_position() {
        let mut exchange = exchange("{at='0s',price='60000'}");
        let resting = exchange.place(order("LIMIT", "0.4", "62000", "0")).unwrap();
        assert_eq!(
            exchange
                .place(order("LIMIT", "0.4", "62500", "0"))
                .map(|id| exchange.orders[&id].quantity.to_string()),
            Ok("0.1".into())
        );
        // Everything is promised away now: another limit is refused, a market order knocks the resting ones out.
        assert_eq!(
            exchange
                .place(order("LIMIT", "0.1", "63000", "0"))
                .unwrap_err()
                .code,
            -2022
        );
        exchange.place(order("MARKET", "0.3", "0", "0")).unwrap();
        assert_eq!(
            (
                exchange.orders[&resting].status.as_str(),
                exchange.orders[&resting].expiry
            ),
            ("EXPIRED", 4)
        );
        exchange.place(order("MARKET", "9", "0", "0")).unwrap();
        assert!(exchange.ledger.held().is_empty(), "at most what is there");
        assert!(exchange.orders.values().all(|order| !order.is_open()));
        assert_eq!(
            exchange.place(order("MARKET", "0.1", "0", "0")).unwrap_err().code,
            -2022
        );
    }
}
