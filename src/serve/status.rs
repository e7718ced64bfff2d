//! What the guard shows of itself: a picture of all accounts, made by whoever runs them.
//!
//! Decimals are strings, so that nobody's parser rounds them; what is not known is null, never zero.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All accounts of the process.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// By label.
    pub accounts: Vec<AccountStatus>,
}

impl Status {
    /// The account with this label.
    pub fn account(&self, label: &str) -> Option<&AccountStatus> {
        self.accounts.iter().find(|account| account.label == label)
    }

    /// Whether every account is guarded: in a state that acts, and not blind. No account is not a guarded one.
    pub fn ready(&self) -> bool {
        /// SPEC.md 5; the others are `starting`, `blind`, `powerless` and `stopped`.
        const GUARDED: [&str; 5] = ["armed", "blocked", "reducing", "flattening", "latched"];
        !self.accounts.is_empty()
            && self
                .accounts
                .iter()
                .all(|account| GUARDED.contains(&account.state.as_str()))
    }
}

/// One account.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountStatus {
    /// Its label.
    pub label: String,
    /// Its state, by a word of SPEC.md 5.
    pub state: String,
    /// `live` or `dry`.
    pub mode: String,
    /// The venue.
    pub venue: String,
    /// Since when it is in this state, Unix ms.
    pub since_ms: i64,
    /// Equity, in the margin asset.
    pub equity: Option<String>,
    /// Highest equity.
    pub high_water: Option<String>,
    /// Distance from the high-water mark, a fraction.
    pub drawdown: Option<String>,
    /// Maintenance margin over margin balance, a fraction.
    pub margin_ratio: Option<String>,
    /// Where the venue counts another margin ratio than we do, a sentence for each bucket.
    #[serde(default)]
    pub margin_gaps: Vec<String>,
    /// When the account was last proven to be as shown, Unix ms.
    pub last_proof_ms: Option<i64>,
    /// Positions that are not flat.
    pub positions: Vec<PositionStatus>,
    /// Open orders of both stores.
    pub orders: Vec<OrderStatus>,
    /// Policies, each with its value.
    pub policies: Vec<PolicyStatus>,
    /// What holds the account down, if anything does.
    pub latch: Option<LatchStatus>,
    /// What the operator should know, in sentences.
    pub notes: Vec<String>,
    /// Counters since the start, by name.
    pub counters: BTreeMap<String, u64>,
}

/// One position.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct PositionStatus {
    /// The contract.
    pub symbol: String,
    /// `both`, `long` or `short`.
    pub side: String,
    /// Signed amount.
    pub amount: String,
    /// Entry price.
    pub entry_price: Option<String>,
    /// Mark price.
    pub mark_price: Option<String>,
    /// Unrealised profit, in the margin asset.
    pub unrealised: Option<String>,
    /// `cross` or `isolated`.
    pub margin: String,
    /// Notional value.
    pub notional: Option<String>,
}

/// One open order.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderStatus {
    /// The contract.
    pub symbol: String,
    /// Which of the venue's stores holds it.
    pub store: String,
    /// `buy` or `sell`.
    pub side: String,
    /// `limit`, `stop`, `take_profit`, ….
    pub kind: String,
    /// `both`, `long` or `short`.
    pub position_side: String,
    /// Quantity.
    pub quantity: String,
    /// Limit price.
    pub price: Option<String>,
    /// Trigger price.
    pub trigger: Option<String>,
    /// Whether it can only reduce.
    pub reduce_only: bool,
    /// The client order id.
    pub client_id: Option<String>,
}

/// One policy at one scope.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyStatus {
    /// Its id in the policy file.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The account, a symbol, or a leg.
    pub scope: String,
    /// Within, breached, unknown and so on.
    pub state: String,
    /// The rung that holds.
    pub rung: Option<String>,
    /// What was measured.
    pub value: Option<String>,
    /// The next threshold.
    pub next_threshold: Option<String>,
    /// The distance to it.
    pub headroom: Option<String>,
    /// Why there is no value, or why it tripped.
    pub why: Option<String>,
}

/// What holds an account down until it is re-armed.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct LatchStatus {
    /// Why, with the numbers.
    pub cause: String,
    /// Since when, Unix ms.
    pub since_ms: i64,
    /// How it is released.
    pub rearm: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(states: &[&str]) -> Status {
        let account = |state: &&str| AccountStatus {
            state: (*state).into(),
            ..AccountStatus::default()
        };
        Status {
            accounts: states.iter().map(account).collect(),
        }
    }

    #[test]
    fn ready_means_that_every_account_is_guarded() {
        for (states, ready) in [
            (&["armed"][..], true),
            (&["armed", "blocked", "reducing", "flattening", "latched"], true),
            (&[], false),
            (&["armed", "blind"], false),
            (&["starting"], false),
            (&["powerless"], false),
            (&["stopped"], false),
            (&["a state that is not known"], false),
        ] {
            assert_eq!(of(states).ready(), ready, "{states:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_null_and_it_reads_back() {
        let status = of(&["armed"]);
        let text = serde_json::to_string(&status).unwrap();
        assert!(text.contains("\"equity\":null"), "{text}");
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    }
}
