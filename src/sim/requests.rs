//! Requests before they reach the account: what is served, what it weighs, and an order from its parameters.
//!
//! Unknown parameters are accepted: that a futures endpoint counts them (-1104) is documented nowhere, and all reports of
//! it are of the spot market. A parameter sent twice is refused with -1101 ("Duplicate values for a parameter detected",
//! the venue's "Error Codes" page, read 2026-11-22).

use super::HttpRequest;
use super::auth::{Params, Refusal, refuse};
use super::orders::Order;
use std::collections::BTreeSet;

/// An order for the regular store, named `fresh_id` when its sender gave no name (6.1).
pub(super) fn regular_of(params: &Params, who: &str, fresh_id: &str) -> Result<Order, Refusal> {
    params.need("symbol")?;
    let side = side_of(params)?;
    let kind = params.need("type")?.to_owned();
    if is_conditional(&kind) {
        return refuse(
            -4120,
            "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
        );
    }
    if !matches!(kind.as_str(), "LIMIT" | "MARKET") {
        return refuse(-1116, "Invalid orderType.");
    }
    if params.flag("closePosition")? {
        return refuse(
            -4136,
            "Target strategy invalid for orderType, closePosition(true).",
        );
    }
    let tif = tif_of(params, &["GTC", "IOC", "FOK", "GTX", "GTD", "RPI"])?;
    let price_match = price_match_of(params, kind == "LIMIT")?;
    if kind == "MARKET" {
        unwanted(params, &["price", "timeInForce"])?;
    } else {
        params.need("timeInForce")?;
        if price_match.is_empty() {
            params.need("price")?;
        }
    }
    params.need("quantity")?;
    let client_id = name_of(params, "newClientOrderId", fresh_id)?;
    order_of(params, who, (client_id, side, kind, tif, price_match))
}

/// An order for the conditional store (section 7).
pub(super) fn algo_of(params: &Params, who: &str, fresh_id: &str) -> Result<Order, Refusal> {
    if params.need("algoType")? != "CONDITIONAL" {
        return refuse(-1130, "Data sent for parameter 'algoType' is not valid.");
    }
    params.need("symbol")?;
    let side = side_of(params)?;
    let kind = params.need("type")?.to_owned();
    if !is_conditional(&kind) {
        return refuse(-1116, "Invalid orderType.");
    }
    let tif = tif_of(params, &["GTC", "IOC", "FOK", "GTX", "GTD", "GTE_GTC"])?;
    let (is_limit, trails) = (!kind.ends_with("MARKET"), kind == "TRAILING_STOP_MARKET");
    let price_match = price_match_of(params, is_limit)?;
    if !is_limit {
        unwanted(params, &["price"])?;
    } else if price_match.is_empty() {
        params.need("price")?;
    }
    if trails {
        params.need("callbackRate")?;
        unwanted(params, &["triggerPrice"])?;
    } else {
        params.need("triggerPrice")?;
        unwanted(params, &["callbackRate", "activatePrice"])?;
    }
    if params.flag("closePosition")? {
        if is_limit || trails {
            return refuse(
                -4136,
                "Target strategy invalid for orderType, closePosition(true).",
            );
        }
        unwanted(params, &["quantity", "reduceOnly"])?;
    } else {
        params.need("quantity")?;
    }
    if !matches!(
        params.get("workingType"),
        None | Some("MARK_PRICE" | "CONTRACT_PRICE")
    ) {
        return refuse(-1130, "Data sent for parameter 'workingType' is not valid.");
    }
    let client_id = name_of(params, "clientAlgoId", fresh_id)?;
    order_of(params, who, (client_id, side, kind, tif, price_match))
}

fn order_of(
    params: &Params,
    who: &str,
    (client_id, side, kind, tif, price_match): (String, String, String, String, String),
) -> Result<Order, Refusal> {
    let position_side = params.get("positionSide").unwrap_or("BOTH").to_owned();
    if !matches!(position_side.as_str(), "BOTH" | "LONG" | "SHORT") {
        return refuse(-4060, "Invalid position side.");
    }
    if !matches!(params.get("reduceOnly"), None | Some("true" | "false")) {
        return refuse(-4062, "Invalid or improper reduceOnly value.");
    }
    // In hedge mode the parameter itself is unwanted, whatever it says (S32).
    if position_side != "BOTH" {
        unwanted(params, &["reduceOnly"])?;
    }
    let self_trade = params
        .get("selfTradePreventionMode")
        .unwrap_or_default()
        .to_owned();
    if !matches!(
        self_trade.as_str(),
        "" | "NONE" | "EXPIRE_TAKER" | "EXPIRE_MAKER" | "EXPIRE_BOTH"
    ) {
        return refuse(-5039, "Invalid self trade prevention mode.");
    }
    let good_till = match integer(params, "goodTillDate")? {
        None if tif == "GTD" => {
            params.need("goodTillDate")?;
            0
        }
        // To the second (6.1).
        Some(at) if tif == "GTD" => at - at.rem_euclid(1_000),
        _ => 0,
    };
    params.flag("priceProtect")?;
    Ok(Order {
        client_id,
        symbol: params.need("symbol")?.to_owned(),
        side,
        position_side,
        kind,
        tif,
        quantity: params.decimal("quantity")?.unwrap_or_default(),
        price: params.decimal("price")?.unwrap_or_default(),
        trigger: params.decimal("triggerPrice")?.unwrap_or_default(),
        activate: params.decimal("activatePrice")?.unwrap_or_default(),
        callback: params.decimal("callbackRate")?.unwrap_or_default(),
        reduce_only: params.flag("reduceOnly")?,
        close_position: params.flag("closePosition")?,
        working_type: params.get("workingType").unwrap_or("CONTRACT_PRICE").to_owned(),
        who: who.to_owned(),
        self_trade,
        price_match,
        good_till,
        ..Order::default()
    })
}

fn is_conditional(kind: &str) -> bool {
    matches!(
        kind,
        "STOP" | "STOP_MARKET" | "TAKE_PROFIT" | "TAKE_PROFIT_MARKET" | "TRAILING_STOP_MARKET"
    )
}

/// The side of a request.
pub(super) fn side_of(params: &Params) -> Result<String, Refusal> {
    match params.need("side")? {
        side @ ("BUY" | "SELL") => Ok(side.to_owned()),
        _ => refuse(-1117, "Invalid side."),
    }
}

fn tif_of(params: &Params, known: &[&str]) -> Result<String, Refusal> {
    match params.get("timeInForce") {
        None => Ok("GTC".into()),
        Some(tif) if known.contains(&tif) => Ok(tif.to_owned()),
        Some(_) => refuse(-1115, "Invalid timeInForce."),
    }
}

/// The price match of a request, empty for none. It excludes a price; two modes were withdrawn 2025-10-23 (6.3).
pub(super) fn price_match_of(params: &Params, is_limit: bool) -> Result<String, Refusal> {
    match params.get("priceMatch") {
        None | Some("NONE") => Ok(String::new()),
        Some(_) if !is_limit => refuse(
            -5038,
            "Price match only supports order type: LIMIT, STOP AND TAKE_PROFIT.",
        ),
        Some(mode @ ("OPPONENT" | "OPPONENT_5" | "QUEUE" | "QUEUE_5" | "QUEUE_10" | "QUEUE_20")) => {
            unwanted(params, &["price"])?;
            Ok(mode.to_owned())
        }
        Some(_) => refuse(-5037, "Invalid price match."),
    }
}

/// The sender's name, or one of the venue's own (6.4).
fn name_of(params: &Params, parameter: &str, fresh_id: &str) -> Result<String, Refusal> {
    let client_id = params.get(parameter).unwrap_or(fresh_id);
    let fits = (1..=36).contains(&client_id.len())
        && client_id
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".:/_-".contains(c));
    if fits {
        Ok(client_id.to_owned())
    } else {
        refuse(-4015, "Client order id is not valid.")
    }
}

/// Refuses parameters that do not go with the others.
fn unwanted(params: &Params, names: &[&str]) -> Result<(), Refusal> {
    match names.iter().find(|name| params.get(name).is_some()) {
        // The venue writes this one in lower case (S32).
        Some(&"reduceOnly") => refuse(-1106, "Parameter 'reduceonly' sent when not required."),
        Some(name) => refuse(-1106, &format!("Parameter '{name}' sent when not required.")),
        None => Ok(()),
    }
}

/// A whole number of a request.
pub(super) fn integer(params: &Params, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(text) = params.get(name) else {
        return Ok(None);
    };
    match (text.chars().all(|c| c.is_ascii_digit()), text.parse()) {
        (true, Ok(number)) => Ok(Some(number)),
        _ => refuse(
            -1100,
            &format!("Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."),
        ),
    }
}

/// Refuses a parameter that is sent twice in one place. One that stands in the query and in the body is taken from the
/// query (2.2).
pub(super) fn check_duplicates(request: &HttpRequest) -> Result<(), Refusal> {
    for part in [&request.query, &request.body] {
        let mut seen = BTreeSet::new();
        for (name, _) in url::form_urlencoded::parse(part.as_bytes()) {
            if !seen.insert(name) {
                return refuse(-1101, "Duplicate values for a parameter detected.");
            }
        }
    }
    Ok(())
}

/// Paths that need a key.
pub(super) fn is_known(line: &str) -> bool {
    const KNOWN: [&str; 44] = [
        "GET /fapi/v3/account",
        "GET /fapi/v3/balance",
        "GET /fapi/v3/positionRisk",
        "GET /fapi/v1/accountConfig",
        "GET /fapi/v1/symbolConfig",
        "GET /fapi/v1/positionSide/dual",
        "GET /fapi/v1/multiAssetsMargin",
        "GET /fapi/v1/leverageBracket",
        "GET /fapi/v1/adlQuantile",
        "GET /fapi/v1/apiTradingStatus",
        "GET /fapi/v1/forceOrders",
        "GET /fapi/v1/openOrders",
        "GET /fapi/v1/openAlgoOrders",
        "GET /fapi/v1/order",
        "GET /fapi/v1/openOrder",
        "GET /fapi/v1/algoOrder",
        "GET /fapi/v1/allAlgoOrders",
        "GET /fapi/v1/allOrders",
        "GET /fapi/v1/userTrades",
        "GET /fapi/v1/income",
        "GET /fapi/v1/rateLimit/order",
        "GET /fapi/v1/commissionRate",
        "GET /sapi/v1/account/apiRestrictions",
        "POST /fapi/v1/order",
        "POST /fapi/v1/order/test",
        "PUT /fapi/v1/order",
        "POST /fapi/v1/batchOrders",
        "PUT /fapi/v1/batchOrders",
        "DELETE /fapi/v1/batchOrders",
        "POST /fapi/v1/algoOrder",
        "POST /fapi/v1/countdownCancelAll",
        "POST /fapi/v1/leverage",
        "POST /fapi/v1/marginType",
        "POST /fapi/v1/positionMargin",
        "POST /fapi/v1/multiAssetsMargin",
        "POST /fapi/v1/positionSide/dual",
        "POST /fapi/v1/listenKey",
        "PUT /fapi/v1/listenKey",
        "DELETE /fapi/v1/listenKey",
        "DELETE /fapi/v1/order",
        "DELETE /fapi/v1/allOpenOrders",
        "DELETE /fapi/v1/algoOrder",
        "DELETE /fapi/v1/algoOpenOrders",
        "POST /fapi/v1/stock/contract",
    ];
    KNOWN.contains(&line)
}

/// Weight by the table of 5.1.
pub(super) fn weight(line: &str, params: &Params) -> u32 {
    let whole = params.get("symbol").is_none();
    match line {
        "POST /fapi/v1/order" | "PUT /fapi/v1/order" | "POST /fapi/v1/algoOrder" => 0,
        "GET /fapi/v1/openOrders" | "GET /fapi/v1/openAlgoOrders" if whole => 40,
        "GET /fapi/v1/premiumIndex" | "GET /fapi/v1/assetIndex" | "GET /fapi/v1/apiTradingStatus"
            if whole =>
        {
            10
        }
        "GET /fapi/v1/forceOrders" if whole => 50,
        "GET /fapi/v1/positionSide/dual" | "GET /fapi/v1/multiAssetsMargin" | "GET /fapi/v1/income" => 30,
        "GET /fapi/v1/commissionRate" | "GET /fapi/v1/forceOrders" => 20,
        "POST /fapi/v1/countdownCancelAll" => 10,
        "POST /fapi/v1/stock/contract" => 50,
        "GET /fapi/v3/account"
        | "GET /fapi/v3/balance"
        | "GET /fapi/v3/positionRisk"
        | "GET /fapi/v1/accountConfig"
        | "GET /fapi/v1/symbolConfig"
        | "GET /fapi/v1/adlQuantile"
        | "GET /fapi/v1/tradingSchedule"
        | "GET /fapi/v1/allOrders"
        | "GET /fapi/v1/allAlgoOrders"
        | "GET /fapi/v1/userTrades"
        | "POST /fapi/v1/batchOrders"
        | "PUT /fapi/v1/batchOrders" => 5,
        _ => 1,
    }
}

/// What a request counts against the order limits: of the ten seconds, of the minute (5.1).
pub(super) fn order_count(line: &str) -> Option<(usize, usize)> {
    match line {
        "POST /fapi/v1/order" | "PUT /fapi/v1/order" | "POST /fapi/v1/algoOrder" => Some((1, 1)),
        "POST /fapi/v1/batchOrders" | "PUT /fapi/v1/batchOrders" => Some((5, 1)),
        _ => None,
    }
}
