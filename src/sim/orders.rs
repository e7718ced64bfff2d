//! Orders of both stores, all that ever were.

use rust_decimal::Decimal;
use serde::Serialize;

/// An order.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Order {
    /// The venue's number.
    pub id: i64,
    /// The sender's name for it.
    pub client_id: String,
    /// Contract.
    pub symbol: String,
    /// `BUY` or `SELL`.
    pub side: String,
    /// `BOTH`, `LONG` or `SHORT`.
    pub position_side: String,
    /// `LIMIT`, `MARKET`, `STOP`, `STOP_MARKET`, `TAKE_PROFIT`, `TAKE_PROFIT_MARKET`, `TRAILING_STOP_MARKET`, and
    /// `LIQUIDATION` for what the venue sends itself.
    pub kind: String,
    /// Time in force.
    pub tif: String,
    /// Original quantity.
    pub quantity: Decimal,
    /// Filled.
    pub executed: Decimal,
    /// Value of what was filled.
    pub quote: Decimal,
    /// Limit price; zero for market orders.
    pub price: Decimal,
    /// Trigger price; zero in the regular store.
    pub trigger: Decimal,
    /// Reduce-only.
    pub reduce_only: bool,
    /// Close-position.
    pub close_position: bool,
    /// `MARK_PRICE` or `CONTRACT_PRICE`.
    pub working_type: String,
    /// Status in the venue's words.
    pub status: String,
    /// Reason of an expiry, `er`.
    pub expiry: u8,
    /// Whether it lives in the conditional store.
    pub is_algo: bool,
    /// For a triggered one: the number of its child.
    pub child: Option<i64>,
    /// Who sent it: `guard`, `bot`, `human` or `venue`.
    pub who: String,
    /// The venue took it as an ordinary order although it was reduce-only: a fault, not the sender's doing.
    pub flag_ignored: bool,
    /// Created.
    pub time: i64,
    /// Last change.
    pub updated: i64,
    /// Self-trade prevention; empty is the venue's default.
    pub self_trade: String,
    /// Price match; empty is none.
    pub price_match: String,
    /// When a GTD order ends, Unix ms; zero for others.
    pub good_till: i64,
    /// Trailing orders: activation price; zero when they follow from the start.
    pub activate: Decimal,
    /// Trailing orders: how far the price may come back, in percent.
    pub callback: Decimal,
    /// Trailing orders: the best price since the activation; zero before it.
    pub best: Decimal,
    /// When a triggering order reaches the matching engine.
    pub due: i64,
    /// How often it was modified.
    pub modified: u32,
    /// The sender's name for the last modification; may be empty.
    pub modify_id: String,
}

impl Order {
    /// Whether it buys.
    pub fn buys(&self) -> bool {
        self.side == "BUY"
    }

    /// Its leg.
    pub fn leg(&self) -> (String, String) {
        (self.symbol.clone(), self.position_side.clone())
    }

    /// Whether it may still fill or trigger.
    pub fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "NEW" | "PARTIALLY_FILLED" | "TRIGGERING")
    }

    /// What may still fill.
    pub fn remaining(&self) -> Decimal {
        self.quantity - self.executed
    }

    /// Whether it can only take from a position, by its flags or its leg.
    pub fn only_reduces(&self) -> bool {
        self.reduce_only
            || self.close_position
            || matches!(
                (self.position_side.as_str(), self.buys()),
                ("LONG", false) | ("SHORT", true)
            )
    }

    /// Self-trade prevention; the venue's default is `EXPIRE_MAKER`.
    pub fn self_trade(&self) -> &str {
        match self.self_trade.as_str() {
            "" => "EXPIRE_MAKER",
            mode => mode,
        }
    }

    /// Price match mode, `NONE` when there is none.
    pub fn price_match(&self) -> &str {
        match self.price_match.as_str() {
            "" => "NONE",
            mode => mode,
        }
    }

    /// Whether it may not take.
    pub fn only_makes(&self) -> bool {
        matches!(self.tif.as_str(), "GTX" | "RPI")
    }

    /// Whether it follows the price.
    pub fn trails(&self) -> bool {
        self.kind == "TRAILING_STOP_MARKET"
    }

    /// Average fill price; zero before a fill.
    pub fn average(&self) -> Decimal {
        if self.executed.is_zero() {
            Decimal::ZERO
        } else {
            self.quote / self.executed
        }
    }
}
