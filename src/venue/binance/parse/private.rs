//! Events of the private stream, translated.
//!
//! Source: user data streams page, read 2026-11-22.

use super::frames::shown;
use super::{algo_status, element, margin_type, order_kind, order_status, position_side, side};
use crate::event::{AccountUpdate, BalanceChange, CalledPosition, Event, MarginCall, PositionChange, Reason};
use crate::model::{Leg, MarginType, Money, Order, OrderId, Price, Qty, Store, Timestamp, Trade};
use crate::venue::binance::wire::{self, Bad};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Balances and positions that changed; what is absent is unchanged (MO-05).
pub fn account_update(update: wire::AccountUpdate<'_>) -> Result<Vec<Event>, Bad> {
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
        "DEPOSIT" | "WITHDRAW" | "WITHDRAW_REJECT" | "ASSET_TRANSFER" => Reason::External,
        _ if name.starts_with("ADMIN_") => Reason::External,
        "MARGIN_TRANSFER" | "MARGIN_TYPE_CHANGE" | "AUTO_EXCHANGE" => Reason::Internal,
        _ if name.starts_with("COIN_SWAP_") => Reason::Internal,
        "ORDER" | "FUNDING_FEE" | "INSURANCE_CLEAR" => Reason::Profit,
        "OPTIONS_PREMIUM_FEE" | "OPTIONS_SETTLE_PROFIT" => Reason::Profit,
        _ => Reason::Unclassified(shown(name)),
    }
}

/// An order of the regular store.
pub fn order_update(update: wire::OrderEvent<'_, wire::OrderBody<'_>>) -> Result<Vec<Event>, Bad> {
    let o = update.o;
    let (trade, bad) = match trade(&o) {
        Ok(trade) => (trade, None),
        Err(bad) => (None, Some(bad)),
    };
    let event = Event::Order(Order {
        id: OrderId {
            store: Store::Regular,
            symbol: o.s.read("s")?,
            id: o.i.read("i")?,
        },
        client_id: wire::label(o.c, "c")?,
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
        trade,
    });
    Ok(with_doubt(event, "ORDER_TRADE_UPDATE", bad))
}

/// The fill that an event is about. No commission is pushed when none was taken (binance-usdm.md 4.2).
fn trade(o: &wire::OrderBody<'_>) -> Result<Option<Trade>, Bad> {
    let kind = o.x.as_ref().map_or("", |text| text.as_str());
    if !["TRADE", "CALCULATED"].contains(&kind) {
        return Ok(None);
    }
    let fee = match (o.n, &o.fee_asset) {
        (Some(number), Some(asset)) => Some((asset.read("N")?, number.read("n")?)),
        (Some(_), None) => return Err(Bad("N")),
        (None, _) => None,
    };
    Ok(Some(Trade {
        id: o.t.map_or(Ok(0), |number| number.read("t"))?,
        realised: o.rp.ok_or(Bad("rp"))?.read("rp")?,
        fee,
    }))
}

/// An order of the conditional store.
pub fn algo_update(update: wire::OrderEvent<'_, wire::AlgoBody<'_>>) -> Result<Vec<Event>, Bad> {
    let o = update.o;
    let executed = o.aq.filter(|number| !number.is_blank());
    Ok(vec![Event::Order(Order {
        id: OrderId {
            store: Store::Conditional,
            symbol: o.s.read("s")?,
            id: o.aid.read("aid")?,
        },
        client_id: wire::label(o.caid, "caid")?,
        side: side(&o.side)?,
        position_side: position_side(&o.ps)?,
        kind: order_kind(o.o.as_str()),
        price: wire::price(o.p, "p")?,
        trigger: wire::price(o.tp, "tp")?,
        quantity: wire::quantity(o.q, o.cp, "q")?,
        executed: executed.map_or(Ok(Qty::ZERO), |number| number.read("aq"))?,
        average: wire::price(o.ap, "ap")?,
        reduce_only: o.reduce_only,
        close_position: o.cp,
        status: algo_status(o.status.as_str()),
        at: Timestamp::from_ms(update.transaction_time.read("T")?),
        trade: None,
    })])
}

/// A fill, told early.
pub fn fill_hint(lite: wire::TradeLite<'_>) -> Result<Vec<Event>, Bad> {
    Ok(vec![Event::FillHint(lite.s.read("s")?)])
}

/// A margin call: heard even when its numbers cannot be read.
pub fn margin_call(call: wire::MarginCall<'_>) -> Result<Vec<Event>, Bad> {
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

#[cfg(test)]
mod tests;
