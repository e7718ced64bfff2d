//! Settings of account and contracts: modes, leverage, margin type, isolated margin (binance-usdm.md 5.1, 6.7).

use super::account::{Leg, margin_asset};
use super::auth::{Params, Refusal, refuse};
use super::exchange::Exchange;
use super::orders::Order;
use super::requests::integer;
use super::rules::Rules;
use super::shapes::text;
use rust_decimal::Decimal;
use serde_json::{Value, json};

impl Exchange {
    /// Answers a request that changes a setting.
    pub(super) fn set(&mut self, line: &str, params: &Params) -> Result<Value, Refusal> {
        let done = json!({ "code": 200, "msg": "success" });
        match line {
            "POST /fapi/v1/leverage" => {
                let symbol = self.need_symbol(params)?;
                params.need("leverage")?;
                let leverage = integer(params, "leverage")?.and_then(|leverage| u32::try_from(leverage).ok());
                self.turn_leverage(&symbol, leverage.unwrap_or(0))
            }
            "POST /fapi/v1/marginType" => {
                let symbol = self.need_symbol(params)?;
                let isolated = match params.need("marginType")? {
                    "ISOLATED" => true,
                    "CROSSED" => false,
                    _ => return refuse(-1130, "Data sent for parameter 'marginType' is not valid."),
                };
                self.turn_margin_type(&symbol, isolated).map(|()| done)
            }
            "POST /fapi/v1/positionMargin" => self.position_margin(params),
            "POST /fapi/v1/multiAssetsMargin" => {
                params.need("multiAssetsMargin")?;
                let on = params.flag("multiAssetsMargin")?;
                self.turn_multi_assets(on).map(|()| done)
            }
            "POST /fapi/v1/positionSide/dual" => {
                params.need("dualSidePosition")?;
                let on = params.flag("dualSidePosition")?;
                self.turn_hedge(on).map(|()| done)
            }
            _ => Err(Refusal {
                status: 404,
                code: -1000,
                message: "Not found".into(),
            }),
        }
    }

    fn sides(&self) -> &'static [&'static str] {
        if self.ledger.hedge {
            &["LONG", "SHORT"]
        } else {
            &["BOTH"]
        }
    }

    fn has_open(&self, symbol: Option<&str>) -> bool {
        let open = self.orders.values().filter(|order| order.is_open());
        open.map(|order: &Order| order.symbol.as_str())
            .any(|other| symbol.is_none_or(|symbol| symbol == other))
    }

    /// Position mode; no event tells of it (4.5).
    pub(super) fn turn_hedge(&mut self, on: bool) -> Result<(), Refusal> {
        if on == self.ledger.hedge {
            return refuse(-4059, "No need to change position side.");
        }
        if !self.ledger.held().is_empty() {
            return refuse(-4068, "Position side cannot be changed if there exists position.");
        }
        if self.has_open(None) {
            return refuse(
                -4067,
                "Position side cannot be changed if there exists open orders.",
            );
        }
        self.ledger.hedge = on;
        Ok(())
    }

    /// Asset mode.
    pub(super) fn turn_multi_assets(&mut self, on: bool) -> Result<(), Refusal> {
        if on == self.ledger.multi_assets {
            return refuse(
                -4171,
                "Adjusted asset mode is currently set and does not need to be adjusted repeatedly.",
            );
        }
        if self.has_open(None) {
            return refuse(-4170, "Unable to adjust Multi-Assets Mode with open orders.");
        }
        if on
            && self
                .ledger
                .positions
                .values()
                .any(|holding| holding.isolated.is_some())
        {
            return refuse(
                -4167,
                "Unable to adjust to Multi-Assets mode with symbols under isolated-margin mode.",
            );
        }
        self.ledger.multi_assets = on;
        let short = self.ledger.buckets(&self.markets).iter().any(|bucket| {
            let initial: Decimal = bucket
                .legs
                .iter()
                .map(|leg| self.ledger.initial(&self.markets, leg))
                .sum();
            initial > bucket.balance
        });
        if short {
            self.ledger.multi_assets = !on;
            return refuse(
                -4169,
                "Unable to adjust Multi-Assets Mode with insufficient margin balance.",
            );
        }
        self.push(
            "ACCOUNT_CONFIG_UPDATE",
            json!({ "T": self.now, "ai": { "j": on } }),
        );
        Ok(())
    }

    /// Leverage of a symbol. The largest is that of the first tier.
    pub(super) fn turn_leverage(&mut self, symbol: &str, leverage: u32) -> Result<Value, Refusal> {
        let rules = self.rules_of(symbol)?;
        if !(1..=Rules::leverage_of(0)).contains(&leverage) {
            return refuse(-4028, &format!("Leverage {leverage} is not valid"));
        }
        let most = rules.notional_max(leverage);
        let mark = self.mark(symbol);
        for (leg, holding) in &self.ledger.positions {
            if leg.0 != symbol || holding.amount.is_zero() {
                continue;
            }
            if holding.isolated.is_some() && leverage < holding.leverage {
                return refuse(
                    -4161,
                    "Leverage reduction is not supported in Isolated Margin Mode with open positions.",
                );
            }
            if holding.amount.abs() * mark > most {
                return refuse(
                    -2027,
                    "Exceeded the maximum allowable position at current leverage.",
                );
            }
        }
        for side in self.sides() {
            let leg = (symbol.to_owned(), (*side).to_owned());
            self.ledger.positions.entry(leg).or_default().leverage = leverage;
        }
        let body = json!({ "T": self.now, "ac": { "s": symbol, "l": leverage } });
        self.push("ACCOUNT_CONFIG_UPDATE", body);
        Ok(json!({ "leverage": leverage, "maxNotionalValue": text(most), "symbol": symbol }))
    }

    /// Margin type of a symbol.
    pub(super) fn turn_margin_type(&mut self, symbol: &str, isolated: bool) -> Result<(), Refusal> {
        let own = |leg: &Leg| leg.0 == symbol;
        let of_symbol = || self.ledger.positions.iter().filter(|(leg, _)| own(leg));
        if isolated && self.ledger.multi_assets {
            return refuse(
                -4168,
                "Unable to adjust to isolated-margin mode under the Multi-Assets mode.",
            );
        }
        if isolated == of_symbol().any(|(_, holding)| holding.isolated.is_some()) {
            return refuse(-4046, "No need to change margin type.");
        }
        if self.has_open(Some(symbol)) {
            return refuse(
                -4047,
                "Margin type cannot be changed if there exists open orders.",
            );
        }
        if of_symbol().any(|(_, holding)| !holding.amount.is_zero()) {
            return refuse(-4048, "Margin type cannot be changed if there exists position.");
        }
        let mut legs = Vec::new();
        for side in self.sides() {
            let leg = (symbol.to_owned(), (*side).to_owned());
            let holding = self.ledger.positions.entry(leg.clone()).or_default();
            holding.leverage = if holding.leverage == 0 {
                20
            } else {
                holding.leverage
            };
            holding.isolated = isolated.then_some(Decimal::ZERO);
            legs.push(leg);
        }
        self.push_account("MARGIN_TYPE_CHANGE", &[], &legs);
        Ok(())
    }

    /// Moves margin to an isolated position or back.
    fn position_margin(&mut self, params: &Params) -> Result<Value, Refusal> {
        let symbol = self.need_symbol(params)?;
        let side = params.get("positionSide").unwrap_or("BOTH").to_owned();
        if (side != "BOTH") != self.ledger.hedge {
            return refuse(-4061, "Order's position side does not match user's setting.");
        }
        params.need("amount")?;
        let amount = params.decimal("amount")?.unwrap_or_default();
        let kind = match params.need("type")? {
            "1" => 1,
            "2" => 2,
            _ => return refuse(-1130, "Data sent for parameter 'type' is not valid."),
        };
        if amount <= Decimal::ZERO {
            return refuse(-4055, "Amount must be positive.");
        }
        let leg = (symbol.clone(), side);
        let holding = self.ledger.positions.get(&leg).cloned().unwrap_or_default();
        let Some(wallet) = holding.isolated else {
            return refuse(-4049, "Add margin only support for isolated position.");
        };
        if holding.amount.is_zero() {
            return refuse(-4054, "Cannot add position margin: position is 0.");
        }
        let asset = margin_asset(&self.markets, &symbol).to_owned();
        if kind == 1 && amount > self.ledger.cross_balance(&self.markets, &asset) {
            return refuse(-4050, "Cross balance insufficient.");
        }
        let free = wallet + self.ledger.unrealised(&self.markets, &leg).min(Decimal::ZERO)
            - self.ledger.initial(&self.markets, &leg);
        if kind == 2 && amount > free {
            return refuse(-4051, "Isolated balance insufficient.");
        }
        if let Some(holding) = self.ledger.positions.get_mut(&leg) {
            holding.isolated = Some(if kind == 1 {
                wallet + amount
            } else {
                wallet - amount
            });
            holding.updated = self.now;
        }
        self.push_account("MARGIN_TRANSFER", &[(asset, Decimal::ZERO)], &[leg]);
        Ok(
            json!({ "amount": text(amount), "code": 200, "msg": "Successfully modify position margin.", "type": kind }),
        )
    }
}
