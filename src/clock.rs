//! The only reader of time.
//!
//! Two readings, for two purposes. [`now`] is the wall clock, for what people read. A [`Clock`] is anchored once to the
//! wall and then counts monotonically, so that a step of the wall clock moves no deadline (FAILURES LI-07): it is the
//! time that the core is given, that recordings carry, and that signed requests are stamped from (with the venue's
//! offset added, [`client::Http`](crate::venue::binance::client::Http)).

use std::time::{Duration, Instant, SystemTime};

use crate::model::Timestamp;

/// The wall clock, Unix milliseconds; may step in either direction at any time.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the wall clock"
)]
pub fn now() -> Timestamp {
    let ms = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => whole_ms(since),
        Err(before) => whole_ms(before.duration()).saturating_neg(),
    };
    Timestamp::from_ms(ms)
}

/// A clock that agrees with the wall at its start and never steps.
///
/// The monotonic clock stands still while the machine sleeps, so after a suspend this clock is late: see [`Clock::slip`].
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    anchor: Instant,
    wall: Timestamp,
}

impl Clock {
    /// A clock anchored to the wall now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the monotonic clock"
    )]
    pub fn start() -> Clock {
        Clock {
            anchor: Instant::now(),
            wall: now(),
        }
    }

    /// Unix milliseconds, never less than what an earlier call said.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.wall.ms().saturating_add(whole_ms(self.anchor.elapsed())))
    }

    /// How far the wall clock has moved against this one since the start, in milliseconds; positive when the wall is ahead.
    ///
    /// A large value means that somebody set the wall clock, or that the machine slept (LI-06, LI-07).
    pub fn slip(&self) -> i64 {
        now().ms().saturating_sub(self.now().ms())
    }
}

fn whole_ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn li_07_a_clock_agrees_with_the_wall_at_its_start_and_never_goes_back() {
        let clock = Clock::start();
        assert!(clock.slip().abs() < 1_000, "{}", clock.slip());
        let mut last = clock.now();
        for _ in 0..1_000 {
            let next = clock.now();
            assert!(last <= next);
            last = next;
        }
    }
}
