//! The drill's own actor: opens what the guard cannot, and looks at the venue with eyes of its own.
//!
//! It exists only with a [`PlayVenue`], so there is none for the real exchange. It shares the guard's HTTP client and
//! keyed hash, and nothing of what the guard knows: what it says of the account comes from the venue's answers alone.
//!
//! Source: venues/binance-usdm.md sections 5, 6.1 and 7, read 2026-11-22.

use super::Trouble;
use super::seen::{Form, Look, Rules, Said, Side, decimal, field};
use crate::clock::Clock;
use crate::model::{Span, Timestamp};
use crate::venue::binance::client::{Http, HttpConfig, RECV_WINDOW_MS};
use crate::venue::binance::play::{PlaySigner, PlayVenue};
use crate::venue::binance::request::Security;
use crate::venue::binance::sign::ReadSigner;
use rust_decimal::Decimal;
use secrecy::SecretString;
use serde_json::Value;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// Every order of a drill is named so; never `bs-`, which are the guard's.
pub const PREFIX: &str = "drill-";
/// Between two looks at the venue. A look weighs 7 (section 5.1), so waiting stays far under the limit of a minute.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Attempts to bring the account back to where it was.
const CLEAN_MAX: usize = 20;

/// The actor.
pub struct Trader {
    http: Http,
    reader: ReadSigner,
    signer: PlaySigner,
    venue: PlayVenue,
    symbol: String,
    run: String,
    count: AtomicU32,
}

impl Trader {
    /// A trader at a proven venue; connects nothing.
    ///
    /// # Errors
    ///
    /// When the key or the secret cannot be one.
    pub fn new(
        venue: PlayVenue,
        symbol: &str,
        (key, secret): (&SecretString, &SecretString),
        clock: Clock,
    ) -> Result<Trader, Trouble> {
        // Names differ from drill to drill, so that an order of an earlier one is never taken for ours.
        let run = format!("{PREFIX}{:x}", clock.now().ms() / 100 % 0x1000_0000);
        Ok(Trader {
            http: Http::new(HttpConfig::new(venue.rest_url()), key, clock).map_err(Trouble)?,
            reader: ReadSigner::new(secret).map_err(|error| Trouble(error.to_string()))?,
            signer: PlaySigner::new(&venue, secret).map_err(|error| Trouble(error.to_string()))?,
            venue,
            symbol: symbol.to_owned(),
            run,
            count: AtomicU32::new(0),
        })
    }

    /// Where it trades.
    pub fn venue(&self) -> &PlayVenue {
        &self.venue
    }

    /// Its contract.
    pub fn symbol(&self) -> &str {
        &self.symbol
    }

    /// What does not happen within this does not happen: long enough for a venue over the ocean, short on this machine.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(if self.venue.is_local() { 1 } else { 3 })
    }

    /// Measures the venue's clock; gives its offset from ours, in milliseconds.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn sync(&self) -> Result<i64, Trouble> {
        self.http
            .sync_clock(&self.reader)
            .await
            .map_err(|why| Trouble(format!("the venue's clock: {why}")))
    }

    /// The account's listenKey, created or extended. It is a bearer credential: not for reports.
    ///
    /// # Errors
    ///
    /// When the venue gives none.
    pub async fn listen_key(&self) -> Result<String, Trouble> {
        self.http
            .keep_key()
            .await
            .map_err(|none| Trouble(none.to_string()))
    }

    /// Sends a request once and gives the venue's answer, a refusal included.
    ///
    /// # Errors
    ///
    /// When no answer came that could be read.
    pub async fn ask(
        &self,
        method: &'static str,
        path: &str,
        pairs: &[(&str, &str)],
    ) -> Result<Said, Trouble> {
        self.send(Security::Signed, method, path, pairs).await
    }

    async fn send(
        &self,
        security: Security,
        method: &'static str,
        path: &str,
        pairs: &[(&str, &str)],
    ) -> Result<Said, Trouble> {
        // What the venue asks of everybody: silence after a rate limit.
        if let Some(pause) = self.http.wait(false) {
            sleep(Duration::from_millis(u64::try_from(pause.ms()).unwrap_or(0))).await;
        }
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        let signed = self.signer.sign(
            method,
            path,
            &query,
            security,
            self.http.timestamp(),
            RECV_WINDOW_MS,
        );
        let answer = self
            .http
            .mutate(&signed)
            .await
            .map_err(|none| Trouble(format!("{method} {path}: no answer: {none}")))?;
        let body = serde_json::from_str(&answer.body)
            .map_err(|_| Trouble(format!("{method} {path}: HTTP {}, not JSON", answer.status)))?;
        Ok(Said {
            status: answer.status,
            body,
        })
    }

    /// A read that must be answered.
    ///
    /// # Errors
    ///
    /// When no answer came, or a refusal.
    pub async fn read(&self, path: &str, pairs: &[(&str, &str)]) -> Result<Value, Trouble> {
        Ok(self.ask("GET", path, pairs).await?.fine(path)?.body)
    }

    async fn public(&self, path: &str, pairs: &[(&str, &str)]) -> Result<Value, Trouble> {
        Ok(self
            .send(Security::None, "GET", path, pairs)
            .await?
            .fine(path)?
            .body)
    }

    /// The contract's rules.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or the contract does not trade there.
    pub async fn rules(&self) -> Result<Rules, Trouble> {
        let info = self.public("/fapi/v1/exchangeInfo", &[]).await?;
        let rows = field(&info, "symbols").as_array().map_or(&[][..], Vec::as_slice);
        let row = rows
            .iter()
            .find(|row| field(row, "symbol") == self.symbol.as_str() && field(row, "status") == "TRADING");
        let row = row.ok_or_else(|| Trouble(format!("{} does not trade at this venue", self.symbol)))?;
        let filter = |kind: &str, name: &str| {
            let filters = field(row, "filters").as_array().map_or(&[][..], Vec::as_slice);
            let found = filters.iter().find(|filter| field(filter, "filterType") == kind);
            decimal(found.map_or(&Value::Null, |filter| field(filter, name)))
                .ok_or_else(|| Trouble(format!("{} has no {kind}.{name}", self.symbol)))
        };
        let (lot, market) = (
            filter("LOT_SIZE", "stepSize")?,
            filter("MARKET_LOT_SIZE", "stepSize")?,
        );
        Ok(Rules {
            tick: filter("PRICE_FILTER", "tickSize")?,
            step: lot.max(market),
            least: filter("LOT_SIZE", "minQty")?.max(filter("MARKET_LOT_SIZE", "minQty")?),
            min_notional: filter("MIN_NOTIONAL", "notional")?,
        })
    }

    /// The mark price.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn mark(&self) -> Result<Decimal, Trouble> {
        let index = self
            .public("/fapi/v1/premiumIndex", &[("symbol", &self.symbol)])
            .await?;
        decimal(field(&index, "markPrice"))
            .filter(|price| *price > Decimal::ZERO)
            .ok_or_else(|| Trouble("no mark price".into()))
    }

    /// Places an order; gives its client id and the venue's answer.
    ///
    /// # Errors
    ///
    /// When no answer came. A refusal is an answer.
    pub async fn try_place(
        &self,
        side: Side,
        form: Form,
        quantity: Decimal,
        rules: &Rules,
    ) -> Result<(String, Said), Trouble> {
        let mark = self.mark().await?;
        let away = match form {
            Form::Take | Form::Close => Decimal::new(if side.buys { 103 } else { 97 }, 2),
            Form::Rest => Decimal::new(if side.buys { 90 } else { 104 }, 2),
            Form::Stop | Form::OpeningStop => Decimal::new(if side.buys { 120 } else { 80 }, 2),
        };
        let price = mark * away;
        let price = (price - price % rules.tick).normalize().to_string();
        let quantity = quantity.normalize().to_string();
        let id = format!("{}-{}", self.run, self.count.fetch_add(1, Ordering::Relaxed));
        let mut pairs = vec![
            ("symbol", self.symbol.as_str()),
            ("side", if side.buys { "BUY" } else { "SELL" }),
        ];
        pairs.extend(side.leg.map(|leg| ("positionSide", leg)));
        let path = match form {
            Form::Take | Form::Close | Form::Rest => {
                pairs.extend([
                    ("type", "LIMIT"),
                    ("timeInForce", "GTC"),
                    ("quantity", &quantity),
                    ("price", &price),
                    ("newClientOrderId", &id),
                ]);
                if matches!(form, Form::Close) && side.leg.is_none() {
                    pairs.push(("reduceOnly", "true"));
                }
                "/fapi/v1/order"
            }
            Form::Stop | Form::OpeningStop => {
                pairs.extend([
                    ("algoType", "CONDITIONAL"),
                    ("type", "STOP_MARKET"),
                    ("triggerPrice", &price),
                    ("workingType", "MARK_PRICE"),
                    ("clientAlgoId", &id),
                ]);
                pairs.push(match form {
                    Form::Stop => ("closePosition", "true"),
                    _ => ("quantity", &quantity),
                });
                "/fapi/v1/algoOrder"
            }
        };
        let said = self.ask("POST", path, &pairs).await?;
        Ok((id, said))
    }

    /// Places an order that must be accepted; gives its client id.
    ///
    /// # Errors
    ///
    /// When no answer came, or a refusal.
    pub async fn place(
        &self,
        side: Side,
        form: Form,
        quantity: Decimal,
        rules: &Rules,
    ) -> Result<String, Trouble> {
        let (id, said) = self.try_place(side, form, quantity, rules).await?;
        said.fine(&format!("the drill's order {id}"))?;
        Ok(id)
    }

    /// What the venue shows of the contract now.
    ///
    /// # Errors
    ///
    /// When one of the three lists cannot be read.
    pub async fn look(&self) -> Result<Look, Trouble> {
        self.look_at(&[("symbol", &self.symbol)]).await
    }

    /// What the venue shows of the whole account now.
    ///
    /// # Errors
    ///
    /// As [`Trader::look`].
    pub async fn look_everywhere(&self) -> Result<Look, Trouble> {
        self.look_at(&[]).await
    }

    async fn look_at(&self, pairs: &[(&str, &str)]) -> Result<Look, Trouble> {
        let rows = |value: Value, what: &str| match value {
            Value::Array(rows) => Ok(rows),
            _ => Err(Trouble(format!("{what} is no list"))),
        };
        let positions = rows(self.read("/fapi/v3/positionRisk", pairs).await?, "positionRisk")?;
        let orders = rows(self.read("/fapi/v1/openOrders", pairs).await?, "openOrders")?;
        let stops = rows(
            self.read("/fapi/v1/openAlgoOrders", pairs).await?,
            "openAlgoOrders",
        )?;
        let everywhere = pairs.is_empty();
        let mut held = Vec::new();
        for row in &positions {
            let amount = decimal(field(row, "positionAmt"))
                .ok_or_else(|| Trouble("a position without amount".into()))?;
            let side = field(row, "positionSide").as_str().unwrap_or("BOTH");
            let symbol = field(row, "symbol").as_str().unwrap_or("?");
            let leg = if everywhere {
                format!("{symbol} {side}")
            } else {
                side.to_owned()
            };
            if !amount.is_zero() {
                held.push((leg, amount));
            }
        }
        let ids = |rows: &[Value], name: &str| -> Vec<String> {
            rows.iter()
                .map(|row| field(row, name).as_str().unwrap_or("?").to_owned())
                .collect()
        };
        Ok(Look {
            positions: held,
            orders: ids(&orders, "clientOrderId"),
            stops: ids(&stops, "clientAlgoId"),
        })
    }

    /// Looks until it is as wanted; the last look with what it said of it when that takes too long.
    ///
    /// # Errors
    ///
    /// When it does not come true within `within`, or the venue cannot be read for as long.
    pub async fn wait(
        &self,
        what: &str,
        within: Span,
        wanted: impl Fn(&Look) -> bool,
    ) -> Result<Look, Trouble> {
        let until = self.http.clock().now().after(within);
        loop {
            let look = self.look().await;
            if let Ok(look) = &look
                && wanted(look)
            {
                return Ok(look.clone());
            }
            if until <= self.http.clock().now() {
                let last = look.map_or_else(|trouble| trouble.0, |look| look.words());
                return Err(Trouble(format!(
                    "{what} did not come true within {within}; the venue shows: {last}"
                )));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// An order of the regular store, by its client id.
    ///
    /// # Errors
    ///
    /// When the venue does not know it.
    pub async fn order(&self, id: &str) -> Result<Value, Trouble> {
        self.read(
            "/fapi/v1/order",
            &[("symbol", &self.symbol), ("origClientOrderId", id)],
        )
        .await
    }

    /// Waits until an order of the regular store is as wanted, and gives it.
    ///
    /// # Errors
    ///
    /// When it does not come true within `within`.
    pub async fn wait_order(
        &self,
        id: &str,
        within: Span,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, Trouble> {
        let until = self.http.clock().now().after(within);
        loop {
            let row = self.order(id).await;
            if let Ok(row) = &row
                && wanted(row)
            {
                return Ok(row.clone());
            }
            if until <= self.http.clock().now() {
                let status = row.map_or_else(|trouble| trouble.0, |row| field(&row, "status").to_string());
                return Err(Trouble(format!("order {id} is {status} after {within}")));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// The venue's time, as far as we know it.
    pub fn time(&self) -> Timestamp {
        self.http.timestamp()
    }

    /// When the venue last changed an order of the regular store.
    ///
    /// # Errors
    ///
    /// As [`Trader::order`].
    pub async fn changed_at(&self, id: &str) -> Result<Timestamp, Trouble> {
        let at = field(&self.order(id).await?, "updateTime").as_i64();
        at.map(Timestamp::from_ms)
            .ok_or_else(|| Trouble(format!("order {id} has no time")))
    }

    /// Cancels what this drill placed and closes what it holds in its contract; gives what the venue shows then.
    ///
    /// Orders of others are left alone. The position is the drill's: the account had none when it began.
    ///
    /// # Errors
    ///
    /// When the account could not be looked at, at the end.
    pub async fn clean(&self, rules: &Rules) -> Result<Look, Trouble> {
        for _ in 0..CLEAN_MAX {
            let look = self.look().await;
            if let Ok(look) = look {
                let ours = |id: &&String| id.starts_with(PREFIX);
                if look.positions.is_empty() && !look.orders.iter().chain(&look.stops).any(|id| ours(&id)) {
                    break;
                }
                for id in look.orders.iter().filter(ours) {
                    let _ = self
                        .ask(
                            "DELETE",
                            "/fapi/v1/order",
                            &[("symbol", &self.symbol), ("origClientOrderId", id)],
                        )
                        .await;
                }
                for id in look.stops.iter().filter(ours) {
                    let _ = self
                        .ask("DELETE", "/fapi/v1/algoOrder", &[("clientAlgoId", id)])
                        .await;
                }
                for (leg, amount) in &look.positions {
                    let leg = match leg.as_str() {
                        "LONG" => Some("LONG"),
                        "SHORT" => Some("SHORT"),
                        _ => None,
                    };
                    let side = Side {
                        buys: amount.is_sign_negative(),
                        leg,
                    };
                    let _ = self.place(side, Form::Close, amount.abs(), rules).await;
                }
            }
            sleep(LOOK_EVERY).await;
        }
        self.look().await
    }
}
