//! Fills as the stream tells them, each once.

use super::Book;
use crate::model::{ClientOrderId, Leg, Money, Order, Side};

/// Fills remembered by their numbers, so that a repeated delivery counts no more: both connections of a switch tell the
/// same for a few seconds.
const TOLD_MAX: usize = 1_024;

/// A fill of this step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Of which leg.
    pub leg: Leg,
    /// The side of its order.
    pub side: Side,
    /// Whether the guard sent the order.
    pub is_ours: bool,
    /// Whether the order is over with it.
    pub is_last: bool,
    /// Realised profit less the fee, in [`super::CURRENCY`]; `None` when an asset has no price.
    pub result: Option<Money>,
}

impl Book {
    /// The fill that an event tells of, if it was not told before.
    pub(super) fn fill_of(&mut self, order: &Order) -> Option<Fill> {
        let trade = order.trade.as_ref()?;
        let key = (order.id.symbol.clone(), trade.id);
        // Without a number the order's own count of what it has filled tells new from old.
        let is_old = match trade.id {
            0 => !self.orders.has_filled_more(order),
            _ => self.fills_told.contains(&key),
        };
        if is_old {
            return None;
        }
        if self.fills_told.len() >= TOLD_MAX {
            self.fills_told.pop_front();
        }
        self.fills_told.push_back(key);
        Some(Fill {
            leg: order.leg(),
            side: order.side,
            is_ours: order.client_id.as_ref().is_some_and(ClientOrderId::is_ours),
            is_last: order.status.is_terminal(),
            result: self.result(order),
        })
    }

    fn result(&self, order: &Order) -> Option<Money> {
        let trade = order.trade.as_ref()?;
        let margin_asset = &self.instrument(&order.id.symbol).ok()?.margin_asset;
        let realised = self.value_of(margin_asset, trade.realised).ok()?;
        match &trade.fee {
            Some((asset, fee)) => Some(realised - self.value_of(asset, *fee).ok()?),
            None => Some(realised),
        }
    }
}
