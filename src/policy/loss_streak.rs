//! Losing round trips in a row, after fees.
//!
//! A round trip of a leg goes from its first fill to the moment at which the leg is flat or has turned; its result is
//! the realised profit of its fills less their fees, each fill once. One that lost `min_loss` or more makes the streak
//! longer, one that won ends it, and a smaller loss does neither; so does one that an order of the guard helped to close
//! (the guard's own closes say nothing of the trader), and one of which a fill could not be valued. Losses older than
//! `window` are forgotten. Trips at or above a threshold, a plain count. Quiet means zero: nothing has to be known.
//! Recovers with a trip that won, as losses leave the window, or when an operator rebases. The streak and the trips that
//! are open survive a restart. Does not cover funding, nor what the stream did not tell: a trip that ended in a gap of
//! it is not counted, either way.
//!
//! Source: POLICIES.md b.6; binance-usdm.md 4.2.

use super::memory::{Peak, Round};
use super::{Amount, Assessment, Measured, Memory, PolicySpec, Scope, View};
use crate::book::Book;
use crate::model::{Leg, Money, PositionSide, Side, Span, Timestamp};

/// A leg that is flat for this long, and no fill was told that closed it: its trip ended in a gap of the stream.
const GAP: Span = Span::from_secs(10);
/// Losses that are remembered; no threshold is above it.
pub const LOSSES_MAX: u32 = 100;
/// Legs whose trips are followed: positions of an account, with room.
const ROUNDS_MAX: usize = 4_096;

/// Losing round trips in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossStreak {
    /// How long a loss counts.
    pub window: Span,
    /// A smaller loss is none; zero counts every loss.
    pub min_loss: Money,
}

impl LossStreak {
    pub(super) fn observe(&self, memory: &mut Memory, spec: &PolicySpec, book: &Book) {
        let now = book.now();
        while memory
            .losses
            .front()
            .is_some_and(|loss| self.leaves(*loss) <= now)
        {
            memory.losses.pop_front();
        }
        if !book.is_ready() {
            return;
        }
        for (leg, position) in book.positions() {
            if !memory.rounds.contains_key(leg)
                && memory.rounds.len() < ROUNDS_MAX
                && spec.acts_on(&leg.symbol)
                && let Some(closing) = Side::closing(position.amount)
            {
                memory.rounds.insert(leg.clone(), Round::new(closing.opposite()));
            }
        }
        follow_fill(memory, spec, book);
        let mut ended = Vec::new();
        for (leg, round) in &mut memory.rounds {
            let is_held = Side::closing(book.amount(leg)) == Some(round.opened_by.opposite());
            round.flat_since = match is_held {
                true => None,
                false => round.flat_since.or(Some(now)),
            };
            let is_lost = round.flat_since.is_some_and(|since| now.since(since) >= GAP);
            if !is_held && (round.is_closed || is_lost) {
                ended.push(leg.clone());
            }
        }
        for leg in ended {
            if let Some(round) = memory.rounds.remove(&leg).filter(|round| round.is_closed) {
                self.judge(memory, &round, now);
            }
        }
    }

    /// Counts a trip that is over.
    fn judge(&self, memory: &mut Memory, round: &Round, now: Timestamp) {
        let Some(result) = round.result.filter(|_| !round.is_ours) else {
            return;
        };
        if result.is_positive() {
            memory.losses.clear();
        } else if result.is_negative() && result.abs() >= self.min_loss {
            if memory.losses.len() >= LOSSES_MAX as usize {
                memory.losses.pop_front();
            }
            memory.losses.push_back(Peak {
                at: now,
                equity: result,
            });
        }
    }

    fn leaves(&self, loss: Peak) -> Timestamp {
        loss.at.after(self.window)
    }

    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        let count = u32::try_from(view.memory.losses.len()).unwrap_or(LOSSES_MAX);
        out.push(Assessment {
            scope: Scope::Account,
            measured: Measured::Value(Amount::Count(count)),
        });
    }

    pub(super) fn explain(&self, view: View<'_>) -> String {
        let losses = &view.memory.losses;
        let all: Vec<String> = losses
            .iter()
            .map(|loss| Amount::Money(loss.equity).to_string())
            .collect();
        match all.is_empty() {
            true => format!(
                "no losing round trip within {} since the last that won",
                self.window
            ),
            false => format!(
                "{} losing round trips in a row within {}: {}",
                all.len(),
                self.window,
                all.join(", ")
            ),
        }
    }

    pub(super) fn next_change(&self, view: View<'_>) -> Option<Timestamp> {
        view.memory.losses.front().map(|loss| self.leaves(*loss))
    }
}

/// Puts the fill of this step into the trip of its leg.
fn follow_fill(memory: &mut Memory, spec: &PolicySpec, book: &Book) {
    let Some(fill) = book.fill() else { return };
    let has_room = memory.rounds.len() < ROUNDS_MAX || memory.rounds.contains_key(&fill.leg);
    if !spec.acts_on(&fill.leg.symbol) || !has_room {
        return;
    }
    let opens = opening(&fill.leg, fill.side);
    let round = memory.rounds.entry(fill.leg.clone()).or_insert(Round::new(opens));
    round.result = round.result.zip(fill.result).map(|(sum, more)| sum + more);
    let closes = fill.side != round.opened_by;
    round.is_ours |= closes && fill.is_ours;
    // The last fill of its order: the position event that belongs to it may come before or after.
    round.is_closed = closes && fill.is_last;
}

/// The side that opens a leg; in one-way mode that of its first fill.
fn opening(leg: &Leg, first: Side) -> Side {
    match leg.side {
        PositionSide::Long => Side::Buy,
        PositionSide::Short => Side::Sell,
        PositionSide::Both => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d2_d7_a_win_ends_the_streak_and_dust_own_closes_and_the_unknown_leave_it() {
        let policy = LossStreak {
            window: Span::from_secs(3_600),
            min_loss: "5".parse().unwrap(),
        };
        let mut memory = Memory::default();
        for (result, is_ours, count) in [
            (Some("-10"), false, 1),
            (Some("-4.99"), false, 1),
            (Some("-5"), false, 2),
            (Some("-500"), true, 2),
            (Some("500"), true, 2),
            (None, false, 2),
            (Some("0"), false, 2),
            (Some("0.01"), false, 0),
            (Some("-10"), false, 1),
        ] {
            let round = Round {
                result: result.map(|text| text.parse().unwrap()),
                is_ours,
                ..Round::new(Side::Buy)
            };
            policy.judge(&mut memory, &round, Timestamp::from_ms(0));
            assert_eq!(memory.losses.len(), count, "{result:?} {is_ours}");
        }
    }
}
