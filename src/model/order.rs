//! Orders as the venue reports them, in both of its stores.

use super::{Asset, ClientOrderId, Leg, Money, PositionSide, Price, Qty, Side, Symbol, Timestamp};

/// Which of the venue's two stores an order lives in.
///
/// Source: binance-usdm.md section 7: conditional orders have endpoints and an event of their own since 2025-12-09.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Store {
    /// The order book's store: limit and market orders.
    Regular,
    /// The store of stops, take-profits and trailing orders that wait for a trigger.
    Conditional,
}

/// The venue's id of an order within its store.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OrderId {
    /// The store.
    pub store: Store,
    /// The contract.
    pub symbol: Symbol,
    /// The venue's number.
    pub id: i64,
}

/// What kind of order it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderKind {
    /// Rests at a price.
    Limit,
    /// Takes at once.
    Market,
    /// Waits for an adverse trigger.
    Stop,
    /// Waits for a favourable trigger.
    TakeProfit,
    /// A stop that follows the price.
    Trailing,
    /// The venue's own liquidation order.
    Liquidation,
    /// A name that this version does not know.
    Other,
}

/// Where an order stands; terminal ones never change again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OrderStatus {
    /// Alive, nothing filled.
    New,
    /// Alive, partly filled.
    PartiallyFilled,
    /// A conditional order whose condition is met, on its way to the book.
    Triggering,
    /// Terminal: all filled (for a conditional order: it was triggered, or its child is over).
    Filled,
    /// Terminal: cancelled, expired or refused.
    Ended,
    /// A name that this version does not know; counts as alive.
    Other,
}

/// One order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// Its key.
    pub id: OrderId,
    /// The id that its sender gave.
    pub client_id: Option<ClientOrderId>,
    /// Side.
    pub side: Side,
    /// Leg.
    pub position_side: PositionSide,
    /// Kind.
    pub kind: OrderKind,
    /// Limit price, if it has one.
    pub price: Option<Price>,
    /// Trigger price, if it has one.
    pub trigger: Option<Price>,
    /// Original quantity; zero for close-position orders.
    pub quantity: Qty,
    /// Filled so far.
    pub executed: Qty,
    /// Average fill price, if the source says it.
    pub average: Option<Price>,
    /// The venue lets it only shrink a position.
    pub reduce_only: bool,
    /// Closes the whole leg when triggered.
    pub close_position: bool,
    /// Status.
    pub status: OrderStatus,
    /// The venue's time of the newest fact that this is from.
    pub at: Timestamp,
    /// The fill that an event tells of; `None` in readings, and in events of no fill.
    pub trade: Option<Trade>,
}

/// One fill, as the venue settles it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trade {
    /// The venue's number of it within the contract; 0 when it gives none.
    pub id: i64,
    /// Profit realised by it, fee not taken out, in the margin asset.
    pub realised: Money,
    /// What it cost: negative is a rebate; `None` when the venue took nothing.
    pub fee: Option<(Asset, Money)>,
}

impl OrderStatus {
    /// Whether the order is over for good.
    pub fn is_terminal(self) -> bool {
        matches!(self, OrderStatus::Filled | OrderStatus::Ended)
    }
}

impl Order {
    /// The leg that it acts on.
    pub fn leg(&self) -> Leg {
        Leg {
            symbol: self.id.symbol.clone(),
            side: self.position_side,
        }
    }

    /// What the venue itself does with it, when nobody of the account sent it: liquidation, ADL or settlement.
    ///
    /// Source: binance-usdm.md 4.2, prefixes of `o.c`.
    pub fn forced(&self) -> Option<&'static str> {
        const PREFIXES: [(&str, &str); 4] = [
            ("autoclose-", "liquidation"),
            ("adl_autoclose", "auto-deleveraging"),
            ("settlement_autoclose-", "settlement"),
            ("delivery_autoclose-", "settlement"),
        ];
        let id = self.client_id.as_ref().map_or("", ClientOrderId::as_str);
        let known = PREFIXES.iter().find(|(prefix, _)| id.starts_with(prefix));
        let by_kind = (self.kind == OrderKind::Liquidation).then_some("liquidation");
        known.map(|(_, what)| *what).or(by_kind)
    }

    /// What may still fill; zero when more was filled than ordered.
    pub fn remaining(&self) -> Qty {
        let rest = self.quantity - self.executed;
        if rest.is_negative() { Qty::ZERO } else { rest }
    }

    /// Whether no fill of it can ever raise exposure: reduce-only, close-position, or the closing side of a hedge leg.
    pub fn can_only_reduce(&self) -> bool {
        self.reduce_only
            || self.close_position
            || matches!(
                (self.position_side, self.side),
                (PositionSide::Long, Side::Sell) | (PositionSide::Short, Side::Buy)
            )
    }
}
