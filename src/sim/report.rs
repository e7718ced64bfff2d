//! The exchange's own account of what happened.

use super::account::{Ledger, Markets};
use super::orders::Order;
use rust_decimal::Decimal;
use serde::Serialize;
use std::collections::BTreeMap;

/// What happened at the venue.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Scenario.
    pub scenario: String,
    /// Time since the start, ms.
    pub elapsed_ms: i64,
    /// Wallets by asset.
    pub wallets: BTreeMap<String, Decimal>,
    /// Wallets and unrealised profit.
    pub equity: Decimal,
    /// Signed amount by leg, flat ones left out; legs of hedge mode as `BTCUSDT LONG`.
    pub positions: BTreeMap<String, Decimal>,
    /// The largest size that each leg ever had.
    pub largest: BTreeMap<String, Decimal>,
    /// Open regular orders.
    pub open_orders: usize,
    /// Open conditional orders.
    pub open_algo_orders: usize,
    /// Every order that ever was.
    pub orders: Vec<Order>,
    /// Fills.
    pub fills: usize,
    /// Margin calls sent.
    pub margin_calls: u32,
    /// Liquidations.
    pub liquidations: u32,
    /// Broken promises of the guard; empty when it kept its word.
    pub violations: Vec<String>,
    /// Requests by the guard's key.
    pub requests: BTreeMap<String, u64>,
    /// Refusals by code.
    pub errors: BTreeMap<i64, u64>,
    /// How often each kind of fault struck.
    pub faults: BTreeMap<String, u64>,
}

/// A leg in words.
pub fn leg_name(leg: &(String, String)) -> String {
    if leg.1 == "BOTH" {
        leg.0.clone()
    } else {
        format!("{} {}", leg.0, leg.1)
    }
}

impl Report {
    /// Puts the present state into the counters.
    pub fn with_state(mut self, ledger: &Ledger, markets: &Markets, orders: &BTreeMap<i64, Order>) -> Report {
        self.wallets = ledger
            .wallets
            .iter()
            .map(|(asset, w)| (asset.clone(), w.balance.normalize()))
            .collect();
        self.equity = ledger.equity(markets).round_dp(8).normalize();
        self.positions = ledger
            .held()
            .iter()
            .map(|leg| (leg_name(leg), ledger.amount(leg).normalize()))
            .collect();
        self.open_orders = orders
            .values()
            .filter(|order| order.is_open() && !order.is_algo)
            .count();
        self.open_algo_orders = orders
            .values()
            .filter(|order| order.is_open() && order.is_algo)
            .count();
        self.orders = orders.values().cloned().collect();
        self
    }

    /// Orders of the guard.
    pub fn guard_orders(&self) -> impl Iterator<Item = &Order> {
        self.orders.iter().filter(|order| order.who == "guard")
    }

    /// For people: a few lines.
    pub fn summary(&self) -> String {
        let positions: Vec<String> = self
            .positions
            .iter()
            .map(|(leg, amount)| format!("{amount} {leg}"))
            .collect();
        let positions = if positions.is_empty() {
            "none".into()
        } else {
            positions.join(", ")
        };
        let filled = self
            .guard_orders()
            .filter(|order| !order.executed.is_zero())
            .count();
        let violations = match self.violations.len() {
            0 => "none: no order of the guard ever raised a position".into(),
            count => format!("{count}\n    {}", self.violations.join("\n    ")),
        };
        format!(
            "  equity            {}\n  positions         {positions}\n  open orders       {} regular, {} conditional\n  guard's orders    {} sent, {filled} filled\n  margin calls      {}\n  liquidations      {}\n  broken promises   {violations}",
            self.equity.round_dp(2),
            self.open_orders,
            self.open_algo_orders,
            self.guard_orders().count(),
            self.margin_calls,
            self.liquidations,
        )
    }
}
