//! Requests before they reach the account: what is served, what it weighs, and an order from its parameters.

use super::auth::{Params, Refusal, refuse};
use super::orders::Order;

/// An order from its parameters, named `fresh_id` when its sender gave no name; what does not belong together is refused.
pub(super) fn order_of(params: &Params, who: &str, fresh_id: &str) -> Result<Order, Refusal> {
    let kind = params.need("type")?.to_owned();
    let side = params.need("side")?.to_owned();
    if !matches!(side.as_str(), "BUY" | "SELL") {
        return refuse(-1117, "Invalid side.");
    }
    const KINDS: [&str; 7] = [
        "LIMIT",
        "MARKET",
        "STOP",
        "STOP_MARKET",
        "TAKE_PROFIT",
        "TAKE_PROFIT_MARKET",
        "TRAILING_STOP_MARKET",
    ];
    if !KINDS.contains(&kind.as_str()) {
        return refuse(-1116, "Invalid orderType.");
    }
    let position_side = params.get("positionSide").unwrap_or("BOTH").to_owned();
    if !matches!(position_side.as_str(), "BOTH" | "LONG" | "SHORT") {
        return refuse(-4060, "Invalid position side.");
    }
    let is_algo = kind.contains("STOP") || kind.contains("PROFIT");
    let name = if is_algo {
        "clientAlgoId"
    } else {
        "newClientOrderId"
    };
    let client_id = params
        .get(name)
        .map_or_else(|| fresh_id.to_owned(), str::to_owned);
    let fits = (1..=36).contains(&client_id.len())
        && client_id
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".:/_-".contains(c));
    if !fits {
        return refuse(-4015, "Client order id is not valid.");
    }
    let close_position = params.flag("closePosition")?;
    let has_price = matches!(kind.as_str(), "LIMIT" | "STOP" | "TAKE_PROFIT");
    let tif = match params.get("timeInForce") {
        Some(tif) if ["GTC", "IOC", "FOK", "GTX", "GTD", "RPI"].contains(&tif) => tif.to_owned(),
        Some(_) => return refuse(-1115, "Invalid timeInForce."),
        None if kind == "LIMIT" => params.need("timeInForce")?.to_owned(),
        None => "GTC".into(),
    };
    if kind == "MARKET" && (params.get("timeInForce").is_some() || params.get("price").is_some()) {
        let name = if params.get("price").is_some() {
            "price"
        } else {
            "timeInForce"
        };
        return refuse(-1106, &format!("Parameter '{name}' sent when not required."));
    }
    if has_price {
        params.need("price")?;
    }
    if is_algo {
        params.need("triggerPrice")?;
    }
    if !close_position {
        params.need("quantity")?;
    }
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
        reduce_only: params.flag("reduceOnly")?,
        close_position,
        working_type: params.get("workingType").unwrap_or("CONTRACT_PRICE").to_owned(),
        who: who.to_owned(),
        ..Order::default()
    })
}

/// Paths that need a key.
pub(super) fn is_known(line: &str) -> bool {
    const KNOWN: [&str; 35] = [
        "GET /fapi/v3/account",
        "GET /fapi/v3/balance",
        "GET /fapi/v3/positionRisk",
        "GET /fapi/v1/accountConfig",
        "GET /fapi/v1/symbolConfig",
        "GET /fapi/v1/positionSide/dual",
        "GET /fapi/v1/multiAssetsMargin",
        "GET /fapi/v1/leverageBracket",
        "GET /fapi/v1/openOrders",
        "GET /fapi/v1/openAlgoOrders",
        "GET /fapi/v1/order",
        "GET /fapi/v1/openOrder",
        "GET /fapi/v1/algoOrder",
        "GET /fapi/v1/allOrders",
        "GET /fapi/v1/userTrades",
        "GET /fapi/v1/income",
        "GET /fapi/v1/rateLimit/order",
        "GET /fapi/v1/commissionRate",
        "GET /sapi/v1/account/apiRestrictions",
        "POST /fapi/v1/order",
        "POST /fapi/v1/algoOrder",
        "POST /fapi/v1/countdownCancelAll",
        "POST /fapi/v1/leverage",
        "POST /fapi/v1/positionSide/dual",
        "POST /fapi/v1/listenKey",
        "PUT /fapi/v1/listenKey",
        "DELETE /fapi/v1/listenKey",
        "DELETE /fapi/v1/order",
        "DELETE /fapi/v1/allOpenOrders",
        "DELETE /fapi/v1/algoOrder",
        "DELETE /fapi/v1/algoOpenOrders",
        // Known to break a guard's promise; refused as not served.
        "POST /fapi/v1/positionMargin",
        "POST /fapi/v1/marginType",
        "POST /fapi/v1/multiAssetsMargin",
        "PUT /fapi/v1/order",
    ];
    KNOWN.contains(&line)
}

/// Weight by the table of 5.1.
pub(super) fn weight(line: &str, params: &Params) -> u32 {
    let whole = params.get("symbol").is_none();
    match line {
        "POST /fapi/v1/order" | "POST /fapi/v1/algoOrder" => 0,
        "GET /fapi/v1/openOrders" | "GET /fapi/v1/openAlgoOrders" if whole => 40,
        "GET /fapi/v1/premiumIndex" | "GET /fapi/v1/assetIndex" if whole => 10,
        "GET /fapi/v1/positionSide/dual" | "GET /fapi/v1/multiAssetsMargin" | "GET /fapi/v1/income" => 30,
        "GET /fapi/v1/commissionRate" => 20,
        "POST /fapi/v1/countdownCancelAll" => 10,
        "GET /fapi/v3/account"
        | "GET /fapi/v3/balance"
        | "GET /fapi/v3/positionRisk"
        | "GET /fapi/v1/accountConfig"
        | "GET /fapi/v1/symbolConfig"
        | "GET /fapi/v1/allOrders"
        | "GET /fapi/v1/userTrades" => 5,
        _ => 1,
    }
}
