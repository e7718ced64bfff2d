//! The decision core of one account: told everything, touches nothing.
//!
//! [`Guard::step`] folds an input into the book, moves the policies, plans what is missing and says what to do. The
//! same inputs give the same decisions, for ever: no clock, no file, no randomness, no order of a hash map.

use crate::book::{Book, TransferMemory};
use crate::event::{Baseline, Command, Event, Input, KillAction, Link, Outcome};
use crate::model::{ClientOrderId, Intent, Leg, Qty, Span, Symbol, Timestamp};
use crate::policy::envelope::{Policy, PolicyState, RungState, Track, Transition, Trip};
use crate::policy::{Action, Amount, Measured, Memory, Mode, PolicySet, Scope};
use crate::response::demand::demands;
use crate::response::{Demand, Driver, Flights, Kill, Needs, Planner};
use std::collections::BTreeMap;
use std::fmt;

/// Baselines that only drifted are saved at most this often; trips, kills and flights are saved at once.
const SAVE_EVERY: Span = Span::from_secs(1);
/// Kills that may stand at once: one for everything and one for each symbol that somebody cares about.
const KILLS_MAX: usize = 256;

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
    was_deaf: bool,
    restored: Vec<(Intent, Qty)>,
}

/// The part of the saved state that changes without anything happening.
type Drifting = Vec<Memory>;

/// The state of an account, in the words of SPEC.md section 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The account is not completely read yet.
    Starting,
    /// Watching, nothing in force.
    Armed,
    /// Increasing orders are cancelled on sight.
    Blocked,
    /// A position is being cut.
    Reducing,
    /// Positions are being closed.
    Flattening,
    /// Held until an operator re-arms.
    Latched,
    /// No proof of life for too long.
    Blind,
    /// The venue refuses the key.
    Powerless,
}

/// What one step decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// The time given to the step.
    pub at: Timestamp,
    /// What happened to policies and what is asked of the venue, a record for each cause.
    pub records: Vec<Record>,
    /// What is asked of the venue, in this order.
    pub intents: Vec<Intent>,
    /// What people should know, beyond the records.
    pub notes: Vec<Note>,
    /// What to read at once.
    pub needs: Needs,
    /// Orders whose outcome must be found out.
    pub asks: Vec<(Symbol, ClientOrderId)>,
    /// What must survive, when it changed.
    pub save: Option<Save>,
    /// The answer to a command: `Err` is a refusal.
    pub answer: Option<Result<String, String>>,
}

/// State to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Save {
    /// The state.
    pub saved: Saved,
    /// It must be durable before a reduction of this decision goes out.
    pub is_urgent: bool,
}

/// One cause and what it led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The policy, or `kill`.
    pub policy: String,
    /// Scope of the measurement.
    pub scope: String,
    /// The rung's action.
    pub rung: Option<&'static str>,
    /// The policy's state.
    pub state: &'static str,
    /// The mode in which the rung runs.
    pub mode: Mode,
    /// The measurement.
    pub value: Option<Amount>,
    /// The rung's threshold.
    pub threshold: Option<Amount>,
    /// What was asked of the venue because of it.
    pub orders: Vec<Intent>,
    /// The arithmetic, in words.
    pub why: String,
}

/// Something for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How bad.
    pub severity: Severity,
    /// What.
    pub text: String,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Look at it.
    Warning,
    /// Get up.
    Critical,
}

/// What survives a restart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Saved {
    /// Memory and rungs in force, by policy id.
    pub policies: BTreeMap<String, SavedPolicy>,
    /// The kill switch.
    pub kills: Vec<Kill>,
    /// Orders sent so far, by episode and leg.
    pub counters: Vec<(String, Leg, u32)>,
    /// Reductions in the air: their orders, and what their legs held.
    pub flights: Vec<(Intent, Qty)>,
    /// Transfers that were counted.
    pub transfers: TransferMemory,
}

/// A policy's part of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SavedPolicy {
    /// Marks and bases.
    pub memory: Memory,
    /// Rungs in force.
    pub trips: Vec<SavedTrip>,
}

/// A rung in force.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedTrip {
    /// Over what.
    pub scope: Scope,
    /// Which.
    pub rung: usize,
    /// What it does, in case the ladder was rewritten meanwhile.
    pub level: u8,
    /// Whether an operator must release it.
    pub is_manual: bool,
    /// The trip itself.
    pub trip: Trip,
}

/// What a guard starts from.
#[derive(Clone, Debug, Default)]
pub enum Start {
    /// The account was never guarded.
    #[default]
    Fresh,
    /// It was, and this is how it was left.
    Saved(Box<Saved>),
    /// It was, and what was kept is gone or damaged: latched, and this is why.
    Lost(String),
}

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
            was_deaf: false,
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

    fn restore(&mut self, saved: Saved) {
        self.kills = saved.kills;
        self.book.restore_transfers(saved.transfers);
        for (episode, leg, count) in saved.counters {
            self.planner.restore(episode, leg, count);
        }
        self.restored = saved.flights;
        for (id, kept) in saved.policies {
            let policy = self.policies.iter_mut().find(|policy| policy.spec.id == id);
            let Some(policy) = policy else {
                for trip in kept.trips.iter().filter(|trip| trip.is_manual) {
                    self.kills.push(orphaned(&id, trip));
                }
                continue;
            };
            policy.memory = kept.memory;
            for kept in kept.trips {
                let fits = policy
                    .spec
                    .ladder
                    .get(kept.rung)
                    .is_some_and(|r| r.action.level() == kept.level);
                if !fits {
                    if kept.is_manual {
                        self.kills.push(orphaned(&id, &kept));
                    }
                    continue;
                }
                let count = policy.spec.ladder.len();
                let track = policy.tracks.entry(kept.scope).or_insert_with(|| Track {
                    rungs: vec![RungState::Clear; count],
                    measured: Measured::Unknown(crate::book::Missing::Snapshot),
                });
                if let Some(rung) = track.rungs.get_mut(kept.rung) {
                    *rung = RungState::Tripped(kept.trip);
                }
            }
        }
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
        decision
    }

    fn note_event(&mut self, event: &Event, decision: &mut Decision) {
        match event {
            Event::Order(order) => self.flights.order(self.book.now(), order),
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
            Event::ReadFailed(what) => {
                decision.note(Severity::Warning, format!("{what} could not be read"));
            }
            Event::Link(Link::Down(why)) => {
                decision.note(Severity::Warning, format!("the private stream is down: {why}"));
            }
            _ => {}
        }
    }

    fn note_outcome(&self, key: &crate::model::IntentKey, outcome: &Outcome, decision: &mut Decision) {
        let what = match key {
            crate::model::IntentKey::Reduce(id) => format!("order {id}"),
            crate::model::IntentKey::Cancel(id) => format!("the cancel of order {} in {}", id.id, id.symbol),
            crate::model::IntentKey::CancelAll(_, symbol) => format!("the cancel of all orders in {symbol}"),
        };
        match outcome {
            Outcome::Rejected(rejection) => {
                let (code, message) = (rejection.code, &rejection.message);
                decision.note(Severity::Warning, format!("{what} was refused: {code} {message}"));
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

    fn command(&mut self, now: Timestamp, command: &Command, decision: &mut Decision) {
        match command {
            Command::Kill {
                action,
                symbol,
                reason,
            } => {
                decision.answer = Some(self.kill(now, *action, symbol.clone(), reason));
            }
            Command::Rearm { baseline } => {
                let answer = self.rearm(*baseline);
                let severity = if answer.is_ok() {
                    Severity::Info
                } else {
                    Severity::Warning
                };
                let text = answer
                    .clone()
                    .unwrap_or_else(|refusal| format!("re-arm refused: {refusal}"));
                decision.note(severity, text);
                decision.answer = Some(answer);
            }
            Command::KillFile(present) => {
                if *present && !self.kill_file {
                    let answer = self.kill(now, KillAction::Flatten, None, "the KILL file is there");
                    decision.answer = Some(answer);
                }
                self.kill_file = *present;
            }
        }
    }

    /// The kill switch: idempotent, and only ever harder.
    fn kill(
        &mut self,
        now: Timestamp,
        action: KillAction,
        symbol: Option<Symbol>,
        reason: &str,
    ) -> Result<String, String> {
        let place = symbol
            .as_ref()
            .map_or("everything".into(), |symbol| format!("{symbol}"));
        let done = match action {
            KillAction::Block => format!("entries are blocked in {place} until re-arm"),
            KillAction::Flatten => format!("closing {place}; it stays closed until re-arm"),
        };
        if let Some(kill) = self.kills.iter_mut().find(|kill| kill.symbol == symbol) {
            if kill.action >= action {
                return Ok(format!("already in force: {done}"));
            }
            *kill = Kill {
                action,
                symbol,
                reason: reason.into(),
                since: now,
                fulfilled: false,
            };
            return Ok(done);
        }
        if self.kills.len() >= KILLS_MAX {
            return Err(format!(
                "{KILLS_MAX} kills stand already; kill the whole account instead"
            ));
        }
        self.kills.push(Kill {
            action,
            symbol,
            reason: reason.into(),
            since: now,
            fulfilled: false,
        });
        Ok(done)
    }

    /// Releases kills and manual latches, unless what caused them still stands (POLICIES.md d.4).
    fn rearm(&mut self, baseline: Baseline) -> Result<String, String> {
        if self.kill_file {
            return Err("the KILL file is still in the state directory; remove it first".into());
        }
        if baseline == Baseline::Rebase && self.book.trusted_equity().is_err() {
            return Err("the baseline cannot be set anew: the present equity is not known".into());
        }
        for policy in &self.policies {
            let Some((rung, scope)) = policy.stands() else {
                continue;
            };
            let can_rebase = matches!(
                policy.spec.kind,
                crate::policy::Kind::Drawdown(_) | crate::policy::Kind::PeriodLoss(_)
            );
            if baseline == Baseline::Keep || !can_rebase {
                let at = policy.spec.ladder.get(rung).and_then(|rung| rung.at);
                let limit = at.map_or("its event".into(), |at| at.to_string());
                let numbers = policy.explain(&self.book, scope);
                let hint = if can_rebase {
                    "; `--baseline rebase` would count anew from here"
                } else {
                    ""
                };
                return Err(format!(
                    "policy {} still stands beyond {limit}: {numbers}{hint}",
                    policy.spec.id
                ));
            }
        }
        let kills = self.kills.len();
        self.kills.clear();
        for policy in &mut self.policies {
            policy.release();
            if baseline == Baseline::Rebase {
                policy.rebase(&self.book);
            }
        }
        let equity = self
            .book
            .equity()
            .map_or("unknown".into(), |equity| Amount::Money(equity).to_string());
        Ok(match baseline {
            Baseline::Keep => format!("re-armed; {kills} kill(s) released, baselines kept"),
            Baseline::Rebase => {
                format!("re-armed; {kills} kill(s) released, baselines set to the present equity {equity}")
            }
        })
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
        let demands = demands(&self.policies, &self.kills);
        if demands.is_empty() && self.flights.is_empty() {
            self.working.clear();
            return;
        }
        let round = self
            .planner
            .round(&self.book, &self.policies, &demands, &mut self.flights);
        self.planner.retain(&demands);
        decision.needs.add(round.needs);
        for planned in round.planned {
            let Some(demand) = demands.get(planned.demand) else {
                continue;
            };
            decision.intents.push(planned.intent.clone());
            self.attach(demand, planned.intent, decision);
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
        let fresh = self.demand_record(demand);
        let same = decision.records.iter_mut().find(|known| {
            known.policy == fresh.policy && known.scope == fresh.scope && known.rung == fresh.rung
        });
        match same {
            Some(record) => record.orders.push(intent),
            None => decision.records.push(Record {
                orders: vec![intent],
                ..fresh
            }),
        }
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
        let done = match demand.action {
            Action::Flatten => "flat and verified: no position and no open order",
            _ => "the reduction has reached its aim",
        };
        let name = match &demand.driver {
            Driver::Kill(index) => {
                self.is_changed = true;
                if let Some(kill) = self.kills.get_mut(*index) {
                    kill.fulfilled = true;
                }
                "kill".to_owned()
            }
            Driver::Rung { policy, scope, rung } => {
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
        decision.note(Severity::Info, format!("{name} {}: {done}", demand.action.name()));
    }

    /// What follows from the state as a whole: a deaf stream, transfers to read, a change of state.
    fn look_around(&mut self, decision: &mut Decision) {
        decision.needs.transfers |= self.book.wants_transfers();
        let deaf = self.book.link().is_deaf();
        if deaf && !self.was_deaf {
            decision.needs.reconnect = true;
            let text = "a change was found that the stream kept silent about; opening another one";
            decision.note(Severity::Warning, text.into());
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
        let is_urgent = std::mem::take(&mut self.is_changed)
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
        let drifting: Drifting = self.policies.iter().map(|policy| policy.memory.clone()).collect();
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
        }
    }

    /// What would survive a restart now.
    pub fn saved_state(&self) -> Saved {
        let mut policies = BTreeMap::new();
        for policy in &self.policies {
            let mut trips = Vec::new();
            for (scope, track) in &policy.tracks {
                for (index, (state, rung)) in track.rungs.iter().zip(&policy.spec.ladder).enumerate() {
                    if let RungState::Tripped(trip) = state {
                        trips.push(SavedTrip {
                            scope: scope.clone(),
                            rung: index,
                            level: rung.action.level(),
                            is_manual: policy.latch(rung) == crate::policy::Latch::Manual,
                            trip: trip.clone(),
                        });
                    }
                }
            }
            policies.insert(
                policy.spec.id.clone(),
                SavedPolicy {
                    memory: policy.memory.clone(),
                    trips,
                },
            );
        }
        let counters = self
            .planner
            .counters()
            .map(|((episode, leg), count)| (episode.clone(), leg.clone(), *count))
            .collect();
        let flights = self
            .flights
            .reductions()
            .filter(|(_, flight)| !matches!(flight.phase, crate::response::Phase::Suppressed));
        Saved {
            policies,
            kills: self.kills.clone(),
            counters,
            flights: flights
                .map(|(_, flight)| (flight.intent.clone(), flight.before))
                .collect(),
            transfers: self.book.transfer_memory().clone(),
        }
    }

    /// When it wants to be woken with a [`Input::Tick`].
    pub fn deadline(&self) -> Option<Timestamp> {
        let now = self.book.now();
        let policies = self
            .policies
            .iter()
            .filter_map(|policy| policy.deadline(&self.book));
        let link = self.book.link();
        let blind = link.counted_from().map(|from| from.after(self.blind_after));
        let own = [
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
        if self.flights.is_powerless() {
            return State::Powerless;
        }
        if !self.book.is_ready() {
            return State::Starting;
        }
        let mut held = None;
        for demand in demands(&self.policies, &self.kills) {
            let is_working = self.working.contains(&demand.driver);
            let manual = match &demand.driver {
                Driver::Kill(_) => true,
                Driver::Rung { policy, rung, .. } => self.policies.get(*policy).is_some_and(|policy| {
                    policy.spec.ladder.get(*rung).map(|rung| policy.latch(rung))
                        == Some(crate::policy::Latch::Manual)
                }),
            };
            let state = match demand.action {
                Action::Flatten if is_working => State::Flattening,
                Action::Reduce(_) if is_working => State::Reducing,
                _ if manual => State::Latched,
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
            (a.mark, a.flows, a.since) != (b.mark, b.flows, b.since)
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

/// A manual latch whose rung no longer exists stays as a kill of the same strength: an edit is no re-arm.
fn orphaned(id: &str, kept: &SavedTrip) -> Kill {
    Kill {
        action: if kept.level >= Action::Flatten.level() {
            KillAction::Flatten
        } else {
            KillAction::Block
        },
        symbol: None,
        reason: format!("policy {id} latched, and its rung is no longer in the policy file"),
        since: kept.trip.since,
        fulfilled: kept.trip.fulfilled,
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

impl Record {
    fn empty(rung: &'static str) -> Record {
        Record {
            policy: "unknown".into(),
            scope: String::new(),
            rung: Some(rung),
            state: "tripped",
            mode: Mode::Enforce,
            value: None,
            threshold: None,
            orders: Vec::new(),
            why: String::new(),
        }
    }
}

impl Decision {
    fn note(&mut self, severity: Severity, text: String) {
        self.notes.push(Note { severity, text });
    }
}

impl State {
    /// The graver of two states that demands lead to.
    fn graver(self, other: State) -> State {
        let rank = |state: State| match state {
            State::Flattening => 4,
            State::Reducing => 3,
            State::Latched => 2,
            State::Blocked => 1,
            _ => 0,
        };
        if rank(other) > rank(self) { other } else { self }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Armed => "armed",
            State::Blocked => "blocked",
            State::Reducing => "reducing",
            State::Flattening => "flattening",
            State::Latched => "latched",
            State::Blind => "blind",
            State::Powerless => "powerless",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
