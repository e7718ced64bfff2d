//! How long to wait before the next try to connect.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::model::{Span, Timestamp};

/// Longest pause before jitter, which at most doubles it: with the connect deadlines, live again within 30 s of healing.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Shortest pause after the first try.
const PAUSE_MIN: Duration = Duration::from_millis(250);

/// A connection that lived this long was a good one: the next loss is met at once.
const GOOD_AFTER: Span = Span::from_secs(30);

/// Pauses between tries: none, then 250 ms doubling to 5 s, each with jitter (FAILURES ST-24).
pub(super) struct Pause {
    backoff: Option<ExponentialBackoff>,
    up: Option<Timestamp>,
}

impl Pause {
    pub(super) fn new() -> Pause {
        Pause {
            backoff: None,
            up: None,
        }
    }

    /// A connection was made.
    pub(super) fn up(&mut self, now: Timestamp) {
        self.up = Some(now);
    }

    /// The pause before the next try, after a loss or a failed try at `now`.
    pub(super) fn next(&mut self, now: Timestamp) -> Span {
        if self.up.take().is_some_and(|since| GOOD_AFTER <= now.since(since)) {
            self.backoff = None;
        }
        match &mut self.backoff {
            None => {
                let builder = ExponentialBuilder::new()
                    .with_min_delay(PAUSE_MIN)
                    .with_max_delay(PAUSE_MAX)
                    .without_max_times()
                    .with_jitter();
                self.backoff = Some(builder.build());
                Span::ZERO
            }
            Some(backoff) => {
                let pause = backoff.next().unwrap_or(PAUSE_MAX);
                Span::from_ms(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn st_15_st_24_the_first_try_is_at_once_and_flapping_slows_down() {
        let mut pause = Pause::new();
        let mut now = Timestamp::from_ms(1_000_000);
        assert_eq!(pause.next(now), Span::ZERO);
        let mut last = 0;
        for _ in 0..12 {
            pause.up(now);
            now = now.after(Span::from_secs(3));
            let ms = pause.next(now).ms();
            assert!((250..=10_000).contains(&ms), "{ms}");
            last = ms;
        }
        assert!(5_000 <= last, "{last}");
    }

    #[test]
    fn st_24_no_two_guards_try_in_step() {
        let pauses = || {
            let (mut pause, now) = (Pause::new(), Timestamp::from_ms(1_000_000));
            (0..8).map(|_| pause.next(now).ms()).collect::<Vec<i64>>()
        };
        assert_ne!(pauses(), pauses(), "without jitter they would be the same");
    }

    #[test]
    fn a_connection_that_lived_is_replaced_at_once() {
        let mut pause = Pause::new();
        let now = Timestamp::from_ms(1_000_000);
        for _ in 0..5 {
            pause.next(now);
        }
        pause.up(now);
        assert_eq!(pause.next(now.after(Span::from_secs(31))), Span::ZERO);
    }
}
