//! Fall from the high-water mark, deposits and withdrawals taken out.
//!
//! In percent `(mark − equity) ÷ mark`, in money `mark − equity`. Trips at or above a threshold. A flow moves the mark
//! so that the fall stays what it was: in percent the mark scales with the equity, in money it moves by the flow
//! (POLICIES.md b.1). Unknown until equity is trusted: complete, marked by fresh prices, every move of a balance
//! explained; an untrusted equity makes no mark. The mark survives restarts and is not reset by a trip or a re-arm,
//! unless the operator rebases. A fall of more than everything is more than 100 %. Does not cover what the account
//! lost before the guard first saw it.
//!
//! Source: POLICIES.md b.1, b.3.

use super::{Amount, Assessment, Measured, Memory, PolicySpec, Scope, View};
use crate::book::{Book, Missing};
use crate::model::{Money, Ratio, Span, Timestamp};

/// One day in UTC.
const DAY_MS: i64 = 86_400_000;

/// Fall from the high-water mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawdown {
    /// What the mark follows.
    pub high_water: HighWater,
    /// The floor (mark less the limit) stops rising when it reaches this equity. Only with money thresholds.
    pub lock_floor_at: Option<Money>,
}

/// What a high-water mark follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HighWater {
    /// Every new high of equity.
    Realtime,
    /// The equity at each day's end, UTC.
    DailyClose,
    /// The first trusted equity, for ever.
    Static,
}

impl Drawdown {
    pub(super) fn observe(&self, memory: &mut Memory, spec: &PolicySpec, book: &Book) {
        // Only with the equity after a flow does the mark scale right.
        if let Some(mark) = memory.mark
            && let Some((flow, after)) = memory.due_flow(book)
        {
            memory.mark = Some(follow_flow(mark, flow, after, spec.is_in_money()));
        }
        if self.high_water == HighWater::DailyClose {
            let day = book.now().ms().div_euclid(DAY_MS).saturating_mul(DAY_MS);
            let began = Timestamp::from_ms(day);
            if memory.since.is_some_and(|since| since < began)
                && let (Some(mark), Some(close)) = (memory.mark, memory.last)
            {
                memory.mark = Some(mark.max(close));
            }
            memory.since = Some(began);
            memory.until = Some(began.after(Span::from_ms(DAY_MS)));
        }
        let Ok(equity) = book.trusted_equity() else { return };
        memory.saw(equity, book);
        memory.mark = match (memory.mark, self.high_water) {
            (None, _) => Some(equity),
            (Some(mark), HighWater::Realtime) => Some(mark.max(equity)),
            (Some(mark), HighWater::DailyClose | HighWater::Static) => Some(mark),
        };
    }

    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        out.push(Assessment {
            scope: Scope::Account,
            measured: fall(view),
        });
    }

    /// The fall that counts against a threshold in money when the floor is locked: from the lower of the mark and
    /// `lock + limit`, so that the floor `mark − limit` never lies above the lock.
    pub(super) fn against(&self, memory: &Memory, fall: Money, limit: Money) -> Money {
        match (self.lock_floor_at, memory.mark) {
            (Some(lock), Some(mark)) => fall - (mark - (lock + limit)).max(Money::ZERO),
            _ => fall,
        }
    }

    pub(super) fn explain(&self, view: View<'_>) -> String {
        explain_fall(view, "high-water mark")
    }
}

/// The fall from the mark, in the unit of the thresholds.
pub(super) fn fall(view: View<'_>) -> Measured {
    match (view.book.trusted_equity(), view.memory.mark) {
        (Err(why), _) => Measured::Unknown(why),
        (Ok(_), None) => Measured::Unknown(Missing::NoEquity),
        (Ok(equity), Some(mark)) if view.spec.is_in_money() => Measured::Value(Amount::Money(mark - equity)),
        (Ok(equity), Some(mark)) => match (mark - equity).ratio_of(mark) {
            Some(fall) => Measured::Value(Amount::Ratio(fall)),
            None => Measured::Unknown(Missing::NoEquity),
        },
    }
}

/// The arithmetic of [`fall`], where the mark is called `name`.
pub(super) fn explain_fall(view: View<'_>, name: &str) -> String {
    match (view.book.trusted_equity(), view.memory.mark) {
        (Err(why), _) => why.to_string(),
        (Ok(_), None) => Missing::NoEquity.to_string(),
        (Ok(equity), Some(mark)) => {
            let fall = mark - equity;
            let share = fall.ratio_of(mark).map_or("unknown".into(), Ratio::percent);
            let (mark, equity, fall) = (Amount::Money(mark), Amount::Money(equity), Amount::Money(fall));
            format!("{name} {mark} − equity {equity} = {fall}, which is {share}")
        }
    }
}

/// The high-water mark after a flow, so that the fall from it stays what it was.
///
/// ```text
/// percent: mark × E⁺ ÷ (E⁺ − F)      money: mark + F      (E⁺: equity after the flow F)
/// ```
///
/// When nothing was there before the flow (`E⁺ − F ≤ 0`), the mark is the equity after it.
pub(super) fn follow_flow(mark: Money, flow: Money, after: Money, in_money: bool) -> Money {
    if in_money {
        return mark + flow;
    }
    let before = after - flow;
    match after.ratio_of(before) {
        Some(growth) => mark.share(growth),
        None => after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a2_a3_a_flow_leaves_the_fall_what_it_was() {
        let m = |text: &str| text.parse::<Money>().unwrap();
        for (name, flow, after, in_money, expected) in [
            ("withdraw 3000 at 10 % down", "-3000", "6000", false, "6666.67"),
            ("deposit 5000 at 10 % down", "5000", "14000", false, "15555.56"),
            ("withdraw 3000, money form", "-3000", "6000", true, "7000"),
            ("a flow rescues a bankrupt account", "5000", "4000", false, "4000"),
        ] {
            let mark = follow_flow(m("10000"), m(flow), m(after), in_money);
            assert_eq!(
                mark.decimal().round_dp(2).normalize().to_string(),
                expected,
                "{name}"
            );
            if !in_money && flow != "5000" {
                let fall = (mark - m(after)).ratio_of(mark).unwrap();
                assert_eq!(fall.percent(), "10%", "{name}");
            }
        }
    }

    #[test]
    fn a_locked_floor_stops_rising() {
        let m = |text: &str| text.parse::<Money>().unwrap();
        let policy = Drawdown {
            high_water: HighWater::Realtime,
            lock_floor_at: Some(m("10000")),
        };
        // Limit 500: at a mark of 10 300 the floor is 9 800; from 10 500 on it stays at 10 000.
        for (mark, equity, breached) in [
            ("10300", "9800", true),
            ("10300", "9801", false),
            ("12000", "10001", false),
            ("12000", "10000", true),
        ] {
            let memory = Memory {
                mark: Some(m(mark)),
                ..Memory::default()
            };
            let counted = policy.against(&memory, m(mark) - m(equity), m("500"));
            assert_eq!(counted >= m("500"), breached, "mark {mark} equity {equity}");
        }
    }
}
