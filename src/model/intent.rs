//! The only things that can be asked of a venue. No type here can open or grow a position.

use super::{
    ClientOrderId, Leg, OrderId, Position, PositionSide, Price, ProtectiveStop, Qty, Side, Store, Symbol,
};

/// Something the core wants done at the venue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Intent {
    /// Take from a position.
    Reduce(ReduceOrder),
    /// Cancel one order.
    Cancel(OrderId),
    /// Cancel every order of a symbol in the regular store.
    CancelAll(Symbol),
    /// Cancel every order of a symbol in the conditional store.
    CancelAllConditional(Symbol),
    /// Leave a stop that can only close.
    PlaceStop(ProtectiveStop),
}

/// What an intent is known by, from the request to its outcome.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IntentKey {
    /// A reduction, by its client order id.
    Reduce(ClientOrderId),
    /// The cancellation of one order.
    Cancel(OrderId),
    /// The cancellation of a store of a symbol.
    CancelAll(Store, Symbol),
    /// The stop of a leg: there is one at most.
    PlaceStop(Leg),
}

/// An order that takes from a position and cannot do anything else.
///
/// In one-way mode it is sent reduce-only; in hedge mode the leg and the closing side make it so, and its size is
/// never more than the leg holds.
///
/// ```
/// use backstop::model::{ClientOrderId, Leg, Pricing, Qty, ReduceOrder, Symbol};
/// let q = |text: &str| text.parse::<Qty>().unwrap();
/// let (leg, id) = (Leg::both(Symbol::new("BTCUSDT").unwrap()), ClientOrderId::new("bs-1").unwrap());
/// // Asked for 0.5 of a short of 0.2: buys 0.2 and no more.
/// let order = ReduceOrder::against(id, leg, q("-0.2"), q("0.5"), q("0.001"), Pricing::Market).unwrap();
/// assert_eq!((order.side().to_string(), order.qty()), ("BUY".into(), q("0.2")));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReduceOrder {
    id: ClientOrderId,
    leg: Leg,
    side: Side,
    qty: Qty,
    pricing: Pricing,
}

/// How a reduction is priced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pricing {
    /// At the market.
    Market,
    /// At this price or better, at once, the rest expires.
    Ioc(Price),
    /// At this price or better, waiting for somebody for a while: the last resort where nobody is inside the price band.
    Resting(Price),
}

impl ReduceOrder {
    /// The order that takes `qty` off `position`, never more than is there.
    ///
    /// Returns `None` when nothing is left after rounding down to `step`.
    pub fn against(
        id: ClientOrderId,
        leg: Leg,
        position: Qty,
        qty: Qty,
        step: Qty,
        pricing: Pricing,
    ) -> Option<ReduceOrder> {
        let side = Side::closing(position)?;
        let qty = qty.abs().min(position.abs()).floor_to(step);
        // A hedge leg never holds the other sign; if a book says so, nothing is known well enough to act.
        let sign_fits = match leg.side {
            PositionSide::Both => true,
            PositionSide::Long => side == Side::Sell,
            PositionSide::Short => side == Side::Buy,
        };
        (qty.is_positive() && sign_fits).then_some(ReduceOrder {
            id,
            leg,
            side,
            qty,
            pricing,
        })
    }

    /// The same order against the newest position: clamped to it, or `None` when it would no longer reduce.
    ///
    /// This is the second of the two never-increase checks (POLICIES.md d.5), made at the moment of sending.
    pub fn clamped_to(&self, position: Option<&Position>, step: Qty) -> Option<ReduceOrder> {
        let held = position?.amount;
        if Side::closing(held) != Some(self.side) {
            return None;
        }
        ReduceOrder::against(
            self.id.clone(),
            self.leg.clone(),
            held,
            self.qty,
            step,
            self.pricing,
        )
    }

    /// Our name for it.
    pub fn id(&self) -> &ClientOrderId {
        &self.id
    }

    /// The leg that it takes from.
    pub fn leg(&self) -> &Leg {
        &self.leg
    }

    /// The closing side.
    pub fn side(&self) -> Side {
        self.side
    }

    /// How much it takes, positive.
    pub fn qty(&self) -> Qty {
        self.qty
    }

    /// How it is priced.
    pub fn pricing(&self) -> Pricing {
        self.pricing
    }
}

impl IntentKey {
    /// What it is about, for people: the contract, or the order's own name.
    pub fn about(&self) -> &str {
        match self {
            IntentKey::Reduce(id) => id.as_str(),
            IntentKey::Cancel(id) => id.symbol.as_str(),
            IntentKey::CancelAll(_, symbol) => symbol.as_str(),
            IntentKey::PlaceStop(leg) => leg.symbol.as_str(),
        }
    }
}

impl Intent {
    /// What it is known by.
    pub fn key(&self) -> IntentKey {
        match self {
            Intent::Reduce(order) => IntentKey::Reduce(order.id.clone()),
            Intent::Cancel(id) => IntentKey::Cancel(id.clone()),
            Intent::CancelAll(symbol) => IntentKey::CancelAll(Store::Regular, symbol.clone()),
            Intent::CancelAllConditional(symbol) => IntentKey::CancelAll(Store::Conditional, symbol.clone()),
            Intent::PlaceStop(stop) => IntentKey::PlaceStop(stop.leg().clone()),
        }
    }

    /// The contract that it is about.
    pub fn symbol(&self) -> &Symbol {
        match self {
            Intent::Reduce(order) => &order.leg.symbol,
            Intent::Cancel(id) => &id.symbol,
            Intent::CancelAll(symbol) | Intent::CancelAllConditional(symbol) => symbol,
            Intent::PlaceStop(stop) => &stop.leg().symbol,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Money, Timestamp};

    fn q(text: &str) -> Qty {
        text.parse().unwrap()
    }

    fn leg(side: PositionSide) -> Leg {
        Leg {
            symbol: Symbol::new("BTCUSDT").unwrap(),
            side,
        }
    }

    fn id() -> ClientOrderId {
        ClientOrderId::new("bs-1").unwrap()
    }

    #[test]
    fn e24_an_order_never_takes_more_than_is_there() {
        for (side, position, asked, expected) in [
            (PositionSide::Both, "0.25", "1", Some((Side::Sell, "0.25"))),
            (PositionSide::Both, "-0.25", "0.1", Some((Side::Buy, "0.1"))),
            (PositionSide::Both, "0.25", "0.12345", Some((Side::Sell, "0.123"))),
            (PositionSide::Both, "0", "1", None),
            (PositionSide::Both, "0.25", "0.0001", None),
            (PositionSide::Long, "3", "2", Some((Side::Sell, "2"))),
            (PositionSide::Long, "-3", "2", None),
            (PositionSide::Short, "-3", "4", Some((Side::Buy, "3"))),
            (PositionSide::Short, "3", "4", None),
        ] {
            let order = ReduceOrder::against(
                id(),
                leg(side),
                q(position),
                q(asked),
                q("0.001"),
                Pricing::Market,
            );
            let got = order.map(|o| (o.side(), o.qty()));
            assert_eq!(got, expected.map(|(s, n)| (s, q(n))), "{side} {position} {asked}");
        }
    }

    #[test]
    fn or_09_a_position_that_shrank_or_flipped_clamps_or_stops_the_order() {
        let order = ReduceOrder::against(
            id(),
            leg(PositionSide::Both),
            q("2"),
            q("1"),
            q("0.1"),
            Pricing::Market,
        )
        .unwrap();
        for (held, expected) in [
            (Some("0.55"), Some("0.5")),
            (Some("5"), Some("1")),
            (Some("-2"), None),
            (Some("0"), None),
            (None, None),
        ] {
            let position = held.map(|amount| Position {
                amount: q(amount),
                entry: None,
                margin: None,
                isolated_wallet: Money::ZERO,
                at: Timestamp::default(),
            });
            let got = order.clamped_to(position.as_ref(), q("0.1")).map(|o| o.qty());
            assert_eq!(got, expected.map(q), "{held:?}");
        }
    }
}
