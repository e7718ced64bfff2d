//! The conditional store: orders that wait for a trigger, and the orders that come of them (binance-usdm.md section 7).

use super::auth::{Refusal, refuse};
use super::exchange::Exchange;
use super::matching::{check_price, check_quantity};
use super::orders::Order;
use rust_decimal::Decimal;

/// Conditional orders of an account (S4).
const ALGO_MAX: usize = 200;

impl Exchange {
    /// Accepts or refuses an order for the conditional store. No margin is checked before the trigger (S4).
    ///
    /// # Errors
    ///
    /// The venue's refusal.
    pub(super) fn place_algo(&mut self, mut order: Order) -> Result<i64, Refusal> {
        let Some(market) = self.markets.get(&order.symbol) else {
            return refuse(-1121, "Invalid symbol.");
        };
        let open = self
            .orders
            .values()
            .filter(|other| other.is_open() && other.is_algo)
            .count();
        if open >= ALGO_MAX {
            return refuse(-4045, "Reach max stop order limit.");
        }
        if self
            .orders
            .values()
            .any(|other| other.is_open() && other.client_id == order.client_id)
        {
            return refuse(-4116, "ClientOrderId is duplicated.");
        }
        self.check_side(&order)?;
        check_price(order.trigger, market.rules.tick)?;
        if order.close_position {
            if !order.quantity.is_zero() || order.reduce_only {
                return refuse(
                    -4136,
                    "Target strategy invalid for orderType, closePosition(true).",
                );
            }
            let opens = matches!(
                (order.position_side.as_str(), order.buys()),
                ("LONG", true) | ("SHORT", false)
            );
            if opens {
                return refuse(-4138, "Position side cannot be closed by this side.");
            }
        } else {
            check_quantity(order.quantity, market.rules.step, market.rules.limit_max)?;
        }
        if is_triggered(&order, market.price) {
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
        Ok(id)
    }

    /// Triggers and fills what the present price reaches.
    pub(super) fn sweep(&mut self) {
        let reached: Vec<i64> = self
            .orders
            .values()
            .filter(|order| order.is_open() && order.is_algo && order.status == "NEW")
            .filter(|order| {
                self.markets
                    .get(&order.symbol)
                    .is_some_and(|m| is_triggered(order, m.price))
            })
            .map(|order| order.id)
            .collect();
        for id in reached {
            self.trigger(id);
        }
        let crossed: Vec<i64> = self
            .orders
            .values()
            .filter(|order| order.is_open() && !order.is_algo && order.kind == "LIMIT")
            .filter(|order| {
                let price = self.markets.get(&order.symbol).map(|market| market.price);
                price.is_some_and(|p| {
                    if order.buys() {
                        p <= order.price
                    } else {
                        p >= order.price
                    }
                })
            })
            .map(|order| order.id)
            .collect();
        for id in crossed {
            let Some(order) = self.orders.get(&id).filter(|order| order.is_open()).cloned() else {
                continue;
            };
            let quantity = self.reducible(id, order.remaining());
            if quantity.is_zero() {
                self.end_order(id, "EXPIRED", "EXPIRED", 4);
            } else {
                self.fill(id, quantity, order.price, true);
            }
        }
    }

    fn trigger(&mut self, id: i64) {
        let Some(parent) = self.orders.get_mut(&id) else {
            return;
        };
        parent.status = "TRIGGERING".into();
        parent.updated = self.now;
        let parent = parent.clone();
        self.push_algo(&parent, None);
        let quantity = if parent.close_position {
            self.held(&parent.leg()).abs()
        } else {
            parent.quantity
        };
        if quantity.is_zero() {
            return self.end_order(id, "EXPIRED", "", 6);
        }
        let child = Order {
            client_id: parent.client_id.clone(),
            symbol: parent.symbol.clone(),
            side: parent.side.clone(),
            position_side: parent.position_side.clone(),
            kind: if parent.price.is_zero() { "MARKET" } else { "LIMIT" }.into(),
            tif: "GTC".into(),
            quantity,
            price: parent.price,
            reduce_only: parent.position_side == "BOTH" && (parent.reduce_only || parent.close_position),
            working_type: "CONTRACT_PRICE".into(),
            who: parent.who.clone(),
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

/// STOP* sells at or below its trigger and buys at or above; TAKE_PROFIT* the other way round (section 7).
fn is_triggered(order: &Order, price: Decimal) -> bool {
    let falls = order.buys() == order.kind.starts_with("TAKE_PROFIT");
    if falls {
        price <= order.trigger
    } else {
        price >= order.trigger
    }
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
