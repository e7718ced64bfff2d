//! What survives a restart, and how a guard takes it back.

use super::Guard;
use crate::book::{Missing, TransferMemory};
use crate::event::KillAction;
use crate::model::{Intent, Leg, Qty};
use crate::policy::envelope::{RungState, Track, Trip};
use crate::policy::{Action, Latch, Measured, Memory, Scope};
use crate::response::{Kill, Phase, Stop};
use std::collections::BTreeMap;

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
    /// Legs on which the venue did not keep to reduce-only.
    pub stops: Vec<(Leg, Stop)>,
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
    /// Whether it acted, and did not only record or warn.
    pub is_enforced: bool,
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
    pub(super) fn restore(&mut self, saved: Saved) {
        self.kills = saved.kills;
        self.book.restore_transfers(saved.transfers);
        for (episode, leg, count) in saved.counters {
            self.planner.restore(episode, leg, count);
        }
        self.restored = saved.flights;
        for (leg, stop) in saved.stops {
            self.flights.stops_mut().restore(leg, stop);
        }
        for (id, kept) in saved.policies {
            let policy = self.policies.iter_mut().find(|policy| policy.spec.id == id);
            let Some(policy) = policy else {
                self.kills
                    .extend(kept.trips.iter().filter_map(|trip| orphaned(&id, trip)));
                continue;
            };
            policy.memory = kept.memory;
            for kept in kept.trips {
                // An edit of the file is no re-arm: a latch that the rung no longer has stays as a kill.
                let holds = policy.spec.ladder.get(kept.rung).is_some_and(|rung| {
                    let manual = !kept.is_manual || policy.latch(rung) == Latch::Manual;
                    let enforced = !kept.is_enforced || policy.mode(rung) == crate::policy::Mode::Enforce;
                    rung.action.level() == kept.level && manual && enforced
                });
                if !holds {
                    self.kills.extend(orphaned(&id, &kept));
                    continue;
                }
                let count = policy.spec.ladder.len();
                let track = policy.tracks.entry(kept.scope).or_insert_with(|| Track {
                    rungs: vec![RungState::Clear; count],
                    measured: Measured::Unknown(Missing::Snapshot),
                });
                if let Some(rung) = track.rungs.get_mut(kept.rung) {
                    *rung = RungState::Tripped(kept.trip);
                }
            }
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
                            is_manual: policy.latch(rung) == Latch::Manual,
                            is_enforced: policy.mode(rung) == crate::policy::Mode::Enforce,
                            trip: trip.clone(),
                        });
                    }
                }
            }
            policies.insert(
                policy.spec.id.clone(),
                SavedPolicy {
                    memory: policy.memory.kept(),
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
            .filter(|(_, flight)| !matches!(flight.phase, Phase::Suppressed));
        Saved {
            policies,
            kills: self.kills.clone(),
            counters,
            // What an earlier run left in the air and the first step has not taken up yet.
            flights: flights
                .map(|(_, flight)| (flight.intent.clone(), flight.before))
                .chain(self.restored.iter().cloned())
                .collect(),
            transfers: self.book.transfer_memory().clone(),
            stops: self
                .flights
                .stops()
                .iter()
                .map(|(leg, stop)| (leg.clone(), *stop))
                .collect(),
        }
    }
}

/// A latch that acted and whose rung is gone or weaker now, as a kill of the same strength over the same place.
fn orphaned(id: &str, kept: &SavedTrip) -> Option<Kill> {
    // What only tells, or cancels single orders, held nothing that a kill could hold on to.
    let holds = (Action::Block.level()..=Action::Flatten.level()).contains(&kept.level);
    if !kept.is_manual || !kept.is_enforced || !holds {
        return None;
    }
    let symbol = match &kept.scope {
        Scope::Leg(leg) | Scope::Bucket(crate::book::Bucket::Isolated(leg)) => Some(leg.symbol.clone()),
        Scope::Account | Scope::Bucket(_) => None,
    };
    let flattens = kept.level == Action::Flatten.level();
    Some(Kill {
        action: if flattens {
            KillAction::Flatten
        } else {
            KillAction::Block
        },
        symbol,
        reason: format!("policy {id} latched, and the policy file no longer says so"),
        since: kept.trip.since,
        fulfilled: kept.trip.fulfilled,
    })
}

impl Saved {
    /// What a live guard takes over from a dry one: marks and bases, but no latch and no order, for nothing was done.
    ///
    /// Stops stay: only an order that was sent, by a live guard before the dry one, can have made them.
    pub fn without_trips(mut self) -> Saved {
        for policy in self.policies.values_mut() {
            policy.trips.clear();
        }
        self.kills.clear();
        self.flights.clear();
        self.counters.clear();
        self
    }
}
