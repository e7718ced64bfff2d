//! Thresholds and targets: text with a unit, read exactly.

use crate::config::fields::{number, parse_span, short, span};
use crate::config::node::{Node, Problems, Value};
use crate::model::{Money, Qty, Ratio, Span, ValueError, exact};
use crate::policy::loss_streak::LOSSES_MAX;
use crate::policy::spec::Amount;
use rust_decimal::Decimal;

/// The longest time that a threshold may name.
const TIME_MAX: Span = Span::from_secs(7 * 86_400);

/// What the thresholds of a type are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// `70%`, at most 100 %.
    Percent,
    /// `5%`, or money.
    PercentOrMoney,
    /// `5000`.
    Money,
    /// `0.5`.
    Quantity,
    /// `3x`.
    Multiple,
    /// `15s`.
    Time,
    /// `3`.
    Count,
}

impl Unit {
    /// What it is called, with an example.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Unit::Percent => "a percentage such as \"70%\"",
            Unit::PercentOrMoney => "a percentage such as \"5%\" or money such as \"500\"",
            Unit::Money => "money such as \"5000\"",
            Unit::Quantity => "a quantity such as \"0.5\"",
            Unit::Multiple => "a multiple of equity such as \"3x\"",
            Unit::Time => "a length of time such as \"15s\"",
            Unit::Count => "a count such as \"3\"",
        }
    }
}

/// A positive amount in the unit; notes why it is none.
pub(super) fn amount(node: &Node, name: &str, unit: Unit, problems: &mut Problems) -> Option<Amount> {
    if unit == Unit::Time {
        return time(node, name, problems);
    }
    let written = number(node, name, problems)?;
    let read = match (unit, written.strip_suffix('%'), written.strip_suffix('x')) {
        (Unit::Percent | Unit::PercentOrMoney, Some(percent), _) => ratio(percent).map(Amount::Ratio),
        (Unit::Multiple, _, Some(times)) => times.parse::<Ratio>().map(Amount::Multiple),
        (Unit::Percent, None, None) => return bare(node, name, &written, problems),
        (Unit::PercentOrMoney, None, None) if is_fraction(&written) => {
            return bare(node, name, &written, problems);
        }
        (Unit::PercentOrMoney | Unit::Money, None, None) => written.parse::<Money>().map(Amount::Money),
        (Unit::Quantity, None, None) => written.parse::<Qty>().map(Amount::Quantity),
        (Unit::Count, None, None) if written.parse::<u32>().is_ok_and(|count| count <= LOSSES_MAX) => {
            Ok(Amount::Count(written.parse().unwrap_or(LOSSES_MAX)))
        }
        _ => {
            let message = format!("`{name}` is `{}`, not {}", short(&written), unit.noun());
            let hint =
                (unit == Unit::Multiple && exact(&written).is_ok()).then(|| format!("write \"{written}x\""));
            problems.error(&node.place, "unit", message, hint);
            return None;
        }
    };
    let read = match read {
        Ok(read) => read,
        Err(error) => {
            problems.error(
                &node.place,
                "number",
                format!("`{name}`: {error}"),
                format!("write {}", unit.noun()),
            );
            return None;
        }
    };
    within_bounds(node, name, read, problems)
}

/// A share: above 0 %, at most 100 %.
pub(super) fn share(node: &Node, name: &str, problems: &mut Problems) -> Option<Ratio> {
    match amount(node, name, Unit::Percent, problems)? {
        Amount::Ratio(ratio) => Some(ratio),
        _ => None,
    }
}

/// Money above zero.
pub(super) fn money(node: &Node, name: &str, problems: &mut Problems) -> Option<Money> {
    match amount(node, name, Unit::Money, problems)? {
        Amount::Money(money) => Some(money),
        _ => None,
    }
}

/// Whether a text is written as a percentage.
pub(super) fn is_percent(node: &Node) -> bool {
    matches!(&node.value, Value::Text(text) if text.ends_with('%'))
}

/// `5` of `5%` as a fraction: the point moves two places, no digit is lost.
pub(super) fn ratio(percent: &str) -> Result<Ratio, ValueError> {
    let mut value = exact(percent)?;
    let scale = value.scale().saturating_add(2);
    value
        .set_scale(scale)
        .map_err(|_| ValueError::Inexact(short(percent)))?;
    Ratio::new(value.normalize())
}

fn time(node: &Node, name: &str, problems: &mut Problems) -> Option<Amount> {
    if let Value::Text(text) = &node.value
        && parse_span(text).is_none()
        && (text.ends_with('%') || exact(text).is_ok())
    {
        let message = format!("`{name}` is `{}`, not {}", short(text), Unit::Time.noun());
        problems.error(&node.place, "unit", message, None);
        return None;
    }
    let length = span(node, name, problems)?;
    if length > TIME_MAX {
        let message = format!("`{name}` is longer than {TIME_MAX}");
        problems.error(&node.place, "range", message, None);
        return None;
    }
    within_bounds(node, name, Amount::Time(length), problems)
}

fn within_bounds(node: &Node, name: &str, read: Amount, problems: &mut Problems) -> Option<Amount> {
    let number = read.number();
    if number <= Decimal::ZERO {
        let message = format!("`{name}` must be above zero");
        problems.error(&node.place, "range", message, None);
        return None;
    }
    if matches!(read, Amount::Ratio(ratio) if ratio > Ratio::ONE) {
        let message = format!("`{name}` is above 100%, which is never reached");
        problems.error(&node.place, "range", message, None);
        return None;
    }
    Some(read)
}

/// Whether it is a number between 0 and 1: most likely a fraction where a percentage was meant.
fn is_fraction(written: &str) -> bool {
    exact(written).is_ok_and(|value| value > Decimal::ZERO && value < Decimal::ONE)
}

/// A number without `%`: never guessed, always asked for.
fn bare(node: &Node, name: &str, written: &str, problems: &mut Problems) -> Option<Amount> {
    let hint = match exact(written) {
        Ok(value) if value == Decimal::ONE => "write 1% or 100%".to_owned(),
        Ok(value) if value > Decimal::ZERO && value < Decimal::ONE => {
            let percent = value.checked_mul(Decimal::ONE_HUNDRED).unwrap_or(value);
            format!("write {}%", percent.normalize())
        }
        Ok(_) => format!("write {written}%"),
        Err(_) => format!("write {}", Unit::Percent.noun()),
    };
    let message = format!(
        "`{name}` is `{}`, which could be a fraction or a percentage",
        short(written)
    );
    problems.error(&node.place, "percent", message, hint);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::node::Place;

    fn check(unit: Unit, text: &str) -> String {
        let mut problems = Problems::new("p.toml", text);
        let node = Node {
            place: Place::Default,
            key: Place::Default,
            value: Value::Text(text.into()),
        };
        match amount(&node, "at", unit, &mut problems) {
            Some(read) => read.number().to_string(),
            None => problems
                .items
                .into_iter()
                .map(|item| format!("{}: {}", item.code, item.hint.unwrap_or_default()))
                .collect(),
        }
    }

    #[test]
    fn amounts_carry_their_unit_and_are_never_guessed() {
        for (unit, text, expected) in [
            (Unit::Percent, "70%", "0.7"),
            (Unit::Percent, "0.5%", "0.005"),
            (
                Unit::Percent,
                "33.333333333333333333333333%",
                "0.33333333333333333333333333",
            ),
            (Unit::Percent, "0.7", "percent: write 70%"),
            (Unit::Percent, "70", "percent: write 70%"),
            (Unit::Percent, "1", "percent: write 1% or 100%"),
            (Unit::Percent, "0%", "range: "),
            (Unit::Percent, "-5%", "range: "),
            (Unit::Percent, "101%", "range: "),
            (Unit::Percent, "3x", "unit: "),
            (
                Unit::Percent,
                "1e400%",
                "number: write a percentage such as \"70%\"",
            ),
            (Unit::PercentOrMoney, "5%", "0.05"),
            (Unit::PercentOrMoney, "500", "500"),
            (Unit::PercentOrMoney, "0.05", "percent: write 5%"),
            (Unit::Money, "0.5", "0.5"),
            (Unit::Money, "5%", "unit: "),
            (Unit::Quantity, "0.5", "0.5"),
            (Unit::Multiple, "3x", "3"),
            (Unit::Multiple, "3", "unit: write \"3x\""),
            (Unit::Count, "3", "3"),
            (Unit::Count, "0", "range: "),
            (Unit::Count, "2.5", "unit: "),
            (Unit::Count, "101", "unit: "),
            (Unit::Count, "3%", "unit: "),
            (Unit::Time, "15s", "15.000"),
            (Unit::Time, "15", "unit: "),
            (Unit::Time, "0s", "range: "),
            (Unit::Time, "8000h", "range: "),
        ] {
            assert_eq!(check(unit, text), expected, "{unit:?} {text}");
        }
    }
}
