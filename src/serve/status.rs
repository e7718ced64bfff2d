//! Copies of the accounts' state for people and scripts: decimals are strings, unknown is `null`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Every account of the process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The accounts.
    pub accounts: Vec<AccountStatus>,
}

/// One account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountStatus {
    /// Its label.
    pub label: String,
    /// One of the words of SPEC.md section 5.
    pub state: String,
    /// `live` or `dry-run`.
    pub mode: String,
    /// The venue.
    pub venue: String,
    /// When the guard started, Unix ms.
    pub since_ms: i64,
    /// Wallets plus unrealised profit, USDT.
    pub equity: Option<String>,
    /// High-water mark of the first drawdown policy, USDT.
    pub high_water: Option<String>,
    /// Fall from it, as a fraction.
    pub drawdown: Option<String>,
    /// The worst bucket's maintenance ÷ balance, as a fraction.
    pub margin_ratio: Option<String>,
    /// When life was last proven, Unix ms.
    pub last_proof_ms: Option<i64>,
    /// Positions that are not flat.
    pub positions: Vec<PositionStatus>,
    /// Open orders of both stores.
    pub orders: Vec<OrderStatus>,
    /// Policies, each at its worst scope.
    pub policies: Vec<PolicyStatus>,
    /// What holds the account until re-arm.
    pub latch: Option<LatchStatus>,
    /// The newest notes.
    pub notes: Vec<String>,
    /// Counters.
    pub counters: BTreeMap<String, u64>,
}

/// A position.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PositionStatus {
    /// Contract.
    pub symbol: String,
    /// `BOTH`, `LONG` or `SHORT`.
    pub side: String,
    /// Signed amount.
    pub amount: String,
    /// Average entry price.
    pub entry_price: Option<String>,
    /// Newest mark price.
    pub mark_price: Option<String>,
    /// Profit not yet realised.
    pub unrealised: Option<String>,
    /// `cross` or `isolated`.
    pub margin: String,
    /// Size at the mark price.
    pub notional: Option<String>,
}

/// An open order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OrderStatus {
    /// Contract.
    pub symbol: String,
    /// `regular` or `conditional`.
    pub store: String,
    /// `BUY` or `SELL`.
    pub side: String,
    /// What kind of order.
    pub kind: String,
    /// `BOTH`, `LONG` or `SHORT`.
    pub position_side: String,
    /// Quantity; zero for close-position.
    pub quantity: String,
    /// Limit price.
    pub price: Option<String>,
    /// Trigger price.
    pub trigger: Option<String>,
    /// Whether it can only reduce.
    pub reduce_only: bool,
    /// Its sender's name for it.
    pub client_id: Option<String>,
}

/// A policy at its worst scope.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyStatus {
    /// Its id.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// What was measured.
    pub scope: String,
    /// `ok`, `pending`, `tripped`, `latched`, `unknown` or `disabled`.
    pub state: String,
    /// The highest rung in force.
    pub rung: Option<String>,
    /// The measurement.
    pub value: Option<String>,
    /// The next rung's threshold.
    pub next_threshold: Option<String>,
    /// What is left to it.
    pub headroom: Option<String>,
    /// The arithmetic, when it is not simply fine.
    pub why: Option<String>,
}

/// What holds an account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LatchStatus {
    /// Why, with numbers.
    pub cause: String,
    /// Since when, Unix ms.
    pub since_ms: i64,
    /// The way out.
    pub rearm: String,
}
