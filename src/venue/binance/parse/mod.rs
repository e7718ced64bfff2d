//! From the venue's words to ours: enumerations here, stream frames in [`frames`], REST answers in [`answers`].
//!
//! A name that this version does not know becomes `Other` where we have one, and otherwise spoils its element: the
//! element is then reported, never guessed.

pub mod answers;
pub mod frames;
pub mod holdings;
mod private;
mod rules;
pub mod said;

use super::wire::{self, Bad, Text};
use crate::model::{MarginType, OrderKind, OrderStatus, PositionSide, Side};
use serde::Deserialize;
use serde_json::value::RawValue;

/// An element of an array, on its own, so that a bad one does not spoil the others.
fn element<'a, T: Deserialize<'a>>(raw: &'a RawValue, what: &'static str) -> Result<T, Bad> {
    wire::object(raw.get()).map_err(|_| Bad(what))
}

fn side(text: &Text<'_>) -> Result<Side, Bad> {
    match text.as_str() {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        _ => Err(Bad("side")),
    }
}

fn position_side(text: &Text<'_>) -> Result<PositionSide, Bad> {
    match text.as_str() {
        "BOTH" => Ok(PositionSide::Both),
        "LONG" => Ok(PositionSide::Long),
        "SHORT" => Ok(PositionSide::Short),
        _ => Err(Bad("positionSide")),
    }
}

/// Margin type; `cross` in `ACCOUNT_UPDATE`, `CROSSED` in `MARGIN_CALL` and over REST.
fn margin_type(text: &Text<'_>) -> Option<MarginType> {
    match text.as_str() {
        "cross" | "CROSS" | "CROSSED" => Some(MarginType::Cross),
        "isolated" | "ISOLATED" => Some(MarginType::Isolated),
        _ => None,
    }
}

fn order_kind(text: &str) -> OrderKind {
    match text {
        "LIMIT" => OrderKind::Limit,
        "MARKET" => OrderKind::Market,
        "STOP" | "STOP_MARKET" => OrderKind::Stop,
        "TAKE_PROFIT" | "TAKE_PROFIT_MARKET" => OrderKind::TakeProfit,
        "TRAILING_STOP_MARKET" => OrderKind::Trailing,
        "LIQUIDATION" => OrderKind::Liquidation,
        _ => OrderKind::Other,
    }
}

/// Status in the regular store. `NEW_INSURANCE` and `NEW_ADL` are the venue's own orders against the account.
///
/// Source: user data streams page, "Event: Order Update", read 2026-11-22.
pub fn order_status(text: &str) -> OrderStatus {
    match text {
        "NEW" | "NEW_INSURANCE" | "NEW_ADL" => OrderStatus::New,
        "PARTIALLY_FILLED" => OrderStatus::PartiallyFilled,
        "FILLED" => OrderStatus::Filled,
        "CANCELED" | "EXPIRED" | "EXPIRED_IN_MATCH" | "REJECTED" => OrderStatus::Ended,
        _ => OrderStatus::Other,
    }
}

/// Status in the conditional store: once triggered, the real order lives on in the regular store.
///
/// Source: user data streams page, "Event: Algo Order Update", read 2026-11-22.
fn algo_status(text: &str) -> OrderStatus {
    match text {
        "NEW" => OrderStatus::New,
        "TRIGGERING" => OrderStatus::Triggering,
        "TRIGGERED" | "FINISHED" => OrderStatus::Filled,
        "CANCELED" | "REJECTED" | "EXPIRED" => OrderStatus::Ended,
        _ => OrderStatus::Other,
    }
}
