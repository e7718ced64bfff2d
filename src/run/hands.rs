//! What a decision leads to: the kept state first, then the venue, then everything that people look at.

use super::Outlets;
use super::account::Account;
use super::key::Findings;
use super::status::account_status;
use super::story::{Told, is_pulse_due, outcome_told, pulse_told};
use super::tape::Tape;
use crate::alert::Watch;
use crate::event::{Outcome, Rejection, RejectionKind};
use crate::exec::Executor;
use crate::guard::{Decision, Guard, Severity};
use crate::journal::state;
use crate::journal::store::{Store, Ticket};
use crate::model::{Intent, IntentKey, Leg, Position, Qty, Span, Symbol, Timestamp};
use crate::replay::lines::{GuardLine, decision_lines};
use crate::replay::recording::Entry;
use crate::venue::binance::client::{Want, Wants};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// How long a reduction waits for its episode to be durable (ARCHITECTURE.md, decision 3).
const DURABLE_WITHIN: Duration = Duration::from_millis(10);
/// Copies for people are made at most this often while nothing happens to the policies.
const PUBLISH_EVERY: Span = Span::from_ms(250);
/// Contracts whose marks are followed beyond those that are held; a connection takes 1024 (binance-usdm.md 3.3).
const WATCHED_MAX: usize = 200;
/// How long the answer to a command waits for the disk.
const REPLY_WITHIN: Duration = Duration::from_secs(1);
/// Notes kept for the status.
const NOTES_MAX: usize = 20;

/// The newest positions with their quantity steps, for the check at the moment of sending.
type Newest = BTreeMap<Leg, (Position, Qty)>;

/// The hands of one account's guard.
pub struct Hands {
    label: String,
    venue: String,
    is_live: bool,
    executor: Executor,
    store: Option<Store>,
    wants: Wants,
    outlets: Outlets,
    outcomes: mpsc::Sender<(IntentKey, Outcome)>,
    tape: Option<Tape>,
    newest: watch::Sender<Arc<Newest>>,
    watched: BTreeSet<Symbol>,
    /// Whether the session was told that an episode works.
    is_working: bool,
    revision: u64,
    began: Timestamp,
    published: Timestamp,
    pulsed: Timestamp,
    is_fresh: bool,
    decided_since_input: Vec<Entry>,
    notes: Vec<String>,
    /// What is wrong with the key, until a later look finds it well.
    key_trouble: Vec<String>,
    /// What was wrong with it when everything was last read.
    key_known: Vec<String>,
    /// What is odd about it, told once.
    key_odd: Vec<String>,
    last_save: Option<Ticket>,
    /// What people were told of the account.
    watch: Watch,
    counters: BTreeMap<String, u64>,
}

impl Hands {
    /// Hands for an account.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a different way out, and they meet only here"
    )]
    pub fn new(
        account: &Account,
        executor: Executor,
        store: Store,
        wants: Wants,
        outlets: Outlets,
        outcomes: mpsc::Sender<(IntentKey, Outcome)>,
        tape: Option<Tape>,
        now: Timestamp,
    ) -> Hands {
        Hands {
            label: account.label.clone(),
            venue: account.venue.clone(),
            is_live: account.is_live,
            executor,
            store: Some(store),
            wants,
            outlets,
            outcomes,
            tape,
            newest: watch::Sender::new(Arc::new(Newest::new())),
            watched: BTreeSet::new(),
            is_working: false,
            revision: 0,
            began: now,
            published: Timestamp::default(),
            pulsed: now,
            is_fresh: false,
            decided_since_input: Vec::new(),
            notes: Vec::new(),
            key_trouble: Vec::new(),
            key_known: Vec::new(),
            key_odd: Vec::new(),
            last_save: None,
            watch: Watch::new(account.is_live),
            counters: BTreeMap::new(),
        }
    }

    /// Does what a decision says: first what must be durable, then the requests, then the rest.
    pub fn act(&mut self, guard: &Guard, decision: Decision) {
        let ticket = decision
            .save
            .as_ref()
            .zip(self.store.as_ref())
            .and_then(|(save, store)| {
                let text = state::write(&save.saved, self.is_live);
                if save.is_urgent {
                    Some(store.save(text))
                } else {
                    store.save_lazily(text);
                    None
                }
            });
        if !decision.intents.is_empty() || !decision.asks.is_empty() {
            self.send(guard, &decision, ticket);
        } else {
            self.last_save = ticket;
        }
        self.read(guard, &decision);
        self.tell(guard, decision);
    }

    /// Cancels go out at once: they are harmless to repeat. Reductions wait for the kept state, briefly.
    fn send(&mut self, guard: &Guard, decision: &Decision, ticket: Option<Ticket>) {
        self.publish_newest(guard);
        let mut reductions = Vec::new();
        for intent in &decision.intents {
            self.count(if matches!(intent, Intent::Reduce(_) | Intent::PlaceStop(_)) {
                "orders"
            } else {
                "cancels"
            });
            match intent {
                Intent::Reduce(order) => reductions.push(order.clone()),
                other => self.executor.submit(other.clone()),
            }
        }
        for (symbol, id) in &decision.asks {
            self.executor.ask(symbol.clone(), id.clone());
        }
        if reductions.is_empty() {
            return;
        }
        let (executor, newest, outcomes) = (
            self.executor.clone(),
            self.newest.subscribe(),
            self.outcomes.clone(),
        );
        tokio::spawn(async move {
            if let Some(ticket) = ticket
                && let Err(why) = ticket.wait(DURABLE_WITHIN).await
            {
                tracing::info!("a reduction goes out unjournaled: {why}");
            }
            for order in reductions {
                let clamped = {
                    let newest = newest.borrow();
                    let held = newest.get(order.leg());
                    let step = held.map_or(Qty::ZERO, |(_, step)| *step);
                    order.clamped_to(held.map(|(position, _)| position), step)
                };
                match clamped {
                    Some(order) => executor.submit(Intent::Reduce(order)),
                    None => {
                        let rejection = Rejection {
                            code: 0,
                            message: "the position changed before sending: this would no longer reduce it"
                                .into(),
                            kind: RejectionKind::Conflict,
                        };
                        let key = IntentKey::Reduce(order.id().clone());
                        let _ = outcomes.send((key, Outcome::Rejected(rejection))).await;
                    }
                }
            }
        });
    }

    fn publish_newest(&mut self, guard: &Guard) {
        let book = guard.book();
        let newest = book.positions().map(|(leg, position)| {
            let step = book
                .instrument(&leg.symbol)
                .map_or(Qty::ZERO, |found| found.market_lot.step);
            (leg.clone(), (position.clone(), step))
        });
        self.newest.send_replace(Arc::new(newest.collect()));
    }

    /// Asks the session for what the decision needs to know.
    fn read(&mut self, guard: &Guard, decision: &Decision) {
        // Before the wishes: they may need the reserve (LI-02).
        if self.is_working != guard.is_working() {
            self.is_working = guard.is_working();
            self.wants.ask(Want::Reserve(self.is_working));
        }
        let needs = decision.needs;
        if !needs.is_none() {
            let all = [
                (needs.holdings, Want::Holdings),
                (needs.orders, Want::OpenOrders),
                (needs.settings, Want::Settings),
                (needs.rules, Want::Rules),
                (needs.transfers, Want::Transfers),
                (
                    needs.reconnect,
                    Want::Reconnect("the stream left a change untold".into()),
                ),
            ];
            for (_, want) in all.into_iter().filter(|(wanted, _)| *wanted) {
                self.wants.ask(want);
            }
        }
        // While an order waits to be checked against the newest positions, they are kept new.
        if self.newest.receiver_count() > 0 && self.revision != guard.book().revision() {
            self.publish_newest(guard);
        }
    }

    /// Keeps the market stream on the contracts that are held or ordered.
    fn follow_marks(&mut self, guard: &Guard) {
        let mut watched = guard.book().watched();
        // A contract that was closed stays watched: if it is opened again, its price must not be stale.
        if watched.len() + self.watched.len() <= WATCHED_MAX {
            watched.extend(self.watched.iter().cloned());
        }
        if watched != self.watched {
            self.wants.ask(Want::Watch(watched.clone()));
            self.watched = watched;
        }
    }

    /// Shows a decision: recording, event stream, story, log.
    fn tell(&mut self, guard: &Guard, decision: Decision) {
        if self.revision != guard.book().revision() {
            self.revision = guard.book().revision();
            self.follow_marks(guard);
        }
        if decision.records.is_empty() && decision.notes.is_empty() {
            return;
        }
        self.is_fresh = true;
        for line in decision_lines(&self.label, &decision) {
            self.count("decisions");
            let event = serde_json::json!({ "event": "decision", "decision": line });
            let _ = self.outlets.events.send(event.to_string().into());
            self.decided_since_input
                .push(Entry::Guard(decision.at, Box::new(GuardLine::Decision(line))));
        }
        for note in &decision.notes {
            self.note(decision.at, note.severity, &note.text);
        }
        if !self.outlets.alerts.is_empty() {
            let alerts = self.watch.look(guard, &decision);
            self.outlets.alerts.tell(alerts);
        }
        self.pulsed = decision.at;
        self.story(Told::decision(guard, decision));
    }

    fn note(&mut self, at: Timestamp, severity: Severity, text: &str) {
        // Where the story is told, the log need not tell it again.
        match severity {
            _ if self.outlets.story.is_some() => {}
            Severity::Info => tracing::info!(account = self.label, "{text}"),
            Severity::Warning => tracing::warn!(account = self.label, "{text}"),
            Severity::Critical => tracing::error!(account = self.label, "{text}"),
        }
        let event = serde_json::json!({
            "event": "note", "account": self.label, "at": at.ms(),
            "severity": format!("{severity:?}").to_lowercase(), "text": text,
        });
        let _ = self.outlets.events.send(event.to_string().into());
        if self.notes.len() >= NOTES_MAX {
            self.notes.remove(0);
        }
        self.notes.push(format!("{at} {text}"));
    }

    /// Tells what was found about the key.
    pub fn examined(&mut self, at: Timestamp, found: &Findings) {
        let mut trouble = [found.never.as_slice(), &found.not_live].concat();
        // A live guard is refused these at its start: it has met them on its way.
        let (severity, then) = if self.is_live {
            (
                Severity::Critical,
                "the guard goes on, because stopping would protect nobody",
            )
        } else {
            (Severity::Warning, "a live guard would be refused")
        };
        let mut told: Vec<_> = trouble
            .iter()
            .map(|text| (severity, format!("{text}; {then}")))
            .collect();
        // What could not be read again is not gone.
        if found.is_complete {
            self.key_known.clone_from(&trouble);
        } else {
            let known = self.key_known.iter().filter(|text| !trouble.contains(text));
            let known: Vec<String> = known.cloned().collect();
            trouble.extend(known);
        }
        if trouble.is_empty() && !self.key_trouble.is_empty() {
            told.push((Severity::Info, "nothing is wrong with the key any more".into()));
        }
        if found.odd != self.key_odd {
            told.extend(found.odd.iter().map(|text| (Severity::Warning, text.clone())));
        }
        for (severity, text) in told {
            self.note(at, severity, &text);
            let alert = Watch::note(&self.label, at, severity, &text);
            self.outlets.alerts.tell(vec![alert]);
            self.story(Told::note(at, severity, text));
            self.is_fresh = true;
        }
        self.key_trouble = trouble;
        self.key_odd.clone_from(&found.odd);
    }

    /// Whoever re-arms has seen what was told.
    pub fn rearmed(&self) {
        // A channel that cannot be told goes on reminding; the operator sees that.
        let _ = self.outlets.alerts.acknowledge(&self.label);
    }

    /// Answers a command once what it changed is durable, or when that takes too long to be waited for.
    pub fn reply(&mut self, to: oneshot::Sender<Result<String, String>>, answer: Result<String, String>) {
        let ticket = self.last_save.take();
        tokio::spawn(async move {
            if let Some(ticket) = ticket
                && let Err(why) = ticket.wait(REPLY_WITHIN).await
            {
                tracing::warn!("a command is answered before it is durable: {why}");
            }
            let _ = to.send(answer);
        });
    }

    /// Shows what became of a request.
    pub fn told_outcome(&mut self, key: &IntentKey, outcome: &Outcome) {
        if let Some(told) = outcome_told(key, outcome) {
            self.story(told);
        }
    }

    fn story(&self, told: Told) {
        if let Some(story) = &self.outlets.story {
            let _ = story.try_send(told);
        }
    }

    fn count(&mut self, what: &str) {
        *self.counters.entry(what.to_owned()).or_insert(0) += 1;
    }

    /// Writes an input and the decisions that it led to into the recording.
    pub fn record(&mut self, entry: Entry, at: Timestamp) {
        let decided = std::mem::take(&mut self.decided_since_input);
        if let Some(tape) = &mut self.tape {
            tape.write(&entry, at);
            for decision in decided {
                tape.write(&decision, decision.at());
            }
        }
    }

    /// Writes a timer's wake, if it led to a decision.
    pub fn record_wake(&mut self, at: Timestamp) {
        if !self.decided_since_input.is_empty() {
            self.record(Entry::Guard(at, Box::new(GuardLine::Wake)), at);
        }
    }

    /// Gives copies of the state to whoever looks: now, or when it is time.
    pub fn publish(&mut self, guard: &Guard, now: bool) {
        let at = guard.book().now();
        if !now && !self.is_fresh && at.since(self.published) < PUBLISH_EVERY {
            return;
        }
        self.published = at;
        self.is_fresh = false;
        if guard.book().is_ready() && is_pulse_due(at, self.pulsed) {
            self.pulsed = at;
            self.story(pulse_told(guard));
        }
        let mut status = account_status(guard);
        status.mode = if self.is_live { "live" } else { "dry-run" }.into();
        status.venue.clone_from(&self.venue);
        status.since_ms = self.began.ms();
        status.notes.clone_from(&self.notes);
        status.counters.extend(self.counters.clone());
        status
            .notes
            .extend(self.key_trouble.iter().map(|why| format!("the key: {why}")));
        if let Some(Err(why)) = self.store.as_ref().map(Store::health) {
            status.notes.push(format!("state cannot be kept: {why}"));
        }
        self.outlets.status.send_modify(|all| {
            let all = Arc::make_mut(all);
            match all.accounts.iter_mut().find(|known| known.label == status.label) {
                Some(known) => *known = status,
                None => {
                    all.accounts.push(status);
                    all.accounts.sort_by(|a, b| a.label.cmp(&b.label));
                }
            }
        });
    }

    /// Makes the state durable and lets go of the account.
    pub async fn finish(mut self, guard: &Guard, within: Duration) {
        if let Some(store) = self.store.take() {
            let ticket = store.save(state::write(&guard.saved_state(), self.is_live));
            if let Err(why) = ticket.wait(within).await {
                tracing::error!("the state could not be kept at the end: {why}");
            }
            let _ = tokio::task::spawn_blocking(move || store.close()).await;
        }
        self.story(Told::text(
            guard.book().now(),
            "stopped; positions were left alone".into(),
        ));
        let tape = self.tape.take();
        let _ = tokio::task::spawn_blocking(move || drop(tape)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::account::tests::account;
    use super::*;
    use crate::alert::Alerts;
    use crate::event::{Command, Event, Holdings, Input, KillAction};
    use crate::guard::Start;
    use crate::model::{ClientOrderId, Money, Pricing, ReduceOrder, Store as OrderStore};
    use crate::policy::PolicySet;
    use crate::venue::binance::client;
    use futures_util::FutureExt;
    use std::path::Path;
    use tokio::sync::broadcast;

    /// A guard that knows of this position.
    fn holding(leg: &Leg, amount: &str, now: Timestamp) -> Guard {
        let set = PolicySet {
            name: "t".into(),
            policies: Vec::new(),
        };
        let mut guard = Guard::new("main", set, Span::from_secs(15), Start::Fresh);
        guard.step(now, &Input::Venue(held(leg, amount, now)));
        guard
    }

    /// A reading that shows this position and nothing else.
    fn held(leg: &Leg, amount: &str, at: Timestamp) -> Event {
        let position = Position {
            amount: amount.parse().unwrap(),
            entry: None,
            margin: None,
            isolated_wallet: Money::ZERO,
            at,
        };
        Event::Holdings(Holdings {
            balances: Vec::new(),
            positions: vec![(leg.clone(), position)],
            marks: Vec::new(),
            disputed: Vec::new(),
            liquidations: Vec::new(),
            claims: None,
        })
    }

    /// Hands that send nothing, with what they want and what comes of their orders.
    fn dry(folder: &Path, now: Timestamp) -> (Hands, client::Wanted, mpsc::Receiver<(IntentKey, Outcome)>) {
        let outlets = Outlets {
            status: watch::Sender::new(Arc::default()),
            events: broadcast::Sender::new(4),
            story: None,
            alerts: Alerts::default(),
        };
        let (store, _) = Store::open(folder, "main").unwrap();
        let (outcomes_in, outcomes) = mpsc::channel(4);
        let (wants, wanted) = client::wants();
        let executor = Executor::dry(outcomes_in.clone());
        let account = account(false);
        let hands = Hands::new(&account, executor, store, wants, outlets, outcomes_in, None, now);
        (hands, wanted, outcomes)
    }

    #[tokio::test]
    async fn li_02_the_reserve_of_the_budget_is_open_while_an_episode_works() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::from_ms(1_795_000_000_000);
        let leg = Leg::both(Symbol::new("BTCUSDT").unwrap());
        let (mut hands, mut wanted, _outcomes) = dry(folder.path(), now);
        let mut guard = holding(&leg, "0.5", now);
        let flat = Input::Venue(held(&leg, "0", now.after(Span::from_secs(3))));
        let none_open = |store| Input::Venue(Event::OpenOrders(store, Vec::new()));
        let kill = Command::Kill {
            action: KillAction::Flatten,
            symbol: None,
            reason: "by hand".into(),
        };
        for (input, told) in [
            (Input::Tick, None),
            (Input::Command(kill), Some(true)),
            (Input::Tick, None),
            (flat.clone(), None),
            (none_open(OrderStore::Regular), None),
            (none_open(OrderStore::Conditional), Some(false)),
            (flat, None),
        ] {
            let at = guard.book().now().after(Span::from_secs(1));
            let decision = guard.step(at, &input);
            hands.act(&guard, decision);
            let mut reserve = None;
            while let Some(Some(want)) = wanted.next().now_or_never() {
                if let Want::Reserve(is_open) = want {
                    reserve = Some(is_open);
                }
            }
            assert_eq!(reserve, told, "{input:?}");
        }
    }

    #[tokio::test]
    async fn or_09_an_order_against_a_position_that_turned_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::from_ms(1_795_000_000_000);
        let leg = Leg::both(Symbol::new("BTCUSDT").unwrap());
        let (mut hands, _wanted, mut outcomes) = dry(folder.path(), now);
        // Decided against half a bitcoin long; by the time of sending it is still long, gone, or short.
        for (held, is_sent) in [("0.5", true), ("0", false), ("-0.2", false)] {
            let [long, step] = ["0.5", "0.001"].map(|text| text.parse().unwrap());
            let id = ClientOrderId::new("bs-1").unwrap();
            let order = ReduceOrder::against(id, leg.clone(), long, long, step, Pricing::Market).unwrap();
            let decision = Decision {
                intents: vec![Intent::Reduce(order)],
                ..Decision::default()
            };
            hands.act(&holding(&leg, held, now), decision);
            let (_, outcome) = outcomes.recv().await.unwrap();
            match outcome {
                Outcome::Suppressed => assert!(is_sent, "{held}"),
                Outcome::Rejected(why) => {
                    assert_eq!((is_sent, why.kind), (false, RejectionKind::Conflict), "{held}");
                }
                other => panic!("{held}: {other:?}"),
            }
        }
    }
}
