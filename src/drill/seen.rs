//! What is asked of the venue and what it shows, in the drill's words.

use super::Trouble;
use crate::model::exact;
use rust_decimal::Decimal;
use serde_json::Value;

/// What the venue says of the drill's contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Price step.
    pub tick: Decimal,
    /// Quantity step.
    pub step: Decimal,
    /// Least quantity of an order.
    pub least: Decimal,
    /// Least value of an order that opens.
    pub min_notional: Decimal,
}

/// An order of the drill.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Takes what it needs at once, at most three percent beyond the mark price: books of test networks are thin.
    Take,
    /// Takes as [`Form::Take`], and can only reduce.
    Close,
    /// Rests a tenth away from the mark price.
    Rest,
    /// A conditional order that closes the whole position, a fifth away.
    Stop,
    /// A conditional order that would open, a fifth away.
    OpeningStop,
}

/// A side, with the leg of hedge mode when there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// Whether it buys.
    pub buys: bool,
    /// `LONG` or `SHORT` in hedge mode.
    pub leg: Option<&'static str>,
}

/// Buys, in one-way mode.
pub const BUY: Side = Side {
    buys: true,
    leg: None,
};
/// Sells, in one-way mode.
pub const SELL: Side = Side {
    buys: false,
    leg: None,
};

/// An answer of the venue.
#[derive(Clone, Debug)]
pub struct Said {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Said {
    /// The venue's code of a refusal; 0 when there is none.
    pub fn code(&self) -> i64 {
        if self.status == 200 {
            0
        } else {
            field(&self.body, "code").as_i64().unwrap_or(-1)
        }
    }

    /// `accepted`, or the refusal in the venue's words.
    pub fn words(&self) -> String {
        match self.code() {
            0 => "accepted".into(),
            code => format!(
                "refused: {code} {}",
                field(&self.body, "msg")
                    .as_str()
                    .unwrap_or("")
                    .trim_end_matches('.')
            ),
        }
    }

    pub(super) fn fine(self, what: &str) -> Result<Said, Trouble> {
        match self.code() {
            0 => Ok(self),
            _ => Err(Trouble(format!("{what}: HTTP {}, {}", self.status, self.words()))),
        }
    }
}

/// What the venue shows of the drill's contract.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Signed amount by leg; flat ones are left out.
    pub positions: Vec<(String, Decimal)>,
    /// Client ids in the regular store.
    pub orders: Vec<String>,
    /// Client ids in the conditional store.
    pub stops: Vec<String>,
}

impl Look {
    /// Amount of the one-way position.
    pub fn held(&self) -> Decimal {
        let both = self.positions.iter().find(|(leg, _)| leg == "BOTH");
        both.map_or(Decimal::ZERO, |(_, amount)| *amount)
    }

    /// Nothing is held and nothing is open.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty() && self.orders.is_empty() && self.stops.is_empty()
    }

    /// Everything that is there, by its name.
    pub fn names(&self) -> String {
        let held = self
            .positions
            .iter()
            .map(|(leg, amount)| format!("position {} {leg}", amount.normalize()));
        let orders = self.orders.iter().map(|id| format!("order {id}"));
        let stops = self.stops.iter().map(|id| format!("conditional order {id}"));
        held.chain(orders).chain(stops).collect::<Vec<_>>().join(", ")
    }

    /// For people.
    pub fn words(&self) -> String {
        let held: Vec<String> = self
            .positions
            .iter()
            .map(|(leg, amount)| {
                if leg == "BOTH" {
                    amount.normalize().to_string()
                } else {
                    format!("{} {leg}", amount.normalize())
                }
            })
            .collect();
        let held = if held.is_empty() {
            "0".to_owned()
        } else {
            held.join(" and ")
        };
        format!(
            "position {held}, {} open order(s), {} conditional order(s)",
            self.orders.len(),
            self.stops.len()
        )
    }
}

/// A field of an object; null when it is not there.
pub fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

/// A decimal of the venue: a text or a whole number.
pub fn decimal(value: &Value) -> Option<Decimal> {
    match value {
        Value::String(text) => exact(text).ok(),
        Value::Number(number) => exact(&number.to_string()).ok(),
        _ => None,
    }
}
