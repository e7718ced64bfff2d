//! Every request that can be made: reads, mutations made from intents, and the call that keeps the stream's key.
//!
//! A [`Read`] is always a GET; a [`Mutation`] can only be made from an [`Intent`], so nothing here opens a position,
//! and nothing anywhere deletes the stream's key, which the whole account shares.

use crate::model::{
    ClientOrderId, Intent, OrderId, PositionSide, Pricing, ProtectiveStop, Qty, ReduceOrder, Store, Symbol,
    Timestamp,
};
use url::form_urlencoded;

/// What a request must carry.
///
/// Source: general info page, "Endpoint Security Type", read 2026-11-22.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Security {
    /// Nothing.
    None,
    /// The key in a header.
    Key,
    /// The key in a header, a timestamp and a signature.
    Signed,
}

/// A request that changes nothing: always a GET.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    path: &'static str,
    query: String,
    security: Security,
    weight: u32,
}

/// A request that cancels, reduces, or leaves a stop that closes; there is no other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mutation {
    method: &'static str,
    path: &'static str,
    query: String,
    kind: MutationKind,
}

/// What a mutation does, as far as its answer is read differently.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum MutationKind {
    /// Places a reducing order of this name.
    Order(ClientOrderId),
    /// Places a stop of this name.
    Stop(ClientOrderId),
    /// Cancels one order.
    Cancel,
    /// Cancels a store of a symbol.
    CancelAll,
}

/// The call that creates the private stream's key, or returns the active one and extends it by 60 minutes.
///
/// It needs the key header and no signature, and has no parameters.
///
/// Source: user data streams page, "Start User Data Stream", read 2026-11-22.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeepKey;

impl KeepKey {
    /// HTTP method.
    pub const METHOD: &'static str = "POST";
    /// Path.
    pub const PATH: &'static str = "/fapi/v1/listenKey";
    /// IP weight.
    pub const WEIGHT: u32 = 1;
}

/// The path of each read; `session` finds the parser by it.
pub(super) mod path {
    pub const TIME: &str = "/fapi/v1/time";
    pub const EXCHANGE_INFO: &str = "/fapi/v1/exchangeInfo";
    pub const ACCOUNT: &str = "/fapi/v3/account";
    pub const POSITION_RISK: &str = "/fapi/v3/positionRisk";
    pub const ACCOUNT_CONFIG: &str = "/fapi/v1/accountConfig";
    pub const SYMBOL_CONFIG: &str = "/fapi/v1/symbolConfig";
    pub const LEVERAGE_BRACKET: &str = "/fapi/v1/leverageBracket";
    pub const OPEN_ORDERS: &str = "/fapi/v1/openOrders";
    pub const OPEN_ALGO_ORDERS: &str = "/fapi/v1/openAlgoOrders";
    pub const ASSET_INDEX: &str = "/fapi/v1/assetIndex";
    pub const INCOME: &str = "/fapi/v1/income";
    pub const ORDER: &str = "/fapi/v1/order";
    pub const ALL_OPEN_ORDERS: &str = "/fapi/v1/allOpenOrders";
    pub const ALGO_ORDER: &str = "/fapi/v1/algoOrder";
    pub const ALGO_OPEN_ORDERS: &str = "/fapi/v1/algoOpenOrders";
    pub const RESTRICTIONS: &str = "/sapi/v1/account/apiRestrictions";
}

/// The most rows of income that one call returns; also the venue's bound.
const INCOME_ROWS_MAX: &str = "1000";

/// Weights are IP weights of the pages read 2026-11-22 (binance-usdm 5.1); unscoped calls cost what is said there.
impl Read {
    fn new(path: &'static str, security: Security, weight: u32, pairs: &[(&str, &str)]) -> Read {
        Read {
            path,
            query: query(pairs),
            security,
            weight,
        }
    }

    /// The venue's clock.
    pub fn time() -> Read {
        Read::new(path::TIME, Security::None, 1, &[])
    }

    /// The rules of all contracts.
    pub fn exchange_info() -> Read {
        Read::new(path::EXCHANGE_INFO, Security::None, 1, &[])
    }

    /// Balances, and positions without prices.
    pub fn account() -> Read {
        Read::new(path::ACCOUNT, Security::Signed, 5, &[])
    }

    /// Positions with prices.
    pub fn position_risk() -> Read {
        Read::new(path::POSITION_RISK, Security::Signed, 5, &[])
    }

    /// Position mode and asset mode.
    pub fn account_config() -> Read {
        Read::new(path::ACCOUNT_CONFIG, Security::Signed, 5, &[])
    }

    /// Margin type and leverage of every symbol.
    pub fn symbol_config() -> Read {
        Read::new(path::SYMBOL_CONFIG, Security::Signed, 5, &[])
    }

    /// Maintenance tiers of every symbol.
    pub fn leverage_bracket() -> Read {
        Read::new(path::LEVERAGE_BRACKET, Security::Signed, 1, &[])
    }

    /// Open orders of the regular store, of all symbols.
    pub fn open_orders() -> Read {
        Read::new(path::OPEN_ORDERS, Security::Signed, 40, &[])
    }

    /// Open orders of the conditional store, of all symbols.
    pub fn open_algo_orders() -> Read {
        Read::new(path::OPEN_ALGO_ORDERS, Security::Signed, 40, &[])
    }

    /// What assets are worth as collateral.
    pub fn asset_index() -> Read {
        Read::new(path::ASSET_INDEX, Security::None, 10, &[])
    }

    /// Transfers in and out since a moment.
    pub fn transfers(since: Timestamp) -> Read {
        let start = since.ms().max(0).to_string();
        Read::new(
            path::INCOME,
            Security::Signed,
            30,
            &[
                ("incomeType", "TRANSFER"),
                ("startTime", &start),
                ("limit", INCOME_ROWS_MAX),
            ],
        )
    }

    /// One order of the regular store, by the id that its sender gave.
    pub fn order(symbol: &Symbol, id: &ClientOrderId) -> Read {
        Read::new(
            path::ORDER,
            Security::Signed,
            1,
            &[("symbol", symbol.as_str()), ("origClientOrderId", id.as_str())],
        )
    }

    /// What the key may do. It is asked of the account host, not of the futures host.
    pub fn restrictions() -> Read {
        Read::new(path::RESTRICTIONS, Security::Signed, 1, &[])
    }

    /// Always `GET`.
    pub fn method(&self) -> &'static str {
        "GET"
    }

    /// Path.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// Parameters, percent-encoded, without timestamp, window and signature; may be empty.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// What it must carry.
    pub fn security(&self) -> Security {
        self.security
    }

    /// IP weight.
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// Path and query as they are sent when no signature is needed.
    pub fn path_and_query(&self) -> String {
        joined(self.path, &self.query)
    }

    /// As it goes into records: `GET /fapi/v3/account`.
    pub fn line(&self) -> String {
        format!("GET {}", self.path_and_query())
    }
}

impl Mutation {
    /// The request that carries out an intent; the only way to make one.
    pub fn from_intent(intent: &Intent) -> Mutation {
        match intent {
            Intent::Reduce(order) => Mutation {
                method: "POST",
                path: path::ORDER,
                query: reduce_query(order),
                kind: MutationKind::Order(order.id().clone()),
            },
            Intent::PlaceStop(stop) => Mutation {
                method: "POST",
                path: path::ALGO_ORDER,
                query: stop_query(stop),
                kind: MutationKind::Stop(stop.id().clone()),
            },
            Intent::Cancel(OrderId { store, symbol, id }) => {
                let id = id.to_string();
                let (path, query) = match store {
                    Store::Regular => (
                        path::ORDER,
                        query(&[("symbol", symbol.as_str()), ("orderId", &id)]),
                    ),
                    Store::Conditional => (path::ALGO_ORDER, query(&[("algoId", &id)])),
                };
                Mutation {
                    method: "DELETE",
                    path,
                    query,
                    kind: MutationKind::Cancel,
                }
            }
            Intent::CancelAll(symbol) => Mutation::cancel_all(path::ALL_OPEN_ORDERS, symbol),
            Intent::CancelAllConditional(symbol) => Mutation::cancel_all(path::ALGO_OPEN_ORDERS, symbol),
        }
    }

    fn cancel_all(path: &'static str, symbol: &Symbol) -> Mutation {
        Mutation {
            method: "DELETE",
            path,
            query: query(&[("symbol", symbol.as_str())]),
            kind: MutationKind::CancelAll,
        }
    }

    /// `POST` or `DELETE`.
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// Path.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// Parameters, percent-encoded, without timestamp, window and signature.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// Whether it places an order: those count against the order limits and cost no IP weight.
    pub fn is_order(&self) -> bool {
        matches!(self.kind, MutationKind::Order(_) | MutationKind::Stop(_))
    }

    pub(super) fn kind(&self) -> &MutationKind {
        &self.kind
    }

    /// As it goes into records: `POST /fapi/v1/order?symbol=..`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, joined(self.path, &self.query))
    }
}

/// Parameters of `POST /fapi/v1/order`.
///
/// One-way mode sends `reduceOnly`, hedge mode sends the leg: with `reduceOnly` in hedge mode the venue answers
/// -1106, without the leg -4061. The self-trade mode is said where the venue heeds it, with a time in force;
/// for market orders its default is the same.
///
/// Source: trade page, "New Order", read 2026-11-22.
fn reduce_query(order: &ReduceOrder) -> String {
    let (side, quantity) = (order.side().to_string(), plain(order.qty()));
    let leg = order.leg().side.to_string();
    let price;
    let mut pairs = vec![("symbol", order.leg().symbol.as_str()), ("side", &side)];
    match order.pricing() {
        Pricing::Market => pairs.extend([("type", "MARKET"), ("quantity", quantity.as_str())]),
        Pricing::Ioc(limit) | Pricing::Resting(limit) => {
            price = limit.to_string();
            let waits = matches!(order.pricing(), Pricing::Resting(_));
            pairs.extend([
                ("type", "LIMIT"),
                ("timeInForce", if waits { "GTC" } else { "IOC" }),
                ("quantity", quantity.as_str()),
                ("price", price.as_str()),
                ("selfTradePreventionMode", "EXPIRE_MAKER"),
            ]);
        }
    }
    pairs.push(match order.leg().side {
        PositionSide::Both => ("reduceOnly", "true"),
        PositionSide::Long | PositionSide::Short => ("positionSide", &leg),
    });
    pairs.extend([
        ("newClientOrderId", order.id().as_str()),
        ("newOrderRespType", "RESULT"),
    ]);
    query(&pairs)
}

/// Parameters of `POST /fapi/v1/algoOrder`.
///
/// `closePosition` closes what the leg holds at the trigger; with it neither quantity nor `reduceOnly` may be sent. The
/// trigger is compared with the mark price, by which the venue liquidates too.
///
/// Source: trade page, "New Algo Order", read 2026-11-22 (binance-usdm.md 7).
fn stop_query(stop: &ProtectiveStop) -> String {
    let (side, leg, trigger) = (
        stop.side().to_string(),
        stop.leg().side.to_string(),
        stop.trigger().to_string(),
    );
    let mut pairs = vec![
        ("algoType", "CONDITIONAL"),
        ("symbol", stop.leg().symbol.as_str()),
        ("side", &side),
        ("type", "STOP_MARKET"),
        ("triggerPrice", &trigger),
        ("closePosition", "true"),
        ("workingType", "MARK_PRICE"),
    ];
    if stop.leg().side != PositionSide::Both {
        pairs.push(("positionSide", &leg));
    }
    pairs.push(("clientAlgoId", stop.id().as_str()));
    query(&pairs)
}

/// Plain notation: a decimal never prints an exponent.
fn plain(quantity: Qty) -> String {
    quantity.to_string()
}

fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

fn joined(path: &str, query: &str) -> String {
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

#[cfg(test)]
mod tests;
