//! The exchange as a whole: the script's time, the actors, margin calls and liquidation.

use super::Outgoing;
use super::account::{Ledger, Leg, Markets, margin_asset};
use super::events::Fill;
use super::faults::Faults;
use super::limits::Limits;
use super::market::Market;
use super::mischief::Past;
use super::orders::Order;
use super::report::Report;
use super::scenario::{Placement, Scenario};
use rust_decimal::Decimal;
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};

/// The script moves in steps of this many ms.
pub(super) const STEP_MS: i64 = 100;
/// A listenKey lives this long after creation or extension (3.1).
pub(super) const KEY_LIFE_MS: i64 = 60 * 60 * 1_000;
/// Steps that one call may catch up, so that a long sleep ends.
const STEPS_MAX: i64 = 1_000_000;

/// A row of the income history.
#[derive(Clone, Debug)]
pub(super) struct Income {
    pub kind: &'static str,
    pub asset: String,
    pub amount: Decimal,
    pub symbol: String,
    pub time: i64,
    pub id: i64,
}

/// The exchange.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub(super) scenario: Scenario,
    pub(super) start: i64,
    /// The time that the exchange was given last.
    real: i64,
    /// What its own clock says: the same, unless a fault sets it.
    pub(super) now: i64,
    next_step: i64,
    pub(super) last_marks: i64,
    pub(super) mark_count: i64,
    pub(super) markets: Markets,
    pub(super) ledger: Ledger,
    pub(super) orders: BTreeMap<i64, Order>,
    pub(super) next_order: i64,
    pub(super) next_trade: i64,
    pub(super) fills: Vec<(i64, String, Fill, i64)>,
    pub(super) income: Vec<Income>,
    pub(super) last_event: i64,
    pub(super) outgoing: Vec<Outgoing>,
    pub(super) listen: Option<(String, i64)>,
    pub(super) listen_count: u64,
    pub(super) limits: Limits,
    pub(super) report: Report,
    pub(super) liquidating: bool,
    /// Countdown cancels by symbol.
    pub(super) countdowns: BTreeMap<String, i64>,
    pub(super) faults: Faults,
    /// Frames that a fault holds back, by when they are due and the order of their making.
    pub(super) late: BTreeMap<(i64, u64), Outgoing>,
    pub(super) late_count: u64,
    /// The account as it was, for readings that lag; empty without such a fault.
    pub(super) past: VecDeque<Past>,
    pub(super) called: BTreeMap<String, i64>,
    bot_count: u64,
    pub(super) human_count: u64,
}

impl Exchange {
    /// An exchange at the start of a scenario.
    pub fn new(scenario: Scenario, start_ms: i64) -> Exchange {
        let markets = scenario
            .symbol
            .iter()
            .map(|script| (script.name.clone(), Market::new(script, scenario.seed)))
            .collect();
        let mut exchange = Exchange {
            start: start_ms,
            real: start_ms,
            now: start_ms,
            next_step: start_ms + STEP_MS,
            last_marks: 0,
            mark_count: 0,
            markets,
            ledger: Ledger::new(&scenario.account, start_ms),
            orders: BTreeMap::new(),
            next_order: 900_000_000_001,
            next_trade: 510_000_000,
            fills: Vec::new(),
            income: Vec::new(),
            last_event: 0,
            outgoing: Vec::new(),
            listen: None,
            listen_count: 0,
            limits: Limits::default(),
            report: Report {
                scenario: scenario.name.clone(),
                ..Report::default()
            },
            liquidating: false,
            countdowns: BTreeMap::new(),
            faults: Faults::new(&scenario.fault, scenario.seed),
            late: BTreeMap::new(),
            late_count: 0,
            past: VecDeque::new(),
            called: BTreeMap::new(),
            bot_count: 0,
            human_count: 0,
            scenario,
        };
        for leg in exchange.ledger.held() {
            let size = exchange.ledger.amount(&leg).abs();
            exchange
                .report
                .largest
                .insert(super::report::leg_name(&leg), size);
        }
        for placement in exchange.scenario.order.clone() {
            exchange.bot_places(&placement);
        }
        exchange
    }

    /// Key and secret of the guard, as the scenario says.
    pub fn credentials(&self) -> (String, String) {
        let key = &self.scenario.account.key;
        (key.key.clone(), key.secret.clone())
    }

    /// Key and secret of the bot on the same account, for clients that want to trade against the guard.
    pub fn bot_credentials(&self) -> (String, String) {
        (
            "bot-key-of-the-embedded-exchange".into(),
            "bot-secret-of-the-embedded-exchange".into(),
        )
    }

    /// Whether the script is over.
    pub fn finished(&self, now_ms: i64) -> bool {
        now_ms - self.start >= self.scenario.duration.0
    }

    /// When [`Exchange::advance`] wants to be called next.
    pub fn next_due(&self) -> i64 {
        self.late
            .keys()
            .next()
            .map_or(self.next_step, |(due, _)| self.next_step.min(*due))
    }

    /// Whether a listenKey brings events.
    pub fn listen_key_valid(&self, key: &str) -> bool {
        self.listen
            .as_ref()
            .is_some_and(|(known, until)| known == key && self.now < *until)
    }

    /// The time that the exchange was given last, whatever its own clock says.
    pub(super) fn real(&self) -> i64 {
        self.real
    }

    /// Time since the start of the script, ms.
    pub(super) fn at(&self) -> i64 {
        self.real - self.start
    }

    /// The exchange's own account of what happened.
    pub fn report(&self) -> Report {
        let mut report = self.report.clone();
        report.elapsed_ms = self.at();
        report.faults = self.faults.struck();
        report.fills = self.fills.len();
        report.with_state(&self.ledger, &self.markets, &self.orders)
    }

    /// Records a broken promise.
    pub(super) fn violation(&mut self, text: String) {
        tracing::error!("the guard broke its promise: {text}");
        self.report.violations.push(text);
    }

    /// Plays the script up to `now_ms`.
    pub fn advance(&mut self, now_ms: i64) {
        for _ in 0..STEPS_MAX {
            if self.next_step > now_ms {
                break;
            }
            self.tell_time(self.next_step);
            self.next_step += STEP_MS;
            self.step();
        }
        self.next_step = self.next_step.max(now_ms - STEP_MS);
        self.tell_time(self.real.max(now_ms));
    }

    fn tell_time(&mut self, real: i64) {
        self.real = real;
        self.now = real + self.clock_error();
    }

    fn step(&mut self) {
        let at = self.at();
        self.go_wrong();
        if let Some((key, until)) = self.listen.clone()
            && self.now >= until
        {
            // The last frame of the key, pushed while it still counts as valid.
            self.listen = Some((key.clone(), i64::MAX));
            self.push("listenKeyExpired", json!({ "listenKey": key }));
            self.listen = None;
        }
        let deserted = self.is_deserted();
        self.happen(at);
        for market in self.markets.values_mut() {
            market.move_to(at);
            market.deserted = deserted;
        }
        self.sweep();
        self.actors(at);
        self.count_down();
        self.margins();
        self.push_market();
    }

    /// Bot, transfers and funding that fall into this step.
    fn actors(&mut self, at: i64) {
        // What is due at the start falls into the first step.
        let due = |when: i64| (at - STEP_MS + 1..=at).contains(&when.max(1));
        for transfer in self.scenario.transfer.clone() {
            if due(transfer.at.0) {
                self.transfer(&transfer.asset, transfer.amount);
            }
        }
        for funding in self.scenario.funding.clone() {
            if due(funding.at.0) {
                self.fund(&funding.symbol, funding.rate);
            }
        }
        for rule in self.scenario.bot.clone() {
            let once = rule.at.is_some_and(|when| due(when.0));
            let from = rule.from.map_or(0, |from| from.0);
            let until = rule.until.map_or(i64::MAX, |until| until.0);
            let again = rule.every.is_some_and(|every| {
                let every = every.0.max(STEP_MS);
                at >= from && at <= until && (at - from) % every < STEP_MS
            });
            if !once && !again {
                continue;
            }
            let leg = (rule.place.symbol.clone(), rule.place.position_side.clone());
            let flat = self.ledger.amount(&leg).is_zero();
            let busy = self.orders.values().any(|order| {
                order.is_open()
                    && order.who == "bot"
                    && order.symbol == rule.place.symbol
                    && order.side == rule.place.side
            });
            if (!rule.when_flat || flat) && (!rule.when_no_order || !busy) {
                self.bot_places(&rule.place);
            }
        }
    }

    fn bot_places(&mut self, placement: &Placement) {
        self.bot_count += 1;
        self.actor_places(placement, "bot", format!("bot-{}", self.bot_count));
    }

    /// An order of an actor of the script.
    pub(super) fn actor_places(&mut self, placement: &Placement, who: &str, client_id: String) {
        let Some(market) = self.markets.get(&placement.symbol) else {
            return;
        };
        let offset = placement.offset_bps.map(|bps| market.offset(bps));
        let price = placement.price.or(offset).unwrap_or_default();
        let is_algo = placement.r#type.starts_with("STOP") || placement.r#type.starts_with("TAKE_PROFIT");
        let order = Order {
            client_id,
            symbol: placement.symbol.clone(),
            side: placement.side.clone(),
            position_side: placement.position_side.clone(),
            kind: placement.r#type.clone(),
            tif: "GTC".into(),
            quantity: placement.quantity.unwrap_or_default(),
            price: if is_algo || placement.r#type == "MARKET" {
                Decimal::ZERO
            } else {
                price
            },
            trigger: if is_algo { price } else { Decimal::ZERO },
            reduce_only: placement.reduce_only,
            close_position: placement.close_position,
            working_type: "MARK_PRICE".into(),
            who: who.into(),
            ..Order::default()
        };
        let placed = self.check_load(&order).and_then(|()| {
            if is_algo {
                self.place_algo(order)
            } else {
                self.place(order)
            }
        });
        if let Err(refusal) = placed {
            tracing::debug!(
                "the scripted {who} was refused: {} {}",
                refusal.code,
                refusal.message
            );
        }
    }

    /// Money in or out.
    fn transfer(&mut self, asset: &str, amount: Decimal) {
        self.ledger.credit(asset, amount, self.now);
        let reason = if amount.is_sign_negative() {
            "WITHDRAW"
        } else {
            "DEPOSIT"
        };
        self.earn("TRANSFER", asset, amount, "");
        self.push_account(reason, &[(asset.to_owned(), amount)], &[]);
    }

    /// A funding payment: on a cross position the balance alone is told, on an isolated one the position too (4.1).
    fn fund(&mut self, symbol: &str, rate: Decimal) {
        let asset = margin_asset(&self.markets, symbol).to_owned();
        let legs: Vec<Leg> = self
            .ledger
            .held()
            .into_iter()
            .filter(|leg| leg.0 == symbol)
            .collect();
        for leg in legs {
            let price = self
                .markets
                .get(symbol)
                .map_or(Decimal::ZERO, |market| market.price);
            let paid = -(self.ledger.amount(&leg) * price * rate);
            let holding = self.ledger.positions.get_mut(&leg);
            let isolated = holding
                .and_then(|holding| holding.isolated.as_mut())
                .map(|wallet| *wallet += paid);
            self.ledger.credit(&asset, paid, self.now);
            self.earn("FUNDING_FEE", &asset, paid, symbol);
            let legs = if isolated.is_some() { vec![leg] } else { Vec::new() };
            self.push_account_for(
                "FUNDING_FEE",
                Some(symbol),
                &[(asset.clone(), Decimal::ZERO)],
                &legs,
            );
        }
    }

    pub(super) fn earn(&mut self, kind: &'static str, asset: &str, amount: Decimal, symbol: &str) {
        let id = i64::try_from(self.income.len()).unwrap_or(0) + 1;
        let (asset, symbol) = (asset.to_owned(), symbol.to_owned());
        self.income.push(Income {
            kind,
            asset,
            amount,
            symbol,
            time: self.now,
            id,
        });
    }

    fn count_down(&mut self) {
        let due: Vec<String> = self
            .countdowns
            .iter()
            .filter(|(_, at)| **at <= self.now)
            .map(|(symbol, _)| symbol.clone())
            .collect();
        for symbol in due {
            self.countdowns.remove(&symbol);
            self.cancel_all(&symbol, false);
        }
    }

    /// Cancels every open order of one store of a symbol.
    pub(super) fn cancel_all(&mut self, symbol: &str, is_algo: bool) {
        let open: Vec<i64> = self
            .orders
            .values()
            // What is triggering is past cancelling (-4117).
            .filter(|order| order.is_open() && order.status != "TRIGGERING")
            .filter(|order| order.is_algo == is_algo && order.symbol == symbol)
            .map(|order| order.id)
            .collect();
        let done = self.cancels_done(open.len());
        for id in open.into_iter().take(done) {
            self.cancel(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(name: &str) -> Exchange {
        let scenario = Scenario::builtin(name).unwrap();
        let end = scenario.duration.0;
        let mut exchange = Exchange::new(scenario, 1_000_000);
        exchange.advance(1_000_000 + end);
        exchange
    }

    #[test]
    fn the_flash_crash_unguarded_is_called_and_then_liquidated() {
        let report = play("flash-crash").report();
        assert!(
            report.margin_calls >= 1 && report.liquidations >= 1,
            "{}",
            report.summary()
        );
        assert!(report.violations.is_empty());
    }

    #[test]
    fn the_calm_day_is_calm() {
        let report = play("calm-day").report();
        assert_eq!((report.margin_calls, report.liquidations), (0, 0));
    }

    #[test]
    fn the_same_scenario_gives_the_same_frames() {
        let frames = |name: &str| {
            let scenario = Scenario::builtin(name).unwrap();
            let mut exchange = Exchange::new(scenario, 5_000);
            exchange.listen = Some(("k".into(), i64::MAX));
            exchange.advance(5_000 + 20_000);
            exchange.drain()
        };
        for name in Scenario::names() {
            assert_eq!(frames(name), frames(name), "{name}");
        }
    }
}
