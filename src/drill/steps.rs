//! The steps of a drill: each breaks a limit on purpose and asks the venue what became of it.

use super::Trouble;
use super::plans::{PLANS, Step};
use super::report::Finding;
use super::seen::{BUY, Form, Look, Rules, SELL, field};
use super::stand::{Site, Stand};
use super::trader::Trader;
use crate::event::{Baseline, Command, KillAction};
use crate::model::Span;
use crate::replay::lines::DecisionLine;
use rust_decimal::{Decimal, dec};
use serde_json::Value;
use std::time::Duration;
use tokio::time::sleep;

/// A guard is armed within this: 2 s at a local venue (SPEC.md section 9), more over the ocean.
const ARMED_WITHIN: Span = Span::from_secs(30);
/// What the guard does is seen at the venue within this.
pub(super) const DONE_WITHIN: Span = Span::from_secs(15);
/// Exposure opened while latched is closed within this (SPEC.md section 9).
const CLOSED_WITHIN: Span = Span::from_secs(2);
/// A stream is live again within this after the network has healed (SPEC.md section 9).
pub(super) const HEALED_WITHIN: Span = Span::from_secs(30);
/// Between two looks at the guard's decisions.
const LISTEN_EVERY: Duration = Duration::from_millis(50);

/// What was seen, and the evidence.
pub type Seen = Result<(String, Vec<String>), Trouble>;

/// What the steps need.
pub struct Drill<'a> {
    /// The actor.
    pub trader: &'a Trader,
    /// What guards are made of.
    pub site: &'a Site,
    /// The contract's rules.
    pub rules: Rules,
    /// The smallest position that can be opened and still be cut in half.
    pub smallest: Decimal,
    /// What the guard's key may do, in words.
    pub rights: String,
    /// Where people are told how far it is.
    pub tell: &'a (dyn Fn(String) + Sync),
    /// The margin ratio that the guard and the venue gave for the same position, once there was one.
    pub ratios: Option<(String, String)>,
}

/// The smallest quantity whose value is above the venue's minimum, also at the price of a resting order, a tenth lower.
pub fn smallest(rules: &Rules, mark: Decimal) -> Decimal {
    let value = rules.min_notional * dec!(1.25) / mark;
    let steps = (value / rules.step).ceil();
    (steps * rules.step).max(rules.least).normalize()
}

impl Drill<'_> {
    /// Runs every step until one fails.
    pub async fn run(&mut self, out: &mut Vec<Finding>) {
        let mut stand = None;
        for (step, plan) in &PLANS {
            (self.tell)(format!(
                "step {} of {}: {}",
                out.len() + 1,
                PLANS.len(),
                plan.step
            ));
            let began = self.site.clock.now();
            let result = self.step(*step, &mut stand).await;
            let has_failed = result.is_err();
            out.push(Finding::ended(plan, result, self.site.clock.now().since(began)));
            if has_failed {
                return;
            }
        }
    }

    async fn step(&mut self, step: Step, stand: &mut Option<Stand>) -> Seen {
        match step {
            Step::Preflight => return self.preflight().await,
            Step::Arm => {
                let (armed, seen) = self.arm().await?;
                *stand = Some(armed);
                return Ok(seen);
            }
            Step::Compare => return self.compare().await,
            Step::Dark => return self.dark().await,
            Step::Block | Step::Reduce | Step::Flatten | Step::Rearm => {}
        }
        let mut armed = stand.take().ok_or_else(|| Trouble("no guard is armed".into()))?;
        let seen = match step {
            Step::Block => self.block(&mut armed).await?,
            Step::Reduce => self.reduce(&mut armed).await?,
            Step::Flatten => self.flatten(&mut armed).await?,
            _ => return self.rearm(armed).await,
        };
        *stand = Some(armed);
        Ok(seen)
    }

    pub(super) fn times(&self, factor: Decimal) -> Decimal {
        (self.smallest * factor).normalize()
    }

    /// Policies in units of the smallest position.
    fn policies(&self) -> String {
        format!(
            r#"version = 1
name = "drill"
[[policy]]
id = "drill-orders"
type = "max_position"
measure = "quantity"
ladder = [ {{ at = "{}", action = "alert" }}, {{ at = "{}", action = "block" }} ]
{}"#,
            self.times(dec!(3.5)),
            self.times(dec!(4)),
            self.size_policy("")
        )
    }

    pub(super) fn size_policy(&self, head: &str) -> String {
        format!(
            r#"{head}[[policy]]
id = "drill-size"
type = "max_position"
measure = "quantity"
count_open_orders = false
ladder = [ {{ at = "{}", action = "reduce", to = "{}" }} ]
"#,
            self.times(dec!(1.5)),
            self.smallest
        )
    }

    async fn preflight(&self) -> Seen {
        let offset = self.trader.sync().await?;
        let config = self.trader.read("/fapi/v1/accountConfig", &[]).await?;
        let multi = field(&config, "multiAssetsMargin") == &Value::Bool(true);
        let seen = format!(
            "{}; the venue's clock is {offset} ms from ours; one-way mode, {}",
            self.rights,
            if multi { "multi-assets" } else { "single-asset" }
        );
        let Rules {
            tick,
            step,
            least,
            min_notional,
        } = &self.rules;
        Ok((
            seen,
            vec![
                format!(
                    "rules of {}: price step {tick}, quantity step {step}, least quantity {least}, least value {min_notional}",
                    self.trader.symbol()
                ),
                format!("the smallest position of this drill: {}", self.smallest),
            ],
        ))
    }

    async fn arm(&self) -> Result<(Stand, (String, Vec<String>)), Trouble> {
        let began = self.site.clock.now();
        let stand = self.armed("guard", &self.policies(), true, self.site).await?;
        let took = self.site.clock.now().since(began);
        Ok((stand, (format!("armed after {} ms", took.ms()), Vec::new())))
    }

    pub(super) async fn armed(
        &self,
        name: &str,
        policies: &str,
        is_live: bool,
        site: &Site,
    ) -> Result<Stand, Trouble> {
        let mut stand = Stand::start(site, name, policies, is_live)?;
        stand
            .until("the guard arms", ARMED_WITHIN, |account| account.state == "armed")
            .await?;
        Ok(stand)
    }

    /// Takes a quantity from the market and waits until the venue shows the whole position.
    pub(super) async fn open(&self, quantity: Decimal, whole: Decimal) -> Result<String, Trouble> {
        let id = self.trader.place(BUY, Form::Take, quantity, &self.rules).await?;
        self.trader
            .wait(&format!("a position of {whole}"), DONE_WITHIN, |look| {
                look.held() == whole
            })
            .await?;
        Ok(id)
    }

    /// Waits until the guard knows a position and this many orders, so that it judges what the venue shows.
    pub(super) async fn known(&self, stand: &mut Stand, held: Decimal, orders: usize) -> Result<(), Trouble> {
        let held = held.normalize().to_string();
        let what = format!("the guard knows a position of {held} and {orders} order(s)");
        stand
            .until(&what, DONE_WITHIN, |account| {
                account.orders.len() == orders
                    && account.positions.iter().any(|position| position.amount == held)
            })
            .await?;
        Ok(())
    }

    async fn block(&mut self, stand: &mut Stand) -> Seen {
        self.open(self.smallest, self.smallest).await?;
        let stop = self
            .trader
            .place(SELL, Form::Stop, Decimal::ZERO, &self.rules)
            .await?;
        self.known(stand, self.smallest, 1).await?;
        self.ratios = self.ratio(stand).await;
        let id = self
            .trader
            .place(BUY, Form::Rest, self.times(dec!(4)), &self.rules)
            .await?;
        let row = self
            .trader
            .wait_order(&id, DONE_WITHIN, |row| field(row, "status") == "CANCELED")
            .await?;
        let look = self.trader.look().await?;
        if look.held() != self.smallest || !look.stops.contains(&stop) || !look.orders.is_empty() {
            return Err(Trouble(format!(
                "the block touched more than the order: the venue shows {}",
                look.words()
            )));
        }
        let rungs: Vec<&DecisionLine> = stand
            .decisions()
            .iter()
            .filter(|decision| decision.policy == "drill-orders")
            .collect();
        let has = |rung: &str| {
            rungs
                .iter()
                .any(|decision| decision.rung.as_deref() == Some(rung) && decision.state == "tripped")
        };
        if !has("alert") || !has("block") {
            return Err(Trouble(
                "the order is gone, but the guard decided no alert and block".into(),
            ));
        }
        let why = rungs
            .iter()
            .find(|decision| !decision.orders.is_empty())
            .map_or("", |decision| &decision.why)
            .to_owned();
        let lived = whole(&row, "updateTime") - whole(&row, "time");
        Ok((
            format!(
                "order {id} was cancelled {lived} ms after it was placed; {}",
                look.words()
            ),
            vec![
                format!("the guard's reason: {why}"),
                format!("the stop {stop} is still there"),
            ],
        ))
    }

    /// The guard's margin ratio and the venue's, of the same position at nearly the same moment.
    async fn ratio(&self, stand: &mut Stand) -> Option<(String, String)> {
        let is_known = |account: &crate::serve::status::AccountStatus| account.margin_ratio.is_some();
        let own = stand
            .until("a margin ratio", DONE_WITHIN, is_known)
            .await
            .ok()?
            .margin_ratio?;
        let account = self.trader.read("/fapi/v3/account", &[]).await.ok()?;
        let total = |name: &str| super::seen::decimal(field(&account, name));
        let ratio = total("totalMaintMargin")?.checked_div(total("totalMarginBalance")?)?;
        Some((own, ratio.round_dp(6).normalize().to_string()))
    }

    /// Waits until the guard has sent reductions beyond `before` and the venue shows what is wanted; gives their rows.
    pub(super) async fn reductions(
        &self,
        stand: &mut Stand,
        before: usize,
        what: &str,
        within: Span,
        wanted: impl Fn(&Look) -> bool,
    ) -> Result<(Look, Vec<Value>), Trouble> {
        let until = self.site.clock.now().after(within);
        while stand.reductions().len() <= before {
            if until <= self.site.clock.now() {
                let look = self.trader.look().await?;
                return Err(Trouble(format!(
                    "the guard sent no reduction within {within}; the venue shows {}",
                    look.words()
                )));
            }
            sleep(LISTEN_EVERY).await;
        }
        let look = self.trader.wait(what, within, wanted).await;
        let mut rows = Vec::new();
        for id in stand.reductions().get(before..).unwrap_or_default() {
            // One that the venue refused has no row; the notes tell of it.
            rows.extend(self.trader.order(id).await.ok());
        }
        match look {
            Ok(look) => Ok((look, rows)),
            Err(trouble) => {
                let refused: Vec<&String> = stand
                    .notes()
                    .iter()
                    .filter(|note| note.contains("refused"))
                    .collect();
                let last = refused
                    .last()
                    .map_or(String::new(), |note| format!("; the guard was told: {note}"));
                Err(Trouble(format!("{trouble}{last}")))
            }
        }
    }

    async fn reduce(&mut self, stand: &mut Stand) -> Seen {
        let before = stand.reductions().len();
        // The whole may be gone again before it can be seen.
        self.trader
            .place(BUY, Form::Take, self.smallest, &self.rules)
            .await?;
        let held = self.smallest;
        let (look, rows) = self
            .reductions(
                stand,
                before,
                &format!("a position of {held}"),
                DONE_WITHIN,
                |look| look.held() == held,
            )
            .await?;
        let sold: Decimal = rows
            .iter()
            .filter_map(|row| super::seen::decimal(field(row, "executedQty")))
            .sum();
        if sold != self.smallest || !rows.iter().all(is_reducing_sale) {
            return Err(Trouble(format!(
                "{sold} was sold instead of {}, or not reduce-only",
                self.smallest
            )));
        }
        Ok((
            format!("{sold} sold reduce-only; {}", look.words()),
            rows.iter().map(order_words).collect(),
        ))
    }

    async fn flatten(&mut self, stand: &mut Stand) -> Seen {
        let resting = self
            .trader
            .place(BUY, Form::Rest, self.smallest, &self.rules)
            .await?;
        self.known(stand, self.smallest, 2).await?;
        let stop = self
            .trader
            .look()
            .await?
            .stops
            .first()
            .cloned()
            .unwrap_or_default();
        let before = stand.reductions().len();
        let began = self.site.clock.now();
        let command = Command::Kill {
            action: KillAction::Flatten,
            symbol: None,
            reason: "drill".into(),
        };
        stand.command(command).await?;
        let (_, rows) = self
            .reductions(stand, before, "an empty account", DONE_WITHIN, Look::is_empty)
            .await?;
        let empty = self.site.clock.now().since(began);
        stand
            .until("state latched", DONE_WITHIN, |account| account.state == "latched")
            .await?;
        // The first: what somebody opens afterwards is closed again, and is no reason to keep the stop.
        let filled = rows.iter().filter(|row| field(row, "status") == "FILLED");
        let closed = filled
            .map(|row| whole(row, "updateTime"))
            .min()
            .unwrap_or(i64::MAX);
        let mut evidence: Vec<String> = rows.iter().map(order_words).collect();
        evidence.push(format!(
            "resting order {resting} cancelled, both lists empty {} ms after the command",
            empty.ms()
        ));
        let swept = self
            .trader
            .ask("GET", "/fapi/v1/algoOrder", &[("clientAlgoId", &stop)])
            .await?;
        match swept.code() {
            0 if whole(&swept.body, "updateTime") < closed => {
                return Err(Trouble(format!(
                    "the stop {stop} was cancelled before the position was closed"
                )));
            }
            0 => evidence.push(format!(
                "stop {stop} cancelled {} ms after the closing fill",
                whole(&swept.body, "updateTime") - closed
            )),
            // Section 13, question 11.
            _ => evidence.push(format!(
                "stop {stop} is gone; when, this venue does not tell ({})",
                swept.words()
            )),
        }
        // Somebody trades on, although the account is latched.
        let before = stand.reductions().len();
        let opened = self
            .trader
            .place(BUY, Form::Take, self.smallest, &self.rules)
            .await?;
        let (_, rows) = self
            .reductions(
                stand,
                before,
                "the new position closed",
                DONE_WITHIN,
                Look::is_empty,
            )
            .await?;
        let closed = rows.iter().map(|row| whole(row, "updateTime")).max().unwrap_or(0);
        let lived = closed - self.trader.changed_at(&opened).await?.ms();
        if CLOSED_WITHIN.ms() < lived {
            return Err(Trouble(format!(
                "a position opened while latched lived {lived} ms, more than {CLOSED_WITHIN}"
            )));
        }
        evidence.extend(rows.iter().map(order_words));
        Ok((
            format!(
                "flat and latched; a position opened while latched lived {lived} ms by the venue's clock"
            ),
            evidence,
        ))
    }

    async fn rearm(&mut self, mut stand: Stand) -> Seen {
        let said = stand
            .command(Command::Rearm {
                baseline: Baseline::Keep,
            })
            .await?;
        stand
            .until("state armed", DONE_WITHIN, |account| account.state == "armed")
            .await?;
        let before = stand.reductions().len();
        self.open(self.smallest, self.smallest).await?;
        sleep(self.trader.patience()).await;
        let look = self.trader.look().await?;
        if look.held() != self.smallest || stand.reductions().len() != before {
            return Err(Trouble(format!(
                "the guard did not leave a permitted position alone: {}",
                look.words()
            )));
        }
        self.trader
            .place(SELL, Form::Close, self.smallest, &self.rules)
            .await?;
        self.trader
            .wait("an empty account", DONE_WITHIN, Look::is_empty)
            .await?;
        let replayed = stand.stop().await?.replay()?;
        Ok((
            format!(
                "armed; a position of {} was left alone for {} s",
                self.smallest,
                self.trader.patience().as_secs()
            ),
            vec![
                format!("the guard said: {said}"),
                format!("its recording so far, replayed, gives the same {replayed} decisions byte for byte"),
            ],
        ))
    }
}

pub(super) fn whole(row: &Value, name: &str) -> i64 {
    field(row, name).as_i64().unwrap_or(0)
}

fn is_reducing_sale(row: &Value) -> bool {
    field(row, "side") == "SELL" && field(row, "reduceOnly") == &Value::Bool(true)
}

pub(super) fn order_words(row: &Value) -> String {
    let text = |name: &str| field(row, name).as_str().unwrap_or("?").to_owned();
    let flag = if field(row, "reduceOnly") == &Value::Bool(true) {
        ", reduce-only"
    } else {
        ""
    };
    format!(
        "order {}: {} {} of {}{flag}, {}",
        text("clientOrderId"),
        text("side"),
        text("executedQty"),
        text("origQty"),
        text("status")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_position_is_worth_more_than_the_venues_minimum() {
        for (step, least, min_notional, mark, expected) in [
            (dec!(0.001), dec!(0.001), dec!(50), dec!(40000), dec!(0.002)),
            (dec!(0.001), dec!(0.001), dec!(50), dec!(60000), dec!(0.002)),
            (dec!(0.0001), dec!(0.0001), dec!(50), dec!(100000), dec!(0.0007)),
            (dec!(0.001), dec!(0.5), dec!(5), dec!(100), dec!(0.5)),
            (dec!(1), dec!(1), dec!(5), dec!(0.2), dec!(32)),
        ] {
            let rules = Rules {
                tick: dec!(0.1),
                step,
                least,
                min_notional,
            };
            assert_eq!(smallest(&rules, mark), expected);
            assert!(min_notional < expected * mark * dec!(0.9));
        }
    }
}
