//! What contracts and assets are like: steps, limits, bands, tiers and collateral values.
//!
//! Source: market data page, account page and common definition page ("Filters"), read 2026-11-22.

use crate::model::{
    Asset, AssetIndex, Instrument, LotRule, Money, Price, PriceBand, Qty, Ratio, Symbol, Tier, TradingStatus,
};
use crate::venue::binance::wire::{self, Bad, Filter, Num};
use rust_decimal::Decimal;

/// A last tier may end at the largest number of the venue's machine; ours ends at the largest amount of money.
const CAP_MAX: Decimal = Decimal::from_parts(2_764_472_320, 232_830, 0, false, 0); // 10^15

/// Rules of one contract of any type: perpetual, dated or on a stock. Only `TRADING` is open for orders.
pub fn instrument(row: wire::SymbolRow<'_>) -> Result<Instrument, Bad> {
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

/// Tiers by rising notional. A user's `notionalCoef` is not applied: whether the tiers that come with it are scaled
/// already is not documented (binance-usdm.md 9.1, unsure). Should they not be, every digest finds the gap between
/// our maintenance and the venue's, and the worse one counts.
pub fn tiers(row: wire::Brackets<'_>) -> Result<(Symbol, Vec<Tier>), Bad> {
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
pub fn asset_index(row: wire::IndexRow<'_>) -> Result<AssetIndex, Bad> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Reading};
    use crate::venue::binance::fixtures::{fixture, kind};
    use crate::venue::binance::parse::answers::single;

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
}
