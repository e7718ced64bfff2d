//! Answers to reads.
//!
//! A complete list is read whole or not at all: one order or position that cannot be read spoils it, because what is
//! left out would count as gone (MO-12). A table, where what is left out only stays unknown, loses the bad rows.
//!
//! Source: the account, trade and market data pages, read 2026-11-22.

use super::{algo_status, element, margin_type, order_kind, order_status, position_side, side};
use crate::event::{Event, Holdings, Reading, Settings, Transfer};
use crate::model::{
    Asset, AssetIndex, Balance, ClientOrderId, Instrument, Leg, LotRule, MarginType, MarkPrice, Money, Order,
    OrderId, Position, PositionMode, Price, PriceBand, Qty, Ratio, Store, Symbol, Tier, Timestamp,
    TradingStatus,
};
use crate::venue::binance::wire::{self, Bad, Filter, Num};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A last tier may end at the largest number of the venue's machine; ours ends at the largest amount of money.
const CAP_MAX: Decimal = Decimal::from_parts(2_764_472_320, 232_830, 0, false, 0); // 10^15

/// The answer of `GET /fapi/v3/account`: balances, and the amounts that positionRisk must agree with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::venue::binance) struct AccountHalf {
    balances: Vec<(Asset, Balance)>,
    amounts: BTreeMap<Leg, Qty>,
}

/// The answer of `GET /fapi/v3/positionRisk`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::venue::binance) struct RiskHalf {
    positions: BTreeMap<Leg, Position>,
    marks: Vec<MarkPrice>,
}

/// Balances and amounts of an account answer; `None` when any part of it cannot be read.
pub(in crate::venue::binance) fn account(body: &str) -> Option<AccountHalf> {
    let account: wire::Account<'_> = wire::object(body).ok()?;
    let mut balances = BTreeMap::new();
    for row in &account.assets {
        let balance = Balance {
            wallet: row.wallet_balance.read("walletBalance").ok()?,
            cross_wallet: row.cross_wallet_balance.read("crossWalletBalance").ok()?,
            at: time(row.update_time, "updateTime").ok()?,
        };
        let before = balances.insert(row.asset.read::<Asset>("asset").ok()?, balance);
        before.is_none().then_some(())?;
    }
    let mut amounts = BTreeMap::new();
    for row in &account.positions {
        let leg = Leg {
            symbol: row.symbol.read("symbol").ok()?,
            side: position_side(&row.position_side).ok()?,
        };
        let amount: Qty = row.position_amt.read("positionAmt").ok()?;
        amounts.insert(leg, amount).is_none().then_some(())?;
    }
    amounts.retain(|_, amount| !amount.is_zero());
    Some(AccountHalf {
        balances: balances.into_iter().collect(),
        amounts,
    })
}

/// Positions and marks of a positionRisk answer; `None` when any position cannot be read.
///
/// A mark has no time of its own here and takes that of its receipt; a mark of zero is no mark.
pub(in crate::venue::binance) fn position_risk(body: &str, received: Timestamp) -> Option<RiskHalf> {
    let rows: Vec<wire::RiskRow<'_>> = serde_json::from_str(body).ok()?;
    let (mut positions, mut marks) = (BTreeMap::new(), BTreeMap::new());
    for row in &rows {
        let symbol: Symbol = row.symbol.read("symbol").ok()?;
        if let Ok(Some(price)) = row.mark_price.price("markPrice") {
            marks.insert(symbol.clone(), price);
        }
        let leg = Leg {
            symbol,
            side: position_side(&row.position_side).ok()?,
        };
        let isolated_wallet: Money = row.isolated_wallet.read("isolatedWallet").ok()?;
        let isolated_margin: Money = row.isolated_margin.read("isolatedMargin").ok()?;
        let isolated = !isolated_wallet.is_zero() || !isolated_margin.is_zero();
        let position = Position {
            amount: row.position_amt.read("positionAmt").ok()?,
            entry: row.entry_price.price("entryPrice").ok()?,
            margin: isolated.then_some(MarginType::Isolated),
            isolated_wallet,
            at: time(row.update_time, "updateTime").ok()?,
        };
        positions.insert(leg, position).is_none().then_some(())?;
    }
    positions.retain(|_, position| !position.amount.is_zero());
    Some(RiskHalf {
        positions,
        marks: marks
            .into_iter()
            .map(|(symbol, price)| MarkPrice {
                symbol,
                price,
                at: received,
            })
            .collect(),
    })
}

/// The two halves as one; `None` when they are torn: legs or amounts differ.
pub(in crate::venue::binance) fn holdings(account: AccountHalf, risk: RiskHalf) -> Option<Holdings> {
    let same = account.amounts.len() == risk.positions.len()
        && risk
            .positions
            .iter()
            .all(|(leg, position)| account.amounts.get(leg) == Some(&position.amount));
    same.then(|| Holdings {
        balances: account.balances,
        positions: risk.positions.into_iter().collect(),
        marks: risk.marks,
    })
}

/// The events of an answer that stands alone; a failed read when it cannot be read.
pub(in crate::venue::binance) fn single(reading: Reading, body: &str) -> Vec<Event> {
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
        client_id: row
            .client_order_id
            .and_then(|text| ClientOrderId::new(text.as_str()).ok()),
        side: side(&row.side)?,
        position_side: position_side(&row.position_side)?,
        kind: order_kind(row.kind.as_str()),
        price: wire::price(row.price, "price")?,
        trigger: wire::price(row.stop_price, "stopPrice")?,
        quantity: row.orig_qty.read("origQty")?,
        executed: row.executed_qty.read("executedQty")?,
        average: wire::price(row.avg_price, "avgPrice")?,
        reduce_only: row.reduce_only,
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
        client_id: row
            .client_algo_id
            .and_then(|text| ClientOrderId::new(text.as_str()).ok()),
        side: side(&row.side)?,
        position_side: position_side(&row.position_side)?,
        kind: order_kind(row.order_type.as_str()),
        price: wire::price(row.price, "price")?,
        trigger: wire::price(row.trigger_price, "triggerPrice")?,
        quantity: row.quantity.read("quantity")?,
        executed: Qty::ZERO,
        average: None,
        reduce_only: row.reduce_only,
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

/// Rules of one contract of any type: perpetual, dated or on a stock. Only `TRADING` is open for orders.
fn instrument(row: wire::SymbolRow<'_>) -> Result<Instrument, Bad> {
    let filter = |name: &'static str| {
        let mut found = row.filters.iter().filter(|f| f.filter_type.as_str() == name);
        found.next()
    };
    let tick = filter("PRICE_FILTER").and_then(|f| f.tick_size);
    let tick = tick.ok_or(Bad("tickSize"))?.decimal("tickSize")?;
    if tick.is_sign_negative() && !tick.is_zero() {
        return Err(Bad("tickSize"));
    }
    let min_notional = filter("MIN_NOTIONAL").and_then(|f| f.notional);
    Ok(Instrument {
        symbol: row.symbol.read("symbol")?,
        margin_asset: row.margin_asset.read("marginAsset")?,
        status: match row.status.as_str() {
            "TRADING" => TradingStatus::Trading,
            _ => TradingStatus::Other,
        },
        tick,
        lot: lot(filter("LOT_SIZE"))?,
        market_lot: lot(filter("MARKET_LOT_SIZE"))?,
        min_notional: min_notional.map_or(Ok(Money::ZERO), |number| number.read("notional"))?,
        band: filter("PERCENT_PRICE").map(band).transpose()?,
        market_bound: row
            .market_take_bound
            .map(|number| ratio(number, "marketTakeBound"))
            .transpose()?,
        tiers: Vec::new(),
    })
}

fn lot(filter: Option<&Filter<'_>>) -> Result<LotRule, Bad> {
    let filter = filter.ok_or(Bad("filters"))?;
    let read = |number: Option<Num<'_>>, field: &'static str| {
        let value: Qty = number.ok_or(Bad(field))?.read(field)?;
        if value.is_negative() {
            Err(Bad(field))
        } else {
            Ok(value)
        }
    };
    Ok(LotRule {
        min: read(filter.min_qty, "minQty")?,
        max: read(filter.max_qty, "maxQty")?,
        step: read(filter.step_size, "stepSize")?,
    })
}

fn band(filter: &Filter<'_>) -> Result<PriceBand, Bad> {
    Ok(PriceBand {
        up: ratio(filter.multiplier_up.ok_or(Bad("multiplierUp"))?, "multiplierUp")?,
        down: ratio(
            filter.multiplier_down.ok_or(Bad("multiplierDown"))?,
            "multiplierDown",
        )?,
    })
}

/// A ratio that is not negative.
fn ratio(number: Num<'_>, field: &'static str) -> Result<Ratio, Bad> {
    let ratio: Ratio = number.read(field)?;
    if ratio.is_negative() {
        Err(Bad(field))
    } else {
        Ok(ratio)
    }
}

/// Tiers by rising notional. A user's `notionalCoef` is not applied: what it does is not documented.
fn tiers(row: wire::Brackets<'_>) -> Result<(Symbol, Vec<Tier>), Bad> {
    let tier = |bracket: &wire::Bracket<'_>| -> Result<Tier, Bad> {
        let cap = bracket.notional_cap.decimal("notionalCap")?.min(CAP_MAX);
        Ok(Tier {
            floor: bracket.notional_floor.read("notionalFloor")?,
            cap: Money::new(cap).map_err(|_| Bad("notionalCap"))?,
            rate: ratio(bracket.maint_margin_ratio, "maintMarginRatio")?,
            deduction: bracket.cum.read("cum")?,
        })
    };
    let mut tiers = row.brackets.iter().map(tier).collect::<Result<Vec<_>, _>>()?;
    if tiers.is_empty() {
        return Err(Bad("brackets"));
    }
    tiers.sort_by_key(|tier| tier.floor);
    Ok((row.symbol.read("symbol")?, tiers))
}

/// What an asset is worth; its index is named after the asset and the dollar: `BTCUSD`.
fn asset_index(row: wire::IndexRow<'_>) -> Result<AssetIndex, Bad> {
    let name = row.symbol.as_str().strip_suffix("USD").ok_or(Bad("symbol"))?;
    let index: Price = row.index.read("index")?;
    let (bid_buffer, ask_buffer) = (
        ratio(row.bid_buffer, "bidBuffer")?,
        ratio(row.ask_buffer, "askBuffer")?,
    );
    Ok(AssetIndex {
        asset: Asset::new(name).map_err(|_| Bad("symbol"))?,
        index,
        bid: index.times(Ratio::ONE - bid_buffer).ok_or(Bad("bidBuffer"))?,
        ask: index.times(Ratio::ONE + ask_buffer).ok_or(Bad("askBuffer"))?,
    })
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

    fn rules(body: &str) -> Vec<Instrument> {
        match &single(Reading::Rules, body)[..] {
            [Event::Rules(rules)] => rules.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rules_are_those_that_an_order_is_cut_by() {
        let all = rules(&fixture("rest-exchange-info"));
        let [btc, dated, stock] = &all[..] else {
            panic!("{all:?}");
        };
        let text = |value: Qty| value.to_string();
        assert_eq!(btc.tick.to_string(), "0.10");
        assert_eq!(
            [btc.lot.min, btc.lot.max, btc.lot.step].map(text),
            ["0.001", "1000", "0.001"]
        );
        assert_eq!(btc.market_lot.ceiling().map(text).as_deref(), Some("120"));
        assert_eq!(btc.min_notional.to_string(), "50");
        let band = btc.band.unwrap();
        assert_eq!([band.up, band.down].map(|r| r.to_string()), ["1.05", "0.95"]);
        assert_eq!(btc.market_bound.map(|r| r.to_string()).as_deref(), Some("0.05"));
        assert_eq!(
            [btc.status, dated.status, stock.status],
            [
                TradingStatus::Trading,
                TradingStatus::Other,
                TradingStatus::Trading
            ]
        );
        assert_eq!(
            [dated, stock].map(|i| i.symbol.as_str()),
            ["BTCUSDT_260327", "TSLAUSDT"]
        );
    }

    #[test]
    fn pa_02_one_bad_symbol_does_not_spoil_the_rules() {
        let body = fixture("rest-exchange-info");
        for (from, to) in [
            (r#""tickSize":"0.10""#, r#""tickSize":"""#),
            (r#""tickSize":"0.10""#, r#""tickSize":"-1""#),
            (
                r#""filterType":"MARKET_LOT_SIZE","minQty":"0.001","maxQty":"120""#,
                r#""filterType":"NEW_FILTER""#,
            ),
            (r#""maxQty":"120""#, r#""maxQty":"-120""#),
            (r#""maxQty":"120""#, r#""maxQty":"1e14""#),
            (r#""symbol":"BTCUSDT","#, ""),
            (r#""multiplierUp":"1.0500""#, r#""multiplierUp":"-1""#),
        ] {
            assert!(body.contains(from), "{from}");
            let left = rules(&body.replacen(from, to, 1));
            assert_eq!(left.len(), 2, "{to}");
        }
        for body in [
            r#"{"symbols":[]}"#,
            r#"{"symbols":[{}]}"#,
            r#"{"symbols":null}"#,
            "{}",
            "[[]]",
            "",
        ] {
            assert_eq!(kinds(Reading::Rules, body), ["failed Rules"], "{body}");
        }
    }

    #[test]
    fn pa_03_a_status_of_the_future_is_not_trading() {
        for status in ["TRADING_HALT", "SETTLING", "NAME_OF_THE_FUTURE", ""] {
            let body = fixture("rest-exchange-info").replace("\"TRADING\"", &format!("\"{status}\""));
            assert!(
                rules(&body).iter().all(|i| i.status == TradingStatus::Other),
                "{status}"
            );
        }
    }

    #[test]
    fn pa_05_tiers_are_read_exactly_from_json_numbers() {
        let got = single(Reading::Tiers, &fixture("rest-leverage-bracket"));
        let [Event::Tiers(all)] = &got[..] else {
            panic!("{got:?}");
        };
        let [(btc, tiers), (pepe, small)] = &all[..] else {
            panic!("{all:?}");
        };
        assert_eq!((btc.as_str(), pepe.as_str()), ("BTCUSDT", "1000PEPEUSDT"));
        let rates: Vec<String> = tiers.iter().map(|tier| tier.rate.to_string()).collect();
        assert_eq!(rates, ["0.004", "0.005", "0.5"]);
        assert_eq!(tiers[2].cap.to_string(), "1000000000000000");
        assert_eq!(
            (small[0].rate.to_string(), small[0].cap.to_string()),
            ("0.00028".into(), "5000".into())
        );
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
    fn collateral_is_worth_its_index_less_the_buffer() {
        let got = single(Reading::AssetIndexes, &fixture("rest-asset-index"));
        let [Event::AssetIndexes(all)] = &got[..] else {
            panic!("{got:?}");
        };
        let shown: Vec<String> = all
            .iter()
            .map(|one| format!("{} {} {} {}", one.asset, one.bid, one.index, one.ask))
            .collect();
        assert_eq!(shown, ["BTC 55800 62000 68200", "USDT 0.9995 0.9995 0.9995"]);
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
