//! Numbers, times and names of a test file.

use super::super::fields::{Fields, number, short, span};
use super::super::node::{Node, Problems, Value};
use super::ByName;
use crate::model::{Span, Symbol, exact};
use rust_decimal::Decimal;

/// The exchange moves in steps of this long, and so do tests.
const TENTH_MS: i64 = 100;

/// A number as it was written: it is compared as precisely as that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// As written, with its unit.
    pub written: String,
    /// The number before the unit.
    pub number: Decimal,
    /// `%`, `x` or nothing; `s` for lengths of time, which are numbers of seconds.
    pub unit: &'static str,
}

impl Number {
    /// Whether a measurement in the same unit is this number, rounded to its decimals.
    pub fn is(&self, measured: Decimal) -> bool {
        measured.round_dp(self.number.scale()) == self.number
    }

    /// From its text; `None` when it is none.
    pub fn read(written: &str) -> Option<Number> {
        let time = super::super::fields::parse_span(written);
        let (digits, unit) = match (time, written.strip_suffix('%'), written.strip_suffix('x')) {
            (Some(span), ..) => {
                let number = Decimal::new(span.ms(), 3).normalize();
                let written = written.to_owned();
                return Some(Number {
                    written,
                    number,
                    unit: "s",
                });
            }
            (None, Some(digits), _) => (digits, "%"),
            (None, None, Some(digits)) => (digits, "x"),
            (None, None, None) => (written, ""),
        };
        exact(digits).ok().map(|number| Number {
            written: written.to_owned(),
            number,
            unit,
        })
    }
}

/// A number with its unit.
pub(super) fn measured(
    fields: &mut Fields<'_>,
    name: &'static str,
    problems: &mut Problems,
) -> Option<Number> {
    let node = fields.get(name)?;
    let written = number(node, name, problems)?;
    let read = Number::read(&written);
    if read.is_none() {
        let message = format!("`{name}` is `{}`, not a number", short(&written));
        let hint = "write it like a threshold: \"70%\", \"3x\", \"1000\", \"15s\"".to_owned();
        problems.error(&node.place, "number", message, hint);
    }
    read
}

/// An exact number of a node.
pub(super) fn decimal(node: &Node, name: &str, problems: &mut Problems) -> Option<Decimal> {
    let written = number(node, name, problems)?;
    match exact(&written) {
        Ok(number) => Some(number),
        Err(error) => {
            problems.error(&node.place, "number", format!("`{name}`: {error}"), None);
            None
        }
    }
}

/// A number above zero.
pub(super) fn positive(node: &Node, name: &str, problems: &mut Problems) -> Option<Decimal> {
    let read = decimal(node, name, problems)?;
    if read <= Decimal::ZERO {
        let message = format!("`{name}` is {read}, not above 0");
        problems.error(&node.place, "number", message, None);
        return None;
    }
    Some(read)
}

/// A share written as `0.05%`; zero and negative ones too.
pub(super) fn share(node: &Node, name: &str, problems: &mut Problems) -> Option<Decimal> {
    let written = number(node, name, problems)?;
    let read = written
        .strip_suffix('%')
        .and_then(|digits| exact(digits).ok())
        .and_then(|percent| percent.checked_div(Decimal::ONE_HUNDRED));
    if read.is_none() {
        let message = format!("`{name}` is `{}`, not a percentage", short(&written));
        problems.error(
            &node.place,
            "number",
            message,
            "write it like \"0.05%\"".to_owned(),
        );
    }
    read
}

/// Numbers by name: `{ BTCUSDT = "52000" }`.
pub(super) fn by_name(
    node: &Node,
    name: &str,
    problems: &mut Problems,
    read: impl Fn(&Node, &str, &mut Problems) -> Option<Decimal>,
) -> Option<ByName> {
    let table = super::table(node, &format!("`{name}`"), problems)?;
    let mut all = ByName::new();
    for (key, node) in table {
        all.insert(key.clone(), read(node, key, problems)?);
    }
    if all.is_empty() {
        let message = format!("`{name}` names nothing");
        problems.error(&node.place, "empty", message, None);
        return None;
    }
    Some(all)
}

/// A time since the start, or a length of time: whole tenths of a second.
pub(super) fn tenths(node: &Node, name: &str, problems: &mut Problems) -> Option<Span> {
    let read = span(node, name, problems)?;
    if read.ms() % TENTH_MS != 0 {
        let message = format!("`{name}` is not a whole tenth of a second");
        let hint = "the exchange moves in steps of 100ms".to_owned();
        problems.error(&node.place, "duration", message, hint);
        return None;
    }
    Some(read)
}

/// A symbol.
pub(super) fn symbol(node: &Node, name: &str, problems: &mut Problems) -> Option<String> {
    let Value::Text(text) = &node.value else {
        let message = format!("`{name}` is {}, not a symbol", node.value.noun());
        problems.error(
            &node.place,
            "wrong-kind",
            message,
            "such as \"BTCUSDT\"".to_owned(),
        );
        return None;
    };
    match Symbol::new(text) {
        Ok(symbol) => Some(symbol.to_string()),
        Err(error) => {
            problems.error(&node.place, "symbol", error.to_string(), None);
            None
        }
    }
}
