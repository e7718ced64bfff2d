//! The decision core of one account: told everything, touches nothing.
//!
//! [`Guard::step`] folds an input into the book, moves the policies, plans what is missing and says what to do. The
//! same inputs give the same decisions, for ever: no clock, no file, no randomness, no order of a hash map.

mod command;
mod decision;
mod notes;
pub mod preview;
mod saved;

pub use decision::{Decision, Note, Record, Save, Severity, State};
pub use saved::{Saved, SavedPolicy, SavedTrip, Start};

use crate::book::{Book, Bucket};
use crate::event::{Input, KillAction, Reading};
use crate::model::{ClientOrderId, Intent, Leg, OrderId, Qty, Span, Symbol, Timestamp};
use crate::policy::envelope::{Policy, PolicyState, RungState, Transition};
use crate::policy::{Action, Memory, Mode, PolicySet};
use crate::response::demand::demands;
use crate::response::{Demand, Driver, Flights, Kill, Planner};
use std::collections::BTreeSet;

/// Baselines that only drifted are saved at most this often; trips, kills and flights are saved at once.
const SAVE_EVERY: Span = Span::from_secs(1);
/// While a balance moved untold, the list of transfers is read again after this.
const TRANSFERS_AGAIN: Span = Span::from_ms(2_500);

/// One account's guard.
#[derive(Clone, Debug)]
pub struct Guard {
    account: String,
    blind_after: Span,
    book: Book,
    policies: Vec<Policy>,
    kills: Vec<Kill>,
    kill_file: bool,
    flights: Flights,
    planner: Planner,
    working: Vec<Driver>,
    last_state: State,
    saved: Option<(Timestamp, Drifting)>,
    is_changed: bool,
    wake: Option<Timestamp>,
    was_deaf: bool,
    /// Readings that failed and did not work since, of which people were told.
    failing: BTreeSet<Reading>,
    /// When the stream was last found deaf.
    deaf_since: Option<Timestamp>,
    /// The venue refused the key when balances and positions were last asked for.
    is_refused: bool,
    was_odd: bool,
    odd_times_seen: u64,
    /// Buckets of which people were told that the venue counts otherwise.
    gaps_told: BTreeSet<Bucket>,
    /// Legs of which people were told that the venue contradicts itself.
    disputes_told: Vec<Leg>,
    /// The last of the venue's own orders that people were told of.
    forced_told: Option<OrderId>,
    transfers_asked: Timestamp,
    restored: Vec<(Intent, Qty)>,
}

/// The part of the saved state that changes without anything happening.
type Drifting = Vec<Memory>;

impl Guard {
    /// A guard for an account by its label. `blind_after` is when the account's state turns `blind`.
    pub fn new(account: &str, set: PolicySet, blind_after: Span, start: Start) -> Guard {
        let mut guard = Guard {
            account: account.into(),
            blind_after,
            book: Book::default(),
            policies: set.policies.into_iter().map(Policy::new).collect(),
            kills: Vec::new(),
            kill_file: false,
            flights: Flights::default(),
            planner: Planner::new(account),
            working: Vec::new(),
            last_state: State::Starting,
            saved: None,
            is_changed: false,
            wake: None,
            was_deaf: false,
            failing: BTreeSet::new(),
            deaf_since: None,
            is_refused: false,
            was_odd: false,
            odd_times_seen: 0,
            gaps_told: BTreeSet::new(),
            disputes_told: Vec::new(),
            forced_told: None,
            transfers_asked: Timestamp::default(),
            restored: Vec::new(),
        };
        match start {
            Start::Fresh => {}
            Start::Saved(saved) => guard.restore(*saved),
            Start::Lost(why) => guard.kills.push(Kill {
                action: KillAction::Block,
                symbol: None,
                reason: format!("the kept state is lost: {why}"),
                since: Timestamp::default(),
                fulfilled: false,
            }),
        }
        guard
    }

    /// Told everything, touches nothing. `now` never runs backwards: an earlier time counts as the last one.
    pub fn step(&mut self, now: Timestamp, input: &Input) -> Decision {
        let now = now.max(self.book.now());
        let mut decision = Decision {
            at: now,
            ..Decision::default()
        };
        for (intent, before) in std::mem::take(&mut self.restored) {
            decision.asks.extend(ask_for(&intent));
            self.flights.restore(now, intent, before);
        }
        match input {
            Input::Venue(event) => {
                self.book.apply(now, event);
                self.note_event(event, &mut decision);
            }
            Input::Outcome(key, outcome) => {
                self.book.begin(now);
                let needs = self.flights.outcome(now, &mut self.book, key, outcome);
                decision.needs.add(needs);
                self.note_outcome(key, outcome, &mut decision);
            }
            Input::Command(command) => {
                self.book.begin(now);
                self.command(now, command, &mut decision);
            }
            Input::Tick => self.book.begin(now),
        }
        self.judge(&mut decision);
        self.plan(&mut decision);
        self.look_around(&mut decision);
        self.keep(&mut decision);
        self.wake = self.next_wake();
        decision
    }

    /// Moves the policies and records what changed.
    fn judge(&mut self, decision: &mut Decision) {
        let mut transitions: Vec<Transition> = Vec::new();
        for policy in &mut self.policies {
            policy.step(&self.book, &mut transitions);
            for transition in transitions.drain(..) {
                decision.records.push(record(policy, &self.book, &transition));
            }
        }
    }

    /// Asks for what is missing and puts it beside its cause.
    fn plan(&mut self, decision: &mut Decision) {
        // Before the demands: what ends here may have shown that the venue did not keep to reduce-only.
        decision.needs.add(self.flights.settle(&self.book));
        let demands = demands(&self.policies, &self.kills, self.flights.stops());
        if demands.is_empty() && self.flights.is_empty() {
            self.flights.rest();
            self.working.clear();
            return;
        }
        let round = self
            .planner
            .round(&self.book, &self.policies, &demands, &mut self.flights);
        self.planner.retain(&demands);
        decision.needs.add(round.needs);
        for planned in round.planned {
            decision.intents.push(planned.intent.clone());
            match planned.demand.and_then(|index| demands.get(index)) {
                Some(demand) => self.attach(demand, planned.intent, decision),
                None => decision.records.push(Record {
                    policy: "withdraw".into(),
                    scope: planned.intent.symbol().to_string(),
                    orders: vec![planned.intent],
                    why: "nothing asks for this order of the guard any more".into(),
                    ..Record::empty("cancel")
                }),
            }
        }
        for (index, reasoning) in round.reasons {
            if let Some(record) = demands
                .get(index)
                .and_then(|demand| self.record_of(demand, decision))
            {
                record.why.push_str(&format!("; {reasoning}"));
            }
        }
        for index in round.fulfilled {
            if let Some(demand) = demands.get(index) {
                self.fulfil(demand, decision);
            }
        }
        self.working = round
            .working
            .iter()
            .filter_map(|index| demands.get(*index))
            .map(|d| d.driver.clone())
            .collect();
    }

    /// Puts an intent into the record of its cause: the one of this step, or one of its own.
    fn attach(&self, demand: &Demand, intent: Intent, decision: &mut Decision) {
        match self.record_of(demand, decision) {
            Some(record) => record.orders.push(intent),
            None => decision.records.push(Record {
                orders: vec![intent],
                ..self.demand_record(demand)
            }),
        }
    }

    /// The record of this step that a demand stands in.
    fn record_of<'d>(&self, demand: &Demand, decision: &'d mut Decision) -> Option<&'d mut Record> {
        let fresh = self.demand_record(demand);
        decision.records.iter_mut().find(|known| {
            known.policy == fresh.policy && known.scope == fresh.scope && known.rung == fresh.rung
        })
    }

    fn demand_record(&self, demand: &Demand) -> Record {
        match &demand.driver {
            Driver::Kill(index) => {
                let reason = self
                    .kills
                    .get(*index)
                    .map_or(String::new(), |kill| kill.reason.clone());
                Record {
                    policy: "kill".into(),
                    scope: demand.scope.to_string(),
                    rung: Some(demand.action.name()),
                    state: "latched",
                    mode: Mode::Enforce,
                    value: None,
                    threshold: None,
                    orders: Vec::new(),
                    why: reason,
                }
            }
            Driver::Counter(leg) => Record {
                policy: "counter".into(),
                scope: leg.to_string(),
                why: "an order of the guard filled past zero: what it opened is closed".into(),
                ..Record::empty(demand.action.name())
            },
            Driver::Rung { policy, scope, rung } => {
                let Some(policy) = self.policies.get(*policy) else {
                    return Record::empty(demand.action.name());
                };
                let value = policy.tracks.get(scope).and_then(|track| track.measured.value());
                let latched = policy.spec.ladder.get(*rung).map(|rung| policy.latch(rung))
                    == Some(crate::policy::Latch::Manual);
                let state = if latched {
                    PolicyState::Latched
                } else {
                    PolicyState::Tripped
                };
                let transition = Transition {
                    scope: scope.clone(),
                    rung: Some(*rung),
                    state,
                    value,
                };
                record(policy, &self.book, &transition)
            }
        }
    }

    fn fulfil(&mut self, demand: &Demand, decision: &mut Decision) {
        let dust: Vec<String> = self
            .book
            .positions()
            .filter(|(leg, _)| demand.covers(&self.book, &self.policies, leg))
            .map(|(leg, position)| format!("{} {leg}", position.amount))
            .collect();
        let (severity, done) = match demand.action {
            Action::Flatten if dust.is_empty() => (
                Severity::Info,
                "flat and verified: no position and no open order".into(),
            ),
            Action::Flatten => (
                Severity::Warning,
                format!(
                    "flat and verified but for dust, which no order can close: {}; no open order",
                    dust.join(", ")
                ),
            ),
            _ => (Severity::Info, "the reduction has reached its aim".to_owned()),
        };
        let name = match &demand.driver {
            Driver::Kill(index) => {
                self.is_changed = true;
                if let Some(kill) = self.kills.get_mut(*index) {
                    kill.fulfilled = true;
                }
                "kill".to_owned()
            }
            Driver::Counter(leg) => {
                self.flights.countered(leg);
                "counter".to_owned()
            }
            Driver::Rung { policy, scope, rung } => {
                self.is_changed = true;
                let Some(policy) = self.policies.get_mut(*policy) else {
                    return;
                };
                let state = policy
                    .tracks
                    .get_mut(scope)
                    .and_then(|track| track.rungs.get_mut(*rung));
                if let Some(RungState::Tripped(trip)) = state {
                    trip.fulfilled = true;
                }
                policy.spec.id.clone()
            }
        };
        decision.note(severity, format!("{name} {}: {done}", demand.action.name()));
    }

    /// What follows from the state as a whole: a deaf stream, transfers to read, a change of state.
    fn look_around(&mut self, decision: &mut Decision) {
        for alarm in self.flights.take_alarms() {
            decision.note(Severity::Critical, alarm);
        }
        // The list of transfers weighs 30: it is asked for at once, and then now and then until it explains the move.
        let now = self.book.now();
        if self.book.wants_transfers() && now.since(self.transfers_asked) >= TRANSFERS_AGAIN {
            self.transfers_asked = now;
            decision.needs.transfers = true;
            decision.needs.holdings = true;
        }
        let deaf = self.book.link().is_deaf();
        if deaf && !self.was_deaf {
            decision.needs.reconnect = true;
            let text = "a change was found that the stream kept silent about; opening another one";
            decision.note(Severity::Warning, text.into());
            // Twice in a row, on a fresh connection: it is not the connection (ST-08, ST-19).
            if self
                .deaf_since
                .is_some_and(|then| self.book.link().heard() < Some(then))
            {
                let text = "the stream stays silent on every connection: another client of this account may be taking it, or stream_url is an address on which nothing is told any more; the account is guarded by readings alone";
                decision.note(Severity::Critical, text.into());
            }
            self.deaf_since = Some(now);
        }
        self.was_deaf = deaf;
        let state = self.state();
        if state != self.last_state {
            let severity = match state {
                State::Starting | State::Armed => Severity::Info,
                State::Blocked | State::Reducing | State::Blind => Severity::Warning,
                State::Flattening | State::Latched | State::Powerless => Severity::Critical,
            };
            decision.note(severity, format!("state {} -> {state}", self.last_state));
            self.last_state = state;
        }
    }

    /// Decides whether the state must be kept, and how urgently.
    fn keep(&mut self, decision: &mut Decision) {
        let is_urgent = std::mem::take(&mut self.is_changed) | self.flights.stops_mut().take_change()
            || !decision.records.is_empty()
            || !decision.intents.is_empty()
            || decision.answer.as_ref().is_some_and(Result::is_ok);
        let may_be_due = match &self.saved {
            None => self.book.is_ready(),
            Some((at, _)) => decision.at.since(*at) >= SAVE_EVERY,
        };
        if !is_urgent && !may_be_due {
            return;
        }
        let drifting: Drifting = self.policies.iter().map(|policy| policy.memory.kept()).collect();
        if is_urgent
            || self
                .saved
                .as_ref()
                .is_none_or(|(_, known)| marks_differ(known, &drifting))
        {
            self.saved = Some((decision.at, drifting));
            decision.save = Some(Save {
                saved: self.saved_state(),
                is_urgent,
            });
        } else if let Some((at, _)) = &mut self.saved {
            // Looked at, and nothing had moved: the next look is as far away as the next save.
            *at = decision.at;
        }
    }

    /// When it wants to be woken with a [`Input::Tick`].
    pub fn deadline(&self) -> Option<Timestamp> {
        self.wake
    }

    fn next_wake(&self) -> Option<Timestamp> {
        let now = self.book.now();
        let policies = self
            .policies
            .iter()
            .filter_map(|policy| policy.deadline(&self.book));
        let link = self.book.link();
        let blind = link.counted_from().map(|from| from.after(self.blind_after));
        let again = self
            .book
            .wants_transfers()
            .then(|| self.transfers_asked.after(TRANSFERS_AGAIN));
        let own = [
            again,
            self.flights.deadline(now),
            blind,
            link.deaf_at(),
            self.book.marks_stale_at(),
        ];
        policies
            .chain(own.into_iter().flatten())
            .filter(|at| *at > now)
            .min()
    }

    /// The state of the account.
    pub fn state(&self) -> State {
        if self.is_refused || self.flights.is_powerless() {
            return State::Powerless;
        }
        if !self.book.is_ready() {
            return State::Starting;
        }
        let mut held = None;
        for demand in demands(&self.policies, &self.kills, self.flights.stops()) {
            let is_working = self.working.contains(&demand.driver);
            let manual = match &demand.driver {
                Driver::Kill(_) => true,
                Driver::Counter(_) => false,
                Driver::Rung { policy, rung, .. } => self.policies.get(*policy).is_some_and(|policy| {
                    policy.spec.ladder.get(*rung).map(|rung| policy.latch(rung))
                        == Some(crate::policy::Latch::Manual)
                }),
            };
            let state = match demand.action {
                Action::Flatten if is_working => State::Flattening,
                Action::Reduce(_) if is_working => State::Reducing,
                _ if manual => State::Latched,
                action if !action.blocks() => continue,
                _ => State::Blocked,
            };
            held = Some(held.map_or(state, |known: State| known.graver(state)));
        }
        let acting = matches!(held, Some(State::Flattening | State::Reducing));
        if !acting
            && self
                .book
                .link()
                .proof_age()
                .is_some_and(|age| age >= self.blind_after)
        {
            return State::Blind;
        }
        held.unwrap_or(State::Armed)
    }

    /// Whether an episode works: something is being closed, or not yet proven to be.
    pub fn is_working(&self) -> bool {
        !self.working.is_empty()
    }

    /// The account's label.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The account.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The policies at work.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// The kill switch.
    pub fn kills(&self) -> &[Kill] {
        &self.kills
    }

    /// What is in the air.
    pub fn flights(&self) -> &Flights {
        &self.flights
    }
}

/// Whether baselines moved; the last seen equity alone is saved with the next of them.
fn marks_differ(known: &[Memory], now: &[Memory]) -> bool {
    known.len() != now.len()
        || known.iter().zip(now).any(|(a, b)| {
            (a.mark, a.flows, a.since, a.best) != (b.mark, b.flows, b.since, b.best)
                || (&a.losses, &a.rounds, &a.naked) != (&b.losses, &b.rounds, &b.naked)
                || b.last_at
                    .zip(a.last_at)
                    .is_some_and(|(b, a)| b.since(a) >= Span::from_secs(10))
        })
}

fn ask_for(intent: &Intent) -> Option<(Symbol, ClientOrderId)> {
    match intent {
        Intent::Reduce(order) => Some((order.leg().symbol.clone(), order.id().clone())),
        _ => None,
    }
}

fn record(policy: &Policy, book: &Book, transition: &Transition) -> Record {
    let rung = transition.rung.and_then(|index| policy.spec.ladder.get(index));
    let why = match &transition.state {
        PolicyState::Unknown(why) => why.to_string(),
        _ => policy.explain(book, &transition.scope),
    };
    Record {
        policy: policy.spec.id.clone(),
        scope: transition.scope.to_string(),
        rung: rung.map(|rung| rung.action.name()),
        state: transition.state.word(),
        mode: rung.map_or(policy.spec.mode, |rung| policy.mode(rung)),
        value: transition.value,
        threshold: rung.and_then(|rung| rung.at),
        orders: Vec::new(),
        why,
    }
}
