//! Fall from the highest equity of a moving window, deposits and withdrawals taken out.
//!
//! For slips of the hand, runaway bots and crashes, where the limit of a day is too slow. In percent `(highest −
//! equity) ÷ highest`, in money `highest − equity`, where `highest` is of the last `window`. Trips at or above a
//! threshold. A flow moves every high of the window as it moves a high-water mark, so that the fall stays what it was.
//! Unknown until equity is trusted; from the first trusted equity on it is measured from what was seen. Recovers when
//! the fall is `clear` under the threshold: by gains, or as highs leave the window. Does not cover a fall that nobody
//! saw: with no trusted equity for longer than the window, it starts anew.
//!
//! Only highs that nothing later has reached are kept, at most one for each sixtieth of the window, dated by the last
//! moment of it that they could stand for. So a high may count up to a sixtieth of the window too long, and never too
//! short: the rung trips on the exact fall or earlier, never later. They survive a restart.
//!
//! Source: POLICIES.md b.1, b.3.

use super::drawdown::{explain_fall, fall, follow_flow};
use super::memory::Peak;
use super::{Assessment, Memory, PolicySpec, Scope, View};
use crate::book::Book;
use crate::model::{Span, Timestamp};
use std::collections::VecDeque;

/// Parts of a window that keep a high each: their number bounds the memory and the error.
const PARTS: i64 = 60;

/// Fall from the highest equity of a moving window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossVelocity {
    /// How far back a high counts.
    pub window: Span,
}

impl LossVelocity {
    pub(super) fn observe(&self, memory: &mut Memory, spec: &PolicySpec, book: &Book) {
        let now = book.now();
        if let Some((flow, after)) = memory.due_flow(book) {
            for peak in &mut memory.peaks {
                peak.equity = follow_flow(peak.equity, flow, after, spec.is_in_money());
            }
        }
        self.forget(&mut memory.peaks, now);
        if let Ok(equity) = book.trusted_equity() {
            memory.saw(equity, book);
            let began = *memory.since.get_or_insert(now);
            self.take(&mut memory.peaks, began, Peak { at: now, equity });
        }
        memory.mark = memory.peaks.front().map(|peak| peak.equity);
    }

    /// Takes in the newest equity. Parts of the window are counted from `began`.
    fn take(&self, peaks: &mut VecDeque<Peak>, began: Timestamp, newest: Peak) {
        while peaks.back().is_some_and(|peak| peak.equity <= newest.equity) {
            peaks.pop_back();
        }
        let part = |at: Timestamp| at.since(began).ms() / (self.window.ms() / PARTS).max(1);
        match peaks.back_mut() {
            // This lower equity leaves the window no later than the high, so it is never the highest.
            Some(peak) if part(peak.at) == part(newest.at) => peak.at = newest.at,
            _ => peaks.push_back(newest),
        }
    }

    fn forget(&self, peaks: &mut VecDeque<Peak>, now: Timestamp) {
        while peaks.front().is_some_and(|peak| self.leaves(*peak) <= now) {
            peaks.pop_front();
        }
    }

    /// The first moment at which a high is outside the window.
    fn leaves(&self, peak: Peak) -> Timestamp {
        peak.at.after(self.window).after(Span::from_ms(1))
    }

    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        out.push(Assessment {
            scope: Scope::Account,
            measured: fall(view),
        });
    }

    pub(super) fn explain(&self, view: View<'_>) -> String {
        explain_fall(view, &format!("highest equity of {}", self.window))
    }

    pub(super) fn next_change(&self, view: View<'_>) -> Option<Timestamp> {
        view.memory.peaks.front().map(|peak| self.leaves(*peak))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    /// The highest equity that is kept after each of `(seconds, equity)`, for a window of five minutes.
    fn highest(path: &[(i64, i64)]) -> Vec<i64> {
        let policy = LossVelocity {
            window: Span::from_secs(300),
        };
        let mut peaks = VecDeque::new();
        let began = Timestamp::from_ms(0);
        let each = path.iter().map(|(secs, equity)| {
            let at = Timestamp::from_ms(secs * 1000);
            let equity = crate::model::Money::new(Decimal::from(*equity)).unwrap();
            policy.forget(&mut peaks, at);
            policy.take(&mut peaks, began, Peak { at, equity });
            let highest = peaks.front().unwrap().equity.decimal().to_string();
            assert!(peaks.len() as i64 <= PARTS + 2, "{peaks:?}");
            highest.parse().unwrap()
        });
        each.collect()
    }

    #[test]
    fn a_high_counts_for_as_long_as_the_window_and_at_most_a_sixtieth_longer() {
        for (path, expected) in [
            (&[(0, 100), (300, 90)][..], &[100, 100][..]),
            (&[(0, 100), (301, 90)], &[100, 90]),
            // Within the same five seconds a lower equity keeps the high alive, and no longer than those.
            (&[(0, 100), (4, 95), (304, 90)], &[100, 100, 100]),
            (&[(0, 100), (4, 95), (305, 90)], &[100, 100, 90]),
            (&[(0, 100), (6, 95), (304, 90)], &[100, 100, 95]),
            // A higher one takes the place of all before it.
            (&[(0, 100), (6, 95), (7, 120), (306, 90)], &[100, 100, 120, 120]),
            (&[(0, 100), (200, 80), (301, 85), (500, 84)], &[100, 100, 85, 85]),
        ] {
            assert_eq!(highest(path), expected, "{path:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Against the plain maximum over everything seen: never under the window's, never over that of a window a
        /// sixtieth longer.
        #[test]
        fn the_kept_high_is_never_too_low(steps in prop::collection::vec((0i64..12, -6i64..3), 1..200)) {
            // Mostly falling, so that what comes under a high matters once the high is gone.
            let (mut at, mut equity) = (0, 5_000);
            let path: Vec<(i64, i64)> = steps
                .iter()
                .map(|(pause, change)| {
                    at += pause;
                    equity += change;
                    (at, equity)
                })
                .collect();
            for (index, kept) in highest(&path).into_iter().enumerate() {
                let now = path[index].0;
                let most = |window: i64| path[..=index].iter().filter(|(at, _)| now - at <= window).map(|(_, e)| *e).max().unwrap();
                prop_assert!(most(300) <= kept && kept <= most(305), "{} {kept} {}", most(300), most(305));
            }
        }
    }
}
