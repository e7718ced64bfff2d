//! Frames of the streams. Keys of one letter keep their letter; those that differ only in case are spelled out.

use super::{Label, Num, Text};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The top of a frame: what it is, or what it wraps.
///
/// Only `e` has a type, so that an event that uses the other keys differently is still known by its name.
#[derive(Deserialize)]
pub struct Head<'a> {
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
pub struct Mark<'a> {
    #[serde(borrow)]
    pub e: Text<'a>,
    #[serde(borrow, rename = "E")]
    pub event_time: Num<'a>,
    #[serde(borrow)]
    pub s: Text<'a>,
    #[serde(borrow)]
    pub p: Num<'a>,
    #[serde(borrow)]
    pub i: Option<Num<'a>>,
    #[serde(borrow)]
    pub st: Option<Num<'a>>,
}

/// `ACCOUNT_UPDATE`. Source: user data streams page, "Event: Balance and Position Update".
#[derive(Deserialize)]
pub struct AccountUpdate<'a> {
    #[serde(borrow, rename = "T")]
    pub transaction_time: Num<'a>,
    #[serde(borrow)]
    pub a: AccountBody<'a>,
}

#[derive(Deserialize)]
pub struct AccountBody<'a> {
    #[serde(borrow)]
    pub m: Text<'a>,
    #[serde(borrow, rename = "B", default)]
    pub balances: Vec<&'a RawValue>,
    #[serde(borrow, rename = "P", default)]
    pub positions: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
pub struct BalanceRow<'a> {
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
pub struct PositionRow<'a> {
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
pub struct OrderEvent<'a, T> {
    #[serde(borrow, rename = "T")]
    pub transaction_time: Num<'a>,
    pub o: T,
}

/// `ORDER_TRADE_UPDATE.o`. Source: user data streams page, "Event: Order Update".
#[derive(Deserialize)]
pub struct OrderBody<'a> {
    #[serde(borrow)]
    pub s: Text<'a>,
    #[serde(borrow)]
    pub c: Option<Label<'a>>,
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
    #[serde(borrow)]
    pub x: Option<Text<'a>>,
    #[serde(borrow)]
    pub t: Option<Num<'a>>,
    #[serde(borrow)]
    pub rp: Option<Num<'a>>,
    #[serde(borrow)]
    pub n: Option<Num<'a>>,
    #[serde(borrow, rename = "N")]
    pub fee_asset: Option<Text<'a>>,
}

/// `ALGO_UPDATE.o`. Source: user data streams page, "Event: Algo Order Update".
#[derive(Deserialize)]
pub struct AlgoBody<'a> {
    #[serde(borrow)]
    pub s: Text<'a>,
    #[serde(borrow)]
    pub caid: Option<Label<'a>>,
    #[serde(borrow)]
    pub aid: Num<'a>,
    #[serde(borrow, rename = "S")]
    pub side: Text<'a>,
    #[serde(borrow)]
    pub o: Text<'a>,
    #[serde(borrow)]
    pub q: Option<Num<'a>>,
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
    /// Without it a stop that closes a whole position would be taken for one of nothing.
    pub cp: bool,
    #[serde(borrow)]
    pub aq: Option<Num<'a>>,
    #[serde(borrow)]
    pub ap: Option<Num<'a>>,
}

/// `TRADE_LITE`, as far as it is used. Source: user data streams page, "Event: Trade Lite".
#[derive(Deserialize)]
pub struct TradeLite<'a> {
    #[serde(borrow)]
    pub s: Text<'a>,
}

/// `MARGIN_CALL`. Source: user data streams page, "Event: Margin Call".
#[derive(Deserialize)]
pub struct MarginCall<'a> {
    #[serde(borrow, rename = "E")]
    pub event_time: Num<'a>,
    #[serde(borrow)]
    pub cw: Option<Num<'a>>,
    #[serde(borrow)]
    pub p: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
pub struct CalledRow<'a> {
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
