//! Answers to reads.
//!
//! A complete list is read whole or not at all: one order or position that cannot be read spoils it, because what is
//! left out would count as gone (MO-12). A table, where what is left out only stays unknown, loses the bad rows.
//!
//! Source: the account, trade and market data pages, read 2026-11-22.

use super::rules::{asset_index, instrument, tiers};
use super::{algo_status, element, margin_type, order_kind, order_status, position_side, side};
use crate::event::{Event, Reading, Settings, Transfer};
use crate::model::{MarginType, Order, OrderId, PositionMode, Qty, Store, Symbol, Timestamp};
use crate::venue::binance::wire::{self, Bad, Num};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The events of an answer that stands alone; a failed read when it cannot be read.
pub fn single(reading: Reading, body: &str) -> Vec<Event> {
    let events = match reading {
        Reading::Holdings => None,
        Reading::OpenOrders(Store::Regular) => {
            whole(body, open_order).map(|orders| open(Store::Regular, orders))
        }
        Reading::OpenOrders(Store::Conditional) => {
            whole(body, open_algo_order).map(|orders| open(Store::Conditional, orders))
        }
        Reading::Settings => settings(body).map(|settings| vec![Event::Settings(settings)]),
        Reading::MarginTypes => table(body, margin_row).map(|types| vec![Event::MarginTypes(types)]),
        Reading::Rules => wire::object::<wire::ExchangeInfo<'_>>(body)
            .ok()
            .and_then(|info| some_of(&info.symbols, instrument))
            .map(|rules| vec![Event::Rules(rules)]),
        Reading::Tiers => table(body, tiers).map(|tiers| vec![Event::Tiers(tiers)]),
        Reading::AssetIndexes => table(body, asset_index).map(|indexes| vec![Event::AssetIndexes(indexes)]),
        Reading::Transfers => transfers(body),
    };
    events.unwrap_or_else(|| vec![Event::ReadFailed(reading)])
}

fn open(store: Store, orders: Vec<Order>) -> Vec<Event> {
    vec![Event::OpenOrders(store, orders)]
}

/// Every row of a complete list, or nothing.
fn whole<'a, W: Deserialize<'a>, T>(
    body: &'a str,
    translate: impl Fn(W) -> Result<T, Bad>,
) -> Option<Vec<T>> {
    let rows: Vec<&RawValue> = serde_json::from_str(body).ok()?;
    rows.into_iter()
        .map(|row| element(row, "element").and_then(&translate).ok())
        .collect()
}

/// The readable rows of a table, which may come as a single object; `None` when there are none.
fn table<'a, W: Deserialize<'a>, T>(
    body: &'a str,
    translate: impl Fn(W) -> Result<T, Bad>,
) -> Option<Vec<T>> {
    let rows: Vec<&RawValue> = if body.trim_start().starts_with('[') {
        serde_json::from_str(body).ok()?
    } else {
        vec![serde_json::from_str(body).ok()?]
    };
    some_of(&rows, translate)
}

fn some_of<'a, W: Deserialize<'a>, T>(
    rows: &[&'a RawValue],
    translate: impl Fn(W) -> Result<T, Bad>,
) -> Option<Vec<T>> {
    let good: Vec<T> = rows
        .iter()
        .filter_map(|&row| element(row, "element").and_then(&translate).ok())
        .collect();
    (!good.is_empty()).then_some(good)
}

fn time(number: Num<'_>, field: &'static str) -> Result<Timestamp, Bad> {
    number.read(field).map(Timestamp::from_ms)
}

fn open_order(row: wire::OrderRow<'_>) -> Result<Order, Bad> {
    Ok(Order {
        id: OrderId {
            store: Store::Regular,
            symbol: row.symbol.read("symbol")?,
            id: row.order_id.read("orderId")?,
        },
        client_id: wire::label(row.client_order_id, "clientOrderId")?,
        side: side(&row.side)?,
        position_side: position_side(&row.position_side)?,
        kind: order_kind(row.kind.as_str()),
        price: wire::price(row.price, "price")?,
        trigger: wire::price(row.stop_price, "stopPrice")?,
        quantity: row.orig_qty.read("origQty")?,
        executed: row.executed_qty.read("executedQty")?,
        average: wire::price(row.avg_price, "avgPrice")?,
        reduce_only: row.reduce_only,
        trade: None,
        close_position: row.close_position,
        status: order_status(row.status.as_str()),
        at: time(row.update_time, "updateTime")?,
    })
}

fn open_algo_order(row: wire::AlgoRow<'_>) -> Result<Order, Bad> {
    Ok(Order {
        id: OrderId {
            store: Store::Conditional,
            symbol: row.symbol.read("symbol")?,
            id: row.algo_id.read("algoId")?,
        },
        client_id: wire::label(row.client_algo_id, "clientAlgoId")?,
        side: side(&row.side)?,
        position_side: position_side(&row.position_side)?,
        kind: order_kind(row.order_type.as_str()),
        price: wire::price(row.price, "price")?,
        trigger: wire::price(row.trigger_price, "triggerPrice")?,
        quantity: wire::quantity(row.quantity, row.close_position, "quantity")?,
        executed: Qty::ZERO,
        average: None,
        reduce_only: row.reduce_only,
        trade: None,
        close_position: row.close_position,
        status: algo_status(row.algo_status.as_str()),
        at: time(row.update_time, "updateTime")?,
    })
}

fn settings(body: &str) -> Option<Settings> {
    let config: wire::AccountConfig = wire::object(body).ok()?;
    Some(Settings {
        mode: if config.dual_side_position {
            PositionMode::Hedge
        } else {
            PositionMode::OneWay
        },
        multi_assets: config.multi_assets_margin,
    })
}

fn margin_row(row: wire::SymbolConfig<'_>) -> Result<(Symbol, MarginType), Bad> {
    let margin = margin_type(&row.margin_type).ok_or(Bad("marginType"))?;
    Ok((row.symbol.read("symbol")?, margin))
}

/// Transfers that crossed the account's border. When a row cannot be read, the others are told and the read counts
/// as failed as well.
fn transfers(body: &str) -> Option<Vec<Event>> {
    let rows: Vec<&RawValue> = serde_json::from_str(body).ok()?;
    let all: Vec<Result<Option<Transfer>, Bad>> = rows
        .iter()
        .map(|&row| element(row, "element").and_then(transfer))
        .collect();
    let failed = all
        .iter()
        .any(Result::is_err)
        .then_some(Event::ReadFailed(Reading::Transfers));
    let good = all.into_iter().filter_map(Result::ok).flatten().collect();
    Some(std::iter::once(Event::Transfers(good)).chain(failed).collect())
}

/// `None` for income that is profit, or that moved inside the account.
fn transfer(row: wire::IncomeRow<'_>) -> Result<Option<Transfer>, Bad> {
    match row.income_type.as_str() {
        "TRANSFER" | "INTERNAL_TRANSFER" | "CROSS_COLLATERAL_TRANSFER" | "STRATEGY_UMFUTURES_TRANSFER" => {
            Ok(Some(Transfer {
                id: row.tran_id.read("tranId")?,
                asset: row.asset.read("asset")?,
                amount: row.income.read("income")?,
                at: time(row.time, "time")?,
            }))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::binance::fixtures::{fixture, kind};

    fn kinds(reading: Reading, body: &str) -> Vec<String> {
        single(reading, body).iter().map(kind).collect()
    }

    #[test]
    fn mo_12_a_list_with_one_unreadable_order_is_a_failed_read() {
        for (name, store, from, to) in [
            (
                "rest-open-orders",
                Store::Regular,
                r#""side":"BUY""#,
                r#""side":"LEND""#,
            ),
            ("rest-open-orders", Store::Regular, r#""reduceOnly":false,"#, ""),
            (
                "rest-open-orders",
                Store::Regular,
                r#""origQty":"3.000""#,
                r#""origQty":"""#,
            ),
            (
                "rest-open-algo-orders",
                Store::Conditional,
                r#""algoId":4000001234567890"#,
                r#""algoId":null"#,
            ),
            (
                "rest-open-algo-orders",
                Store::Conditional,
                r#""triggerPrice":"58000""#,
                r#""triggerPrice":"-1""#,
            ),
        ] {
            let body = fixture(name);
            assert!(body.contains(from), "{from}");
            let both = format!(
                "[{},{}]",
                &body[1..body.len() - 1],
                &body.replace(from, to)[1..body.replace(from, to).len() - 1]
            );
            let expected = format!("failed {:?}", Reading::OpenOrders(store));
            assert_eq!(kinds(Reading::OpenOrders(store), &both), [expected], "{to}");
        }
    }

    #[test]
    fn a_conditional_order_may_leave_blank_what_it_does_not_have() {
        let body = fixture("rest-open-algo-orders");
        for (from, to, expected) in [
            (r#""quantity":"0""#, r#""quantity":"""#, "open Conditional 1"),
            (r#""quantity":"0","#, "", "open Conditional 1"),
            (r#""price":"0""#, r#""price":"""#, "open Conditional 1"),
            (
                r#""triggerPrice":"58000""#,
                r#""triggerPrice":"""#,
                "open Conditional 1",
            ),
            (
                r#""quantity":"0""#,
                r#""quantity":"x""#,
                "failed OpenOrders(Conditional)",
            ),
        ] {
            let text = body.replace(from, to);
            assert_eq!(
                kinds(Reading::OpenOrders(Store::Conditional), &text),
                [expected],
                "{to}"
            );
        }
        let plain = body.replace(r#""closePosition":true"#, r#""closePosition":false"#);
        for to in ["", r#""quantity":"","#] {
            let text = plain.replace(r#""quantity":"0","#, to);
            assert_eq!(
                kinds(Reading::OpenOrders(Store::Conditional), &text),
                ["failed OpenOrders(Conditional)"],
                "{to}"
            );
        }
    }

    #[test]
    fn mo_16_only_what_crossed_the_border_is_a_transfer() {
        let body = fixture("rest-income");
        let got = single(Reading::Transfers, &body);
        let [Event::Transfers(all)] = &got[..] else {
            panic!("{got:?}");
        };
        let shown: Vec<String> = all
            .iter()
            .map(|one| format!("{} {} {}", one.id, one.amount, one.asset))
            .collect();
        assert_eq!(shown, ["9689322392 -250 USDT", "9689322393 1000 USDC"]);
        for (body, expected) in [
            ("[]".to_owned(), &["transfers 0"][..]),
            (
                body.replace("-250.00000000", ""),
                &["transfers 1", "failed Transfers"],
            ),
            ("{}".to_owned(), &["failed Transfers"]),
            ("null".to_owned(), &["failed Transfers"]),
        ] {
            assert_eq!(kinds(Reading::Transfers, &body), expected, "{body}");
        }
    }

    #[test]
    fn settings_and_margin_types_are_read_or_failed() {
        let config = fixture("rest-account-config");
        for (from, to, expected) in [
            ("", "", "settings"),
            ("\"dualSidePosition\":false,", "", "failed Settings"),
            (
                "\"dualSidePosition\":false",
                "\"dualSidePosition\":\"false\"",
                "failed Settings",
            ),
        ] {
            assert_eq!(
                kinds(Reading::Settings, &config.replacen(from, to, 1)),
                [expected],
                "{to}"
            );
        }
        let hedge = config.replace("\"dualSidePosition\":false", "\"dualSidePosition\":true");
        assert!(matches!(
            single(Reading::Settings, &hedge)[..],
            [Event::Settings(Settings {
                mode: PositionMode::Hedge,
                multi_assets: false
            })]
        ));
        let types = fixture("rest-symbol-config");
        for (from, to, expected) in [
            ("", "", "margin types 2"),
            ("ISOLATED", "DIAGONAL", "margin types 1"),
        ] {
            assert_eq!(
                kinds(Reading::MarginTypes, &types.replacen(from, to, 1)),
                [expected],
                "{to}"
            );
        }
        for (body, expected) in [
            ("[true,false]", "failed Settings"),
            ("[]", "failed Settings"),
            ("null", "failed Settings"),
        ] {
            assert_eq!(kinds(Reading::Settings, body), [expected], "{body}");
        }
    }
}
