//! Numbers with a unit: prices, quantities, money and ratios, all exact decimals.

use rust_decimal::{Decimal, RoundingStrategy};
use std::fmt;
use std::str::FromStr;

/// The largest magnitude that a price may have; no listed contract comes within a thousandth of it.
const PRICE_MAX: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);
/// The largest magnitude of a quantity: meme contracts trade in billions, never in tens of trillions.
const QTY_MAX: Decimal = Decimal::from_parts(1_316_134_912, 2328, 0, false, 0); // 10^13
/// The largest magnitude of an amount of money that is accepted from outside.
const MONEY_MAX: Decimal = Decimal::from_parts(2_764_472_320, 232_830, 0, false, 0); // 10^15

/// Why a number was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The text is not a plain decimal number.
    #[error("`{0}` is not a decimal number")]
    NotANumber(String),
    /// The number has more digits than an exact decimal holds.
    #[error("`{0}` has more digits than can be held exactly")]
    Inexact(String),
    /// The number is outside what the unit allows.
    #[error("`{0}` is out of range for {1}")]
    OutOfRange(String, &'static str),
}

/// Longer texts are refused unread: no venue sends them, and reading them costs time (FAILURES.md PA-06).
const LEN_MAX: usize = 64;

/// Reads a decimal exactly: plain or with an exponent, never rounded.
///
/// # Errors
///
/// [`ValueError`] when the text is no number, or cannot be held exactly in 28 digits.
pub fn exact(text: &str) -> Result<Decimal, ValueError> {
    let shown = || text.chars().take(40).collect::<String>();
    if text.is_empty() || text.len() > LEN_MAX {
        return Err(ValueError::NotANumber(shown()));
    }
    if text.contains(['e', 'E']) {
        let value = Decimal::from_scientific(text).map_err(|_| ValueError::NotANumber(shown()))?;
        // `from_scientific` may round a long mantissa away; only what survives a round trip is exact.
        let digits = text.split(['e', 'E']).next().unwrap_or("");
        let mantissa = Decimal::from_str_exact(digits).map_err(|_| ValueError::Inexact(shown()))?;
        let zero_agrees = mantissa.is_zero() == value.is_zero();
        let digits_agree = mantissa
            .normalize()
            .mantissa()
            .unsigned_abs()
            .to_string()
            .trim_end_matches('0')
            == value
                .normalize()
                .mantissa()
                .unsigned_abs()
                .to_string()
                .trim_end_matches('0');
        return if zero_agrees && digits_agree {
            Ok(value)
        } else {
            Err(ValueError::Inexact(shown()))
        };
    }
    if text.starts_with('+') || text.contains('_') {
        return Err(ValueError::NotANumber(shown()));
    }
    Decimal::from_str_exact(text).map_err(|error| match error {
        rust_decimal::Error::Underflow
        | rust_decimal::Error::ScaleExceedsMaximumPrecision(_)
        | rust_decimal::Error::ExceedsMaximumPossibleValue
        | rust_decimal::Error::LessThanMinimumPossibleValue => ValueError::Inexact(shown()),
        _ => ValueError::NotANumber(shown()),
    })
}

/// Saturating arithmetic: values are bounded at the door, so the bound here is never reached by honest input;
/// it exists so that no input at all can panic.
fn sum(a: Decimal, b: Decimal) -> Decimal {
    a.checked_add(b).unwrap_or(if a.is_sign_negative() {
        Decimal::MIN
    } else {
        Decimal::MAX
    })
}

fn product(a: Decimal, b: Decimal) -> Decimal {
    let negative = a.is_sign_negative() != b.is_sign_negative();
    a.checked_mul(b)
        .unwrap_or(if negative { Decimal::MIN } else { Decimal::MAX })
}

macro_rules! value {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Decimal);

        impl $name {
            /// The number itself, without its unit.
            pub const fn decimal(self) -> Decimal {
                self.0
            }
        }

        impl fmt::Display for $name {
            /// Plain notation without trailing zeros, as it goes into records.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.normalize(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.normalize())
            }
        }

        impl FromStr for $name {
            type Err = ValueError;
            fn from_str(text: &str) -> Result<Self, ValueError> {
                Self::new(exact(text)?)
            }
        }
    };
}

macro_rules! signed {
    ($name:ident) => {
        impl $name {
            /// Zero.
            pub const ZERO: $name = $name(Decimal::ZERO);

            /// Whether this is exactly zero.
            pub fn is_zero(self) -> bool {
                self.0.is_zero()
            }

            /// Whether this is above zero.
            pub fn is_positive(self) -> bool {
                self.0 > Decimal::ZERO
            }

            /// Whether this is below zero.
            pub fn is_negative(self) -> bool {
                self.0 < Decimal::ZERO
            }

            /// The magnitude.
            pub fn abs(self) -> $name {
                $name(self.0.abs())
            }
        }

        impl Default for $name {
            fn default() -> $name {
                $name::ZERO
            }
        }

        impl std::ops::Add for $name {
            type Output = $name;
            fn add(self, other: $name) -> $name {
                $name(sum(self.0, other.0))
            }
        }

        impl std::ops::Sub for $name {
            type Output = $name;
            fn sub(self, other: $name) -> $name {
                $name(sum(self.0, -other.0))
            }
        }

        impl std::ops::Neg for $name {
            type Output = $name;
            fn neg(self) -> $name {
                $name(-self.0)
            }
        }

        impl std::ops::AddAssign for $name {
            fn add_assign(&mut self, other: $name) {
                *self = *self + other;
            }
        }

        impl std::iter::Sum for $name {
            fn sum<I: Iterator<Item = $name>>(all: I) -> $name {
                all.fold($name::ZERO, |total, each| total + each)
            }
        }
    };
}

value! {
    /// A price in quote currency for one unit of the contract; always positive.
    Price
}
value! {
    /// A signed amount of contract units; for a position, long is positive.
    Qty
}
value! {
    /// A signed amount of a margin asset.
    Money
}
value! {
    /// A fraction: `0.7` is 70 %.
    Ratio
}
signed!(Qty);
signed!(Money);
signed!(Ratio);

impl Price {
    /// A price, when it is positive and bounded.
    ///
    /// # Errors
    ///
    /// [`ValueError::OutOfRange`] for zero, negative or absurd prices.
    pub fn new(value: Decimal) -> Result<Price, ValueError> {
        if value > Decimal::ZERO && value <= PRICE_MAX {
            Ok(Price(value))
        } else {
            Err(ValueError::OutOfRange(
                value.to_string(),
                "a price (above 0, at most 1e9)",
            ))
        }
    }

    /// The nearest multiple of `tick` at or below this price; the price itself when `tick` is zero.
    ///
    /// `None` when nothing positive is left.
    pub fn floor_to(self, tick: Decimal) -> Option<Price> {
        Price::new(floor_to(self.0, tick)).ok()
    }

    /// The nearest multiple of `tick` at or above this price; the price itself when `tick` is zero.
    pub fn ceil_to(self, tick: Decimal) -> Option<Price> {
        Price::new(ceil_to(self.0, tick)).ok()
    }

    /// This price times a ratio; `None` when the product is not a price.
    pub fn times(self, ratio: Ratio) -> Option<Price> {
        Price::new(product(self.0, ratio.0)).ok()
    }

    /// `self − other`, in quote currency for one unit.
    pub fn minus(self, other: Price) -> Money {
        Money(sum(self.0, -other.0))
    }
}

impl Qty {
    /// A quantity, when it is bounded.
    ///
    /// # Errors
    ///
    /// [`ValueError::OutOfRange`] beyond 10^13.
    pub fn new(value: Decimal) -> Result<Qty, ValueError> {
        if value.abs() <= QTY_MAX {
            Ok(Qty(value))
        } else {
            Err(ValueError::OutOfRange(
                value.to_string(),
                "a quantity (at most 1e13)",
            ))
        }
    }

    /// The magnitude at `price`, in quote currency, never negative.
    pub fn notional(self, price: Price) -> Money {
        Money(product(self.0.abs(), price.0))
    }

    /// The signed value of a move by `per_unit`: profit of a position when the price moves.
    pub fn times(self, per_unit: Money) -> Money {
        Money(product(self.0, per_unit.0))
    }

    /// A share of this quantity.
    pub fn share(self, ratio: Ratio) -> Qty {
        Qty(product(self.0, ratio.0))
    }

    /// The nearest multiple of `step` towards zero; the quantity itself when `step` is zero.
    pub fn floor_to(self, step: Qty) -> Qty {
        if self.is_negative() {
            Qty(-floor_to(-self.0, step.0))
        } else {
            Qty(floor_to(self.0, step.0))
        }
    }

    /// The nearest multiple of `step` away from zero; the quantity itself when `step` is zero.
    pub fn ceil_to(self, step: Qty) -> Qty {
        if self.is_negative() {
            Qty(-ceil_to(-self.0, step.0))
        } else {
            Qty(ceil_to(self.0, step.0))
        }
    }
}

impl Money {
    /// An amount of money, when it is bounded.
    ///
    /// # Errors
    ///
    /// [`ValueError::OutOfRange`] beyond 10^15.
    pub fn new(value: Decimal) -> Result<Money, ValueError> {
        if value.abs() <= MONEY_MAX {
            Ok(Money(value))
        } else {
            Err(ValueError::OutOfRange(
                value.to_string(),
                "an amount of money (at most 1e15)",
            ))
        }
    }

    /// One unit.
    pub const ONE: Money = Money(Decimal::ONE);
    /// A hundredth of it.
    pub const CENT: Money = Money(Decimal::from_parts(1, 0, 0, false, 2));
    /// More than anything is worth.
    pub const MAX: Money = Money(MONEY_MAX);
    /// The smallest amount that a wallet of the venue shows.
    pub const SMALLEST: Money = Money(Decimal::from_parts(1, 0, 0, false, 8));

    /// `self ÷ whole`; `None` when `whole` is not positive.
    pub fn ratio_of(self, whole: Money) -> Option<Ratio> {
        if !whole.is_positive() {
            return None;
        }
        self.0.checked_div(whole.0).map(Ratio)
    }

    /// The whole of which this is a share; `None` when the share is zero.
    pub fn over(self, ratio: Ratio) -> Option<Money> {
        self.0.checked_div(ratio.0).map(Money)
    }

    /// A share of this amount.
    pub fn share(self, ratio: Ratio) -> Money {
        Money(product(self.0, ratio.0))
    }

    /// How many units this amount buys at `price`.
    pub fn units_at(self, price: Price) -> Qty {
        Qty(self.0.checked_div(price.0).unwrap_or(Decimal::MAX))
    }

    /// The larger of two amounts.
    pub fn max(self, other: Money) -> Money {
        Ord::max(self, other)
    }

    /// The smaller of two amounts.
    pub fn min(self, other: Money) -> Money {
        Ord::min(self, other)
    }

    /// This amount, for one unit, as a price; `None` when it is not positive.
    pub fn per_unit(self, qty: Qty) -> Option<Price> {
        self.0.checked_div(qty.0).and_then(|value| Price::new(value).ok())
    }
}

impl Ratio {
    /// One, which is 100 %.
    pub const ONE: Ratio = Ratio(Decimal::ONE);
    /// Two, which is 200 %.
    pub const TWO: Ratio = Ratio(Decimal::TWO);
    /// A difference that no number of a venue can show.
    pub const SMALLEST: Ratio = Ratio::ten_to_minus(15);

    /// A ratio; any bounded decimal is one.
    ///
    /// # Errors
    ///
    /// [`ValueError::OutOfRange`] beyond 10^15.
    pub fn new(value: Decimal) -> Result<Ratio, ValueError> {
        if value.abs() <= MONEY_MAX {
            Ok(Ratio(value))
        } else {
            Err(ValueError::OutOfRange(
                value.to_string(),
                "a ratio (at most 1e15)",
            ))
        }
    }

    /// Ten thousandths: `Ratio::bps(5)` is 0.05 %.
    pub const fn bps(value: u32) -> Ratio {
        Ratio(Decimal::from_parts(value, 0, 0, false, 4))
    }

    /// `Ratio::ten_to_minus(3)` is a thousandth.
    pub const fn ten_to_minus(places: u32) -> Ratio {
        Ratio(Decimal::from_parts(1, 0, 0, false, places))
    }

    /// The product of two ratios.
    pub fn times(self, other: Ratio) -> Ratio {
        Ratio(product(self.0, other.0))
    }

    /// `self ÷ other`; `None` when `other` is zero.
    pub fn over(self, other: Ratio) -> Option<Ratio> {
        self.0.checked_div(other.0).map(Ratio)
    }

    /// Towards zero, to so many decimals.
    pub fn rounded_down(self, places: u32) -> Ratio {
        Ratio(self.0.round_dp_with_strategy(places, RoundingStrategy::ToZero))
    }

    /// In percent with at most two decimals, for people: `71.23%`.
    pub fn percent(self) -> String {
        let value = product(self.0, Decimal::ONE_HUNDRED);
        format!(
            "{}%",
            value
                .round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
                .normalize()
        )
    }
}

fn floor_to(value: Decimal, step: Decimal) -> Decimal {
    match value.checked_rem(step) {
        Some(rest) => sum(value, -rest),
        None => value,
    }
}

fn ceil_to(value: Decimal, step: Decimal) -> Decimal {
    match value.checked_rem(step) {
        Some(rest) if !rest.is_zero() => sum(sum(value, -rest), step),
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pa_05_numbers_are_read_exactly_or_refused() {
        for (text, expected) in [
            ("0.1", Some("0.1")),
            ("-0", Some("0")),
            ("2.8E-4", Some("0.00028")),
            ("1e3", Some("1000")),
            ("", None),
            ("+1", None),
            ("1_000", None),
            ("NaN", None),
            ("Infinity", None),
            ("0.12345678901234567890123456789012345", None),
            ("1234567890123456789012345678901234567890", None),
            ("1.2345678901234567890123456789012345E2", None),
            ("1.2345678901234567890123E-10", None),
        ] {
            assert_eq!(
                exact(text).ok().map(|v| v.normalize().to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn pa_06_absurd_numbers_are_element_errors() {
        for text in ["1e400", "1e-400", "1e28", "NaN", "-Infinity", &"9".repeat(10_000)] {
            assert!(text.parse::<Money>().is_err(), "{}", &text[..text.len().min(20)]);
        }
    }

    /// What a number costs is bounded by what is read of it: a text of one byte too many is refused although its first
    /// bytes, and its value, are those of a good number.
    #[test]
    fn pa_06_a_long_text_is_refused_by_its_length_and_shown_by_its_first_characters() {
        assert_eq!(LEN_MAX, 64);
        let padded = |len: usize, tail: &str| "0".repeat(len - tail.len()) + tail;
        for (tail, value) in [("7", "7"), ("7.5", "7.5"), ("7E1", "70")] {
            let longest = padded(LEN_MAX, tail);
            assert_eq!(
                exact(&longest).unwrap().normalize().to_string(),
                value,
                "{longest}"
            );
            for len in [LEN_MAX + 1, 10_000, 10_000_000] {
                let refused = exact(&padded(len, tail)).unwrap_err();
                assert_eq!(refused, ValueError::NotANumber("0".repeat(40)), "{len} bytes");
            }
        }
        // Before anything else: of too many digits, which is what parsing would find, nothing is said.
        for long in [
            "9".repeat(10_000),
            "9".repeat(10_000_000),
            "0.1".to_owned() + &"1".repeat(10_000),
        ] {
            let shown = long.chars().take(40).collect();
            assert_eq!(exact(&long), Err(ValueError::NotANumber(shown)));
        }
    }

    #[test]
    fn bounds_are_what_they_say() {
        assert_eq!(QTY_MAX, Decimal::from_str("10000000000000").unwrap());
        assert_eq!(MONEY_MAX, Decimal::from_str("1000000000000000").unwrap());
    }

    #[test]
    fn pa_11_a_price_is_positive() {
        for text in ["0", "-1", "1000000001"] {
            assert!(text.parse::<Price>().is_err(), "{text}");
        }
    }

    #[test]
    fn rounding_goes_to_multiples_of_the_step() {
        for (qty, step, floor, ceil) in [
            ("0.1239", "0.001", "0.123", "0.124"),
            ("0.123", "0.001", "0.123", "0.123"),
            ("-0.1239", "0.001", "-0.123", "-0.124"),
            ("7", "0", "7", "7"),
        ] {
            let (q, s): (Qty, Qty) = (qty.parse().unwrap(), step.parse().unwrap());
            assert_eq!(q.floor_to(s).to_string(), floor, "{qty}");
            assert_eq!(q.ceil_to(s).to_string(), ceil, "{qty}");
        }
    }

    #[test]
    fn a_share_of_nothing_is_not_a_number() {
        let one: Money = "1".parse().unwrap();
        assert_eq!(one.ratio_of(Money::ZERO), None);
        assert_eq!(one.ratio_of(-one), None);
        assert_eq!(one.ratio_of("4".parse().unwrap()), Some("0.25".parse().unwrap()));
    }

    #[test]
    fn percentages_read_as_people_write_them() {
        for (ratio, text) in [
            ("0.7123456", "71.23%"),
            ("0.05", "5%"),
            ("-0.001", "-0.1%"),
            ("1.5", "150%"),
        ] {
            assert_eq!(ratio.parse::<Ratio>().unwrap().percent(), text);
        }
    }
}
