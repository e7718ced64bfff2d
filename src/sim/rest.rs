//! REST: which request does what, what it weighs, who may send it (binance-usdm.md 5.1).

use super::auth::{Params, Refusal, check, refuse};
use super::exchange::{Exchange, KEY_LIFE_MS};
use super::market::Market;
use super::requests::{check_duplicates, is_known, order_count, weight};
use super::shapes;
use super::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const DAY_MS: i64 = 86_400_000;

/// What the guard's key may ask for that changes anything; everything else breaks its promise (SPEC.md section 1).
const PROMISED: [&str; 9] = [
    "POST /fapi/v1/order",
    "DELETE /fapi/v1/order",
    "DELETE /fapi/v1/allOpenOrders",
    "POST /fapi/v1/algoOrder",
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
        if order_count(&line).is_some() {
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
        check_duplicates(request)?;
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
                let margin_assets = self.markets.values().map(|market| &market.rules.margin_asset);
                let assets: BTreeSet<&String> = margin_assets.chain(self.ledger.wallets.keys()).collect();
                let assets: Vec<Value> = assets
                    .iter()
                    .map(|asset| json!({ "asset": asset, "marginAvailable": true, "autoAssetExchange": "-10000" }))
                    .collect();
                let limit = |kind: &str, interval: &str, number: u32, limit: u32| json!({ "rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit });
                json!({
                    "timezone": "UTC", "serverTime": self.now, "futuresType": "U_MARGINED",
                    "rateLimits": [limit("REQUEST_WEIGHT", "MINUTE", 1, 2400), limit("ORDERS", "MINUTE", 1, 1200),
                        limit("ORDERS", "SECOND", 10, 300)],
                    "exchangeFilters": [],
                    "assets": assets,
                    "symbols": symbols,
                })
            }
            "GET /fapi/v1/premiumIndex" => {
                let row = |market: &Market| shapes::premium_index(&market.rules, market.price, self.now);
                match params.get("symbol") {
                    Some(symbol) => match self.markets.get(symbol) {
                        Some(market) => row(market),
                        None => return Some(refuse(-1121, "Invalid symbol.")),
                    },
                    None => self.markets.values().map(row).collect(),
                }
            }
            "GET /fapi/v1/assetIndex" => {
                let row = |asset: &String| shapes::asset_index(&self.ledger, &self.markets, asset, self.now);
                let mut assets = self.ledger.wallets.keys();
                match params.get("symbol") {
                    Some(symbol) => match assets.find(|asset| format!("{asset}USD") == symbol) {
                        Some(asset) => row(asset),
                        None => return Some(refuse(-1121, "Invalid symbol.")),
                    },
                    None => assets.map(row).collect(),
                }
            }
            "GET /fapi/v1/symbolAdlRisk" => {
                let row =
                    |symbol: &String| json!({ "symbol": symbol, "adlRisk": "low", "updateTime": self.now });
                match params.get("symbol") {
                    Some(symbol) => match self.markets.get_key_value(symbol) {
                        Some((symbol, _)) => row(symbol),
                        None => return Some(refuse(-1121, "Invalid symbol.")),
                    },
                    None => self.markets.keys().map(row).collect(),
                }
            }
            // Open around the clock: the script has no sessions.
            "GET /fapi/v1/tradingSchedule" => json!({
                "updateTime": self.now,
                "marketSchedules": { "EQUITY": { "sessions": [
                    { "startTime": self.now.div_euclid(DAY_MS) * DAY_MS,
                      "endTime": (self.now.div_euclid(DAY_MS) + 1) * DAY_MS, "type": "REGULAR" },
                ] } },
            }),
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
}
