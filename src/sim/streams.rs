//! What the market streams say of the whole market, and when (binance-usdm.md 4.10).

use super::exchange::Exchange;
use super::shapes::{asset_index_update, contract_info, mark_price};
use super::{Outgoing, Target};
use serde_json::{Value, json};

/// Streams with the suffix `@1s`, and the asset index, come this often.
const EVERY_MS: i64 = 1_000;
/// Mark prices without a suffix come at every third of those.
const SLOW_EVERY: i64 = 3;

impl Exchange {
    /// Pushes what is due.
    pub(super) fn push_market(&mut self) {
        if self.real() - self.last_marks < EVERY_MS {
            return;
        }
        let is_slow_too = self.mark_count % SLOW_EVERY == 0;
        (self.last_marks, self.mark_count) = (self.real(), self.mark_count + 1);
        // Contracts on stocks and metals come in a message of their own: no array is the whole market.
        // The coin-margined half of the merged streams stands for nothing of this account: a reader must filter by `st`.
        let coin = json!({ "e": "markPriceUpdate", "E": self.now, "s": "BTCUSD_PERP", "p": "1", "i": "1", "P": "1",
            "r": "0.00010000", "T": 0, "st": 2 });
        let (mut usual, mut tradfi) = (vec![coin], Vec::new());
        let mut single = Vec::new();
        for (symbol, market) in &self.markets {
            let body = mark_price(&market.rules, market.price, self.now);
            single.push((symbol.to_lowercase(), body.to_string()));
            if market.rules.contract_type == "TRADIFI_PERPETUAL" {
                tradfi.push(body);
            } else {
                usual.push(body);
            }
        }
        let arrays: Vec<String> = [usual, tradfi]
            .into_iter()
            .filter(|rows| !rows.is_empty())
            .map(|rows| Value::Array(rows).to_string())
            .collect();
        let suffixes: &[&str] = if is_slow_too { &["@1s", ""] } else { &["@1s"] };
        for suffix in suffixes {
            for (lower, text) in &single {
                self.tell(format!("{lower}@markPrice{suffix}"), text.clone());
            }
            for text in &arrays {
                self.tell(format!("!markPrice@arr{suffix}"), text.clone());
            }
        }
        let assets: Vec<(String, Value)> = self
            .ledger
            .wallets
            .keys()
            .map(|asset| {
                let body = asset_index_update(&self.ledger, &self.markets, asset, self.now);
                (format!("{}usd@assetIndex", asset.to_lowercase()), body)
            })
            .collect();
        let all = Value::Array(assets.iter().map(|(_, body)| body.clone()).collect());
        for (stream, body) in assets {
            self.tell(stream, body.to_string());
        }
        self.tell("!assetIndex@arr".to_owned(), all.to_string());
    }

    /// Tells that a contract came, went or changed.
    pub(super) fn push_contract(&mut self, symbol: &str) {
        if let Some(market) = self.markets.get(symbol) {
            let text = contract_info(&market.rules, self.now).to_string();
            self.tell("!contractInfo".to_owned(), text);
        }
    }

    fn tell(&mut self, stream: String, text: String) {
        let target = Target::Market { stream };
        self.outgoing.push(Outgoing { target, text });
    }
}
