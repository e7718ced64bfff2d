//! What if: two sets of policies over one recording, each in an account of its own, and where they part.

use super::lines::{DecisionLine, OrderLine};
use super::recording::{Entries, Header, RecordingError};
use super::told::Told;
use super::world::{Stepped, World};
use crate::model::Timestamp;
use crate::policy::PolicySet;

/// What only one of the sides decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Which side, from 0.
    pub side: usize,
    /// What.
    pub line: DecisionLine,
}

/// Plays a recording for every set at once. Every line goes to `paced` before it is fed, every step of every side to
/// `stepped`, and what not all sides decided to `differs`.
///
/// # Errors
///
/// [`RecordingError`] at the first line that cannot be read.
pub fn play(
    header: &Header,
    entries: Entries,
    told: &Told,
    sets: &[PolicySet],
    mut paced: impl FnMut(Timestamp),
    mut stepped: impl FnMut(usize, &Stepped<'_>),
    mut differs: impl FnMut(&Difference),
) -> Result<Vec<World>, RecordingError> {
    let mut worlds: Vec<World> = sets
        .iter()
        .map(|set| World::new(&header.account, set.clone()))
        .collect();
    let mut made: Vec<Vec<DecisionLine>> = vec![Vec::new(); worlds.len()];
    for entry in entries {
        let entry = entry?;
        paced(entry.at());
        for (side, (world, made)) in worlds.iter_mut().zip(&mut made).enumerate() {
            made.clear();
            world.feed(&entry, told, |step| {
                made.extend_from_slice(step.lines);
                stepped(side, step);
            });
        }
        for (side, lines) in made.iter().enumerate() {
            let others = made.iter().enumerate().filter(|(other, _)| *other != side);
            let missing = |line: &DecisionLine| {
                others
                    .clone()
                    .any(|(_, others)| !others.iter().any(|other| is_same(line, other)))
            };
            for line in lines.iter().filter(|line| missing(line)) {
                differs(&Difference {
                    side,
                    line: line.clone(),
                });
            }
        }
    }
    Ok(worlds)
}

/// Whether two decisions are the same in what they do. Measurements and words differ once the accounts do, and an order's
/// name says only whose it is.
fn is_same(one: &DecisionLine, other: &DecisionLine) -> bool {
    let unnamed = |order: &OrderLine| OrderLine {
        client_order_id: None,
        ..order.clone()
    };
    let of = |line: &DecisionLine| {
        (
            line.at,
            line.policy.clone(),
            line.scope.clone(),
            line.rung.clone(),
            line.state.clone(),
            line.mode.clone(),
        )
    };
    of(one) == of(other)
        && one
            .orders
            .iter()
            .map(unnamed)
            .eq(other.orders.iter().map(unnamed))
}
