//! Changing an order that rests: LIMIT only, price and quantity (binance-usdm.md 5.1, codes -5024 to -5047).

use super::auth::{Params, Refusal, refuse};
use super::exchange::Exchange;
use super::orders::Order;
use super::requests::{price_match_of, side_of};
use super::shapes;
use rust_decimal::Decimal;
use serde_json::Value;

/// Modifications of one order (exchangeInfo `maxMoveOrderLimit`).
const MODIFY_MAX: u32 = 10_000;

impl Exchange {
    /// `PUT order`. A quantity that is filled already, and a post-only order that would now take, end the order.
    pub(super) fn modify(&mut self, params: &Params) -> Result<Value, Refusal> {
        self.need_symbol(params)?;
        let side = side_of(params)?;
        params.need("quantity")?;
        let price_match = price_match_of(params, true)?;
        if price_match.is_empty() {
            params.need("price")?;
        }
        let old = self.find(params, false)?;
        if !old.is_open() {
            return refuse(-2013, "Order does not exist.");
        }
        if old.kind != "LIMIT" {
            return refuse(-5025, "Only limit order is supported.");
        }
        if side != old.side {
            return refuse(-1130, "Data sent for parameter 'side' is not valid.");
        }
        if params.flag("reduceOnly")? && !old.reduce_only {
            return refuse(-5047, "The original order is not reduce-only.");
        }
        if self.rules_of(&old.symbol)?.status != "TRADING" {
            return refuse(
                -5024,
                "Symbol is not in trading status. Order amendment is not permitted.",
            );
        }
        if old.modified >= MODIFY_MAX {
            return refuse(-5026, "Exceed maximum modify order limit.");
        }
        let mut new = Order {
            quantity: params.decimal("quantity")?.unwrap_or_default(),
            price: params.decimal("price")?.unwrap_or_default(),
            price_match,
            modify_id: params.get("modifyId").unwrap_or_default().to_owned(),
            modified: old.modified + 1,
            updated: self.now,
            ..old.clone()
        };
        self.check_load(&new)?;
        self.check_account(&new)?;
        new.price = self.matched_price(&new)?;
        if (new.price, new.quantity) == (old.price, old.quantity) {
            return refuse(-5027, "No need to modify the order.");
        }
        self.check_filters(&new)?;
        self.check_notional(&new, -5029)?;
        let more = (new.quantity - old.quantity).max(Decimal::ZERO);
        if more > Decimal::ZERO {
            if new.only_reduces() {
                let promised: Decimal = self.promised(&new) + new.remaining();
                if promised > self.held(&new.leg()).abs() {
                    return refuse(-2022, "ReduceOnly Order is rejected.");
                }
            } else {
                self.check_margin(&new, more)?;
            }
        }
        let id = new.id;
        let ends = new.quantity <= new.executed || (new.only_makes() && !self.offers(&new).is_empty());
        if ends {
            self.cancel(id);
        } else {
            self.orders.insert(id, new.clone());
            self.push_order(&new, "AMENDMENT", None);
            self.take(id);
        }
        Ok(shapes::order(
            &self.orders.get(&id).cloned().unwrap_or_default(),
            true,
        ))
    }
}
