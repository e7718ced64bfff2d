//! Frames of the private and the market stream.
//!
//! One frame gives one event, and an [`Event::Unknown`] beside it when a part of it could not be read: the parts that
//! could are applied, and the core reads the rest again (PA-02). What cannot be read is described by its size and the
//! place of the fault, never quoted: a wrapped frame carries the stream's key.
//!
//! Source: user data streams and market streams pages, read 2026-11-22.

use super::{algo_status, element, margin_type, order_kind, order_status, position_side, side};
use crate::event::{
    AccountUpdate, BalanceChange, CalledPosition, Event, Link, MarginCall, PositionChange, Reason,
};
use crate::model::{
    ClientOrderId, Leg, MarginType, MarkPrice, Money, Order, OrderId, Price, Qty, Store, Timestamp,
};
use crate::venue::binance::wire::{self, Bad};
use serde::Deserialize;
use serde_json::value::RawValue;

/// How much of an unknown name is kept.
const NAME_CHARS_MAX: usize = 64;

/// What a frame says.
#[derive(Default, PartialEq, Eq, Debug)]
pub(in crate::venue::binance) struct Frame {
    /// In the order to be applied.
    pub events: Vec<Event>,
    /// Mark prices that could not be read and are left out.
    pub dropped: u64,
}

impl From<Event> for Frame {
    fn from(event: Event) -> Frame {
        Frame {
            events: vec![event],
            dropped: 0,
        }
    }
}

/// Reads a frame of the private stream.
pub(in crate::venue::binance) fn private(text: &str) -> Frame {
    let opened = match open(text) {
        Ok(opened) => opened,
        Err(event) => return event.map(Frame::from).unwrap_or_default(),
    };
    let (name, inner) = (opened.name.as_str(), opened.inner);
    let events = match name {
        "ACCOUNT_UPDATE" => read(name, inner, account_update),
        "ORDER_TRADE_UPDATE" => read(name, inner, order_update),
        "ALGO_UPDATE" => read(name, inner, algo_update),
        "TRADE_LITE" => read(name, inner, |lite: wire::TradeLite<'_>| {
            Ok(vec![Event::FillHint(lite.s.read("s")?)])
        }),
        "MARGIN_CALL" => read(name, inner, margin_call),
        "ACCOUNT_CONFIG_UPDATE" => vec![Event::SettingsChanged],
        "listenKeyExpired" => vec![Event::Link(Link::Down("listenKey expired".to_owned()))],
        "markPriceUpdate" => return market(inner),
        _ => vec![unknown(name)],
    };
    Frame { events, dropped: 0 }
}

/// Reads a frame of the market stream; nothing that it says can change the account.
pub(in crate::venue::binance) fn market(text: &str) -> Frame {
    // The hot path: a mark price or an array of them, read in one pass.
    if let Ok(mark) = serde_json::from_str::<wire::Mark<'_>>(text)
        && mark.e.as_str() == "markPriceUpdate"
    {
        return marks(std::iter::once(mark_price(&mark)));
    }
    if text.trim_start().starts_with('[') {
        return market_array(text);
    }
    match open(text) {
        Ok(opened) if opened.is_array => market_array(opened.inner),
        Ok(opened) if opened.name == "markPriceUpdate" => {
            let parsed = serde_json::from_str::<wire::Mark<'_>>(opened.inner).map_err(|_| Bad("e"));
            marks(std::iter::once(parsed.and_then(|mark| mark_price(&mark))))
        }
        Ok(opened) => unknown(&opened.name).into(),
        Err(event) => event.map(Frame::from).unwrap_or_default(),
    }
}

fn market_array(text: &str) -> Frame {
    if let Ok(all) = serde_json::from_str::<Vec<wire::Mark<'_>>>(text) {
        return marks(all.iter().map(mark_price));
    }
    match serde_json::from_str::<Vec<&RawValue>>(text) {
        Ok(all) => marks(
            all.iter()
                .map(|raw| element::<wire::Mark<'_>>(raw, "e").and_then(|mark| mark_price(&mark))),
        ),
        Err(error) => unreadable("frame", text, &error).into(),
    }
}

fn marks(all: impl Iterator<Item = Result<Option<MarkPrice>, Bad>>) -> Frame {
    let (mut good, mut dropped) = (Vec::new(), 0);
    for one in all {
        match one {
            Ok(Some(mark)) => good.push(mark),
            Ok(None) => {}
            Err(_) => dropped += 1,
        }
    }
    let events = if good.is_empty() {
        Vec::new()
    } else {
        vec![Event::Marks(good)]
    };
    Frame { events, dropped }
}

/// `None` for what is not ours: another kind of event, or the coin-margined half of a merged stream.
fn mark_price(mark: &wire::Mark<'_>) -> Result<Option<MarkPrice>, Bad> {
    let coin_margined = match mark.st {
        Some(kind) => kind.read::<i64>("st")? == 2,
        None => false,
    };
    if coin_margined || mark.e.as_str() != "markPriceUpdate" {
        return Ok(None);
    }
    Ok(Some(MarkPrice {
        symbol: mark.s.read("s")?,
        price: mark.p.read("p")?,
        at: Timestamp::from_ms(mark.event_time.read("E")?),
    }))
}

/// A frame's name and the text of the event itself.
struct Opened<'a> {
    name: String,
    inner: &'a str,
    is_array: bool,
}

/// Takes the wrapping off. `Err(None)` for an answer to a subscription, which says nothing.
fn open(text: &str) -> Result<Opened<'_>, Option<Event>> {
    let parse = |text| serde_json::from_str::<wire::Head<'_>>(text);
    let mut head = parse(text).map_err(|error| Some(unreadable("frame", text, &error)))?;
    let mut inner = text;
    if let (None, Some(data)) = (&head.e, head.data) {
        inner = data.get();
        if inner.starts_with('[') {
            return Ok(Opened {
                name: String::new(),
                inner,
                is_array: true,
            });
        }
        head = parse(inner).map_err(|error| Some(unreadable("frame", inner, &error)))?;
    }
    match head.e {
        Some(name) => Ok(Opened {
            name: shown(name.as_str()),
            inner,
            is_array: false,
        }),
        None if head.code.is_some() || head.error.is_some() => {
            Err(Some(Event::Unknown("the stream refused a request".to_owned())))
        }
        None if head.id.is_some() => Err(None),
        None => Err(Some(Event::Unknown("frame without a name".to_owned()))),
    }
}

/// Reads the event and translates it; what fails becomes an unknown event that says where.
fn read<'a, T: Deserialize<'a>>(
    name: &str,
    text: &'a str,
    translate: impl Fn(T) -> Result<Vec<Event>, Bad>,
) -> Vec<Event> {
    match serde_json::from_str::<T>(text) {
        Ok(parsed) => {
            translate(parsed).unwrap_or_else(|bad| vec![Event::Unknown(format!("unreadable {name}: {bad}"))])
        }
        Err(error) => vec![unreadable(name, text, &error)],
    }
}

fn account_update(update: wire::AccountUpdate<'_>) -> Result<Vec<Event>, Bad> {
    let (balances, bad_balance) = split(&update.a.balances, |row: wire::BalanceRow<'_>| {
        Ok(BalanceChange {
            asset: row.a.read("a")?,
            wallet: row.wb.read("wb")?,
            cross_wallet: row.cw.read("cw")?,
            change: row.bc.read("bc")?,
        })
    });
    let (positions, bad_position) = split(&update.a.positions, position_change);
    let event = Event::Account(AccountUpdate {
        reason: reason(update.a.m.as_str()),
        balances,
        positions,
        at: Timestamp::from_ms(update.transaction_time.read("T")?),
    });
    Ok(with_doubt(event, "ACCOUNT_UPDATE", bad_balance.or(bad_position)))
}

fn position_change(row: wire::PositionRow<'_>) -> Result<PositionChange, Bad> {
    let margin = row.mt.as_ref().and_then(margin_type);
    let isolated_wallet = match (row.iw, margin) {
        (Some(number), _) => number.read("iw")?,
        (None, Some(MarginType::Isolated)) => return Err(Bad("iw")),
        (None, _) => Money::ZERO,
    };
    Ok(PositionChange {
        leg: Leg {
            symbol: row.s.read("s")?,
            side: position_side(&row.ps)?,
        },
        amount: row.pa.read("pa")?,
        entry: row.ep.price("ep")?,
        margin,
        isolated_wallet,
    })
}

/// Why balances changed. Source: POLICIES.md b.1.
fn reason(name: &str) -> Reason {
    match name {
        "DEPOSIT" | "WITHDRAW" | "WITHDRAW_REJECT" | "ADMIN_DEPOSIT" | "ADMIN_WITHDRAW"
        | "ASSET_TRANSFER" => Reason::External,
        "MARGIN_TRANSFER" | "MARGIN_TYPE_CHANGE" | "AUTO_EXCHANGE" | "COIN_SWAP_DEPOSIT"
        | "COIN_SWAP_WITHDRAW" => Reason::Internal,
        "ORDER" | "FUNDING_FEE" | "INSURANCE_CLEAR" | "OPTIONS_PREMIUM_FEE" | "OPTIONS_SETTLE_PROFIT" => {
            Reason::Profit
        }
        other => Reason::Unclassified(shown(other)),
    }
}

fn order_update(update: wire::OrderEvent<'_, wire::OrderBody<'_>>) -> Result<Vec<Event>, Bad> {
    let o = update.o;
    Ok(vec![Event::Order(Order {
        id: OrderId {
            store: Store::Regular,
            symbol: o.s.read("s")?,
            id: o.i.read("i")?,
        },
        client_id: o.c.and_then(|text| ClientOrderId::new(text.as_str()).ok()),
        side: side(&o.side)?,
        position_side: position_side(&o.ps)?,
        kind: order_kind(o.o.as_str()),
        price: wire::price(o.p, "p")?,
        trigger: wire::price(o.sp, "sp")?,
        quantity: o.q.read("q")?,
        executed: o.z.read("z")?,
        average: wire::price(o.ap, "ap")?,
        reduce_only: o.reduce_only,
        close_position: o.cp,
        status: order_status(o.status.as_str()),
        at: Timestamp::from_ms(update.transaction_time.read("T")?),
    })])
}

fn algo_update(update: wire::OrderEvent<'_, wire::AlgoBody<'_>>) -> Result<Vec<Event>, Bad> {
    let o = update.o;
    let executed = o.aq.filter(|number| !number.is_blank());
    let average = o.ap.filter(|number| !number.is_blank());
    Ok(vec![Event::Order(Order {
        id: OrderId {
            store: Store::Conditional,
            symbol: o.s.read("s")?,
            id: o.aid.read("aid")?,
        },
        client_id: o.caid.and_then(|text| ClientOrderId::new(text.as_str()).ok()),
        side: side(&o.side)?,
        position_side: position_side(&o.ps)?,
        kind: order_kind(o.o.as_str()),
        price: wire::price(o.p, "p")?,
        trigger: wire::price(o.tp, "tp")?,
        quantity: o.q.read("q")?,
        executed: executed.map_or(Ok(Qty::ZERO), |number| number.read("aq"))?,
        average: wire::price(average, "ap")?,
        reduce_only: o.reduce_only,
        close_position: o.cp,
        status: algo_status(o.status.as_str()),
        at: Timestamp::from_ms(update.transaction_time.read("T")?),
    })])
}

fn margin_call(call: wire::MarginCall<'_>) -> Result<Vec<Event>, Bad> {
    let (positions, bad) = split(&call.p, |row: wire::CalledRow<'_>| {
        Ok(CalledPosition {
            leg: Leg {
                symbol: row.s.read("s")?,
                side: position_side(&row.ps)?,
            },
            amount: row.pa.read("pa")?,
            margin: margin_type(&row.mt).ok_or(Bad("mt"))?,
            mark: row.mp.and_then(|number| number.read::<Price>("mp").ok()),
            maintenance: row.mm.and_then(|number| number.read("mm").ok()),
        })
    });
    let event = Event::MarginCall(MarginCall {
        cross_wallet: call.cw.and_then(|number| number.read("cw").ok()),
        positions,
        at: Timestamp::from_ms(call.event_time.read("E")?),
    });
    Ok(with_doubt(event, "MARGIN_CALL", bad))
}

/// The elements that could be read, and the first fault among the others.
fn split<'a, W: Deserialize<'a>, T>(
    rows: &[&'a RawValue],
    translate: impl Fn(W) -> Result<T, Bad>,
) -> (Vec<T>, Option<Bad>) {
    let (mut good, mut fault) = (Vec::with_capacity(rows.len()), None);
    for &row in rows {
        match element(row, "element").and_then(&translate) {
            Ok(one) => good.push(one),
            Err(bad) => fault = fault.or(Some(bad)),
        }
    }
    (good, fault)
}

fn with_doubt(event: Event, name: &str, bad: Option<Bad>) -> Vec<Event> {
    let doubt = bad.map(|bad| Event::Unknown(format!("unreadable part of {name}: {bad}")));
    std::iter::once(event).chain(doubt).collect()
}

fn unknown(name: &str) -> Event {
    Event::Unknown(shown(name))
}

/// Where and how a text stopped being readable, without quoting it.
fn unreadable(what: &str, text: &str, error: &serde_json::Error) -> Event {
    Event::Unknown(format!(
        "unreadable {what}: {:?} error at {}:{} of {} bytes",
        error.classify(),
        error.line(),
        error.column(),
        text.len()
    ))
}

/// A name from outside, short and printable.
fn shown(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_control())
        .take(NAME_CHARS_MAX)
        .collect()
}
