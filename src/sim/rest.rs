//! REST: which request does what, what it weighs, who may send it (binance-usdm.md 5.1).

use super::auth::{Params, Refusal, check, refuse};
use super::exchange::{Exchange, KEY_LIFE_MS};
use super::orders::Order;
use super::requests::{is_known, order_of, weight};
use super::shapes::{self, text};
use super::{HttpRequest, HttpResponse};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// What the guard's key may ask for that changes anything; everything else breaks its promise (SPEC.md section 1).
const PROMISED: [&str; 8] = [
    "POST /fapi/v1/order",
    "DELETE /fapi/v1/order",
    "DELETE /fapi/v1/allOpenOrders",
    "DELETE /fapi/v1/algoOrder",
    "DELETE /fapi/v1/algoOpenOrders",
    "POST /fapi/v1/countdownCancelAll",
    "POST /fapi/v1/listenKey",
    "PUT /fapi/v1/listenKey",
];

impl Exchange {
    /// Answers a request as the venue does.
    pub fn handle(&mut self, now_ms: i64, request: &HttpRequest) -> HttpResponse {
        self.advance(now_ms);
        let line = format!("{} {}", request.method, request.path);
        let params = Params::of(request);
        if let Some(answer) = self.struck(&line, request, &params) {
            return answer;
        }
        let mut headers = Vec::new();
        let answer = match self.limits.take(self.now, weight(&line, &params)) {
            Ok(()) => self.answer(&line, request, &params),
            Err((refusal, retry)) => {
                headers.push(("Retry-After".to_owned(), retry.to_string()));
                Err(refusal)
            }
        };
        headers.push(("X-MBX-USED-WEIGHT-1M".into(), self.limits.used().to_string()));
        if line.ends_with("rder") && request.method == "POST" {
            let (ten, minute) = self.limits.order_counts(self.now);
            headers.push(("X-MBX-ORDER-COUNT-10S".into(), ten.to_string()));
            headers.push(("X-MBX-ORDER-COUNT-1M".into(), minute.to_string()));
        }
        match answer {
            Ok(body) => HttpResponse {
                status: 200,
                headers,
                body: body.to_string(),
            },
            Err(refusal) => {
                *self.report.errors.entry(refusal.code).or_insert(0) += 1;
                let body = if refusal.status == 404 {
                    "<html><body><h2>404 Not found</h2></body></html>".to_owned()
                } else {
                    json!({ "code": refusal.code, "msg": refusal.message }).to_string()
                };
                HttpResponse {
                    status: refusal.status,
                    headers,
                    body,
                }
            }
        }
    }

    pub(super) fn answer(
        &mut self,
        line: &str,
        request: &HttpRequest,
        params: &Params,
    ) -> Result<Value, Refusal> {
        if let Some(answer) = self.public(line, params) {
            return answer;
        }
        if !is_known(line) {
            return Err(Refusal {
                status: 404,
                code: -1000,
                message: "Not found".into(),
            });
        }
        let secret = self.secret_of(request.api_key.as_deref())?;
        let is_guard = self.note(line, request.api_key.as_deref());
        if line.ends_with("/listenKey") {
            return self.listen_key(&request.method);
        }
        check(request, params, &secret, self.now)?;
        if is_guard && !self.scenario.account.key.may(line) {
            return Err(Refusal {
                status: 401,
                code: -2015,
                message: "Invalid API-key, IP, or permissions for action.".into(),
            });
        }
        let who = if is_guard { "guard" } else { "bot" };
        match request.method.as_str() {
            "GET" => self.read_as_of(line, params),
            _ => self.change(line, params, who),
        }
    }

    /// Counts a request of the guard's key, and whether it keeps its promise; `true` when it is the guard's.
    pub(super) fn note(&mut self, line: &str, key: Option<&str>) -> bool {
        if key != Some(self.credentials().0.as_str()) {
            return false;
        }
        *self.report.requests.entry(line.to_owned()).or_insert(0) += 1;
        if !line.starts_with("GET ") && !PROMISED.contains(&line) {
            self.violation(format!("the guard sent {line}"));
        }
        true
    }

    fn secret_of(&self, key: Option<&str>) -> Result<String, Refusal> {
        let unauthorised = |code: i64, message: &str| {
            Err(Refusal {
                status: 401,
                code,
                message: message.to_owned(),
            })
        };
        match key {
            None | Some("") => unauthorised(-2014, "API-key format invalid."),
            Some(key) => [self.credentials(), self.bot_credentials()]
                .into_iter()
                .find(|(known, _)| known == key)
                .map(|(_, secret)| secret)
                .map_or_else(
                    || unauthorised(-2015, "Invalid API-key, IP, or permissions for action."),
                    Ok,
                ),
        }
    }

    fn public(&mut self, line: &str, params: &Params) -> Option<Result<Value, Refusal>> {
        Some(Ok(match line {
            "GET /fapi/v1/ping" => json!({}),
            "GET /fapi/v1/time" => json!({ "serverTime": self.now }),
            "GET /fapi/v1/exchangeInfo" => {
                let symbols: Vec<Value> = self
                    .markets
                    .values()
                    .map(|market| shapes::symbol_info(&market.rules))
                    .collect();
                let limit = |kind: &str, interval: &str, number: u32, limit: u32| json!({ "rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit });
                json!({
                    "timezone": "UTC", "serverTime": self.now, "futuresType": "U_MARGINED",
                    "rateLimits": [limit("REQUEST_WEIGHT", "MINUTE", 1, 2400), limit("ORDERS", "MINUTE", 1, 1200),
                        limit("ORDERS", "SECOND", 10, 300)],
                    "exchangeFilters": [],
                    "assets": [{ "asset": "USDT", "marginAvailable": true, "autoAssetExchange": "-10000" }],
                    "symbols": symbols,
                })
            }
            "GET /fapi/v1/premiumIndex" => {
                let row = |symbol: &String, price: Decimal| {
                    json!({ "symbol": symbol, "markPrice": text(price), "indexPrice": text(price),
                        "estimatedSettlePrice": text(price), "lastFundingRate": "0.0001", "interestRate": "0.0001",
                        "nextFundingTime": (self.now / 28_800_000 + 1) * 28_800_000, "time": self.now })
                };
                match params.get("symbol") {
                    Some(symbol) => match self.markets.get_key_value(symbol) {
                        Some((symbol, market)) => row(symbol, market.price),
                        None => return Some(refuse(-1121, "Invalid symbol.")),
                    },
                    None => self
                        .markets
                        .iter()
                        .map(|(symbol, market)| row(symbol, market.price))
                        .collect(),
                }
            }
            "GET /fapi/v1/assetIndex" => self
                .ledger
                .wallets
                .keys()
                .map(|asset| shapes::asset_index(&self.markets, asset, self.now))
                .collect(),
            _ => return None,
        }))
    }

    /// One key an account, shared by everybody; POST gives the active one and extends it (3.1).
    fn listen_key(&mut self, method: &str) -> Result<Value, Refusal> {
        let until = self.now + KEY_LIFE_MS;
        match (method, &mut self.listen) {
            ("POST" | "PUT", Some((key, valid))) => {
                *valid = until;
                Ok(json!({ "listenKey": key }))
            }
            ("POST", None) => {
                self.listen_count += 1;
                let key = format!("embedded-listen-key-{:08}", self.listen_count);
                self.listen = Some((key.clone(), until));
                Ok(json!({ "listenKey": key }))
            }
            ("PUT", None) => refuse(-1125, "This listenKey does not exist."),
            _ => {
                self.listen = None;
                Ok(json!({}))
            }
        }
    }

    pub(super) fn read(&mut self, line: &str, params: &Params) -> Result<Value, Refusal> {
        let symbol = params.get("symbol");
        if symbol.is_some_and(|symbol| !self.markets.contains_key(symbol)) {
            return refuse(-1121, "Invalid symbol.");
        }
        let of_symbol = |name: &str| symbol.is_none_or(|symbol| symbol == name);
        Ok(match line {
            "GET /fapi/v3/account" => shapes::account(&self.ledger, &self.markets),
            "GET /fapi/v3/balance" => {
                let account = shapes::account(&self.ledger, &self.markets);
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
                .ledger
                .held()
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
            "GET /fapi/v1/allOrders" => self
                .orders
                .values()
                .filter(|order| !order.is_algo && of_symbol(&order.symbol))
                .map(|order| shapes::order(order, false))
                .collect(),
            "GET /fapi/v1/userTrades" => {
                params.need("symbol")?;
                self.trades(&of_symbol)
            }
            "GET /fapi/v1/income" => self.income_rows(params),
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
                account
                    .key
                    .restrictions(self.now - self.start, account.portfolio_margin)
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
                "maxNotionalValue": "1000000" })
            });
        rows.collect()
    }

    fn trades(&self, of_symbol: &dyn Fn(&str) -> bool) -> Value {
        let rows = self.fills.iter().filter(|(_, symbol, ..)| of_symbol(symbol)).map(|(id, symbol, fill, at)| {
            let order = self.orders.get(id).cloned().unwrap_or_default();
            json!({ "id": fill.trade, "orderId": id, "symbol": symbol, "pair": symbol, "side": order.side,
                "positionSide": order.position_side, "price": text(fill.price), "qty": text(fill.quantity),
                "quoteQty": text(fill.quantity * fill.price), "baseQty": text(fill.quantity),
                "marginAsset": "USDT", "commission": text(fill.fee), "commissionAsset": "USDT",
                "realizedPnl": text(fill.realised), "maker": fill.is_maker, "buyer": order.buys(), "time": at })
        });
        rows.collect()
    }

    fn income_rows(&self, params: &Params) -> Value {
        let from = params
            .get("startTime")
            .and_then(|text| text.parse::<i64>().ok())
            .unwrap_or(0);
        let until = params
            .get("endTime")
            .and_then(|text| text.parse::<i64>().ok())
            .unwrap_or(i64::MAX);
        let kind = params.get("incomeType");
        let rows = self
            .income
            .iter()
            .filter(|row| row.time >= from && row.time <= until && kind.is_none_or(|kind| kind == row.kind))
            .map(|row| {
                json!({ "symbol": row.symbol, "incomeType": row.kind, "income": text(row.amount),
                    "asset": row.asset, "info": row.kind, "time": row.time, "tranId": row.id, "tradeId": "" })
            });
        rows.collect()
    }

    /// An order by its number or its sender's name, in one store. The stores are disjoint (section 7).
    fn find(&self, params: &Params, is_algo: bool) -> Result<Order, Refusal> {
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

    fn change(&mut self, line: &str, params: &Params, who: &str) -> Result<Value, Refusal> {
        let done = |message: &str| Ok(json!({ "code": 200, "msg": message }));
        match line {
            "POST /fapi/v1/order" => {
                let order = order_of(params, who, &format!("x-{}", self.next_order))?;
                if !matches!(order.kind.as_str(), "LIMIT" | "MARKET") {
                    return refuse(
                        -4120,
                        "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
                    );
                }
                self.limits.order(self.now)?;
                let is_result = match params.get("newOrderRespType") {
                    None | Some("ACK") => false,
                    Some("RESULT") => true,
                    Some(_) => return refuse(-1117, "Invalid newOrderRespType."),
                };
                let fresh = Order {
                    status: "NEW".into(),
                    ..order.clone()
                };
                let id = self.place(order)?;
                let placed = self.orders.get(&id).cloned().unwrap_or_default();
                // ACK says what was taken, not what became of it.
                let shown = if is_result {
                    placed
                } else {
                    Order {
                        id,
                        time: self.now,
                        updated: self.now,
                        ..fresh
                    }
                };
                Ok(shapes::order(&shown, true))
            }
            "DELETE /fapi/v1/order" => {
                let order = match self.find(params, false) {
                    Err(refusal) if refusal.code == -2013 => return refuse(-2011, "Unknown order sent."),
                    other => other?,
                };
                if !order.is_open() {
                    return refuse(-2011, "Unknown order sent.");
                }
                self.cancel(order.id);
                Ok(shapes::order(
                    &self.orders.get(&order.id).cloned().unwrap_or_default(),
                    true,
                ))
            }
            "DELETE /fapi/v1/allOpenOrders" => {
                let symbol = self.need_symbol(params)?;
                self.cancel_all(&symbol, false);
                done("The operation of cancel all open order is done.")
            }
            "DELETE /fapi/v1/algoOpenOrders" => {
                let symbol = self.need_symbol(params)?;
                self.cancel_all(&symbol, true);
                done("The operation of cancel all open order is done.")
            }
            "POST /fapi/v1/algoOrder" => {
                if params.need("algoType")? != "CONDITIONAL" {
                    return refuse(-1130, "Data sent for parameter 'algoType' is not valid.");
                }
                let order = order_of(params, who, &format!("x-{}", self.next_order))?;
                if matches!(order.kind.as_str(), "LIMIT" | "MARKET") {
                    return refuse(-1116, "Invalid orderType.");
                }
                self.limits.order(self.now)?;
                let id = self.place_algo(order)?;
                Ok(shapes::algo_order(
                    &self.orders.get(&id).cloned().unwrap_or_default(),
                ))
            }
            "DELETE /fapi/v1/algoOrder" => {
                let order = self.find(params, true)?;
                if !order.is_open() {
                    return refuse(-2011, "Unknown order sent.");
                }
                if order.status == "TRIGGERING" {
                    return refuse(-4117, "Stop order is triggering");
                }
                self.cancel(order.id);
                Ok(
                    json!({ "algoId": order.id, "clientAlgoId": order.client_id, "code": "200", "msg": "success" }),
                )
            }
            "POST /fapi/v1/countdownCancelAll" => {
                let symbol = self.need_symbol(params)?;
                let Ok(time) = params.need("countdownTime")?.parse::<i64>() else {
                    return refuse(-1100, "Illegal characters found in parameter 'countdownTime'.");
                };
                self.countdowns.remove(&symbol);
                if time > 0 {
                    self.countdowns.insert(symbol.clone(), self.now + time);
                }
                Ok(json!({ "symbol": symbol, "countdownTime": time.to_string() }))
            }
            "POST /fapi/v1/leverage" => self.set_leverage(params),
            "POST /fapi/v1/positionSide/dual" => {
                if !self.ledger.held().is_empty() {
                    return refuse(-4068, "Position side cannot be changed if there exists position.");
                }
                if self.orders.values().any(Order::is_open) {
                    return refuse(
                        -4067,
                        "Position side cannot be changed if there exists open orders.",
                    );
                }
                params.need("dualSidePosition")?;
                self.ledger.hedge = params.flag("dualSidePosition")?;
                done("success")
            }
            _ => Err(Refusal {
                status: 404,
                code: -1000,
                message: "Not found".into(),
            }),
        }
    }

    fn set_leverage(&mut self, params: &Params) -> Result<Value, Refusal> {
        let symbol = self.need_symbol(params)?;
        let leverage = match params.need("leverage")?.parse::<u32>() {
            Ok(leverage) if (1..=125).contains(&leverage) => leverage,
            _ => return refuse(-4028, "Leverage is not valid"),
        };
        let sides = if self.ledger.hedge {
            vec!["LONG", "SHORT"]
        } else {
            vec!["BOTH"]
        };
        for side in sides {
            self.ledger
                .positions
                .entry((symbol.clone(), side.into()))
                .or_default()
                .leverage = leverage;
        }
        self.push(
            "ACCOUNT_CONFIG_UPDATE",
            json!({ "T": self.now, "ac": { "s": symbol, "l": leverage } }),
        );
        Ok(json!({ "leverage": leverage, "maxNotionalValue": "1000000", "symbol": symbol }))
    }

    fn need_symbol(&self, params: &Params) -> Result<String, Refusal> {
        let symbol = params.need("symbol")?;
        if self.markets.contains_key(symbol) {
            Ok(symbol.to_owned())
        } else {
            refuse(-1121, "Invalid symbol.")
        }
    }
}
