//! Signed reads: account, orders, history (binance-usdm.md 5.1 to 5.5).

use super::account::{Leg, margin_asset};
use super::auth::{Params, Refusal, refuse};
use super::exchange::Exchange;
use super::orders::Order;
use super::requests::integer;
use super::shapes::{self, text};
use serde_json::{Value, json};
use std::collections::BTreeSet;

impl Exchange {
    /// Answers a signed GET.
    pub(super) fn read(&mut self, line: &str, params: &Params) -> Result<Value, Refusal> {
        let symbol = params.get("symbol");
        if symbol.is_some_and(|symbol| !self.markets.contains_key(symbol)) {
            return refuse(-1121, "Invalid symbol.");
        }
        let of_symbol = |name: &str| symbol.is_none_or(|symbol| symbol == name);
        Ok(match line {
            "GET /fapi/v3/account" => shapes::account(&self.ledger, &self.markets, &self.shown_legs()),
            "GET /fapi/v3/balance" => {
                let account = shapes::account(&self.ledger, &self.markets, &[]);
                let rows = account
                    .get("assets")
                    .and_then(Value::as_array)
                    .cloned()
                    .unwrap_or_default();
                rows.iter()
                    .map(|row| {
                        json!({ "accountAlias": "sim", "asset": row["asset"], "balance": row["walletBalance"],
                            "crossWalletBalance": row["crossWalletBalance"], "crossUnPnl": row["crossUnPnl"],
                            "availableBalance": row["availableBalance"],
                            "maxWithdrawAmount": row["maxWithdrawAmount"], "marginAvailable": true,
                            "updateTime": row["updateTime"] })
                    })
                    .collect()
            }
            "GET /fapi/v3/positionRisk" => self
                .shown_legs()
                .iter()
                .filter(|leg| of_symbol(&leg.0))
                .map(|leg| shapes::position_risk(&self.ledger, &self.markets, leg))
                .collect(),
            "GET /fapi/v1/accountConfig" => json!({
                "feeTier": 0, "canTrade": true, "canDeposit": true, "canWithdraw": true,
                "dualSidePosition": self.ledger.hedge, "multiAssetsMargin": self.ledger.multi_assets,
                "tradeGroupId": -1, "updateTime": 0,
            }),
            "GET /fapi/v1/symbolConfig" => self.symbol_config(&of_symbol),
            "GET /fapi/v1/positionSide/dual" => json!({ "dualSidePosition": self.ledger.hedge }),
            "GET /fapi/v1/multiAssetsMargin" => json!({ "multiAssetsMargin": self.ledger.multi_assets }),
            "GET /fapi/v1/leverageBracket" => match symbol.and_then(|symbol| self.markets.get(symbol)) {
                Some(market) => shapes::brackets(&market.rules),
                None => self
                    .markets
                    .values()
                    .map(|market| shapes::brackets(&market.rules))
                    .collect(),
            },
            "GET /fapi/v1/openOrders" => self
                .orders
                .values()
                .filter(|order| order.is_open() && !order.is_algo && of_symbol(&order.symbol))
                .map(|order| shapes::order(order, false))
                .collect(),
            "GET /fapi/v1/openAlgoOrders" => self
                .orders
                .values()
                .filter(|order| order.is_open() && order.is_algo && of_symbol(&order.symbol))
                .map(shapes::algo_order)
                .collect(),
            "GET /fapi/v1/order" | "GET /fapi/v1/openOrder" => {
                let order = self.find(params, false)?;
                if line.ends_with("openOrder") && !order.is_open() {
                    return refuse(-2013, "Order does not exist.");
                }
                shapes::order(&order, false)
            }
            "GET /fapi/v1/algoOrder" => shapes::algo_order(&self.find(params, true)?),
            "GET /fapi/v1/allOrders" => {
                let window = Window::of(params, 500, 1_000)?;
                let from = integer(params, "orderId")?.unwrap_or(0);
                let rows = self.history(false, &of_symbol, &window);
                let rows = rows.filter(|order| order.id >= from);
                window.newest(rows.map(|order| shapes::order(order, false)))
            }
            "GET /fapi/v1/allAlgoOrders" => {
                params.need("symbol")?;
                let window = Window::of(params, 500, 1_000)?;
                let from = integer(params, "algoId")?.unwrap_or(0);
                let rows = self.history(true, &of_symbol, &window);
                window.newest(rows.filter(|order| order.id >= from).map(shapes::algo_order))
            }
            "GET /fapi/v1/forceOrders" => {
                let window = Window::of(params, 50, 100)?;
                let prefixes: &[&str] = match params.get("autoCloseType") {
                    None => &["autoclose-", "adl_autoclose"],
                    Some("LIQUIDATION") => &["autoclose-"],
                    Some("ADL") => &["adl_autoclose"],
                    Some(_) => return refuse(-1130, "Data sent for parameter 'autoCloseType' is not valid."),
                };
                let rows = self.history(false, &of_symbol, &window);
                let rows = rows.filter(|order| {
                    order.who == "venue" && prefixes.iter().any(|prefix| order.client_id.starts_with(prefix))
                });
                window.newest(rows.map(|order| shapes::order(order, false)))
            }
            "GET /fapi/v1/userTrades" => {
                params.need("symbol")?;
                self.trades(&of_symbol, params)?
            }
            "GET /fapi/v1/income" => self.income_rows(params)?,
            "GET /fapi/v1/adlQuantile" => self
                .ledger
                .held()
                .iter()
                .filter(|leg| of_symbol(&leg.0))
                .map(|leg| {
                    // Crossed positions of hedge mode share one rank (5.5).
                    let both = if self.ledger.hedge { "HEDGE" } else { "BOTH" };
                    json!({ "symbol": leg.0, "adlQuantile": { "LONG": 2, "SHORT": 2, both: 2 } })
                })
                .collect(),
            "GET /fapi/v1/apiTradingStatus" => json!({ "indicators": {}, "updateTime": self.now }),
            "GET /fapi/v1/rateLimit/order" => json!([
                { "rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300 },
                { "rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200 },
            ]),
            "GET /fapi/v1/commissionRate" => json!({
                "symbol": params.need("symbol")?, "makerCommissionRate": "0.000200",
                "takerCommissionRate": "0.000500", "rpiCommissionRate": "0.000050",
            }),
            "GET /sapi/v1/account/apiRestrictions" => {
                let account = &self.scenario.account;
                account.key.restrictions(self.at(), account.portfolio_margin)
            }
            _ => {
                return Err(Refusal {
                    status: 404,
                    code: -1000,
                    message: "Not found".into(),
                });
            }
        })
    }

    /// Legs with a position or an open order: those have a row, the order's one with an amount of zero (5.3, 5.4).
    fn shown_legs(&self) -> Vec<Leg> {
        let open = self
            .orders
            .values()
            .filter(|order| order.is_open() && !order.is_algo);
        let legs: BTreeSet<Leg> = self
            .ledger
            .held()
            .into_iter()
            .chain(open.map(Order::leg))
            .collect();
        legs.into_iter().collect()
    }

    fn symbol_config(&self, of_symbol: &dyn Fn(&str) -> bool) -> Value {
        let rows = self
            .markets
            .keys()
            .filter(|symbol| of_symbol(symbol))
            .map(|symbol| {
                let held = self
                    .ledger
                    .positions
                    .iter()
                    .find(|(leg, _)| leg.0 == *symbol)
                    .map(|(_, holding)| holding);
                let isolated = held.is_some_and(|holding| holding.isolated.is_some());
                json!({ "symbol": symbol, "marginType": if isolated { "ISOLATED" } else { "CROSSED" },
                "isAutoAddMargin": false, "leverage": held.map_or(20, |holding| holding.leverage),
                "maxNotionalValue": self.markets.get(symbol).map(|market| {
                    text(market.rules.notional_max(held.map_or(20, |holding| holding.leverage)))
                }) })
            });
        rows.collect()
    }

    /// Orders of a store that were placed within a window, oldest first.
    fn history(
        &self,
        is_algo: bool,
        of_symbol: &dyn Fn(&str) -> bool,
        window: &Window,
    ) -> impl Iterator<Item = &Order> {
        let orders = self.orders.values().filter(move |order| order.is_algo == is_algo);
        orders.filter(|order| of_symbol(&order.symbol) && window.has(order.time))
    }

    fn trades(&self, of_symbol: &dyn Fn(&str) -> bool, params: &Params) -> Result<Value, Refusal> {
        let window = Window::of(params, 500, 1_000)?;
        let (order_id, from) = (integer(params, "orderId")?, integer(params, "fromId")?);
        if from.is_some() && window.is_given {
            return refuse(-1128, "Combination of optional parameters invalid.");
        }
        let rows = self.fills.iter().filter(|(id, symbol, fill, at)| {
            of_symbol(symbol)
                && window.has(*at)
                && order_id.is_none_or(|wanted| wanted == *id)
                && from.is_none_or(|from| fill.trade >= from)
        });
        let rows = rows.map(|(id, symbol, fill, at)| {
            let order = self.orders.get(id).cloned().unwrap_or_default();
            let asset = margin_asset(&self.markets, symbol);
            json!({ "id": fill.trade, "orderId": id, "symbol": symbol,
                "pair": self.markets.get(symbol).map(|market| &market.rules.pair), "side": order.side,
                "positionSide": order.position_side, "price": text(fill.price), "qty": text(fill.quantity),
                "quoteQty": text(fill.quantity * fill.price), "baseQty": text(fill.quantity),
                "marginAsset": asset, "commission": text(fill.fee), "commissionAsset": asset,
                "realizedPnl": text(fill.realised), "maker": fill.is_maker, "buyer": order.buys(), "time": at })
        });
        // With only a limit the oldest rows come, not the newest (S16).
        Ok(rows.take(window.limit).collect())
    }

    fn income_rows(&self, params: &Params) -> Result<Value, Refusal> {
        let window = Window {
            is_week: false,
            ..Window::read(params, 100, 1_000)?
        };
        let (kind, symbol) = (params.get("incomeType"), params.get("symbol"));
        let rows = self.income.iter().filter(|row| {
            window.has(row.time)
                && kind.is_none_or(|kind| kind == row.kind)
                && symbol.is_none_or(|symbol| symbol == row.symbol)
        });
        let rows = rows.map(|row| {
            json!({ "symbol": row.symbol, "incomeType": row.kind, "income": text(row.amount),
                "asset": row.asset, "info": row.kind, "time": row.time, "tranId": row.id, "tradeId": "" })
        });
        if window.is_given {
            return Ok(rows.take(window.limit).collect());
        }
        Ok(window.newest(rows))
    }

    /// An order by its number or its sender's name, in one store. The stores are disjoint (section 7).
    pub(super) fn find(&self, params: &Params, is_algo: bool) -> Result<Order, Refusal> {
        let (number, name) = if is_algo {
            ("algoId", "clientAlgoId")
        } else {
            ("orderId", "origClientOrderId")
        };
        if !is_algo {
            params.need("symbol")?;
        }
        let (id, client) = (params.get(number), params.get(name));
        if id.is_none() && client.is_none() {
            return refuse(
                -1102,
                &format!("Param '{number}' or '{name}' must be sent, but both were empty/null!"),
            );
        }
        let symbol = params.get("symbol").filter(|_| !is_algo);
        let found = self.orders.values().rev().find(|order| {
            order.is_algo == is_algo
                && symbol.is_none_or(|symbol| symbol == order.symbol)
                && match id {
                    Some(id) => order.id.to_string() == id,
                    None => Some(order.client_id.as_str()) == client,
                }
        });
        found
            .cloned()
            .map_or_else(|| refuse(-2013, "Order does not exist."), Ok)
    }
}

/// The times and the limit of a history request.
struct Window {
    from: i64,
    until: i64,
    limit: usize,
    /// Whether any time was sent.
    is_given: bool,
    /// Whether it may span no more than seven days.
    is_week: bool,
}

const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1_000;

impl Window {
    /// Reads one that may span a week.
    fn of(params: &Params, usual: usize, most: i64) -> Result<Window, Refusal> {
        let window = Window::read(params, usual, most)?;
        let spans = window.until.saturating_sub(window.from);
        if window.is_week && spans > WEEK_MS {
            return refuse(-4165, "Invalid time interval.");
        }
        Ok(window)
    }

    fn read(params: &Params, usual: usize, most: i64) -> Result<Window, Refusal> {
        let (from, until) = (integer(params, "startTime")?, integer(params, "endTime")?);
        let limit = match integer(params, "limit")? {
            None => usual,
            Some(limit) if (1..=most).contains(&limit) => usize::try_from(limit).unwrap_or(usual),
            Some(_) => return refuse(-1130, "Data sent for parameter 'limit' is not valid."),
        };
        if let (Some(from), Some(until)) = (from, until)
            && from > until
        {
            return refuse(-1023, "Start time is greater than end time.");
        }
        Ok(Window {
            from: from.unwrap_or(0),
            until: until.unwrap_or(i64::MAX),
            limit,
            is_given: from.is_some() || until.is_some(),
            is_week: from.is_some() && until.is_some(),
        })
    }

    fn has(&self, at: i64) -> bool {
        (self.from..=self.until).contains(&at)
    }

    /// The last rows, as many as asked for, oldest first.
    fn newest(&self, rows: impl Iterator<Item = Value>) -> Value {
        let rows: Vec<Value> = rows.collect();
        let skip = rows.len().saturating_sub(self.limit);
        rows.into_iter().skip(skip).collect()
    }
}
