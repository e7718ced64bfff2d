//! Dry against live: the same breach before two guards, of which one has nothing to send with.

use super::Trouble;
use super::seen::{BUY, Form, Look, SELL, field};
use super::steps::{DONE_WITHIN, Drill, Seen, whole};
use crate::replay::lines::DecisionLine;
use rust_decimal::{Decimal, dec};
use tokio::time::sleep;

impl Drill<'_> {
    pub(super) async fn compare(&mut self) -> Seen {
        let (dry, dry_replayed) = self.breach("dry", false).await?;
        let (live, live_replayed) = self.breach("live", true).await?;
        if dry != live || dry.is_empty() {
            let shown = |all: &[DecisionLine]| serde_json::to_string(all).unwrap_or_default();
            return Err(Trouble(format!(
                "the decisions differ: dry {}; live {}",
                shown(&dry),
                shown(&live)
            )));
        }
        let evidence = dry.iter().map(|decision| {
            let orders: Vec<String> = decision
                .orders
                .iter()
                .map(|order| match &order.quantity {
                    Some(quantity) => format!("{} {quantity}", order.kind),
                    None => order.kind.clone(),
                })
                .collect();
            let orders = if orders.is_empty() {
                String::new()
            } else {
                format!(", asked for: {}", orders.join(", "))
            };
            format!(
                "both: {} {} at {}{orders}",
                decision.rung.as_deref().unwrap_or(""),
                decision.state,
                decision.value.as_deref().unwrap_or("?")
            )
        });
        let mut evidence: Vec<String> = evidence.collect();
        evidence.push(format!(
            "replays: {dry_replayed} dry and {live_replayed} live decisions, byte for byte"
        ));
        Ok((
            "the same decisions; after the dry run position and both orders were untouched and no order of a guard existed".into(),
            evidence,
        ))
    }

    /// Breaks one limit before a guard; gives the essence of what it decided up to its first request, and how many
    /// decisions its replay repeated.
    async fn breach(&self, name: &str, is_live: bool) -> Result<(Vec<DecisionLine>, u64), Trouble> {
        let policies = format!(
            r#"version = 1
name = "drill"
[[policy]]
id = "drill-breach"
type = "max_position"
measure = "quantity"
count_open_orders = false
ladder = [ {{ at = "{}", action = "alert" }}, {{ at = "{}", action = "flatten", latch = "manual" }} ]
"#,
            self.times(dec!(1.25)),
            self.times(dec!(1.5))
        );
        let began = self.trader.time();
        let mut stand = self.armed(name, &policies, is_live, self.site).await?;
        let double = self.times(dec!(2));
        self.open(self.smallest, self.smallest).await?;
        self.trader
            .place(SELL, Form::Stop, Decimal::ZERO, &self.rules)
            .await?;
        self.trader
            .place(BUY, Form::Rest, self.smallest, &self.rules)
            .await?;
        self.known(&mut stand, self.smallest, 2).await?;
        self.trader
            .place(BUY, Form::Take, self.smallest, &self.rules)
            .await?;
        if is_live {
            self.reductions(&mut stand, 0, "an empty account", DONE_WITHIN, Look::is_empty)
                .await?;
            stand
                .until("state latched", DONE_WITHIN, |account| account.state == "latched")
                .await?;
        } else {
            let as_wanted =
                |look: &Look| look.held() == double && look.orders.len() == 1 && look.stops.len() == 1;
            self.reductions(&mut stand, 0, "the whole position", DONE_WITHIN, as_wanted)
                .await?;
            sleep(self.trader.patience()).await;
            let look = self.trader.look().await?;
            let rows = self
                .trader
                .read("/fapi/v1/allOrders", &[("symbol", self.trader.symbol())])
                .await?;
            let sent = rows.as_array().map_or(&[][..], Vec::as_slice).iter().any(|row| {
                let id = field(row, "clientOrderId").as_str().unwrap_or("");
                id.starts_with("bs-") && began.ms() <= whole(row, "time")
            });
            if !as_wanted(&look) || sent {
                return Err(Trouble(format!(
                    "the dry guard touched the account: {}",
                    look.words()
                )));
            }
        }
        let decided = essence(stand.decisions());
        let replayed = stand.stop().await?.replay()?;
        self.trader.clean(&self.rules).await?;
        self.trader
            .wait("an empty account", DONE_WITHIN, Look::is_empty)
            .await?;
        Ok((decided, replayed))
    }
}

/// Decisions up to the first request, without what differs between two runs: times, and numbers that come from them.
fn essence(decisions: &[DecisionLine]) -> Vec<DecisionLine> {
    let Some(first) = decisions.iter().position(|decision| !decision.orders.is_empty()) else {
        return Vec::new();
    };
    let until = decisions.iter().take(first + 1);
    until
        .cloned()
        .map(|mut decision| {
            decision.at = 0;
            for order in &mut decision.orders {
                (order.client_order_id, order.order_id) = (None, None);
            }
            decision
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(text: &str) -> DecisionLine {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn pr_16_two_runs_are_equal_when_only_times_and_numbers_differ() {
        const ONE: &str = r#"{"at":1,"account":"a","policy":"p","scope":"s","rung":"flatten","state":"latched","mode":"enforce","value":"0.004","threshold":"0.003","orders":[{"kind":"reduce","symbol":"BTCUSDT","side":"SELL","quantity":"0.004","client_order_id":"bs-1"},{"kind":"cancel","symbol":"BTCUSDT","order_id":7}],"why":"w"}"#;
        let alert = ONE
            .replace("flatten", "alert")
            .replace(&ONE[ONE.find("[{").unwrap()..ONE.find(",\"why").unwrap()], "[]");
        let run = |text: &str| essence(&[decided(&alert), decided(text), decided(ONE)]);
        assert_eq!(
            run(ONE).len(),
            2,
            "what follows the first request depends on what became of it"
        );
        for (from, to, equal) in [
            ("\"at\":1", "\"at\":2", true),
            ("bs-1", "bs-2", true),
            ("\"order_id\":7", "\"order_id\":8", true),
            ("\"quantity\":\"0.004\"", "\"quantity\":\"0.003\"", false),
            ("\"kind\":\"cancel\"", "\"kind\":\"cancel_all\"", false),
            ("\"value\":\"0.004\"", "\"value\":\"0.005\"", false),
            ("flatten", "reduce", false),
        ] {
            let other = ONE.replace(from, to);
            assert_ne!(other, ONE, "{from}");
            assert_eq!(run(&other) == run(ONE), equal, "{from} {to}");
        }
        assert!(
            essence(&[decided(&alert)]).is_empty(),
            "a run that asked for nothing proves nothing"
        );
    }
}
