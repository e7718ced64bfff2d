//! What people are told of an event or an outcome, and what is read because of it.

use super::Guard;
use super::decision::{Decision, Severity};
use crate::event::{Event, Holdings, Link, Outcome, Reading};
use crate::model::Order;

impl Guard {
    pub(super) fn note_event(&mut self, event: &Event, decision: &mut Decision) {
        if matches!(event, Event::Account(_) | Event::Order(_)) {
            self.note_odd_time(decision);
        }
        if let Some(reading) = reading_of(event)
            && self.failing.remove(&reading)
        {
            decision.note(Severity::Info, format!("{reading} can be read again"));
        }
        match event {
            Event::Order(order) => {
                self.flights.order(self.book.now(), order);
                self.note_forced(order, decision);
            }
            Event::OpenOrders(_, orders) => {
                for order in orders {
                    self.flights.order(self.book.now(), order);
                }
            }
            Event::MarginCall(_) => {
                decision.needs.holdings = true;
                decision.note(Severity::Critical, "the venue calls for margin".into());
            }
            Event::SettingsChanged => {
                decision.needs.settings = true;
                decision.needs.holdings = true;
            }
            Event::Account(update) => {
                if let crate::event::Reason::Unclassified(name) = &update.reason {
                    decision.note(
                        Severity::Warning,
                        format!("a balance moved for the unknown reason {name}"),
                    );
                }
                let unknown = update
                    .positions
                    .iter()
                    .any(|p| self.book.instrument(&p.leg.symbol).is_err());
                decision.needs.rules |= unknown && self.book.is_ready();
            }
            Event::Unknown(kind) => {
                decision.needs.holdings = true;
                decision.needs.orders = true;
                decision.note(
                    Severity::Warning,
                    format!("the venue sent what this version does not know: {kind}"),
                );
            }
            Event::ReadFailed(what) if self.failing.insert(*what) => {
                decision.note(
                    Severity::Warning,
                    format!("{what} could not be read; trying again"),
                );
            }
            Event::Transfers(_) => {
                if let Some(moved) = self.book.believed().filter(|moved| !moved.is_zero()) {
                    let text = format!(
                        "balances moved by {} USDT that no event and no transfer explains; readings agree on it, so it is counted as won or lost",
                        crate::policy::Amount::Money(moved)
                    );
                    decision.note(Severity::Warning, text);
                }
            }
            Event::KeyRefused => self.is_refused = true,
            Event::Holdings(read) => {
                if std::mem::take(&mut self.is_refused) {
                    self.flights.key_works();
                }
                self.note_holdings(read, decision);
            }
            Event::Link(Link::Down(why)) => {
                decision.note(Severity::Warning, format!("the private stream is down: {why}"));
            }
            _ => {}
        }
    }

    pub(super) fn note_outcome(
        &self,
        key: &crate::model::IntentKey,
        outcome: &Outcome,
        decision: &mut Decision,
    ) {
        let what = match key {
            crate::model::IntentKey::Reduce(id) => format!("order {id}"),
            crate::model::IntentKey::PlaceStop(leg) => format!("the stop of {leg}"),
            crate::model::IntentKey::Cancel(id) => format!("the cancel of order {} in {}", id.id, id.symbol),
            crate::model::IntentKey::CancelAll(_, symbol) => format!("the cancel of all orders in {symbol}"),
        };
        match outcome {
            Outcome::Rejected(rejection) => {
                let text = match (rejection.code, &rejection.message) {
                    // Not the venue's word but ours: it was not sent, or it is not known to have had an effect.
                    (0, message) => format!("{what}: {message}"),
                    (code, message) => format!("{what} was refused: {code} {message}"),
                };
                decision.note(Severity::Warning, text);
            }
            Outcome::Unknown(doubt) => {
                decision.note(
                    Severity::Warning,
                    format!("{what} may or may not have happened: {}", doubt.why),
                );
            }
            Outcome::Accepted(_) | Outcome::Done | Outcome::Suppressed => {}
        }
    }

    /// Contradictions that a digest shows: the venue against us, and the venue against itself. Told once each.
    fn note_holdings(&mut self, read: &Holdings, decision: &mut Decision) {
        decision.needs.holdings |= self.book.has_new_gap();
        for (bucket, gap) in self.book.gaps() {
            if !self.gaps_told.contains(bucket) {
                decision.note(Severity::Warning, format!("margin ratio of {bucket}: {gap}"));
            }
        }
        self.gaps_told = self.book.gaps().map(|(bucket, _)| bucket.clone()).collect();
        for leg in &read.disputed {
            if !self.disputes_told.contains(leg) {
                let text =
                    format!("two answers of the venue differ on {leg}; the larger exposure is assumed");
                decision.note(Severity::Critical, text);
            }
        }
        self.disputes_told.clone_from(&read.disputed);
        let unknown = read
            .positions
            .iter()
            .any(|(leg, _)| self.book.instrument(&leg.symbol).is_err());
        decision.needs.rules |= unknown && self.book.is_ready();
    }

    /// The venue trades on the account by itself: told once an order, and looked at.
    fn note_forced(&mut self, order: &Order, decision: &mut Decision) {
        let Some(what) = order.forced() else { return };
        if self.forced_told.as_ref() != Some(&order.id) {
            self.forced_told = Some(order.id.clone());
            let (side, quantity, leg) = (order.side, order.quantity, order.leg());
            let text = format!("the venue's own {what} order: {side} {quantity} {leg}");
            decision.note(Severity::Critical, text);
        }
        decision.needs.holdings = true;
    }

    /// An event is dated far from our clock: told when that begins.
    fn note_odd_time(&mut self, decision: &mut Decision) {
        let [.., (_, odd_times)] = self.book.counters();
        let is_odd = odd_times > self.odd_times_seen;
        if is_odd && !self.was_odd {
            let text = "an event of the venue is dated far from our clock; its time is not believed";
            decision.note(Severity::Warning, text.into());
        }
        (self.odd_times_seen, self.was_odd) = (odd_times, is_odd);
    }
}

/// Which reading an event is; `None` for what the stream said.
fn reading_of(event: &Event) -> Option<Reading> {
    match event {
        Event::Holdings(_) => Some(Reading::Holdings),
        Event::OpenOrders(store, _) => Some(Reading::OpenOrders(*store)),
        Event::Settings(_) => Some(Reading::Settings),
        Event::MarginTypes(_) => Some(Reading::MarginTypes),
        Event::Rules(_) => Some(Reading::Rules),
        Event::Tiers(_) => Some(Reading::Tiers),
        Event::AssetIndexes(_) => Some(Reading::AssetIndexes),
        Event::Transfers(_) => Some(Reading::Transfers),
        _ => None,
    }
}
