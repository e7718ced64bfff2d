//! The venue's own names, borrowed from the text: everything here is as it was sent, and nothing is judged yet.
//!
//! Unknown keys are ignored, a duplicated known key or a missing required one is an error, and numbers may come as
//! strings or as JSON numbers: they are kept as text and read exactly, never through a float.
//!
//! Source: the pages named at each type in [`frames`] and [`answers`], read 2026-11-22.

mod answers;
mod frames;
mod said;

pub use answers::*;
pub use frames::*;
pub use said::*;

use crate::model::{Price, Qty, exact};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// An element that could not be read, by the venue's name of the field at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bad(pub &'static str);

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "field `{}`", self.0)
    }
}

/// Reads an object. Left to itself the parser would also take an array for one, by position.
///
/// # Errors
///
/// Whatever keeps the text from being an object of this shape.
pub fn object<'a, T: Deserialize<'a>>(text: &'a str) -> serde_json::Result<T> {
    if text.trim_start().starts_with('{') {
        serde_json::from_str(text)
    } else {
        Err(serde::de::Error::custom("not an object"))
    }
}

/// A string.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As one of our names.
    pub fn read<T: FromStr>(&self, field: &'static str) -> Result<T, Bad> {
        self.0.parse().map_err(|_| Bad(field))
    }
}

/// A string that somebody else chose freely.
#[derive(Clone, Copy, Deserialize)]
#[serde(transparent)]
pub struct Label<'a>(#[serde(borrow)] &'a RawValue);

/// A number, as a string or as a JSON number.
#[derive(Clone, Copy, Deserialize)]
#[serde(transparent)]
pub struct Num<'a>(#[serde(borrow)] &'a RawValue);

impl<'a> Num<'a> {
    /// Its digits as they were written; `None` when it is neither a string without escapes nor a number.
    fn digits(self) -> Option<&'a str> {
        let raw = self.0.get();
        match raw.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"').filter(|text| !text.contains('\\')),
            None => raw
                .starts_with(|c: char| c == '-' || c.is_ascii_digit())
                .then_some(raw),
        }
    }

    /// Whether it is the empty string, which the venue writes where nothing has happened yet.
    pub fn is_blank(self) -> bool {
        self.digits() == Some("")
    }

    /// As one of our values.
    pub fn read<T: FromStr>(self, field: &'static str) -> Result<T, Bad> {
        self.digits().and_then(|text| text.parse().ok()).ok_or(Bad(field))
    }

    /// As a bare exact decimal.
    pub fn decimal(self, field: &'static str) -> Result<Decimal, Bad> {
        self.digits().and_then(|text| exact(text).ok()).ok_or(Bad(field))
    }

    /// As a price, of which the venue says "none" with zero.
    pub fn price(self, field: &'static str) -> Result<Option<Price>, Bad> {
        let value = self.decimal(field)?;
        if value.is_zero() {
            return Ok(None);
        }
        Price::new(value).map(Some).map_err(|_| Bad(field))
    }
}

/// A name that may be left out; one that cannot be kept is as good as none and does not spoil its element.
pub fn label<T: FromStr>(label: Option<Label<'_>>, field: &'static str) -> Result<Option<T>, Bad> {
    let Some(Label(raw)) = label else {
        return Ok(None);
    };
    if !raw.get().starts_with('"') {
        return Err(Bad(field));
    }
    let text = serde_json::from_str::<Text<'_>>(raw.get()).ok();
    Ok(text.and_then(|text| text.as_str().parse().ok()))
}

/// A price that may be left out, or blank.
pub fn price(number: Option<Num<'_>>, field: &'static str) -> Result<Option<Price>, Bad> {
    match number {
        Some(number) if !number.is_blank() => number.price(field),
        _ => Ok(None),
    }
}

/// The quantity of an order; one that closes a whole position may have none.
pub fn quantity(number: Option<Num<'_>>, closes: bool, field: &'static str) -> Result<Qty, Bad> {
    match number {
        Some(number) if !(closes && number.is_blank()) => number.read(field),
        None if !closes => Err(Bad(field)),
        _ => Ok(Qty::ZERO),
    }
}
