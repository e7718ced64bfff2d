//! The venue's own names, borrowed from the text: everything here is as it was sent, and nothing is judged yet.
//!
//! Unknown keys are ignored, a duplicated known key or a missing required one is an error, and numbers may come as
//! strings or as JSON numbers: they are kept as text and read exactly, never through a float.
//!
//! Source: the pages named at each type, read 2026-11-22.

use crate::model::{Price, exact};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// An element that could not be read, by the venue's name of the field at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bad(pub(super) &'static str);

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
pub(super) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> serde_json::Result<T> {
    if text.trim_start().starts_with('{') {
        serde_json::from_str(text)
    } else {
        Err(serde::de::Error::custom("not an object"))
    }
}

/// A string.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// As one of our names.
    pub(super) fn read<T: FromStr>(&self, field: &'static str) -> Result<T, Bad> {
        self.0.parse().map_err(|_| Bad(field))
    }
}

/// A number, as a string or as a JSON number.
#[derive(Clone, Copy, Deserialize)]
#[serde(transparent)]
pub(super) struct Num<'a>(#[serde(borrow)] &'a RawValue);

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
    pub(super) fn is_blank(self) -> bool {
        self.digits() == Some("")
    }

    /// As one of our values.
    pub(super) fn read<T: FromStr>(self, field: &'static str) -> Result<T, Bad> {
        self.digits().and_then(|text| text.parse().ok()).ok_or(Bad(field))
    }

    /// As a bare exact decimal.
    pub(super) fn decimal(self, field: &'static str) -> Result<Decimal, Bad> {
        self.digits().and_then(|text| exact(text).ok()).ok_or(Bad(field))
    }

    /// As a price, of which the venue says "none" with zero.
    pub(super) fn price(self, field: &'static str) -> Result<Option<Price>, Bad> {
        let value = self.decimal(field)?;
        if value.is_zero() {
            return Ok(None);
        }
        Price::new(value).map(Some).map_err(|_| Bad(field))
    }
}

/// A price that may be left out.
pub(super) fn price(number: Option<Num<'_>>, field: &'static str) -> Result<Option<Price>, Bad> {
    number.map_or(Ok(None), |number| number.price(field))
}

/// The top of a frame: what it is, or what it wraps.
///
/// Only `e` has a type, so that an event that uses the other keys differently is still known by its name.
#[derive(Deserialize)]
pub(super) struct Head<'a> {
    #[serde(borrow)]
    pub e: Option<Text<'a>>,
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub code: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

/// `markPriceUpdate`. Source: market streams page, "Mark Price Stream".
#[derive(Deserialize)]
pub(super) struct Mark<'a> {
    #[serde(borrow)]
    pub e: Text<'a>,
    #[serde(borrow, rename = "E")]
    pub event_time: Num<'a>,
    #[serde(borrow)]
    pub s: Text<'a>,
    #[serde(borrow)]
    pub p: Num<'a>,
    #[serde(borrow)]
    pub st: Option<Num<'a>>,
}

/// `ACCOUNT_UPDATE`. Source: user data streams page, "Event: Balance and Position Update".
#[derive(Deserialize)]
pub(super) struct AccountUpdate<'a> {
    #[serde(borrow, rename = "T")]
    pub transaction_time: Num<'a>,
    #[serde(borrow)]
    pub a: AccountBody<'a>,
}

#[derive(Deserialize)]
pub(super) struct AccountBody<'a> {
    #[serde(borrow)]
    pub m: Text<'a>,
    #[serde(borrow, rename = "B", default)]
    pub balances: Vec<&'a RawValue>,
    #[serde(borrow, rename = "P", default)]
    pub positions: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct BalanceRow<'a> {
    #[serde(borrow)]
    pub a: Text<'a>,
    #[serde(borrow)]
    pub wb: Num<'a>,
    #[serde(borrow)]
    pub cw: Num<'a>,
    #[serde(borrow)]
    pub bc: Num<'a>,
}

#[derive(Deserialize)]
pub(super) struct PositionRow<'a> {
    #[serde(borrow)]
    pub s: Text<'a>,
    #[serde(borrow)]
    pub ps: Text<'a>,
    #[serde(borrow)]
    pub pa: Num<'a>,
    #[serde(borrow)]
    pub ep: Num<'a>,
    #[serde(borrow)]
    pub mt: Option<Text<'a>>,
    #[serde(borrow)]
    pub iw: Option<Num<'a>>,
}

/// An event about one order, in its own time. The inner object of an `ALGO_UPDATE` has a key `o` too.
#[derive(Deserialize)]
pub(super) struct OrderEvent<'a, T> {
    #[serde(borrow, rename = "T")]
    pub transaction_time: Num<'a>,
    pub o: T,
}

/// `ORDER_TRADE_UPDATE.o`. Source: user data streams page, "Event: Order Update".
#[derive(Deserialize)]
pub(super) struct OrderBody<'a> {
    #[serde(borrow)]
    pub s: Text<'a>,
    #[serde(borrow)]
    pub c: Option<Text<'a>>,
    #[serde(borrow, rename = "S")]
    pub side: Text<'a>,
    #[serde(borrow)]
    pub o: Text<'a>,
    #[serde(borrow)]
    pub q: Num<'a>,
    #[serde(borrow)]
    pub p: Option<Num<'a>>,
    #[serde(borrow)]
    pub ap: Option<Num<'a>>,
    #[serde(borrow)]
    pub sp: Option<Num<'a>>,
    #[serde(borrow, rename = "X")]
    pub status: Text<'a>,
    #[serde(borrow)]
    pub i: Num<'a>,
    #[serde(borrow)]
    pub z: Num<'a>,
    #[serde(rename = "R")]
    pub reduce_only: bool,
    #[serde(borrow)]
    pub ps: Text<'a>,
    #[serde(default)]
    pub cp: bool,
}

/// `ALGO_UPDATE.o`. Source: user data streams page, "Event: Algo Order Update".
#[derive(Deserialize)]
pub(super) struct AlgoBody<'a> {
    #[serde(borrow)]
    pub s: Text<'a>,
    #[serde(borrow)]
    pub caid: Option<Text<'a>>,
    #[serde(borrow)]
    pub aid: Num<'a>,
    #[serde(borrow, rename = "S")]
    pub side: Text<'a>,
    #[serde(borrow)]
    pub o: Text<'a>,
    #[serde(borrow)]
    pub q: Num<'a>,
    #[serde(borrow)]
    pub p: Option<Num<'a>>,
    #[serde(borrow)]
    pub tp: Option<Num<'a>>,
    #[serde(borrow, rename = "X")]
    pub status: Text<'a>,
    #[serde(rename = "R")]
    pub reduce_only: bool,
    #[serde(borrow)]
    pub ps: Text<'a>,
    #[serde(default)]
    pub cp: bool,
    #[serde(borrow)]
    pub aq: Option<Num<'a>>,
    #[serde(borrow)]
    pub ap: Option<Num<'a>>,
}

/// `TRADE_LITE`, as far as it is used. Source: user data streams page, "Event: Trade Lite".
#[derive(Deserialize)]
pub(super) struct TradeLite<'a> {
    #[serde(borrow)]
    pub s: Text<'a>,
}

/// `MARGIN_CALL`. Source: user data streams page, "Event: Margin Call".
#[derive(Deserialize)]
pub(super) struct MarginCall<'a> {
    #[serde(borrow, rename = "E")]
    pub event_time: Num<'a>,
    #[serde(borrow)]
    pub cw: Option<Num<'a>>,
    #[serde(borrow)]
    pub p: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct CalledRow<'a> {
    #[serde(borrow)]
    pub s: Text<'a>,
    #[serde(borrow)]
    pub ps: Text<'a>,
    #[serde(borrow)]
    pub pa: Num<'a>,
    #[serde(borrow)]
    pub mt: Text<'a>,
    #[serde(borrow)]
    pub mp: Option<Num<'a>>,
    #[serde(borrow)]
    pub mm: Option<Num<'a>>,
}

/// An error body, or the body of a cancellation that succeeded with code 200. Source: error codes page.
#[derive(Deserialize)]
pub(super) struct Verdict<'a> {
    #[serde(borrow)]
    pub code: Num<'a>,
    #[serde(borrow)]
    pub msg: Option<Text<'a>>,
}

/// `GET /fapi/v3/account`. Source: account page, "Account Information V3".
#[derive(Deserialize)]
pub(super) struct Account<'a> {
    #[serde(borrow)]
    pub assets: Vec<AssetRow<'a>>,
    #[serde(borrow)]
    pub positions: Vec<HeldRow<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AssetRow<'a> {
    #[serde(borrow)]
    pub asset: Text<'a>,
    #[serde(borrow)]
    pub wallet_balance: Num<'a>,
    #[serde(borrow)]
    pub cross_wallet_balance: Num<'a>,
    #[serde(borrow)]
    pub update_time: Num<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeldRow<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub position_side: Text<'a>,
    #[serde(borrow)]
    pub position_amt: Num<'a>,
}

/// `GET /fapi/v3/positionRisk`. Source: trade page, "Position Information V3".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RiskRow<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub position_side: Text<'a>,
    #[serde(borrow)]
    pub position_amt: Num<'a>,
    #[serde(borrow)]
    pub entry_price: Num<'a>,
    #[serde(borrow)]
    pub mark_price: Num<'a>,
    #[serde(borrow)]
    pub isolated_margin: Num<'a>,
    #[serde(borrow)]
    pub isolated_wallet: Num<'a>,
    #[serde(borrow)]
    pub update_time: Num<'a>,
}

/// An order of `GET /fapi/v1/openOrders` or `order`, or the answer to a placement.
/// Source: trade page, "Current All Open Orders" and "New Order".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OrderRow<'a> {
    #[serde(borrow)]
    pub order_id: Num<'a>,
    #[serde(borrow)]
    pub client_order_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub status: Text<'a>,
    #[serde(borrow)]
    pub side: Text<'a>,
    #[serde(borrow)]
    pub position_side: Text<'a>,
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub orig_qty: Num<'a>,
    #[serde(borrow)]
    pub executed_qty: Num<'a>,
    #[serde(borrow)]
    pub price: Option<Num<'a>>,
    #[serde(borrow)]
    pub avg_price: Option<Num<'a>>,
    #[serde(borrow)]
    pub stop_price: Option<Num<'a>>,
    pub reduce_only: bool,
    #[serde(default)]
    pub close_position: bool,
    #[serde(borrow)]
    pub update_time: Num<'a>,
}

/// What the answer to a placement must say at least. Source: trade page, "New Order".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Placed<'a> {
    #[serde(borrow)]
    pub order_id: Num<'a>,
    #[serde(borrow)]
    pub client_order_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub status: Text<'a>,
    #[serde(borrow)]
    pub executed_qty: Num<'a>,
    #[serde(borrow)]
    pub update_time: Num<'a>,
}

/// An order of `GET /fapi/v1/openAlgoOrders`. Source: trade page, "Current All Algo Open Orders".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AlgoRow<'a> {
    #[serde(borrow)]
    pub algo_id: Num<'a>,
    #[serde(borrow)]
    pub client_algo_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub order_type: Text<'a>,
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub side: Text<'a>,
    #[serde(borrow)]
    pub position_side: Text<'a>,
    #[serde(borrow)]
    pub quantity: Num<'a>,
    #[serde(borrow)]
    pub algo_status: Text<'a>,
    #[serde(borrow)]
    pub trigger_price: Option<Num<'a>>,
    #[serde(borrow)]
    pub price: Option<Num<'a>>,
    pub close_position: bool,
    pub reduce_only: bool,
    #[serde(borrow)]
    pub update_time: Num<'a>,
}

/// `GET /fapi/v1/accountConfig`. Source: account page, "Futures Account Configuration".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountConfig {
    pub dual_side_position: bool,
    pub multi_assets_margin: bool,
}

/// `GET /fapi/v1/symbolConfig`. Source: account page, "Symbol Configuration".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SymbolConfig<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub margin_type: Text<'a>,
}

/// `GET /fapi/v1/exchangeInfo`. Source: market data page, "Exchange Information".
#[derive(Deserialize)]
pub(super) struct ExchangeInfo<'a> {
    #[serde(borrow)]
    pub symbols: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SymbolRow<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub margin_asset: Text<'a>,
    #[serde(borrow)]
    pub status: Text<'a>,
    #[serde(borrow)]
    pub market_take_bound: Option<Num<'a>>,
    #[serde(borrow)]
    pub filters: Vec<Filter<'a>>,
}

/// A filter of any type; what it has besides its type depends on the type.
/// Source: common definition page, "Filters".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Filter<'a> {
    #[serde(borrow)]
    pub filter_type: Text<'a>,
    #[serde(borrow)]
    pub tick_size: Option<Num<'a>>,
    #[serde(borrow)]
    pub min_qty: Option<Num<'a>>,
    #[serde(borrow)]
    pub max_qty: Option<Num<'a>>,
    #[serde(borrow)]
    pub step_size: Option<Num<'a>>,
    #[serde(borrow)]
    pub notional: Option<Num<'a>>,
    #[serde(borrow)]
    pub multiplier_up: Option<Num<'a>>,
    #[serde(borrow)]
    pub multiplier_down: Option<Num<'a>>,
}

/// An element of `GET /fapi/v1/leverageBracket`. Source: account page, "Notional and Leverage Brackets".
#[derive(Deserialize)]
pub(super) struct Brackets<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub brackets: Vec<Bracket<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bracket<'a> {
    #[serde(borrow)]
    pub notional_cap: Num<'a>,
    #[serde(borrow)]
    pub notional_floor: Num<'a>,
    #[serde(borrow)]
    pub maint_margin_ratio: Num<'a>,
    #[serde(borrow)]
    pub cum: Num<'a>,
}

/// An element of `GET /fapi/v1/assetIndex`. Source: market data page, "Multi-Assets Mode Asset Index".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IndexRow<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub index: Num<'a>,
    #[serde(borrow)]
    pub bid_buffer: Num<'a>,
    #[serde(borrow)]
    pub ask_buffer: Num<'a>,
}

/// An element of `GET /fapi/v1/income`. Source: account page, "Get Income History".
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IncomeRow<'a> {
    #[serde(borrow)]
    pub income_type: Text<'a>,
    #[serde(borrow)]
    pub income: Num<'a>,
    #[serde(borrow)]
    pub asset: Text<'a>,
    #[serde(borrow)]
    pub time: Num<'a>,
    #[serde(borrow)]
    pub tran_id: Num<'a>,
}
