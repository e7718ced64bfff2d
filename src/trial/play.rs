//! One test, played to its end and judged.
//!
//! At each instant of the test the steps happen, the world runs to the end of that tenth of a second, and then the
//! expectations are judged: what was told was heard by then, and what was sent was answered. `orders`, `rung` and `nothing`
//! look at all that happened since the end of the earlier instant that had expectations, or since the start.

use super::stage::{apply, beginning, moment};
use super::trace::{Entry, Trace};
use super::verdict::{Clause, Found, Window, judge, standings};
use super::world::{Tamper, World};
use crate::config::trial::Script;
use crate::guard::{Decision, Guard};
use crate::model::Span;
use crate::policy::envelope::RungState;
use crate::policy::{PolicySet, Scope};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// From an instant to the end of its tenth of a second, just before the exchange's next move.
const SETTLED_AFTER_MS: i64 = 99;
/// How long the guard has at the end to find what a mishap hid from it: three cross-checks and the waits between.
const HEALED_AFTER: Span = Span::from_secs(20);

/// A rung of a policy, by the policy's id and the rung's place in the ladder.
pub type Cell = (String, usize);

/// Something that was not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Line in the file: of the expectation, of the step, or of the test for invariants.
    pub line: usize,
    /// Ms since the start of the test.
    pub at: i64,
    /// The policy that the expectation is about.
    pub policy: Option<String>,
    /// What differs.
    pub clauses: Vec<Clause>,
    /// How many entries of the timeline had happened.
    pub entries: usize,
}

/// What playing a test led to.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// In order of time; none when the test passed.
    pub failures: Vec<Failure>,
    /// What happened.
    pub trace: Vec<Entry>,
    /// Rungs that tripped.
    pub tripped: BTreeSet<Cell>,
    /// Rungs that tripped and cleared again.
    pub cleared: BTreeSet<Cell>,
    /// Private events that reached the guard.
    pub events: usize,
    /// Of all that was decided.
    pub digest: String,
    /// Whether the guard's positions and wallets were the exchange's in the end.
    pub agrees: bool,
}

/// How a test is played.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// What happens to one private event; then the world runs on, so that it can be found.
    pub tamper: Option<Tamper>,
    /// Ends at the first failure.
    pub briefly: bool,
}

/// Follows the guard while the world runs.
#[derive(Default)]
struct Watch {
    window: Window,
    hash: Sha256,
    in_force: BTreeSet<(String, Scope, usize)>,
    tripped: BTreeSet<Cell>,
    cleared: BTreeSet<Cell>,
}

/// Plays a test with a set of policies.
pub fn play(script: &Script, set: &PolicySet, how: How) -> Played {
    let mut begun = beginning(script, set);
    begun.tamper = how.tamper;
    let mut world = World::new(begun);
    let mut watch = Watch::default();
    let mut trace = Trace::new(script.start);
    let mut failures = Vec::new();
    let mut instants: BTreeSet<Span> = script.steps.iter().map(|step| step.at).collect();
    instants.extend(script.expects.iter().map(|expect| expect.at));
    for instant in instants {
        let at = moment(script.start, instant);
        let mut each = |guard: &Guard, decision: &Decision| watch.follow(guard, decision);
        world.run_until(at, &mut each);
        hear(&mut world, &mut trace);
        let steps = script.steps.iter().filter(|step| step.at == instant);
        let mut stepped = false;
        for step in steps {
            stepped = true;
            trace.step(at, step);
            if let Err(why) = apply(&mut world, step, &mut each) {
                failures.push(Failure {
                    line: step.line,
                    at: instant.ms(),
                    policy: None,
                    clauses: vec![clause("step", "the step happens as written", why)],
                    entries: trace.entries().len(),
                });
            }
        }
        world.run_until(at.saturating_add(SETTLED_AFTER_MS), &mut each);
        hear(&mut world, &mut trace);
        let all = world.guard().map(standings).unwrap_or_default();
        let expects = script.expects.iter().filter(|expect| expect.at == instant);
        if stepped || expects.clone().next().is_some() {
            trace.numbers(world.now(), &all);
        }
        let report = world.exchange.report();
        let mut judged = false;
        for expect in expects {
            judged = true;
            let found = Found {
                standings: &all,
                account_state: world.guard().map_or("no guard", |guard| guard.state().word()),
                window: &watch.window,
                report: &report,
            };
            let clauses = judge(expect, &found);
            if !clauses.is_empty() {
                failures.push(Failure {
                    line: expect.line,
                    at: instant.ms(),
                    policy: expect.policy.clone(),
                    clauses,
                    entries: trace.entries().len(),
                });
            }
        }
        if judged {
            watch.window = Window::default();
        }
        if how.briefly && !failures.is_empty() {
            break;
        }
    }
    if how.tamper.is_some() {
        let until = world.now().saturating_add(HEALED_AFTER.ms());
        world.run_until(until, &mut |guard, decision| watch.follow(guard, decision));
        hear(&mut world, &mut trace);
    }
    let clauses = invariants(&world);
    if !clauses.is_empty() {
        failures.push(Failure {
            line: script.line,
            at: world.now().saturating_sub(script.start.ms()),
            policy: None,
            clauses,
            entries: trace.entries().len(),
        });
    }
    Played {
        failures,
        trace: trace.entries().to_vec(),
        tripped: watch.tripped,
        cleared: watch.cleared,
        events: world.events(),
        digest: hex::encode(watch.hash.finalize()),
        agrees: agrees(&world),
    }
}

fn hear(world: &mut World, trace: &mut Trace) {
    for (at, told) in world.take_told() {
        trace.told(at, &told);
    }
}

fn clause(clause: &'static str, expected: &str, found: String) -> Clause {
    Clause {
        clause,
        expected: expected.to_owned(),
        found,
    }
}

/// What must hold in every world, whatever its test expects.
pub fn invariants(world: &World) -> Vec<Clause> {
    let report = world.exchange.report();
    let mut broken: Vec<Clause> = report
        .violations
        .iter()
        .map(|violation| {
            clause(
                "invariant",
                "the exchange saw no broken promise",
                violation.clone(),
            )
        })
        .collect();
    for order in report.guard_orders().filter(|order| !order.only_reduces()) {
        let order = format!(
            "{} {} {} {}",
            order.kind, order.side, order.quantity, order.symbol
        );
        broken.push(clause(
            "invariant",
            "every order of the guard can only reduce",
            order,
        ));
    }
    if world.is_restless() {
        let text = "it asked for more and more at one moment".to_owned();
        broken.push(clause("invariant", "the guard comes to rest", text));
    }
    broken
}

/// Whether what the guard believes of positions and wallets is what the exchange has.
fn agrees(world: &World) -> bool {
    let Some(guard) = world.guard() else { return false };
    let report = world.exchange.report();
    let believed: BTreeSet<(String, String)> = guard
        .book()
        .positions()
        .map(|(leg, held)| (leg.to_string(), held.amount.decimal().normalize().to_string()))
        .collect();
    let true_ones = report.positions.iter();
    let true_ones = true_ones.map(|(leg, amount)| (leg.clone(), amount.normalize().to_string()));
    let equity = guard
        .book()
        .trusted_equity()
        .map(|equity| equity.decimal().round_dp(2));
    believed == true_ones.collect() && equity.is_ok_and(|equity| equity == report.equity.round_dp(2))
}

impl Watch {
    fn follow(&mut self, guard: &Guard, decision: &Decision) {
        if decision.records.is_empty() && decision.notes.is_empty() && decision.intents.is_empty() {
            return;
        }
        self.window.follow(decision);
        let Decision {
            at,
            records,
            intents,
            notes,
            ..
        } = decision;
        self.hash
            .update(format!("{at:?} {records:?} {intents:?} {notes:?}"));
        let mut now = BTreeSet::new();
        for policy in guard.policies() {
            for (scope, track) in &policy.tracks {
                for (index, rung) in track.rungs.iter().enumerate() {
                    if matches!(rung, RungState::Tripped(_)) {
                        now.insert((policy.spec.id.clone(), scope.clone(), index));
                    }
                }
            }
        }
        // A rung may trip and clear between two looks only together with a record, and each record is a look.
        for (policy, _, index) in &now {
            self.tripped.insert((policy.clone(), *index));
        }
        for (policy, _, index) in self.in_force.difference(&now) {
            self.cleared.insert((policy.clone(), *index));
        }
        self.in_force = now;
    }
}
