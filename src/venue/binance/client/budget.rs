//! The weight budget: how much may be asked of the venue in this minute, and until when nothing may be asked at all.
//!
//! The venue counts by IP address, so a bot beside us spends from the same purse: its own count, sent with every answer,
//! is believed over ours. Rungs of importance keep a reserve for what moves risk. Pure: time comes in.
//!
//! Source: venues/binance-usdm.md section 8, read 2026-11-22.

use crate::model::{Span, Timestamp};

/// Weight a minute and address until exchangeInfo says otherwise.
///
/// Source: venues/binance-usdm.md section 8, the smaller of mainnet (2400) and demo (6000).
pub const WEIGHT_MAX: u32 = 2_400;

/// How important a request is, which decides how much of the budget it may use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Importance {
    /// May wait a minute: rules, settings, transfers, lists of orders. Stops at 75 % of the budget.
    Routine,
    /// Keeps the guard seeing: balances and positions. Stops at 90 %.
    Sight,
    /// Proves that an episode is over, or what of it is left: balances, positions and lists of orders while one works.
    /// Stops at 99 %, which leaves the last few for cancels.
    Proof,
    /// Moves risk, or finds out whether it moved: mutations, their queries, the stream's key, the clock.
    Vital,
}

/// Why a request may not be sent now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The venue said to wait until then (429, 418, 403 or -1003).
    Told(Timestamp),
    /// This minute's share is used up; the next minute begins then.
    Spent(Timestamp),
}

/// What is known of the venue's count.
#[derive(Clone, Debug)]
pub struct Budget {
    limit: u32,
    minute: i64,
    used: u32,
    reads_from: Timestamp,
    all_from: Timestamp,
    orders_from: Timestamp,
}

impl Refusal {
    /// When it may be tried again.
    pub fn until(self) -> Timestamp {
        match self {
            Refusal::Told(at) | Refusal::Spent(at) => at,
        }
    }
}

impl Budget {
    /// A budget of which nothing is used.
    pub fn new(limit: u32) -> Budget {
        Budget {
            limit,
            minute: 0,
            used: 0,
            reads_from: Timestamp::default(),
            all_from: Timestamp::default(),
            orders_from: Timestamp::default(),
        }
    }

    /// Takes `weight` for a request at venue time `now`, or says why not.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when the venue asked for silence, or when the share of `importance` is used up.
    pub fn take(&mut self, now: Timestamp, importance: Importance, weight: u32) -> Result<(), Refusal> {
        let silent = match importance {
            Importance::Vital => self.all_from,
            Importance::Routine | Importance::Sight | Importance::Proof => self.all_from.max(self.reads_from),
        };
        if now < silent {
            return Err(Refusal::Told(silent));
        }
        self.turn(now);
        let share = match importance {
            Importance::Routine => 75,
            Importance::Sight => 90,
            Importance::Proof => 99,
            Importance::Vital => 100,
        };
        let allowed = u64::from(self.limit) * share / 100;
        let after = self.used.saturating_add(weight);
        // Vital requests are never refused by our own count: the venue's refusal is the better judge of the last few.
        if importance != Importance::Vital && allowed < u64::from(after) {
            return Err(Refusal::Spent(minute_start(self.minute.saturating_add(1))));
        }
        self.used = after;
        Ok(())
    }

    /// Believes the venue's count, which came with an answer received at venue time `now` to what was asked at `asked`.
    /// A count that may be of the minute before says nothing of this one.
    pub fn told_used(&mut self, asked: Timestamp, now: Timestamp, used: u32) {
        self.turn(now);
        if asked.ms().div_euclid(60_000) == self.minute {
            self.used = self.used.max(used);
        }
    }

    /// Believes the venue's limit.
    pub fn told_limit(&mut self, limit: u32) {
        if 0 < limit {
            self.limit = limit;
        }
    }

    /// Nothing at all before `at`: 429, 418.
    pub fn silence(&mut self, at: Timestamp) {
        self.all_from = self.all_from.max(at);
    }

    /// No reads before `at`: 403, the venue's firewall.
    pub fn silence_reads(&mut self, at: Timestamp) {
        self.reads_from = self.reads_from.max(at);
    }

    /// No new orders before `at`: -1015, which counts orders and not weight.
    pub fn silence_orders(&mut self, at: Timestamp) {
        self.orders_from = self.orders_from.max(at);
    }

    /// How long a mutation still has to wait, if it has to; `order` when it places one.
    pub fn wait(&self, now: Timestamp, order: bool) -> Option<Span> {
        let from = if order {
            self.all_from.max(self.orders_from)
        } else {
            self.all_from
        };
        (now < from).then(|| from.since(now))
    }

    /// Weight used in the running minute, and the limit.
    pub fn usage(&self) -> (u32, u32) {
        (self.used, self.limit)
    }

    fn turn(&mut self, now: Timestamp) {
        let minute = now.ms().div_euclid(60_000);
        if self.minute != minute {
            self.minute = minute;
            self.used = 0;
        }
    }
}

fn minute_start(minute: i64) -> Timestamp {
    Timestamp::from_ms(minute.saturating_mul(60_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    #[test]
    fn li_02_the_reserve_is_for_what_moves_risk() {
        for (used, importance, weight, expected) in [
            (1_799, Importance::Routine, 1, Ok(())),
            (1_800, Importance::Routine, 1, Err(Refusal::Spent(at(120_000)))),
            (1_800, Importance::Sight, 5, Ok(())),
            (2_156, Importance::Sight, 5, Err(Refusal::Spent(at(120_000)))),
            // At 95 % both lists of orders, and then balances and positions.
            (2_280, Importance::Proof, 80, Ok(())),
            (2_360, Importance::Proof, 10, Ok(())),
            (2_370, Importance::Proof, 10, Err(Refusal::Spent(at(120_000)))),
            (2_400, Importance::Vital, 1, Ok(())),
        ] {
            let mut budget = Budget::new(2_400);
            budget.told_used(at(60_000), at(60_001), used);
            assert_eq!(
                budget.take(at(60_002), importance, weight),
                expected,
                "{used} {importance:?}"
            );
        }
    }

    #[test]
    fn li_03_the_venues_count_is_believed_and_ends_with_the_minute() {
        let mut budget = Budget::new(2_400);
        budget.take(at(60_000), Importance::Routine, 40).unwrap();
        assert_eq!(budget.usage().0, 40);
        budget.told_used(at(60_050), at(60_100), 2_300);
        assert!(budget.take(at(60_200), Importance::Routine, 1).is_err());
        assert!(budget.take(at(120_000), Importance::Routine, 1).is_ok());
        assert_eq!(budget.usage().0, 1);
    }

    #[test]
    fn li_03_a_count_of_the_minute_before_does_not_use_up_this_one() {
        let mut budget = Budget::new(2_400);
        // Asked at the end of one minute, answered at the beginning of the next.
        budget.told_used(at(59_990), at(60_040), 2_300);
        assert_eq!(budget.take(at(60_050), Importance::Sight, 5), Ok(()));
        assert_eq!(budget.usage().0, 5);
    }

    #[test]
    fn li_01_nothing_is_asked_before_the_time_that_the_venue_named() {
        let mut budget = Budget::new(2_400);
        budget.silence(at(5_000));
        for importance in [
            Importance::Routine,
            Importance::Sight,
            Importance::Proof,
            Importance::Vital,
        ] {
            assert_eq!(
                budget.take(at(4_999), importance, 1),
                Err(Refusal::Told(at(5_000)))
            );
            assert_eq!(budget.take(at(5_000), importance, 1), Ok(()));
        }
        assert_eq!(budget.wait(at(4_000), true), Some(Span::from_ms(1_000)));
        assert_eq!(budget.wait(at(5_000), true), None);
    }

    #[test]
    fn li_13_after_403_reads_wait_and_mutations_do_not() {
        let mut budget = Budget::new(2_400);
        budget.silence_reads(at(30_000));
        assert!(budget.take(at(1), Importance::Sight, 5).is_err());
        assert!(budget.take(at(1), Importance::Proof, 5).is_err());
        assert!(budget.take(at(1), Importance::Vital, 1).is_ok());
        assert_eq!(budget.wait(at(1), true), None);
    }

    #[test]
    fn li_03_too_many_orders_stops_orders_and_nothing_else() {
        let mut budget = Budget::new(2_400);
        budget.silence_orders(at(10_000));
        assert_eq!(budget.wait(at(1), true), Some(Span::from_ms(9_999)));
        assert_eq!(budget.wait(at(1), false), None);
        assert!(budget.take(at(1), Importance::Routine, 1).is_ok());
    }
}
