//! The venue's JSON: answers and events with the documented keys (binance-usdm.md sections 4 and 5).

use super::account::{Ledger, Leg, Markets, index, margin_asset};
use super::orders::Order;
use super::rules::Rules;
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// A decimal as the venue writes it: a string.
pub fn text(value: Decimal) -> String {
    value.normalize().to_string()
}

/// When every contract came to the venue, Unix ms.
const ONBOARD: i64 = 1_569_398_400_000;

fn number(value: Decimal) -> Value {
    // Tiers are JSON numbers at the venue; the text is exact because it is parsed as a raw number.
    serde_json::from_str(&text(value)).unwrap_or(Value::Null)
}

/// `GET v3/account`, with a row for each of `legs`.
pub fn account(ledger: &Ledger, markets: &Markets, legs: &[Leg]) -> Value {
    let assets: Vec<Value> = ledger
        .assets(markets)
        .iter()
        .map(|asset| asset_row(ledger, markets, asset))
        .collect();
    // Single-asset mode: totals cover USDT only; multi-assets mode: all, in dollars (S9).
    let all = ledger.assets(markets);
    let counted = || all.iter().filter(|asset| ledger.multi_assets || *asset == "USDT");
    let dollars = |asset: &String, amount: Decimal| {
        if ledger.multi_assets {
            ledger.value(markets, asset, amount)
        } else {
            amount
        }
    };
    let own_sum = |asset: &str, is_cross: bool, value: &dyn Fn(&Leg) -> Decimal| -> Decimal {
        let held = ledger.held();
        let own = held.iter().filter(|leg| margin_asset(markets, &leg.0) == asset);
        let own =
            own.filter(|leg| !is_cross || ledger.positions.get(*leg).is_some_and(|h| h.isolated.is_none()));
        own.map(value).sum()
    };
    let sum = |is_cross: bool, value: &dyn Fn(&Leg) -> Decimal| -> Decimal {
        counted()
            .map(|asset| dollars(asset, own_sum(asset, is_cross, value)))
            .sum()
    };
    let unrealised = sum(false, &|leg| ledger.unrealised(markets, leg));
    let cross_unrealised = sum(true, &|leg| ledger.unrealised(markets, leg));
    // Margins are needed, not owned: they count at the index.
    let needed = |value: &dyn Fn(&Leg) -> Decimal| -> Decimal {
        counted()
            .map(|asset| own_sum(asset, false, value) * index(markets, asset))
            .sum()
    };
    let maintenance = needed(&|leg| ledger.maintenance(markets, leg));
    let initial = needed(&|leg| ledger.initial(markets, leg));
    let balance = |asset: &String| {
        ledger
            .wallets
            .get(asset)
            .map_or(Decimal::ZERO, |wallet| wallet.balance)
    };
    let wallets: Decimal = counted().map(|asset| dollars(asset, balance(asset))).sum();
    let cross_wallets: Decimal = counted()
        .map(|asset| dollars(asset, ledger.cross_wallet(markets, asset)))
        .sum();
    let margin_balance: Decimal = counted()
        .map(|asset| {
            let profit = own_sum(asset, false, &|leg| ledger.unrealised(markets, leg));
            dollars(asset, balance(asset) + profit)
        })
        .sum();
    let available = (cross_wallets + cross_unrealised - initial).max(Decimal::ZERO);
    let positions: Vec<Value> = legs
        .iter()
        .map(|leg| account_position(ledger, markets, leg))
        .collect();
    json!({
        "totalInitialMargin": text(initial), "totalMaintMargin": text(maintenance),
        "totalWalletBalance": text(wallets), "totalUnrealizedProfit": text(unrealised),
        "totalMarginBalance": text(margin_balance), "totalPositionInitialMargin": text(initial),
        "totalOpenOrderInitialMargin": "0", "totalCrossWalletBalance": text(cross_wallets),
        "totalCrossUnPnl": text(cross_unrealised), "availableBalance": text(available),
        "maxWithdrawAmount": text(available), "assets": assets, "positions": positions,
    })
}

fn asset_row(ledger: &Ledger, markets: &Markets, asset: &str) -> Value {
    let held = ledger.held();
    let own: Vec<&Leg> = held
        .iter()
        .filter(|leg| margin_asset(markets, &leg.0) == asset)
        .collect();
    let is_cross = |leg: &&&Leg| {
        ledger
            .positions
            .get(**leg)
            .is_some_and(|holding| holding.isolated.is_none())
    };
    let unrealised: Decimal = own.iter().map(|leg| ledger.unrealised(markets, leg)).sum();
    let cross_unrealised: Decimal = own
        .iter()
        .filter(is_cross)
        .map(|leg| ledger.unrealised(markets, leg))
        .sum();
    let maintenance: Decimal = own.iter().map(|leg| ledger.maintenance(markets, leg)).sum();
    let initial: Decimal = own.iter().map(|leg| ledger.initial(markets, leg)).sum();
    let wallet = ledger.wallets.get(asset).cloned().unwrap_or_default();
    let cross = ledger.cross_wallet(markets, asset);
    let available = (cross + cross_unrealised - initial).max(Decimal::ZERO);
    json!({
        "asset": asset, "walletBalance": text(wallet.balance), "unrealizedProfit": text(unrealised),
        "marginBalance": text(wallet.balance + unrealised), "maintMargin": text(maintenance),
        "initialMargin": text(initial), "positionInitialMargin": text(initial), "openOrderInitialMargin": "0",
        "crossWalletBalance": text(cross), "crossUnPnl": text(cross_unrealised),
        "availableBalance": text(available), "maxWithdrawAmount": text(available), "updateTime": wallet.updated,
    })
}

fn account_position(ledger: &Ledger, markets: &Markets, leg: &Leg) -> Value {
    let holding = ledger.positions.get(leg).cloned().unwrap_or_default();
    let mark = markets.get(&leg.0).map_or(Decimal::ZERO, |market| market.price);
    let unrealised = ledger.unrealised(markets, leg);
    let isolated_margin = holding
        .isolated
        .map_or(Decimal::ZERO, |wallet| wallet + unrealised);
    json!({
        "symbol": leg.0, "positionSide": leg.1, "positionAmt": text(holding.amount),
        "unrealizedProfit": text(unrealised), "isolatedMargin": text(isolated_margin),
        "notional": text(holding.amount * mark), "isolatedWallet": text(holding.isolated.unwrap_or_default()),
        "initialMargin": text(ledger.initial(markets, leg)),
        "maintMargin": text(ledger.maintenance(markets, leg)), "updateTime": holding.updated,
    })
}

/// One row of `GET v3/positionRisk`.
pub fn position_risk(ledger: &Ledger, markets: &Markets, leg: &Leg) -> Value {
    let mut row = account_position(ledger, markets, leg);
    let holding = ledger.positions.get(leg).cloned().unwrap_or_default();
    let mark = markets.get(&leg.0).map_or(Decimal::ZERO, |market| market.price);
    if let Value::Object(row) = &mut row {
        let unrealised = row.remove("unrealizedProfit").unwrap_or(Value::Null);
        let initial = row.get("initialMargin").cloned().unwrap_or(Value::Null);
        row.insert("unRealizedProfit".into(), unrealised);
        row.insert("entryPrice".into(), json!(text(holding.entry)));
        row.insert("breakEvenPrice".into(), json!(text(holding.entry)));
        row.insert("markPrice".into(), json!(text(mark)));
        row.insert(
            "liquidationPrice".into(),
            json!(text(ledger.liquidation_price(markets, leg).round_dp(8))),
        );
        row.insert("marginAsset".into(), json!(margin_asset(markets, &leg.0)));
        row.insert("positionInitialMargin".into(), initial);
        row.insert("openOrderInitialMargin".into(), json!("0"));
        row.insert("adl".into(), json!(2));
        row.insert("bidNotional".into(), json!("0"));
        row.insert("askNotional".into(), json!("0"));
    }
    row
}

/// One order of the regular store. A placement's answer has no average price, no value and no creation time (5.5).
pub fn order(order: &Order, is_placement: bool) -> Value {
    let mut row = json!({
        "orderId": order.id, "clientOrderId": order.client_id, "symbol": order.symbol, "status": order.status,
        "side": order.side, "positionSide": order.position_side, "type": order.kind, "origType": order.kind,
        "timeInForce": order.tif, "origQty": text(order.quantity), "executedQty": text(order.executed),
        "price": text(order.price), "stopPrice": "0", "reduceOnly": order.reduce_only, "closePosition": false,
        "workingType": "CONTRACT_PRICE", "priceProtect": false, "priceMatch": order.price_match(),
        "selfTradePreventionMode": order.self_trade(), "goodTillDate": order.good_till, "updateTime": order.updated,
    });
    if let Value::Object(fields) = &mut row {
        if is_placement {
            fields.insert("cumQty".into(), json!(text(order.executed)));
        } else {
            fields.insert("avgPrice".into(), json!(text(order.average())));
            fields.insert("cumQuote".into(), json!(text(order.quote)));
            fields.insert("time".into(), json!(order.time));
        }
    }
    row
}

/// One order of the conditional store.
pub fn algo_order(order: &Order) -> Value {
    let trailing = |value: Decimal| {
        if order.trails() {
            text(value)
        } else {
            String::new()
        }
    };
    json!({
        "algoId": order.id, "clientAlgoId": order.client_id, "algoType": "CONDITIONAL", "orderType": order.kind,
        "symbol": order.symbol, "side": order.side, "positionSide": order.position_side, "timeInForce": order.tif,
        "quantity": text(order.quantity), "algoStatus": order.status, "triggerPrice": text(order.trigger),
        "price": text(order.price), "icebergQuantity": null, "selfTradePreventionMode": order.self_trade(),
        "workingType": order.working_type, "priceMatch": order.price_match(),
        "closePosition": order.close_position, "priceProtect": false, "reduceOnly": order.reduce_only,
        "activatePrice": trailing(order.activate), "callbackRate": trailing(order.callback),
        "createTime": order.time, "updateTime": order.updated, "triggerTime": order.due,
        "goodTillDate": order.good_till,
        "actualOrderId": order.child.map_or(String::new(), |id| id.to_string()), "actualQty": "0",
        "isActivated": order.trails() && !order.best.is_zero(),
    })
}

/// One symbol of `exchangeInfo`.
pub fn symbol_info(rules: &Rules) -> Value {
    let lot = |max: Decimal, kind: &str| json!({ "filterType": kind, "minQty": text(rules.step), "maxQty": text(max), "stepSize": text(rules.step) });
    json!({
        "symbol": rules.symbol, "pair": rules.pair, "contractType": rules.contract_type,
        "deliveryDate": rules.delivery, "onboardDate": ONBOARD, "status": rules.status, "baseAsset": rules.base,
        "quoteAsset": rules.margin_asset, "marginAsset": rules.margin_asset,
        "pricePrecision": rules.price_precision, "quantityPrecision": rules.step.normalize().scale(),
        "baseAssetPrecision": 8, "quotePrecision": 8, "underlyingType": if rules.contract_type == "TRADIFI_PERPETUAL" { "EQUITY" } else { "COIN" },
        "underlyingSubType": [],
        "triggerProtect": "0.0500", "liquidationFee": "0.012500", "marketTakeBound": text(rules.market_bound),
        "maxMoveOrderLimit": 10000, "maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000",
        "filters": [
            { "filterType": "PRICE_FILTER", "minPrice": text(rules.tick), "maxPrice": "10000000",
              "tickSize": text(rules.tick) },
            lot(rules.limit_max, "LOT_SIZE"), lot(rules.market_max, "MARKET_LOT_SIZE"),
            { "filterType": "MAX_NUM_ORDERS", "limit": 200 },
            { "filterType": "MIN_NOTIONAL", "notional": text(rules.min_notional) },
            { "filterType": "PERCENT_PRICE", "multiplierUp": text(rules.band_up),
              "multiplierDown": text(rules.band_down), "multiplierDecimal": "4" },
            { "filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE" },
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET",
            "TRAILING_STOP_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD", "RPI"], "permissionSets": ["GRID", "COPY"],
    })
}

/// One symbol of `leverageBracket`; numbers, not strings.
pub fn brackets(rules: &Rules) -> Value {
    let rows: Vec<Value> = rules
        .tiers
        .iter()
        .enumerate()
        .map(|(index, (floor, cap, rate, cum))| {
            json!({ "bracket": index + 1, "initialLeverage": Rules::leverage_of(index), "notionalCap": number(*cap),
                "notionalFloor": number(*floor), "maintMarginRatio": number(*rate), "cum": number(*cum) })
        })
        .collect();
    json!({ "symbol": rules.symbol, "brackets": rows })
}

/// One asset of `assetIndex`.
pub fn asset_index(ledger: &Ledger, markets: &Markets, asset: &str, now: i64) -> Value {
    let [index, buffer, bid, ask] = collateral(ledger, markets, asset);
    json!({
        "symbol": format!("{asset}USD"), "time": now, "index": index, "bidBuffer": buffer, "askBuffer": buffer,
        "bidRate": bid, "askRate": ask, "autoExchangeBidBuffer": "0.05", "autoExchangeAskBuffer": "0.05",
        "autoExchangeBidRate": bid, "autoExchangeAskRate": ask,
    })
}

/// One asset of the `assetIndex` streams.
pub fn asset_index_update(ledger: &Ledger, markets: &Markets, asset: &str, now: i64) -> Value {
    let [index, buffer, bid, ask] = collateral(ledger, markets, asset);
    json!({
        "e": "assetIndexUpdate", "E": now, "s": format!("{asset}USD"), "i": index, "b": buffer, "a": buffer,
        "B": bid, "A": ask, "q": "0.05", "g": "0.05", "Q": bid, "G": ask,
    })
}

/// Index, buffer, bid and ask rate of an asset.
fn collateral(ledger: &Ledger, markets: &Markets, asset: &str) -> [String; 4] {
    let (index, buffer) = (index(markets, asset), ledger.buffer(asset));
    [
        index,
        buffer,
        index * (Decimal::ONE - buffer),
        index * (Decimal::ONE + buffer),
    ]
    .map(text)
}

/// `!contractInfo`: a contract that came, went, or changed its tiers.
pub fn contract_info(rules: &Rules, now: i64) -> Value {
    let tiers: Vec<Value> = rules
        .tiers
        .iter()
        .enumerate()
        .map(|(index, (floor, cap, rate, cum))| {
            json!({ "bs": index + 1, "bnf": number(*floor), "bnc": number(*cap), "mmr": number(*rate),
                "cf": number(*cum), "mi": 1, "ma": Rules::leverage_of(index) })
        })
        .collect();
    json!({
        "e": "contractInfo", "E": now, "s": rules.symbol, "ps": rules.pair, "ct": rules.contract_type,
        "dt": rules.delivery, "ot": ONBOARD, "cs": rules.status, "bks": tiers, "st": 1,
    })
}

/// A mark price frame.
pub fn mark_price(rules: &Rules, price: Decimal, now: i64) -> Value {
    let (rate, next_funding) = funding(rules, now);
    json!({
        "e": "markPriceUpdate", "E": now, "s": rules.symbol, "p": text(price), "ap": text(price),
        "i": text(price), "P": text(price), "r": rate, "T": next_funding, "st": 1,
    })
}

/// Funding rate and the next time it is paid; dated contracts have neither.
fn funding(rules: &Rules, now: i64) -> (&'static str, i64) {
    if rules.is_dated() {
        ("", 0)
    } else {
        ("0.00010000", (now.div_euclid(28_800_000) + 1) * 28_800_000)
    }
}

/// One row of `premiumIndex`.
pub fn premium_index(rules: &Rules, price: Decimal, now: i64) -> Value {
    let (rate, next_funding) = funding(rules, now);
    json!({
        "symbol": rules.symbol, "markPrice": text(price), "indexPrice": text(price),
        "estimatedSettlePrice": text(price), "lastFundingRate": rate, "interestRate": rate,
        "nextFundingTime": next_funding, "time": now,
    })
}
