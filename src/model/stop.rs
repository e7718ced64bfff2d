//! The one order that the guard may leave at the venue: a stop that closes a position and cannot do anything else.

use super::{ClientOrderId, Leg, PositionSide, Price, Qty, Ratio, Side};
use rust_decimal::Decimal;

/// A stop that closes the whole leg when the mark price reaches its trigger.
///
/// The venue closes what the leg holds then and never more, and nothing when it holds nothing (`closePosition`). It is
/// made against a position, on its closing side, with its trigger on the adverse side of the mark price.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProtectiveStop {
    id: ClientOrderId,
    leg: Leg,
    side: Side,
    trigger: Price,
}

impl ProtectiveStop {
    /// The stop of `position` at `distance` from the mark price, as a share of it, rounded towards the mark price.
    ///
    /// Returns `None` for a position of zero, or of the sign that a hedge leg never holds, and when no price of the
    /// contract's ticks lies between the mark price and that distance.
    pub fn against(
        id: ClientOrderId,
        leg: Leg,
        position: Qty,
        mark: Price,
        distance: Ratio,
        tick: Decimal,
    ) -> Option<ProtectiveStop> {
        let side = Side::closing(position)?;
        let sign_fits = match leg.side {
            PositionSide::Both => true,
            PositionSide::Long => side == Side::Sell,
            PositionSide::Short => side == Side::Buy,
        };
        let trigger = match side {
            Side::Sell => mark.times(Ratio::ONE - distance)?.ceil_to(tick)?,
            Side::Buy => mark.times(Ratio::ONE + distance)?.floor_to(tick)?,
        };
        let is_ahead = match side {
            Side::Sell => trigger < mark,
            Side::Buy => trigger > mark,
        };
        (sign_fits && is_ahead).then_some(ProtectiveStop {
            id,
            leg,
            side,
            trigger,
        })
    }

    /// Our name for it.
    pub fn id(&self) -> &ClientOrderId {
        &self.id
    }

    /// The leg that it closes.
    pub fn leg(&self) -> &Leg {
        &self.leg
    }

    /// The closing side.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The mark price at which it closes.
    pub fn trigger(&self) -> Price {
        self.trigger
    }
}

#[cfg(test)]
impl ProtectiveStop {
    /// The stop `bs-s1` of a position, 3 % from a mark price of 60 000.
    pub(crate) fn example(symbol: &str, side: PositionSide, held: &str) -> ProtectiveStop {
        let (id, symbol) = (ClientOrderId::new("bs-s1").unwrap(), symbol.parse().unwrap());
        let (held, mark) = (held.parse().unwrap(), "60000".parse().unwrap());
        let (distance, tick) = ("0.03".parse().unwrap(), "0.1".parse().unwrap());
        ProtectiveStop::against(id, Leg { symbol, side }, held, mark, distance, tick).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Symbol;

    #[test]
    fn a_stop_is_on_the_closing_side_and_its_trigger_on_the_adverse_side() {
        let (both, long, short) = (PositionSide::Both, PositionSide::Long, PositionSide::Short);
        for (side, position, mark, distance, tick, expected) in [
            (both, "0.4", "60000", "0.03", "0.1", Some((Side::Sell, "58200"))),
            (both, "-0.4", "60000", "0.03", "0.1", Some((Side::Buy, "61800"))),
            (long, "0.4", "60000", "0.03", "0.1", Some((Side::Sell, "58200"))),
            (short, "-0.4", "60000", "0.03", "0.1", Some((Side::Buy, "61800"))),
            (both, "0.4", "101", "0.03", "0.5", Some((Side::Sell, "98"))),
            (both, "-0.4", "101", "0.03", "0.5", Some((Side::Buy, "104"))),
            (both, "0", "60000", "0.03", "0.1", None),
            (long, "-0.4", "60000", "0.03", "0.1", None),
            (short, "0.4", "60000", "0.03", "0.1", None),
            (both, "0.4", "1", "0.03", "0.1", None),
            (both, "0.4", "60000", "1", "0.1", None),
        ] {
            let leg = Leg {
                symbol: Symbol::new("BTCUSDT").unwrap(),
                side,
            };
            let stop = ProtectiveStop::against(
                ClientOrderId::new("bs-s1").unwrap(),
                leg,
                position.parse().unwrap(),
                mark.parse().unwrap(),
                distance.parse().unwrap(),
                tick.parse().unwrap(),
            );
            let made = stop.map(|stop| (stop.side(), stop.trigger().to_string()));
            let expected = expected.map(|(side, trigger)| (side, trigger.to_owned()));
            assert_eq!(made, expected, "{side} {position} at {mark}");
        }
    }
}
