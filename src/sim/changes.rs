//! Signed requests that place, modify and cancel, one by one and in batches (binance-usdm.md 5.1, 5.5).

use super::HttpRequest;
use super::auth::{Params, Refusal, refuse};
use super::exchange::Exchange;
use super::orders::Order;
use super::requests::{algo_of, integer, order_count, regular_of};
use super::shapes;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Orders of a batch.
const BATCH_MAX: usize = 5;
/// Cancels of a batch.
const BATCH_CANCEL_MAX: usize = 10;

impl Exchange {
    /// Answers a signed request that changes something.
    pub(super) fn change(&mut self, line: &str, params: &Params, who: &str) -> Result<Value, Refusal> {
        if let Some((ten, minute)) = order_count(line) {
            self.limits.order(self.now, ten, minute)?;
        }
        let done = |message: &str| Ok(json!({ "code": 200, "msg": message }));
        match line {
            "POST /fapi/v1/order" => self.post_order(params, who),
            // A trial on a copy: nothing comes of it but the answer.
            "POST /fapi/v1/order/test" => {
                self.clone().post_order(params, who)?;
                Ok(json!({}))
            }
            "PUT /fapi/v1/order" => self.modify(params),
            "POST /fapi/v1/batchOrders" => self.batch(params, |exchange, one| exchange.post_order(one, who)),
            "PUT /fapi/v1/batchOrders" => self.batch(params, Exchange::modify),
            "DELETE /fapi/v1/batchOrders" => self.batch_cancel(params),
            "DELETE /fapi/v1/order" => self.delete_order(params),
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
                let order = algo_of(params, who, &format!("x-{}", self.next_order))?;
                self.check_load(&order)?;
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
                // On its way to the matching engine.
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
                params.need("countdownTime")?;
                let time = integer(params, "countdownTime")?.unwrap_or(0);
                self.countdowns.remove(&symbol);
                if time > 0 {
                    self.countdowns.insert(symbol.clone(), self.now + time);
                }
                Ok(json!({ "symbol": symbol, "countdownTime": time.to_string() }))
            }
            "POST /fapi/v1/stock/contract" => {
                self.scenario.account.tradfi_signed = true;
                done("success")
            }
            _ => self.set(line, params),
        }
    }

    fn post_order(&mut self, params: &Params, who: &str) -> Result<Value, Refusal> {
        let order = regular_of(params, who, &format!("x-{}", self.next_order))?;
        let is_result = match params.get("newOrderRespType") {
            None | Some("ACK") => false,
            Some("RESULT") => true,
            Some(_) => return refuse(-1136, "Invalid newOrderRespType."),
        };
        let fresh = Order {
            status: "NEW".into(),
            ..order.clone()
        };
        self.check_load(&order)?;
        let id = self.place(order)?;
        let placed = self.orders.get(&id).cloned().unwrap_or_default();
        // ACK says what was taken, not what became of it.
        let shown = if is_result {
            placed
        } else {
            Order {
                id,
                price: placed.price,
                time: self.now,
                updated: self.now,
                ..fresh
            }
        };
        Ok(shapes::order(&shown, true))
    }

    fn delete_order(&mut self, params: &Params) -> Result<Value, Refusal> {
        let order = match self.find(params, false) {
            Err(refusal) if refusal.code == -2013 => return refuse(-2011, "Unknown order sent."),
            other => other?,
        };
        if !order.is_open() {
            return refuse(-2011, "Unknown order sent.");
        }
        self.cancel(order.id);
        let cancelled = self.orders.get(&order.id).cloned().unwrap_or_default();
        Ok(shapes::order(&cancelled, true))
    }

    /// Up to five requests in one, each with an answer of its own at its place: an order or an error (5.1).
    ///
    /// The venue works on them at the same time, so their order of execution is nobody's to rely on; here it turns with
    /// every batch.
    fn batch(
        &mut self,
        params: &Params,
        mut each: impl FnMut(&mut Exchange, &Params) -> Result<Value, Refusal>,
    ) -> Result<Value, Refusal> {
        let rows: Vec<serde_json::Map<String, Value>> = list(params, "batchOrders")?;
        if !(1..=BATCH_MAX).contains(&rows.len()) {
            return refuse(-4082, "Invalid number of batch place orders.");
        }
        let turn = usize::try_from(self.next_order).unwrap_or(0) % rows.len();
        let order = (turn..rows.len()).chain(0..turn);
        let mut answers: Vec<(usize, Value)> = Vec::new();
        for place in order {
            let Some(row) = rows.get(place) else { continue };
            let answer = each(self, &params_of(row)).unwrap_or_else(|refusal| self.error(&refusal));
            answers.push((place, answer));
        }
        answers.sort_by_key(|(place, _)| *place);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// Cancels up to ten orders of a symbol by their numbers or their names.
    fn batch_cancel(&mut self, params: &Params) -> Result<Value, Refusal> {
        let symbol = self.need_symbol(params)?;
        let (name, by) = match (params.get("orderIdList"), params.get("origClientOrderIdList")) {
            (Some(_), _) => ("orderIdList", "orderId"),
            (None, Some(_)) => ("origClientOrderIdList", "origClientOrderId"),
            (None, None) => {
                return refuse(
                    -1102,
                    "Param 'orderIdList' or 'origClientOrderIdList' must be sent, but both were empty/null!",
                );
            }
        };
        let wanted: Vec<Value> = list(params, name)?;
        if !(1..=BATCH_CANCEL_MAX).contains(&wanted.len()) {
            return refuse(-1130, &format!("Data sent for parameter '{name}' is not valid."));
        }
        let each = wanted.into_iter().map(|wanted| {
            let row = [
                ("symbol".to_owned(), Value::from(symbol.as_str())),
                (by.to_owned(), wanted),
            ];
            let one = params_of(&row.into_iter().collect());
            self.delete_order(&one)
                .unwrap_or_else(|refusal| self.error(&refusal))
        });
        Ok(each.collect())
    }

    /// A refusal as an element of an answer that is itself a success.
    fn error(&mut self, refusal: &Refusal) -> Value {
        *self.report.errors.entry(refusal.code).or_insert(0) += 1;
        json!({ "code": refusal.code, "msg": refusal.message })
    }

    pub(super) fn need_symbol(&self, params: &Params) -> Result<String, Refusal> {
        let symbol = params.need("symbol")?;
        self.rules_of(symbol)?;
        Ok(symbol.to_owned())
    }
}

/// A parameter that is a JSON list.
fn list<T: DeserializeOwned>(params: &Params, name: &str) -> Result<Vec<T>, Refusal> {
    serde_json::from_str(params.need(name)?).or_else(|_| {
        let message = format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed.");
        refuse(-1102, &message)
    })
}

/// One element of a batch as if it were a request of its own.
fn params_of(row: &serde_json::Map<String, Value>) -> Params {
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in row {
        match value {
            Value::String(text) => body.append_pair(name, text),
            other => body.append_pair(name, &other.to_string()),
        };
    }
    Params::of(&HttpRequest {
        body: body.finish(),
        ..HttpRequest::default()
    })
}
