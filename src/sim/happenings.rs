//! The script's events: what venue, humans and neighbours do, at its time.

use super::account::{Leg, margin_asset};
use super::exchange::{Exchange, STEP_MS};
use super::rules::{Rules, tiers_of};
use super::scenario::Placement;
use super::script::{EventScript, Kind, LoadScript};
use rust_decimal::{Decimal, RoundingStrategy};

impl Exchange {
    /// Plays the events of the step that ends at `at` ms after the start.
    pub(super) fn happen(&mut self, at: i64) {
        // What happens at the start happens in the first step.
        let due = |event: &&EventScript| (at - STEP_MS + 1..=at).contains(&event.at.0.max(1));
        let events: Vec<EventScript> = self.scenario.event.iter().filter(due).cloned().collect();
        for event in events {
            self.event(&event);
        }
        for load in self.scenario.load.clone() {
            let (from, until) = (load.from.0, load.until.0);
            if at > from && at <= until {
                self.load(&load, at - from);
            }
        }
    }

    /// A step's part of a load, so that the parts of a second are the whole.
    fn load(&mut self, load: &LoadScript, into: i64) {
        let part = |rate: u32| {
            let up_to = |ms: i64| i64::from(rate) * ms / 1_000;
            u32::try_from(up_to(into) - up_to(into - STEP_MS)).unwrap_or(0)
        };
        let orders = usize::try_from(part(load.orders_per_second)).unwrap_or(0);
        self.limits
            .neighbour(self.now, part(load.weight_per_second), orders);
    }

    /// Lets something happen now.
    pub fn event(&mut self, event: &EventScript) {
        let symbol = event.symbol.clone().unwrap_or_default();
        match event.kind {
            Kind::Adl => self.close_forced(&symbol, event.fraction, "adl_autoclose"),
            Kind::Settle => self.settle(&symbol, event.fraction, "SETTLING"),
            Kind::Delist => self.settle(&symbol, None, "CLOSE"),
            Kind::Halt => self.turn(&symbol, "TRADING_HALT"),
            Kind::Resume | Kind::List => self.turn(&symbol, "TRADING"),
            Kind::Rules => {
                if let Some(market) = self.markets.get_mut(&symbol) {
                    change(&mut market.rules, event);
                }
                self.push_contract(&symbol);
            }
            Kind::PriceGap => {
                if let Some(market) = self.markets.get_mut(&symbol) {
                    market.jump(event.bps.unwrap_or(0));
                }
            }
            Kind::MarginCall => self.call(&symbol),
            Kind::Mode => self.tried(|exchange| exchange.turn_hedge(event.on == Some(true))),
            Kind::MultiAssets => self.tried(|exchange| exchange.turn_multi_assets(event.on == Some(true))),
            Kind::Leverage => {
                let leverage = event.leverage.unwrap_or(20);
                self.tried(|exchange| exchange.turn_leverage(&symbol, leverage).map(|_| ()));
            }
            Kind::MarginType => {
                let isolated = event.margin_type.as_deref() != Some("CROSSED");
                self.tried(|exchange| exchange.turn_margin_type(&symbol, isolated));
            }
            Kind::Order => {
                if let Some(place) = &event.place {
                    self.human_places(place);
                }
            }
            Kind::Cancel => {
                self.cancel_all(&symbol, false);
                self.cancel_all(&symbol, true);
            }
        }
    }

    /// A human asks for a change; the venue may say no.
    fn tried(&mut self, change: impl FnOnce(&mut Exchange) -> Result<(), super::auth::Refusal>) {
        if let Err(refusal) = change(self) {
            tracing::debug!(
                "the scripted human was refused: {} {}",
                refusal.code,
                refusal.message
            );
        }
    }

    fn human_places(&mut self, place: &Placement) {
        self.human_count += 1;
        let client_id = format!("web_{}", self.human_count);
        self.actor_places(place, "human", client_id);
    }

    fn turn(&mut self, symbol: &str, status: &str) {
        if let Some(market) = self.markets.get_mut(symbol) {
            market.rules.status = status.into();
        }
        self.push_contract(symbol);
    }

    /// Orders go (er=7), positions are closed at the mark by the venue.
    fn settle(&mut self, symbol: &str, fraction: Option<Decimal>, status: &str) {
        let open: Vec<i64> = self
            .orders
            .values()
            .filter(|order| order.is_open() && order.symbol == symbol)
            .map(|order| order.id)
            .collect();
        for id in open {
            self.end_order(id, "EXPIRED", "EXPIRED", 7);
        }
        self.close_forced(symbol, fraction, &format!("settlement_autoclose-{}", self.now));
        if let Some(market) = self.markets.get_mut(symbol) {
            market.rules.delivery = market.rules.delivery.min(self.now);
        }
        self.turn(symbol, status);
    }

    /// Closes a share of every position of a symbol at the mark, rounded down to the step.
    fn close_forced(&mut self, symbol: &str, fraction: Option<Decimal>, client_id: &str) {
        let Ok(step) = self.rules_of(symbol).map(|rules| rules.step) else {
            return;
        };
        let legs: Vec<Leg> = self.ledger.held();
        for leg in legs.into_iter().filter(|leg| leg.0 == symbol) {
            let held = self.ledger.amount(&leg).abs();
            let share = fraction
                .unwrap_or(Decimal::ONE)
                .clamp(Decimal::ZERO, Decimal::ONE);
            let steps = (held * share / step).round_dp_with_strategy(0, RoundingStrategy::ToZero);
            let quantity = steps * step;
            if quantity > Decimal::ZERO {
                let before = self
                    .ledger
                    .positions
                    .get(&leg)
                    .map_or(Decimal::ZERO, |h| h.realised);
                self.force(&leg, quantity, self.mark(symbol), client_id);
                let after = self
                    .ledger
                    .positions
                    .get(&leg)
                    .map_or(Decimal::ZERO, |h| h.realised);
                if client_id.starts_with("settlement") {
                    // In the income history a settlement has a name of its own, in the venue's spelling.
                    let asset = margin_asset(&self.markets, symbol).to_owned();
                    self.earn("DELIVERED_SETTELMENT", &asset, after - before, symbol);
                }
            }
        }
    }
}

fn change(rules: &mut Rules, event: &EventScript) {
    let set = |field: &mut Decimal, value: Option<Decimal>| *field = value.unwrap_or(*field);
    set(&mut rules.tick, event.tick);
    set(&mut rules.step, event.step);
    set(&mut rules.market_max, event.market_max);
    set(&mut rules.limit_max, event.limit_max);
    set(&mut rules.min_notional, event.min_notional);
    set(&mut rules.market_bound, event.market_bound);
    set(&mut rules.band_up, event.band.map(|band| Decimal::ONE + band));
    set(&mut rules.band_down, event.band.map(|band| Decimal::ONE - band));
    if let Some(tiers) = &event.tiers {
        rules.tiers = tiers_of(tiers);
    }
}
