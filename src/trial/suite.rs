//! Many tests at once: each is played twice, in parallel with the others, and what they exercised is counted.

use super::play::{Cell, Failure, How, Played, play};
use super::verdict::Clause;
use crate::config::trial::{Script, TestFile};
use crate::policy::{Mode, PolicySet};
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Workers at most: more would only wait for memory.
const WORKERS_MAX: usize = 64;

/// One policy file set, what its tests exercised and what they did not.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// The policy files.
    pub policies: Vec<PathBuf>,
    /// Rungs that some test tripped, in words.
    pub exercised: usize,
    /// Rungs that no test tripped, in words.
    pub never: Vec<String>,
    /// Rungs that no test saw clear again, in words.
    pub never_cleared: Vec<String>,
}

/// As many workers as the machine has cores.
pub fn workers() -> usize {
    std::thread::available_parallelism()
        .map_or(1, NonZeroUsize::get)
        .min(WORKERS_MAX)
}

/// Does `work` for every item on all cores; the results are in the items' order. `done` is called after each.
pub fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    done: impl Fn() + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..workers().min(items.len()) {
            scope.spawn(|| {
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    let result = work(item);
                    done();
                    if let Ok(mut results) = results.lock() {
                        results.push((index, result));
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Plays a test twice: the same inputs must give the same decisions.
pub fn prove(script: &Script, set: &PolicySet) -> Played {
    let mut first = play(script, set, How::default());
    let second = play(script, set, How::default());
    if first.digest != second.digest || first.failures != second.failures {
        first.failures.push(Failure {
            line: script.line,
            at: 0,
            policy: None,
            clauses: vec![Clause {
                clause: "invariant",
                expected: "the same decisions when it is played again".into(),
                found: "other decisions".into(),
            }],
            entries: first.trace.len(),
        });
    }
    first
}

/// Every test of some files, in order.
pub fn tests(files: &[TestFile]) -> Vec<(&TestFile, &Script)> {
    let all = files
        .iter()
        .flat_map(|file| file.tests.iter().map(move |test| (file, test)));
    all.collect()
}

/// What the tests of each set of policies exercised; `played` is in the order of [`tests`].
pub fn coverage(files: &[TestFile], played: &[Played]) -> Vec<Coverage> {
    let sets: BTreeSet<&Vec<PathBuf>> = files.iter().map(|file| &file.policies).collect();
    let all = tests(files);
    let of = |policies: &Vec<PathBuf>, pick: fn(&Played) -> &BTreeSet<Cell>| -> BTreeSet<Cell> {
        let own = all
            .iter()
            .zip(played)
            .filter(|((file, _), _)| file.policies == *policies);
        own.flat_map(|(_, played)| pick(played).iter().cloned()).collect()
    };
    let mut found = Vec::new();
    for policies in sets {
        let Some(file) = files.iter().find(|file| file.policies == *policies) else {
            continue;
        };
        let (tripped, cleared) = (of(policies, |p| &p.tripped), of(policies, |p| &p.cleared));
        let mut one = Coverage {
            policies: policies.clone(),
            ..Coverage::default()
        };
        for policy in file.set.policies.iter().filter(|policy| policy.mode != Mode::Off) {
            for (index, rung) in policy.ladder.iter().enumerate() {
                if rung.mode == Some(Mode::Off) {
                    continue;
                }
                let cell = (policy.id.clone(), index);
                let at = rung.at.map_or(String::new(), |at| format!(" at {at}"));
                let words = format!("{} {}{at}", policy.id, rung.action.name());
                if !tripped.contains(&cell) {
                    one.never.push(words);
                    continue;
                }
                one.exercised += 1;
                if !cleared.contains(&cell) {
                    one.never_cleared.push(words);
                }
            }
        }
        found.push(one);
    }
    found
}
