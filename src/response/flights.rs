//! What is in the air: requests that were decided and are not known to be over.
//!
//! One reduction at a time for each leg. A flight ends when its effect is seen, not when it is acknowledged: a landed
//! reduction holds its leg until the position has moved by it or holdings were read after it, so that a book that lags
//! never asks twice.

use super::effect::{LAG_MAX, has_any, is_gone, is_ignored, is_read, reduced_leg};
use super::trouble::{PROBE_EVERY, SAME_MAX, Trouble, alarm, pause};
use super::{Needs, Stops};
use crate::book::Book;
use crate::event::{Outcome, RejectionKind, Report};
use crate::model::{Intent, IntentKey, Leg, Order, Qty, Span, Store, Timestamp};
use std::collections::BTreeMap;

/// After a landing, how long the stream may take to show the effect before it is read instead.
const SETTLE: Span = Span::from_ms(300);
/// After this a landed flight no longer holds its leg, nor a refusal: reads keep failing, and what is known must do.
const LANDED_MAX: Span = Span::from_secs(10);
/// The executor answers within its own deadline of 3 s; after this an answer was lost and the venue is asked.
const ANSWER_MAX: Span = Span::from_secs(10);
/// A doubt that the executor could not settle in this time is settled by the position.
const DOUBT_MAX: Span = Span::from_secs(30);
/// Between tries of what only a person or the venue's own decision can mend: the key, a contract that is halted.
const SLOW: Span = Span::from_secs(30);
/// Orders of the guard take at once or expire, or wait for a taker; none rests for longer than this (OR-32).
pub(super) const REST_MAX: Span = Span::from_secs(5);

/// A request in the air.
#[derive(Clone, Debug, PartialEq)]
pub struct Flight {
    /// What was asked.
    pub intent: Intent,
    /// When.
    pub sent: Timestamp,
    /// How far it is.
    pub phase: Phase,
    /// For a reduction: what the leg held when it was decided.
    pub before: Qty,
    /// For a reduction: the venue's time of the position as it was then; `None` when nothing was known of it.
    pub found: Option<Timestamp>,
    /// Filled so far, as far as known.
    pub executed: Qty,
    /// The venue's time of the newest report on it; zero before the first.
    pub reported: Timestamp,
}

/// How far a flight is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Sent, no answer yet.
    Sent,
    /// The answer left it open; the executor is asking.
    Doubtful,
    /// The venue took it and it is over there; its effect is awaited since then.
    Landed(Timestamp),
    /// Dry run: not sent; stands for as long as nothing changes.
    Suppressed,
}

/// All flights of an account.
#[derive(Clone, Debug, Default)]
pub struct Flights {
    open: BTreeMap<IntentKey, Flight>,
    legs: BTreeMap<Leg, Trouble>,
    cancels: BTreeMap<IntentKey, Trouble>,
    last_action: Timestamp,
    powerless: bool,
    stops: Stops,
    alarms: Vec<String>,
}

impl Flights {
    /// Something was decided on the ground of this book and goes out.
    pub fn launch(&mut self, book: &Book, intent: Intent) {
        self.last_action = book.now();
        let leg = match &intent {
            Intent::Reduce(order) => Some(order.leg()),
            Intent::PlaceStop(stop) => Some(stop.leg()),
            _ => None,
        };
        let held = leg.and_then(|leg| book.position(leg));
        let flight = Flight {
            intent: intent.clone(),
            sent: book.now(),
            phase: Phase::Sent,
            before: held.map_or(Qty::ZERO, |held| held.amount),
            found: held.map(|held| held.at),
            executed: Qty::ZERO,
            reported: Timestamp::default(),
        };
        self.open.insert(intent.key(), flight);
    }

    /// A reduction that was in the air when the guard stopped: its outcome is to be found out.
    pub fn restore(&mut self, now: Timestamp, intent: Intent, before: Qty) {
        let flight = Flight {
            intent: intent.clone(),
            sent: now,
            phase: Phase::Doubtful,
            before,
            found: None,
            executed: Qty::ZERO,
            reported: Timestamp::default(),
        };
        self.open.insert(intent.key(), flight);
    }

    /// What is known of a request. Gives what should be read because of it.
    pub fn outcome(&mut self, now: Timestamp, book: &mut Book, key: &IntentKey, outcome: &Outcome) -> Needs {
        let Some(flight) = self.open.get_mut(key) else {
            return Needs::default();
        };
        self.last_action = now;
        if let Some(is_refused) = is_key_refused(outcome) {
            self.powerless = is_refused;
        }
        let leg = reduced_leg(&flight.intent).cloned();
        match outcome {
            Outcome::Accepted(report) => {
                match (report, &flight.intent) {
                    (Some(report), Intent::Reduce(order)) => {
                        self.stops.echo(order.leg(), order.side(), report.reduce_only);
                        return self.progress(now, key, report);
                    }
                    _ => flight.phase = Phase::Landed(now),
                }
                Needs::default()
            }
            Outcome::Done => {
                if let IntentKey::Cancel(id) = key {
                    book.forget_order(id);
                }
                self.open.remove(key);
                self.cancels.remove(key);
                Needs {
                    holdings: leg.is_some(),
                    orders: leg.is_none(),
                    ..Needs::default()
                }
            }
            Outcome::Suppressed => {
                flight.phase = Phase::Suppressed;
                Needs::default()
            }
            Outcome::Unknown(_) => {
                flight.phase = Phase::Doubtful;
                Needs {
                    holdings: true,
                    orders: matches!(flight.intent, Intent::PlaceStop(_)),
                    ..Needs::default()
                }
            }
            Outcome::Rejected(rejection) => {
                self.open.remove(key);
                let trouble = match &leg {
                    Some(leg) => self.legs.entry(leg.clone()).or_default(),
                    None => self.cancels.entry(key.clone()).or_default(),
                };
                trouble.failures = trouble.failures.saturating_add(1);
                trouble.last = format!("{} {}", rejection.code, rejection.message);
                trouble.same = match trouble.same {
                    (code, count) if code == rejection.code => (code, count.saturating_add(1)),
                    _ => (rejection.code, 1),
                };
                self.alarms
                    .extend(alarm(key, leg.as_ref(), rejection.kind, trouble));
                let pause = match rejection.kind {
                    RejectionKind::Structural if trouble.same.1 >= SAME_MAX => PROBE_EVERY,
                    RejectionKind::Retry(span) => span.max(pause(trouble.failures)),
                    RejectionKind::Powerless | RejectionKind::Stuck => SLOW,
                    _ => pause(trouble.failures),
                };
                trouble.not_before = now.after(pause);
                trouble.refused = Some((now, rejection.kind));
                trouble.of_key = is_key_refused(outcome).unwrap_or(trouble.of_key);
                match rejection.kind {
                    RejectionKind::Conflict => trouble.conflict = true,
                    RejectionKind::Band => self.alarms.extend(trouble.deserted(now, now, leg.as_ref())),
                    _ => {}
                }
                Needs {
                    holdings: true,
                    orders: rejection.kind == RejectionKind::Conflict || leg.is_none(),
                    settings: rejection.kind == RejectionKind::Mode,
                    rules: rejection.kind == RejectionKind::Size,
                    ..Needs::default()
                }
            }
        }
    }

    /// The stream tells of an order; if it is one of ours, how far it got.
    pub fn order(&mut self, now: Timestamp, order: &Order) {
        if order.id.store != Store::Regular {
            return;
        }
        let Some(client_id) = order.client_id.as_ref().filter(|id| id.is_ours()) else {
            return;
        };
        let report = Report::from(order);
        // What comes of a stop of ours closes by its stop's nature, whatever the venue shows of flags.
        if client_id.is_our_stop() {
            return;
        }
        self.stops.echo(&order.leg(), order.side, report.reduce_only);
        self.progress(now, &IntentKey::Reduce(client_id.clone()), &report);
    }

    fn progress(&mut self, now: Timestamp, key: &IntentKey, report: &Report) -> Needs {
        let Some(flight) = self.open.get_mut(key) else {
            return Needs::default();
        };
        flight.executed = flight.executed.max(report.executed);
        flight.reported = flight.reported.max(report.at);
        if !report.terminal {
            return Needs::default();
        }
        if matches!(flight.phase, Phase::Landed(_)) {
            return Needs::default();
        }
        flight.phase = Phase::Landed(now);
        self.last_action = now;
        let filled = flight.executed.is_positive();
        if let Some(leg) = reduced_leg(&flight.intent).cloned() {
            if filled {
                self.legs.remove(&leg);
            } else {
                // Over without a fill: nobody was there inside the band.
                let sent = flight.sent;
                self.open.remove(key);
                let trouble = self.legs.entry(leg.clone()).or_default();
                trouble.failures = trouble.failures.saturating_add(1);
                trouble.last = "ended without a fill".into();
                self.alarms.extend(trouble.deserted(now, sent, Some(&leg)));
            }
        }
        Needs::default()
    }

    /// Ends the flights whose effect is seen, and asks for a reading where it is not.
    pub fn settle(&mut self, book: &Book) -> Needs {
        let now = book.now();
        let mut needs = Needs::default();
        if book.holdings_read().is_none() {
            // Nothing is known of any position yet, and that is not the same as nothing being held.
            return needs;
        }
        let mut ended = Vec::new();
        let mut ignored = Vec::new();
        for (key, flight) in &mut self.open {
            if let Intent::Reduce(order) = &flight.intent {
                let held = book.amount(order.leg());
                self.stops.filled(
                    now,
                    order,
                    (flight.executed, flight.reported),
                    flight.before,
                    held,
                );
            }
            let over = match (flight.phase, reduced_leg(&flight.intent)) {
                (Phase::Landed(at), Some(leg)) => {
                    let moved = flight.before.abs() - book.amount(leg).abs() >= flight.executed;
                    let read = is_read(book, flight, leg, at);
                    let waited = now.since(at) >= SETTLE;
                    // Later on the digests look anyway.
                    needs.holdings |= !moved && !read && waited && now.since(at) < LANDED_MAX;
                    moved || (read && waited)
                }
                (Phase::Landed(at), None) => {
                    let gone = is_gone(book, &flight.intent);
                    let waited = now.since(at) >= SETTLE;
                    needs.orders |= !gone && waited;
                    let store = match &flight.intent {
                        Intent::CancelAllConditional(_) | Intent::PlaceStop(_) => Store::Conditional,
                        Intent::Cancel(id) => id.store,
                        _ => Store::Regular,
                    };
                    let read = book.orders().read_at(store).is_some_and(|read| read > at);
                    if !gone && read && waited && is_ignored(book, store, flight) {
                        ignored.push(key.clone());
                    }
                    gone || (read && waited) || now.since(at) >= LANDED_MAX
                }
                // A cancel is over when its orders are gone, whatever its answer will be.
                (Phase::Sent | Phase::Doubtful, None) if is_gone(book, &flight.intent) => true,
                (Phase::Sent, _) => {
                    if now.since(flight.sent) >= ANSWER_MAX {
                        flight.phase = Phase::Doubtful;
                    }
                    false
                }
                // Whether a stop was taken is told by the store that lists it, a while after it was sent.
                (Phase::Doubtful, None) if matches!(flight.intent, Intent::PlaceStop(_)) => {
                    needs.orders |= now.since(flight.sent) >= LAG_MAX;
                    let read = book.orders().read_at(Store::Conditional);
                    let is_absent = read.is_some_and(|read| read >= flight.sent.after(LAG_MAX));
                    if is_absent {
                        ignored.push(key.clone());
                    }
                    is_absent
                }
                (Phase::Doubtful, leg) => {
                    let moved = leg.is_some_and(|leg| {
                        let Intent::Reduce(order) = &flight.intent else {
                            return false;
                        };
                        flight.before.abs() - book.amount(leg).abs() >= order.qty()
                    });
                    let waited = now.since(flight.sent) >= DOUBT_MAX;
                    needs.holdings |= waited;
                    let read = book
                        .holdings_read()
                        .is_some_and(|read| read > flight.sent.after(DOUBT_MAX));
                    moved || (waited && read)
                }
                (Phase::Suppressed, Some(leg)) => book.amount(leg) != flight.before,
                (Phase::Suppressed, None) => match &flight.intent {
                    Intent::PlaceStop(stop) => book.amount(stop.leg()) != flight.before,
                    cancel => is_gone(book, cancel),
                },
            };
            if over {
                ended.push(key.clone());
            }
        }
        self.stops.look(now, |leg| {
            let since = book
                .position(leg)
                .map_or(Timestamp::default(), |position| position.at);
            (book.amount(leg), since)
        });
        // What held a position that is gone holds no other: what is opened next is tried at once (OR-17, D14).
        self.legs.retain(|leg, _| !book.amount(leg).is_zero());
        for key in ended {
            self.open.remove(&key);
            if !ignored.contains(&key) {
                self.cancels.remove(&key);
            }
            self.last_action = now;
        }
        // The venue said "cancelled", and a reading after it still lists what was there before.
        for key in ignored {
            let trouble = self.cancels.entry(key).or_default();
            trouble.failures = trouble.failures.saturating_add(1);
            trouble.not_before = now.after(pause(trouble.failures));
            trouble.ignored = true;
        }
        self.cancels.retain(|key, _| has_any(book, key));
        needs
    }

    /// Drops what a dry run did not send once nothing demands it any more.
    pub fn stand_down(&mut self) {
        self.open.retain(|_, flight| flight.phase != Phase::Suppressed);
        self.legs.clear();
        self.cancels.clear();
        self.powerless = false;
    }

    /// Legs whose orders were refused because others hold the position.
    pub fn conflicted(&self) -> impl Iterator<Item = &Leg> {
        self.legs
            .iter()
            .filter(|(_, trouble)| trouble.conflict)
            .map(|(leg, _)| leg)
    }

    /// Whether a reduction of this leg is in the air.
    pub fn is_busy(&self, now: Timestamp, leg: &Leg) -> bool {
        self.reductions()
            .any(|(_, flight)| reduced_leg(&flight.intent) == Some(leg) && !is_unseen(now, flight))
    }

    /// What filled so long ago that no reading showed it for want of readings: it is gone all the same (MO-13).
    pub fn unseen(&self, now: Timestamp, leg: &Leg) -> Qty {
        self.reductions()
            .filter(|(_, flight)| reduced_leg(&flight.intent) == Some(leg) && is_unseen(now, flight))
            .map(|(_, flight)| flight.executed)
            .sum()
    }

    /// What is in the air for a leg, not yet filled as far as the position shows.
    pub fn pending(&self, leg: &Leg) -> Qty {
        self.reductions()
            .filter_map(|(_, flight)| match &flight.intent {
                Intent::Reduce(order) if order.leg() == leg => Some(order.qty()),
                _ => None,
            })
            .sum()
    }

    /// Whether this very request is in the air.
    pub fn has(&self, key: &IntentKey) -> bool {
        self.open.contains_key(key)
    }

    /// Whether a request waits out a pause.
    pub fn is_paused(&self, now: Timestamp, key: &IntentKey) -> bool {
        self.cancels
            .get(key)
            .is_some_and(|trouble| trouble.not_before > now)
    }

    /// Whether the venue said that it cancelled all orders of a symbol, and did not.
    pub fn is_ignored(&self, key: &IntentKey) -> bool {
        self.cancels.get(key).is_some_and(|trouble| trouble.ignored)
    }

    /// Whether an order of ours rests for longer than it may, or something was demanded after it went out.
    pub fn is_overdue(&self, now: Timestamp, order: &Order, demanded: Option<Timestamp>) -> bool {
        let flight = order
            .client_id
            .clone()
            .and_then(|id| self.open.get(&IntentKey::Reduce(id)));
        let sent = flight.map_or(order.at, |flight| flight.sent);
        now.since(sent) >= REST_MAX || demanded > Some(sent)
    }

    /// What people must be told, once.
    pub fn take_alarms(&mut self) -> Vec<String> {
        let mut alarms = self.stops.take_alarms();
        alarms.append(&mut self.alarms);
        alarms
    }

    /// Troubles of a leg.
    pub fn trouble(&self, leg: &Leg) -> Option<&Trouble> {
        self.legs.get(leg)
    }

    /// Whether the next order of a leg waits for a reading of what its last refusal put in doubt.
    pub fn wants_look(&self, book: &Book, leg: &Leg) -> bool {
        let Some((at, kind)) = self.legs.get(leg).and_then(|trouble| trouble.refused) else {
            return false;
        };
        let read = match kind {
            RejectionKind::Conflict => book.holdings_read(),
            RejectionKind::Mode => book.settings_read(),
            RejectionKind::Size => book.rules_read(),
            _ => return false,
        };
        let is_read = read.is_some_and(|read| read > at);
        !is_read && book.now().since(at) < LANDED_MAX
    }

    /// The orders that held a leg are gone: the next try needs no cancel first.
    pub fn conflict_solved(&mut self, leg: &Leg) {
        if let Some(trouble) = self.legs.get_mut(leg) {
            trouble.conflict = false;
        }
    }

    /// Legs on which the venue did not keep to reduce-only.
    pub fn stops(&self) -> &Stops {
        &self.stops
    }

    /// The same, to change them.
    pub fn stops_mut(&mut self) -> &mut Stops {
        &mut self.stops
    }

    /// What our own order opened on a leg is closed again.
    pub fn countered(&mut self, leg: &Leg) {
        self.stops.countered(leg);
    }

    /// An operator has seen it: stopped legs are released, and nothing waits any longer for an earlier refusal.
    pub fn rearmed(&mut self) {
        self.stops.release();
        self.legs.clear();
        self.cancels.clear();
    }

    /// Every flight.
    pub fn iter(&self) -> impl Iterator<Item = (&IntentKey, &Flight)> {
        self.open.iter()
    }

    /// Reductions in the air.
    pub fn reductions(&self) -> impl Iterator<Item = (&IntentKey, &Flight)> {
        self.open
            .iter()
            .filter(|(key, _)| matches!(key, IntentKey::Reduce(_)))
    }

    /// Whether nothing is in the air.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// When something last went out or came to an end.
    pub fn last_action(&self) -> Timestamp {
        self.last_action
    }

    /// Whether the venue refuses the key for something that is still wanted.
    pub fn is_powerless(&self) -> bool {
        let mut troubles = self.legs.values().chain(self.cancels.values());
        self.powerless && troubles.any(|trouble| trouble.of_key)
    }

    /// Nothing is demanded, so nothing is tried that could show whether a refused key works again: the next demand will
    /// tell. What was refused keeps its pause until then.
    pub fn rest(&mut self) {
        self.powerless = false;
    }

    /// The venue answers the key again after it refused it: what waits for that is tried at once.
    pub fn key_works(&mut self) {
        self.powerless = false;
        self.legs.retain(|_, trouble| !trouble.of_key);
        self.cancels.retain(|_, trouble| !trouble.of_key);
    }

    /// When something here changes by time alone.
    pub fn deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let flights = self.open.values().filter_map(|flight| match flight.phase {
            Phase::Sent if now < flight.sent.after(REST_MAX) => Some(flight.sent.after(REST_MAX)),
            Phase::Sent => Some(flight.sent.after(ANSWER_MAX)),
            Phase::Doubtful => Some(next_of(now, flight.sent.after(DOUBT_MAX))),
            Phase::Landed(at) if now.since(at) >= LANDED_MAX => None,
            Phase::Landed(at) => Some(next_of(now, at.after(SETTLE))),
            Phase::Suppressed => None,
        });
        let looks = self.legs.values().filter_map(|trouble| trouble.refused);
        let looks = looks.map(|(at, _)| at.after(LANDED_MAX));
        let pauses = self
            .legs
            .values()
            .chain(self.cancels.values())
            .map(|trouble| trouble.not_before);
        flights.chain(pauses).chain(looks).filter(|at| *at > now).min()
    }
}

/// The first moment to look, and then every [`SETTLE`] until it is over.
fn next_of(now: Timestamp, first: Timestamp) -> Timestamp {
    if first > now { first } else { now.after(SETTLE) }
}

/// Whether an outcome shows that the key is refused, or that it is not; `None` when it shows neither, like an answer
/// that never came, or one that nothing is served now.
fn is_key_refused(outcome: &Outcome) -> Option<bool> {
    match outcome {
        Outcome::Rejected(rejection) => match rejection.kind {
            RejectionKind::Powerless => Some(true),
            RejectionKind::Retry(_) => None,
            _ => Some(false),
        },
        Outcome::Accepted(_) | Outcome::Done => Some(false),
        Outcome::Unknown(_) | Outcome::Suppressed => None,
    }
}

/// Whether a flight is over at the venue, and nothing that could show its effect arrived for long.
fn is_unseen(now: Timestamp, flight: &Flight) -> bool {
    matches!(flight.phase, Phase::Landed(at) if now.since(at) >= LANDED_MAX)
}
