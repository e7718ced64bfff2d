//! The envelope of every policy: holding times, hysteresis, latches, ladders and modes.
//!
//! A rung trips when its threshold is met for its holding time; it stays tripped until it is safe again and its latch
//! lets go. "Unknown" neither trips nor clears: a pending rung starts over, a tripped one stays.

pub use super::standing::{PolicyState, Transition};
use super::{
    Action, Amount, Assessment, Clear, Cut, Kind, Latch, Measured, Memory, Mode, PolicySpec, Rung, Scope,
    View,
};
use crate::book::Book;
use crate::model::{Leg, Money, OrderId, Qty, Ratio, Span, Timestamp};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Scopes that one policy may follow: positions of an account, with room.
const TRACKS_MAX: usize = 4_096;

/// A policy at work.
#[derive(Clone, Debug)]
pub struct Policy {
    /// As written.
    pub spec: PolicySpec,
    /// What it remembers.
    pub memory: Memory,
    /// Where each scope stands.
    pub tracks: BTreeMap<Scope, Track>,
    scratch: Vec<Assessment>,
}

/// Where one scope stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// One state for each rung.
    pub rungs: Vec<RungState>,
    /// The newest measurement.
    pub measured: Measured,
}

/// Where a rung stands.
#[derive(Clone, Debug, PartialEq)]
pub enum RungState {
    /// Within.
    Clear,
    /// Breached since, and its holding time is not over.
    Pending(Timestamp),
    /// In force.
    Tripped(Trip),
}

/// A rung in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Trip {
    /// Since when; with policy and scope this names the episode.
    pub since: Timestamp,
    /// For event-like policies: the newest event that it answers.
    pub event: Option<Timestamp>,
    /// Whether the threshold is still met.
    pub breached: bool,
    /// Whether what the rung does is done and verified.
    pub fulfilled: bool,
    /// For a cut by fraction: what each leg is to be cut to.
    pub aims: Vec<(Leg, Qty)>,
}

impl Policy {
    /// A policy that has seen nothing yet.
    pub fn new(spec: PolicySpec) -> Policy {
        Policy {
            spec,
            memory: Memory::default(),
            tracks: BTreeMap::new(),
            scratch: Vec::new(),
        }
    }

    fn view<'a>(&'a self, book: &'a Book) -> View<'a> {
        View {
            book,
            memory: &self.memory,
            spec: &self.spec,
        }
    }

    /// Looks at the book after a step and moves the rungs.
    pub fn step(&mut self, book: &Book, out: &mut Vec<Transition>) {
        if self.spec.mode == Mode::Off {
            return;
        }
        self.spec.kind.observe(&mut self.memory, &self.spec, book);
        let mut assessments = std::mem::take(&mut self.scratch);
        assessments.clear();
        self.spec.kind.assess(self.view(book), &mut assessments);
        let blanket = assessments
            .iter()
            .find_map(|found| match (&found.scope, &found.measured) {
                (Scope::Account, Measured::Unknown(why)) => Some(why.clone()),
                _ => None,
            });
        for assessment in &assessments {
            self.follow(book, &assessment.scope, &assessment.measured, out);
        }
        // A scope that is no longer assessed is empty, which is safe, unless nothing could be assessed at all.
        let gone: Vec<Scope> = self
            .tracks
            .keys()
            .filter(|scope| !assessments.iter().any(|found| found.scope == **scope))
            .cloned()
            .collect();
        for scope in gone {
            let measured = blanket.clone().map_or(Measured::Quiet, Measured::Unknown);
            self.follow(book, &scope, &measured, out);
        }
        self.tracks.retain(|_, track| track.is_worth_keeping());
        self.scratch = assessments;
    }

    fn follow(&mut self, book: &Book, scope: &Scope, measured: &Measured, out: &mut Vec<Transition>) {
        let count = self.spec.ladder.len();
        if !self.tracks.contains_key(scope) && self.tracks.len() >= TRACKS_MAX {
            return;
        }
        let mut track = self.tracks.remove(scope).unwrap_or_else(|| Track::new(count));
        let was_unknown = matches!(track.measured, Measured::Unknown(_));
        track.measured = measured.clone();
        if let Measured::Unknown(why) = measured {
            for rung in &mut track.rungs {
                if matches!(rung, RungState::Pending(_)) {
                    *rung = RungState::Clear;
                }
            }
            if !was_unknown && book.is_ready() {
                let state = PolicyState::Unknown(why.clone());
                out.push(Transition {
                    scope: scope.clone(),
                    rung: None,
                    state,
                    value: None,
                });
            }
        } else {
            if was_unknown && track.rungs.iter().any(|rung| *rung != RungState::Clear) {
                let state = track.state(&self.spec);
                out.push(Transition {
                    scope: scope.clone(),
                    rung: None,
                    state,
                    value: measured.value(),
                });
            }
            for index in 0..count {
                self.move_rung(book, scope, index, &mut track, out);
            }
        }
        self.tracks.insert(scope.clone(), track);
    }

    fn move_rung(
        &self,
        book: &Book,
        scope: &Scope,
        index: usize,
        track: &mut Track,
        out: &mut Vec<Transition>,
    ) {
        let (Some(rung), Some(state)) = (self.spec.ladder.get(index), track.rungs.get_mut(index)) else {
            return;
        };
        if self.mode(rung) == Mode::Off {
            return;
        }
        let now = book.now();
        let breached = self.is_breached(rung, &track.measured);
        let transition = |state: PolicyState| Transition {
            scope: scope.clone(),
            rung: Some(index),
            state,
            value: track.measured.value(),
        };
        match state {
            RungState::Clear | RungState::Pending(_) if breached => {
                let since = match state {
                    RungState::Pending(since) => *since,
                    _ => now,
                };
                if now.since(since) >= self.hold(rung) {
                    let aims = self.aims(book, scope, rung);
                    *state = RungState::Tripped(Trip {
                        since: now,
                        event: track.measured.event(),
                        breached,
                        fulfilled: false,
                        aims,
                    });
                    out.push(transition(self.tripped_word(rung)));
                } else {
                    *state = RungState::Pending(since);
                }
            }
            RungState::Clear => {}
            RungState::Pending(_) => *state = RungState::Clear,
            RungState::Tripped(trip) => {
                trip.breached = breached;
                // A target is sought again when the threshold or another event calls for it; a share is cut once.
                let called_again = track.measured.event() > trip.event;
                let seeks = match rung.action {
                    Action::Reduce(Cut::To(to)) => !self.spec.kind.has_reached(self.view(book), scope, to),
                    _ => false,
                };
                let beyond = breached && seeks && track.measured.event().is_none();
                if matches!(rung.action, Action::Reduce(Cut::To(_))) && (called_again || beyond) {
                    trip.fulfilled = false;
                    trip.event = track.measured.event();
                }
                let safe = self.is_safe(rung, &track.measured) && self.is_done(book, scope, rung, trip);
                let released = match self.latch(rung) {
                    Latch::UntilClear => true,
                    Latch::For(span) => now >= trip.since.after(span),
                    Latch::UntilReset => self.memory.since.is_some_and(|began| began > trip.since),
                    Latch::Manual => false,
                };
                if safe && released {
                    *state = RungState::Clear;
                    out.push(transition(PolicyState::Ok));
                }
            }
        }
    }

    fn tripped_word(&self, rung: &Rung) -> PolicyState {
        if self.latch(rung) == Latch::Manual {
            PolicyState::Latched
        } else {
            PolicyState::Tripped
        }
    }

    /// What a cut by fraction leaves of each leg.
    fn aims(&self, book: &Book, scope: &Scope, rung: &Rung) -> Vec<(Leg, Qty)> {
        let Action::Reduce(Cut::Fraction(fraction)) = rung.action else {
            return Vec::new();
        };
        let covered = book.positions().filter(|(leg, _)| {
            let is_meant = self.spec.acts_on(&leg.symbol) && self.spec.wishes.may_cut(&leg.symbol);
            is_meant && scope.covers(book, leg)
        });
        covered
            .map(|(leg, position)| {
                (
                    leg.clone(),
                    position.amount.abs() - position.amount.abs().share(fraction),
                )
            })
            .collect()
    }

    fn is_breached(&self, rung: &Rung, measured: &Measured) -> bool {
        match (measured, rung.at) {
            (Measured::Beyond | Measured::Fired(_), _) => true,
            (Measured::Value(value), Some(at)) => {
                let (value, at) = (self.counted(*value, at).number(), at.number());
                if self.spec.kind.is_falling() {
                    value <= at
                } else {
                    value >= at
                }
            }
            _ => false,
        }
    }

    /// How much graver one number is than another: negative when it is safer.
    fn graver_by(&self, value: Decimal, other: Decimal) -> Option<Decimal> {
        if self.spec.kind.is_falling() {
            other.checked_sub(value)
        } else {
            value.checked_sub(other)
        }
    }

    /// Whether the measurement is on the safe side by the hysteresis.
    fn is_safe(&self, rung: &Rung, measured: &Measured) -> bool {
        match (measured, rung.at) {
            (Measured::Quiet, _) => true,
            (Measured::Value(value), Some(at)) => {
                let margin = match self.spec.clear {
                    Clear::By(by) => by.number(),
                    Clear::Share(share) => at.number().checked_mul(share.decimal()).unwrap_or(Decimal::ZERO),
                };
                // Unknown how far: not safe.
                let by = self.graver_by(self.counted(*value, at).number(), at.number());
                by.is_some_and(|by| by <= -margin)
            }
            _ => false,
        }
    }

    /// Whether the rung's action has come to its end, so that the rung may clear.
    fn is_done(&self, book: &Book, scope: &Scope, rung: &Rung, trip: &Trip) -> bool {
        match rung.action {
            Action::Alert | Action::Cancel | Action::Block => true,
            // In force for as long as the stop stands, so that it is withdrawn when its position is gone.
            Action::PlaceStop(_) => match scope {
                Scope::Leg(leg) => book.orders().our_stops(leg).next().is_none(),
                _ => true,
            },
            Action::Reduce(Cut::To(to)) => {
                trip.fulfilled || self.spec.kind.has_reached(self.view(book), scope, to)
            }
            Action::Reduce(Cut::Fraction(_)) | Action::Flatten => {
                trip.fulfilled || self.mode(rung) != Mode::Enforce
            }
        }
    }

    fn counted(&self, value: Amount, at: Amount) -> Amount {
        match (&self.spec.kind, value, at) {
            (Kind::Drawdown(policy), Amount::Money(fall), Amount::Money(limit)) => {
                Amount::Money(policy.against(&self.memory, fall, limit))
            }
            _ => value,
        }
    }

    /// The mode of a rung: its own, else the policy's; never more than the policy's.
    pub fn mode(&self, rung: &Rung) -> Mode {
        rung.mode.map_or(self.spec.mode, |mode| mode.min(self.spec.mode))
    }

    /// The latch of a rung: its own, else the policy's.
    pub fn latch(&self, rung: &Rung) -> Latch {
        rung.latch.unwrap_or(self.spec.latch)
    }

    /// How long a rung's threshold must be met: its own time, else the policy's.
    pub fn hold(&self, rung: &Rung) -> Span {
        rung.hold.unwrap_or(self.spec.hold)
    }

    /// This policy enforcing one rung over one scope and nothing else, for a look at what the rung does. A rung that is
    /// in force keeps its trip, with what it has done already. `None` when there is no such rung.
    pub fn with_only(&self, book: &Book, scope: &Scope, index: usize) -> Option<Policy> {
        let mut policy = Policy::new(self.spec.clone());
        policy.memory = self.memory.clone();
        policy.spec.mode = Mode::Enforce;
        let rung = policy.spec.ladder.get_mut(index)?;
        rung.mode = None;
        let known = self.tracks.get(scope);
        let trip = match known.and_then(|track| track.rungs.get(index)) {
            Some(RungState::Tripped(trip)) => trip.clone(),
            _ => {
                // As if its time had come for every order that it is about.
                if rung.action == Action::Cancel {
                    rung.at = None;
                }
                Trip {
                    since: book.now(),
                    event: None,
                    breached: true,
                    fulfilled: false,
                    aims: self.aims(book, scope, self.spec.ladder.get(index)?),
                }
            }
        };
        let mut track = Track::new(self.spec.ladder.len());
        *track.rungs.get_mut(index)? = RungState::Tripped(trip);
        policy.tracks.insert(scope.clone(), track);
        Some(policy)
    }

    /// How far a measurement is from a rung's threshold, in its unit: negative once it is past it. `None` without a
    /// number, without a threshold, for times, which pass by themselves, and for counts.
    pub fn headroom(&self, rung: &Rung, measured: &Measured) -> Option<Amount> {
        let (at, value) = (rung.at?, measured.value()?);
        let rest = -self.graver_by(self.counted(value, at).number(), at.number())?;
        match at {
            Amount::Ratio(_) => Ratio::new(rest).ok().map(Amount::Ratio),
            Amount::Multiple(_) => Ratio::new(rest).ok().map(Amount::Multiple),
            Amount::Money(_) => Money::new(rest).ok().map(Amount::Money),
            Amount::Quantity(_) => Qty::new(rest).ok().map(Amount::Quantity),
            Amount::Time(_) | Amount::Count(_) => None,
        }
    }

    /// The arithmetic behind a scope's measurement.
    pub fn explain(&self, book: &Book, scope: &Scope) -> String {
        self.spec.kind.explain(self.view(book), scope)
    }

    /// Whether a reduction to `to` has reached it.
    pub fn has_reached(&self, book: &Book, scope: &Scope, to: Amount) -> bool {
        self.spec.kind.has_reached(self.view(book), scope, to)
    }

    /// The size of a leg that a reduction to `to` allows, for types that aim at a size.
    pub fn allowed(&self, book: &Book, leg: &Leg, to: Amount) -> Option<Qty> {
        match &self.spec.kind {
            Kind::MaxPosition(policy) => policy.allowed(self.view(book), leg, to),
            _ => None,
        }
    }

    /// The size that each of these legs may keep, for types whose aim is a sum over them. A leg comes with the size that
    /// it has left when what is in the air has filled.
    pub fn kept(&self, book: &Book, legs: &[(&Leg, Qty)], to: Amount) -> Vec<(Leg, Qty)> {
        match &self.spec.kind {
            Kind::MaxExposure(policy) => policy.kept(self.view(book), legs, to),
            _ => Vec::new(),
        }
    }

    /// The orders that a rung in force has cancelled.
    pub fn offenders(&self, book: &Book, scope: &Scope, rung: usize) -> Vec<OrderId> {
        let at = self.spec.ladder.get(rung).and_then(|rung| rung.at);
        self.spec.kind.offenders(self.view(book), scope, at)
    }

    /// A manual latch whose condition still stands, or cannot be judged.
    pub fn stands(&self) -> Option<(usize, &Scope)> {
        for (scope, track) in &self.tracks {
            for (index, (state, rung)) in track.rungs.iter().zip(&self.spec.ladder).enumerate() {
                let manual = self.latch(rung) == Latch::Manual;
                let unknown = matches!(track.measured, Measured::Unknown(_));
                let stands = unknown || self.is_breached(rung, &track.measured);
                if manual && matches!(state, RungState::Tripped(_)) && stands {
                    return Some((index, scope));
                }
            }
        }
        None
    }

    /// Releases every manual latch.
    pub fn release(&mut self) {
        for track in self.tracks.values_mut() {
            for (state, rung) in track.rungs.iter_mut().zip(&self.spec.ladder) {
                if rung.latch.unwrap_or(self.spec.latch) == Latch::Manual {
                    *state = RungState::Clear;
                }
            }
        }
    }

    /// Sets the baseline to the present equity.
    pub fn rebase(&mut self, book: &Book) {
        if let Kind::ForcedEvent(_) | Kind::LossStreak(_) = self.spec.kind {
            // A trip that is not over goes on.
            self.memory = Memory {
                rounds: std::mem::take(&mut self.memory.rounds),
                ..Memory::default()
            };
        } else if self.spec.kind.has_baseline()
            && let Ok(equity) = book.trusted_equity()
        {
            self.memory.mark = Some(equity);
            self.memory.flows = Money::ZERO;
            self.memory.peaks.clear();
            self.memory.best = None;
            self.memory.note = Some("rebased by the operator".into());
        }
    }

    /// When a rung may move by time alone.
    pub fn deadline(&self, book: &Book) -> Option<Timestamp> {
        if self.spec.mode == Mode::Off {
            return None;
        }
        let own = self.spec.kind.next_change(self.view(book));
        let rungs = self
            .tracks
            .values()
            .flat_map(|track| track.rungs.iter().zip(&self.spec.ladder));
        let waits = rungs.filter_map(|(state, rung)| match (state, self.latch(rung)) {
            (RungState::Pending(since), _) => Some(since.after(self.hold(rung))),
            (RungState::Tripped(trip), Latch::For(span)) => Some(trip.since.after(span)),
            _ => None,
        });
        waits.chain(own).filter(|at| *at > book.now()).min()
    }

    /// The worst state of all scopes, with the scope and rung it comes from.
    pub fn state(&self) -> (PolicyState, Option<(&Scope, Option<usize>)>) {
        if self.spec.mode == Mode::Off {
            return (PolicyState::Disabled, None);
        }
        let rank = |state: &PolicyState| match state {
            PolicyState::Disabled | PolicyState::Ok => 0,
            PolicyState::Pending => 1,
            PolicyState::Unknown(_) => 2,
            PolicyState::Tripped => 3,
            PolicyState::Latched => 4,
        };
        let mut worst = (PolicyState::Ok, None);
        for (scope, track) in &self.tracks {
            let state = track.state(&self.spec);
            if rank(&state) > rank(&worst.0) {
                worst = (state, Some((scope, track.highest())));
            }
        }
        worst
    }
}

impl Measured {
    /// The time of the event that fires.
    fn event(&self) -> Option<Timestamp> {
        match self {
            Measured::Fired(at) => Some(*at),
            _ => None,
        }
    }

    /// The number, where there is one.
    pub fn value(&self) -> Option<Amount> {
        match self {
            Measured::Value(value) => Some(*value),
            _ => None,
        }
    }
}

impl Track {
    fn new(count: usize) -> Track {
        Track {
            rungs: vec![RungState::Clear; count],
            measured: Measured::Quiet,
        }
    }

    /// The highest rung in force.
    pub fn highest(&self) -> Option<usize> {
        self.rungs
            .iter()
            .rposition(|rung| matches!(rung, RungState::Tripped(_)))
    }

    fn is_worth_keeping(&self) -> bool {
        self.measured != Measured::Quiet || self.rungs.iter().any(|rung| *rung != RungState::Clear)
    }

    fn state(&self, spec: &PolicySpec) -> PolicyState {
        if let Some(index) = self.highest() {
            let latch = spec
                .ladder
                .get(index)
                .and_then(|rung| rung.latch)
                .unwrap_or(spec.latch);
            let held = matches!(&self.rungs.get(index), Some(RungState::Tripped(trip)) if !trip.breached);
            return match latch {
                Latch::Manual => PolicyState::Latched,
                Latch::For(_) | Latch::UntilReset if held => PolicyState::Latched,
                _ => PolicyState::Tripped,
            };
        }
        match &self.measured {
            Measured::Unknown(why) => PolicyState::Unknown(why.clone()),
            _ if self
                .rungs
                .iter()
                .any(|rung| matches!(rung, RungState::Pending(_))) =>
            {
                PolicyState::Pending
            }
            _ => PolicyState::Ok,
        }
    }
}
