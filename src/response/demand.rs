//! Who demands what: rungs in force and the operator's kill switch, each over a scope.

use super::Stops;
use crate::book::Book;
use crate::event::KillAction;
use crate::model::{Leg, Qty, Ratio, Symbol, Timestamp};
use crate::policy::envelope::{Policy, RungState};
use crate::policy::{Action, Cut, Mode, Scope};

/// The operator's kill switch, latched until re-arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    /// How hard.
    pub action: KillAction,
    /// One symbol, or everything.
    pub symbol: Option<Symbol>,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Whether it is done and verified.
    pub fulfilled: bool,
}

/// Where a demand comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// A rung of a policy.
    Rung {
        /// Index of the policy.
        policy: usize,
        /// Scope of the track.
        scope: Scope,
        /// Index of the rung.
        rung: usize,
    },
    /// The kill switch.
    Kill(usize),
    /// A position that an order of the guard opened because the venue ignored its reduce-only flag.
    Counter(Leg),
}

/// Something that is demanded until it is released.
#[derive(Clone, Debug)]
pub struct Demand {
    /// Where it comes from.
    pub driver: Driver,
    /// What.
    pub action: Action,
    /// Over what.
    pub scope: Scope,
    /// Since when.
    pub since: Timestamp,
    /// Names the episode: with the account, leg and number it makes client order ids.
    pub episode: String,
    /// Whether it was done and verified.
    pub fulfilled: bool,
    /// For a cut by fraction: what is left of each leg.
    pub aims: Vec<(Leg, Qty)>,
    /// Whether it may close positions on stale holdings.
    pub may_act_blind: bool,
    symbol: Option<Symbol>,
}

impl Demand {
    /// Whether it is about this leg.
    pub fn covers(&self, book: &Book, policies: &[Policy], leg: &Leg) -> bool {
        let filter = match &self.driver {
            Driver::Rung { policy, .. } => policies
                .get(*policy)
                .is_some_and(|policy| policy.spec.acts_on(&leg.symbol)),
            Driver::Kill(_) => self.symbol.as_ref().is_none_or(|symbol| *symbol == leg.symbol),
            Driver::Counter(own) => own == leg,
        };
        filter && self.scope.covers(book, leg)
    }

    /// Whether it is about anything of this symbol.
    pub fn covers_symbol(&self, policies: &[Policy], symbol: &Symbol) -> bool {
        match (&self.driver, &self.scope) {
            (Driver::Kill(_), _) => self.symbol.as_ref().is_none_or(|own| own == symbol),
            (_, Scope::Leg(leg)) => leg.symbol == *symbol,
            (Driver::Rung { policy, .. }, _) => policies
                .get(*policy)
                .is_some_and(|policy| policy.spec.acts_on(symbol)),
            (Driver::Counter(leg), _) => leg.symbol == *symbol,
        }
    }
}

/// Everything in force that is more than an alert, in the order of policies, then kills, then counters.
pub fn demands(policies: &[Policy], kills: &[Kill], stops: &Stops) -> Vec<Demand> {
    let mut found = Vec::new();
    for (index, policy) in policies.iter().enumerate() {
        for (scope, track) in &policy.tracks {
            for (number, (state, rung)) in track.rungs.iter().zip(&policy.spec.ladder).enumerate() {
                let RungState::Tripped(trip) = state else { continue };
                if policy.mode(rung) != Mode::Enforce || rung.action == Action::Alert {
                    continue;
                }
                found.push(Demand {
                    driver: Driver::Rung {
                        policy: index,
                        scope: scope.clone(),
                        rung: number,
                    },
                    action: rung.action,
                    scope: scope.clone(),
                    since: trip.since,
                    episode: format!("{}/{scope}/{number}/{}", policy.spec.id, trip.since.ms()),
                    fulfilled: trip.fulfilled,
                    aims: trip.aims.clone(),
                    // Its owner asked for just this: acting when nothing can be seen.
                    may_act_blind: matches!(policy.spec.kind, crate::policy::Kind::Blind(_)),
                    symbol: None,
                });
            }
        }
    }
    for (index, kill) in kills.iter().enumerate() {
        let action = match kill.action {
            KillAction::Block => Action::Block,
            KillAction::Flatten => Action::Flatten,
        };
        let name = kill.symbol.as_ref().map_or("*", Symbol::as_str);
        found.push(Demand {
            driver: Driver::Kill(index),
            action,
            scope: Scope::Account,
            since: kill.since,
            episode: format!("kill/{name}/{}/{}", action.name(), kill.since.ms()),
            fulfilled: kill.fulfilled,
            aims: Vec::new(),
            may_act_blind: true,
            symbol: kill.symbol.clone(),
        });
    }
    for (leg, since) in stops.overshot() {
        found.push(Demand {
            driver: Driver::Counter(leg.clone()),
            action: Action::Reduce(Cut::Fraction(Ratio::ONE)),
            scope: Scope::Leg(leg.clone()),
            since,
            episode: format!("counter/{leg}/{}", since.ms()),
            fulfilled: false,
            aims: vec![(leg.clone(), Qty::ZERO)],
            may_act_blind: true,
            symbol: None,
        });
    }
    found
}
