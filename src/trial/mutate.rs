//! Would the tests notice? Policies with one change, and worlds in which one event is lost, repeated or late.
//!
//! A changed policy must make at least one test fail: where none does, no test tells the two apart. A mishap is the guard's
//! own to notice: a repeated event must change no verdict, and after a lost or late one the cross-check must
//! bring the guard's account back to the exchange's within twenty seconds.

use super::play::{How, Played, play};
use super::suite::tests;
use super::world::{Mishap, Tamper};
use crate::config::trial::TestFile;
use crate::model::{Money, Qty, Ratio, Span};
use crate::policy::spec::{Action, Amount, Clear, Cut, Latch, Mode, PolicySet, PolicySpec};
use rust_decimal::{Decimal, dec};
use serde::Serialize;
use std::path::PathBuf;

/// How far a limit is moved, up and down.
const UP: Decimal = dec!(1.1);
/// See [`UP`].
const DOWN: Decimal = dec!(0.9);
/// How much longer a breach must hold.
const LONGER: Span = Span::from_secs(10);
/// Events of one test that meet a mishap; longer tests repeat themselves.
const EVENTS_MAX: usize = 100;

/// One change.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// In words.
    pub name: String,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    /// For the tests of these policy files, a set in which the policy of this name differs.
    Policies(Vec<PathBuf>, String, Box<PolicySet>),
    /// A mishap in one test, by its place among all.
    Mishap(usize, Tamper),
}

/// A change that nothing noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Survivor {
    /// The change.
    pub mutant: String,
    /// What that means.
    pub why: String,
}

/// Every change of the policies of some files and of the inputs of their tests.
pub fn mutants(files: &[TestFile], played: &[Played]) -> Vec<Mutant> {
    let mut all = Vec::new();
    let mut seen: Vec<&Vec<PathBuf>> = Vec::new();
    for file in files {
        if seen.contains(&&file.policies) {
            continue;
        }
        seen.push(&file.policies);
        for (index, policy) in file
            .set
            .policies
            .iter()
            .enumerate()
            .filter(|(_, p)| p.mode != Mode::Off)
        {
            for (what, changed) in changes(policy) {
                let mut set = file.set.clone();
                if let Some(slot) = set.policies.get_mut(index) {
                    *slot = changed;
                }
                all.push(Mutant {
                    name: format!("{} {what}", policy.id),
                    change: Change::Policies(file.policies.clone(), policy.id.clone(), Box::new(set)),
                });
            }
        }
    }
    for (index, ((_, test), played)) in tests(files).iter().zip(played).enumerate() {
        for nth in 0..played.events.min(EVENTS_MAX) {
            for (word, what) in [
                ("lost", Mishap::Drop),
                ("repeated", Mishap::Duplicate),
                ("late", Mishap::Swap),
            ] {
                all.push(Mutant {
                    name: format!("event {nth} of `{}` {word}", test.name),
                    change: Change::Mishap(index, Tamper { nth, what }),
                });
            }
        }
    }
    all
}

/// Whether anything notices a change; the survivor when nothing does.
pub fn try_one(mutant: &Mutant, files: &[TestFile], played: &[Played]) -> Option<Survivor> {
    let why = match &mutant.change {
        Change::Policies(policies, policy, set) => {
            let briefly = How {
                briefly: true,
                ..How::default()
            };
            let all = tests(files).into_iter().zip(played);
            let mut own: Vec<_> = all.filter(|((file, _), _)| file.policies == *policies).collect();
            // The tests in which this policy acted notice it first.
            own.sort_by_key(|(_, played)| !played.tripped.iter().any(|(id, _)| id == policy));
            let is_noticed = own
                .iter()
                .any(|((_, test), _)| !play(test, set, briefly).failures.is_empty());
            (!is_noticed).then(|| "no test tells them apart".to_owned())
        }
        Change::Mishap(index, tamper) => mishap(*index, *tamper, files, played),
    };
    why.map(|why| Survivor {
        mutant: mutant.name.clone(),
        why,
    })
}

fn mishap(index: usize, tamper: Tamper, files: &[TestFile], played: &[Played]) -> Option<String> {
    let all = tests(files);
    let ((file, test), before) = (all.get(index)?, played.get(index)?);
    let how = How {
        tamper: Some(tamper),
        briefly: false,
    };
    let after = play(test, &file.set, how);
    let broken = after
        .failures
        .iter()
        .flat_map(|failure| &failure.clauses)
        .find(|clause| clause.clause == "invariant");
    if let Some(broken) = broken {
        return Some(format!("{}: {}", broken.expected, broken.found));
    }
    if tamper.what == Mishap::Duplicate
        && let Some(failure) = after.failures.first()
    {
        let clauses: Vec<&str> = failure.clauses.iter().map(|clause| clause.clause).collect();
        return Some(format!(
            "line {} no longer holds: {}",
            failure.line,
            clauses.join(", ")
        ));
    }
    // A test may end where the two do not agree by design, with the guard's process away.
    (before.agrees && !after.agrees)
        .then(|| "twenty seconds later the guard still believes something else than the exchange".to_owned())
}

/// Every policy that differs from one in a single respect, with the difference in words.
fn changes(policy: &PolicySpec) -> Vec<(String, PolicySpec)> {
    let mut all = Vec::new();
    // A measure of time falls to zero at once, and a manual latch is let go by a person: neither shows hysteresis.
    let is_seen = |rung: &crate::policy::Rung| {
        let is_manual = rung.latch.unwrap_or(policy.latch) == Latch::Manual;
        !is_manual && !matches!(rung.at, None | Some(Amount::Time(_)))
    };
    if !is_zero(policy) && policy.ladder.iter().any(is_seen) {
        let mut other = policy.clone();
        other.clear = Clear::Share(Ratio::ZERO);
        all.push(("without `clear`".to_owned(), other));
    }
    for (index, rung) in policy.ladder.iter().enumerate() {
        let at = rung.at.map_or(String::new(), |at| format!(" at {at}"));
        let name = format!("{}{at}", rung.action.name());
        let mut with = |what: String, change: &dyn Fn(&mut crate::policy::Rung)| {
            let mut other = policy.clone();
            if let Some(rung) = other.ladder.get_mut(index) {
                change(rung);
                all.push((format!("{name}{what}"), other));
            }
        };
        for factor in [DOWN, UP] {
            if let Some(moved) = rung.at.and_then(|at| scaled(at, factor)) {
                with(format!(" -> {moved}"), &|rung| rung.at = Some(moved));
            }
            if let Action::Reduce(Cut::To(to)) = rung.action
                && let Some(moved) = scaled(to, factor)
            {
                with(format!(" to {to} -> {moved}"), &|rung| {
                    rung.action = Action::Reduce(Cut::To(moved));
                });
            }
            if let Action::Reduce(Cut::Fraction(share)) = rung.action
                && let Some(moved) = share
                    .decimal()
                    .checked_mul(factor)
                    .and_then(|n| Ratio::new(n).ok())
            {
                with(
                    format!(" fraction {} -> {}", share.percent(), moved.percent()),
                    &|rung| {
                        rung.action = Action::Reduce(Cut::Fraction(moved));
                    },
                );
            }
        }
        // Events cannot hold.
        if rung.at.is_some() {
            let hold = rung.hold.unwrap_or(policy.hold).ms();
            let longer = Span::from_ms(hold.saturating_add(LONGER.ms()));
            with(format!(" for {longer}"), &|rung| rung.hold = Some(longer));
        }
        let is_enforced = rung.mode.unwrap_or(policy.mode) == Mode::Enforce && policy.mode == Mode::Enforce;
        if is_enforced && rung.action != Action::Alert {
            with(" only warns".to_owned(), &|rung| rung.mode = Some(Mode::Warn));
        }
        if rung.latch.unwrap_or(policy.latch) != Latch::UntilClear {
            with(" without its latch".to_owned(), &|rung| {
                rung.latch = Some(Latch::UntilClear)
            });
        }
        if policy.ladder.len() > 1 {
            let mut other = policy.clone();
            other.ladder.remove(index);
            all.push((format!("{name} removed"), other));
        }
    }
    all
}

fn is_zero(policy: &PolicySpec) -> bool {
    match policy.clear {
        Clear::By(by) => by.number().is_zero(),
        Clear::Share(share) => share.is_zero(),
    }
}

fn scaled(amount: Amount, factor: Decimal) -> Option<Amount> {
    let number = amount.number().checked_mul(factor)?;
    match amount {
        Amount::Ratio(_) => Ratio::new(number).ok().map(Amount::Ratio),
        Amount::Multiple(_) => Ratio::new(number).ok().map(Amount::Multiple),
        Amount::Money(_) => Money::new(number).ok().map(Amount::Money),
        Amount::Quantity(_) => Qty::new(number).ok().map(Amount::Quantity),
        Amount::Count(_) => number.trunc().try_into().ok().map(Amount::Count),
        Amount::Time(_) => {
            let ms: i64 = number
                .checked_mul(Decimal::ONE_THOUSAND)?
                .trunc()
                .try_into()
                .ok()?;
            Some(Amount::Time(Span::from_ms(ms)))
        }
    }
}
