//! Frames of the private stream, in their true order and shape (binance-usdm.md section 4).

use super::account::{Leg, margin_asset};
use super::exchange::Exchange;
use super::orders::Order;
use super::shapes::text;
use super::{Outgoing, Target};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// One fill, for its events.
#[derive(Clone, Debug)]
pub struct Fill {
    /// Trade id.
    pub trade: i64,
    /// Quantity.
    pub quantity: Decimal,
    /// Price.
    pub price: Decimal,
    /// Fee, in the margin asset.
    pub fee: Decimal,
    /// Realised profit.
    pub realised: Decimal,
    /// Whether it rested.
    pub is_maker: bool,
}

impl Exchange {
    /// The next event time: never earlier than the clock, never twice the same.
    fn event_time(&mut self) -> i64 {
        self.last_event = self.now.max(self.last_event + 1);
        self.last_event
    }

    /// Queues a frame for the account's key, as long as it is valid.
    pub(super) fn push(&mut self, name: &str, mut body: Value) {
        let at = self.event_time();
        if let Value::Object(fields) = &mut body {
            fields.insert("e".into(), json!(name));
            fields.insert("E".into(), json!(at));
        }
        if let Some((key, until)) = &self.listen
            && *until > self.now
        {
            let target = Target::Private {
                listen_key: key.clone(),
                event: name.into(),
            };
            self.outgoing.push(Outgoing {
                target,
                text: body.to_string(),
            });
        }
    }

    /// `ORDER_TRADE_UPDATE` with execution type `x`.
    pub(super) fn push_order(&mut self, order: &Order, execution: &str, fill: Option<&Fill>) {
        let zero = Decimal::ZERO;
        let mut inner = json!({
            "s": order.symbol, "c": order.client_id, "S": order.side, "o": order.kind, "f": order.tif,
            "q": text(order.quantity), "p": text(order.price), "ap": text(order.average()), "sp": "0",
            "x": execution, "X": order.status, "i": order.id,
            "l": text(fill.map_or(zero, |fill| fill.quantity)), "z": text(order.executed),
            "L": text(fill.map_or(zero, |fill| fill.price)), "T": self.now,
            "t": fill.map_or(0, |fill| fill.trade), "b": "0", "a": "0",
            "m": fill.is_some_and(|fill| fill.is_maker), "R": order.reduce_only, "wt": "CONTRACT_PRICE",
            "ot": order.kind, "ps": order.position_side, "cp": false, "pP": false, "si": 0, "ss": 0,
            "rp": text(fill.map_or(zero, |fill| fill.realised)), "V": order.self_trade(), "pm": order.price_match(),
            "gtd": order.good_till,
            "er": order.expiry.to_string(),
        });
        if let (false, "AMENDMENT", Value::Object(fields)) =
            (order.modify_id.is_empty(), execution, &mut inner)
        {
            fields.insert("M".into(), json!(order.modify_id));
        }
        if let (Some(fill), Value::Object(fields)) = (fill, &mut inner) {
            fields.insert("N".into(), json!(margin_asset(&self.markets, &order.symbol)));
            fields.insert("n".into(), json!(text(fill.fee)));
        }
        self.push("ORDER_TRADE_UPDATE", json!({ "T": self.now, "o": inner }));
    }

    /// `TRADE_LITE`, which comes before the full update of the same fill (S16).
    pub(super) fn push_lite(&mut self, order: &Order, fill: &Fill) {
        let body = json!({
            "T": self.now, "s": order.symbol, "S": order.side, "c": order.client_id, "i": order.id,
            "q": text(order.quantity), "p": text(order.price), "l": text(fill.quantity), "L": text(fill.price),
            "t": fill.trade, "m": fill.is_maker,
        });
        self.push("TRADE_LITE", body);
    }

    /// `ACCOUNT_UPDATE` with only what changed.
    pub(super) fn push_account(&mut self, reason: &str, assets: &[(String, Decimal)], legs: &[Leg]) {
        self.push_account_for(reason, None, assets, legs);
    }

    /// The same, with the contract that a funding payment is for (`S`, since 2026-08-07).
    pub(super) fn push_account_for(
        &mut self,
        reason: &str,
        symbol: Option<&str>,
        assets: &[(String, Decimal)],
        legs: &[Leg],
    ) {
        let balances: Vec<Value> = assets
            .iter()
            .map(|(asset, change)| {
                let wallet = self
                    .ledger
                    .wallets
                    .get(asset)
                    .map_or(Decimal::ZERO, |wallet| wallet.balance);
                let cross = self.ledger.cross_wallet(&self.markets, asset);
                json!({ "a": asset, "wb": text(wallet), "cw": text(cross), "bc": text(*change) })
            })
            .collect();
        let positions: Vec<Value> = legs
            .iter()
            .map(|leg| {
                let holding = self.ledger.positions.get(leg).cloned().unwrap_or_default();
                json!({
                    "s": leg.0, "ps": leg.1, "pa": text(holding.amount), "ep": text(holding.entry),
                    "bep": text(holding.entry), "cr": text(holding.realised),
                    "up": text(self.ledger.unrealised(&self.markets, leg)),
                    "mt": if holding.isolated.is_some() { "isolated" } else { "cross" },
                    "iw": text(holding.isolated.unwrap_or_default()),
                })
            })
            .collect();
        let mut inner = json!({ "m": reason, "B": balances, "P": positions });
        if let (Some(symbol), Value::Object(fields)) = (symbol, &mut inner) {
            fields.insert("S".into(), json!(symbol));
        }
        let body = json!({ "T": self.now, "a": inner });
        self.push("ACCOUNT_UPDATE", body);
    }

    /// `ALGO_UPDATE`.
    pub(super) fn push_algo(&mut self, order: &Order, failure: Option<&str>) {
        let mut inner = json!({
            "caid": order.client_id, "aid": order.id, "at": "CONDITIONAL", "o": order.kind, "s": order.symbol,
            "S": order.side, "ps": order.position_side, "f": order.tif, "q": text(order.quantity),
            "X": order.status, "ai": order.child.map_or(String::new(), |id| id.to_string()),
            "tp": text(order.trigger), "p": text(order.price), "V": order.self_trade(), "wt": order.working_type,
            "pm": order.price_match(), "cp": order.close_position, "pP": false, "R": order.reduce_only,
            "tt": order.due, "gtd": order.good_till, "ia": order.trails() && !order.best.is_zero(),
        });
        if let (Some(why), Value::Object(fields)) = (failure, &mut inner) {
            fields.insert("rm".into(), json!(why));
        }
        self.push("ALGO_UPDATE", json!({ "T": self.now, "o": inner }));
    }

    /// `MARGIN_CALL` for the legs of a bucket; the margin type is upper-case here (4.4).
    pub(super) fn push_margin_call(&mut self, legs: &[Leg], is_isolated: bool, asset: &str) {
        let positions: Vec<Value> = legs
            .iter()
            .map(|leg| {
                let holding = self.ledger.positions.get(leg).cloned().unwrap_or_default();
                let mark = self
                    .markets
                    .get(&leg.0)
                    .map_or(Decimal::ZERO, |market| market.price);
                json!({
                    "s": leg.0, "ps": leg.1, "pa": text(holding.amount),
                    "mt": if is_isolated { "ISOLATED" } else { "CROSSED" },
                    "iw": text(holding.isolated.unwrap_or_default()), "mp": text(mark),
                    "up": text(self.ledger.unrealised(&self.markets, leg)),
                    "mm": text(self.ledger.maintenance(&self.markets, leg)),
                })
            })
            .collect();
        let mut body = json!({ "p": positions });
        if let (false, Value::Object(fields)) = (is_isolated, &mut body) {
            fields.insert(
                "cw".into(),
                json!(text(self.ledger.cross_wallet(&self.markets, asset))),
            );
        }
        self.push("MARGIN_CALL", body);
    }
}
