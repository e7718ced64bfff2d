//! The only reader of time.
//!
//! Two readings, for two purposes. [`now`] is the wall clock, for what people read. A [`Clock`] is anchored once to the
//! wall and then counts monotonically, so that a step of the wall clock moves no deadline (FAILURES LI-07): it is the
//! time that the core is given, that recordings carry, and that signed requests are stamped from (with the venue's
//! offset added, [`client::Http`](crate::venue::binance::client::Http)).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::model::{Span, Timestamp};

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

/// A clock that agrees with the wall at its start and never goes back. Clones are the same clock.
///
/// The monotonic clock stands still while the machine sleeps (LI-06). Whoever has a witness that time has passed
/// unnoticed, such as the venue, says so with [`Clock::advance`].
#[derive(Clone, Debug)]
pub struct Clock {
    anchor: Instant,
    wall: Timestamp,
    slept_ms: Arc<AtomicI64>,
    #[cfg(test)]
    wall_moved_ms: Arc<AtomicI64>,
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
            slept_ms: Arc::new(AtomicI64::new(0)),
            #[cfg(test)]
            wall_moved_ms: Arc::new(AtomicI64::new(0)),
        }
    }

    /// Unix milliseconds, never less than what an earlier call said.
    pub fn now(&self) -> Timestamp {
        let awake = whole_ms(self.anchor.elapsed());
        Timestamp::from_ms(
            self.wall
                .ms()
                .saturating_add(awake)
                .saturating_add(self.slept().ms()),
        )
    }

    /// Makes the wall clock look moved, as after a sleep or when somebody set it.
    #[cfg(test)]
    pub(crate) fn move_wall(&self, span: Span) {
        self.wall_moved_ms.fetch_add(span.ms(), Ordering::Relaxed);
    }

    /// Moves the clock forward, because the machine slept that long.
    pub fn advance(&self, slept: Span) {
        self.slept_ms.fetch_add(slept.ms(), Ordering::Relaxed);
    }

    /// How long the machine has slept since the start, as far as it was told.
    pub fn slept(&self) -> Span {
        Span::from_ms(self.slept_ms.load(Ordering::Relaxed))
    }

    /// Wall clock minus this clock, in milliseconds.
    ///
    /// A change means that somebody set the wall clock, or that the machine slept: a witness must tell which.
    pub fn slip(&self) -> i64 {
        self.wall_now().ms().saturating_sub(self.now().ms())
    }

    /// The wall clock as this clock sees it; never what it counts by.
    fn wall_now(&self) -> Timestamp {
        #[cfg(test)]
        return now().after(Span::from_ms(self.wall_moved_ms.load(Ordering::Relaxed)));
        #[cfg(not(test))]
        now()
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

    #[test]
    fn li_07_a_step_of_the_wall_clock_moves_no_deadline() {
        let clock = Clock::start();
        let start = clock.now();
        for step in [-86_400_000, -1_000, 1_000, 86_400_000] {
            clock.move_wall(Span::from_ms(step));
            let moved = clock.now().since(start);
            assert!(
                Span::ZERO <= moved && moved < Span::from_ms(900),
                "{step}: {moved}"
            );
        }
    }

    #[test]
    fn li_06_a_clock_that_slept_moves_forward_for_everybody_who_has_it() {
        let clock = Clock::start();
        let other = clock.clone();
        let before = other.now();
        clock.advance(Span::from_secs(3_600));
        assert!(Span::from_secs(3_600) <= other.now().since(before));
        assert_eq!(other.slept(), Span::from_secs(3_600));
    }
}
