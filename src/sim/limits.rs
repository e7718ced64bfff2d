//! Rate limits: request weight by IP, order counts by account (binance-usdm.md section 8).

use super::auth::Refusal;
use std::collections::VecDeque;

const WEIGHT_MAX: u32 = 2_400;
const ORDERS_10S_MAX: usize = 300;
const ORDERS_1M_MAX: usize = 1_200;
/// Requests after a 429 that are tolerated before the ban.
const PATIENCE: u32 = 20;

/// Counters of one IP and one account.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    minute: i64,
    used: u32,
    over: u32,
    banned_until: i64,
    /// When, and how many orders of the ten seconds and of the minute.
    orders: VecDeque<(i64, usize, usize)>,
}

impl Limits {
    /// Takes weight; refuses with 429 when a minute's share is used up, and with 418 when that is ignored.
    pub fn take(&mut self, now: i64, weight: u32) -> Result<(), (Refusal, i64)> {
        let minute = now.div_euclid(60_000);
        if minute != self.minute {
            (self.minute, self.used, self.over) = (minute, 0, 0);
        }
        if now < self.banned_until {
            return Err((self.banned(), (self.banned_until - now) / 1_000 + 1));
        }
        self.used = self.used.saturating_add(weight);
        if self.used <= WEIGHT_MAX {
            return Ok(());
        }
        self.over += 1;
        if self.over > PATIENCE {
            self.banned_until = now + 120_000;
            return Err((self.banned(), 120));
        }
        let message = "Too many requests; current limit of IP is 2400 requests per minute.".into();
        let left = (60_000 - now.rem_euclid(60_000)) / 1_000 + 1;
        Err((
            Refusal {
                status: 429,
                code: -1003,
                message,
            },
            left,
        ))
    }

    fn banned(&self) -> Refusal {
        let message = format!("Way too many requests; IP banned until {}.", self.banned_until);
        Refusal {
            status: 418,
            code: -1003,
            message,
        }
    }

    /// Counts a request that places: a single order is one of both windows, a batch five of the ten seconds and one of
    /// the minute (5.1).
    pub fn order(&mut self, now: i64, ten: usize, minute: usize) -> Result<(), Refusal> {
        while self.orders.front().is_some_and(|(at, ..)| now - at >= 60_000) {
            self.orders.pop_front();
        }
        let (used_ten, used_minute) = self.order_counts(now);
        let (limit, span) = match (
            used_ten + ten > ORDERS_10S_MAX,
            used_minute + minute > ORDERS_1M_MAX,
        ) {
            (true, _) => (ORDERS_10S_MAX, "TEN_SECONDS"),
            (_, true) => (ORDERS_1M_MAX, "MINUTE"),
            _ => {
                self.orders.push_back((now, ten, minute));
                return Ok(());
            }
        };
        Err(Refusal {
            status: 400,
            code: -1015,
            message: format!("Too many new orders; current limit is {limit} orders per {span}."),
        })
    }

    /// Orders in the last ten seconds and in the last minute.
    pub fn order_counts(&self, now: i64) -> (usize, usize) {
        let ten = self.orders.iter().filter(|(at, ..)| now - at < 10_000);
        let minute = self.orders.iter().filter(|(at, ..)| now - at < 60_000);
        (ten.map(|row| row.1).sum(), minute.map(|row| row.2).sum())
    }

    /// A neighbour takes from the same pools. It heeds a 429, so it takes what is left and no ban comes of it.
    pub fn neighbour(&mut self, now: i64, weight: u32, orders: usize) {
        let minute = now.div_euclid(60_000);
        if minute != self.minute {
            (self.minute, self.used, self.over) = (minute, 0, 0);
        }
        self.used = self.used.max(self.used.saturating_add(weight).min(WEIGHT_MAX));
        for _ in 0..orders {
            let _ = self.order(now, 1, 1);
        }
    }

    /// Weight used in the present minute.
    pub fn used(&self) -> u32 {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn li_01_the_minute_is_429_then_418_with_a_deadline() {
        let mut limits = Limits::default();
        assert!((0..60).all(|_| limits.take(1_000, 40).is_ok()));
        let (refusal, retry) = limits.take(1_000, 1).unwrap_err();
        assert_eq!((refusal.status, retry), (429, 60));
        let bans: Vec<u16> = (0..30)
            .map(|_| limits.take(1_000, 1).unwrap_err().0.status)
            .collect();
        assert_eq!(bans.last(), Some(&418));
        assert_eq!(
            limits.take(61_000, 1).unwrap_err().0.status,
            418,
            "a ban outlives the minute"
        );
        assert!(limits.take(122_000, 1).is_ok());
    }

    #[test]
    fn li_03_orders_are_counted_in_two_windows() {
        let mut limits = Limits::default();
        assert!((0..300).all(|_| limits.order(1_000, 1, 1).is_ok()));
        assert_eq!(limits.order(1_000, 1, 1).unwrap_err().code, -1015);
        assert!(limits.order(11_001, 1, 1).is_ok());
        // A batch is five of the ten seconds and one of the minute.
        let mut limits = Limits::default();
        assert!((0..60).all(|_| limits.order(1_000, 5, 1).is_ok()));
        assert_eq!(limits.order_counts(1_000), (300, 60));
        assert_eq!(limits.order(1_000, 1, 1).unwrap_err().code, -1015);
    }
}
