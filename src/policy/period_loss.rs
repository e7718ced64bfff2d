//! Loss since the period began, deposits and withdrawals taken out.
//!
//! `loss = base + flows since the reset − equity`; percentages refer to the base, or to `initial`. Trips at or above a
//! threshold. A period begins at `reset` on the zone's clock: a day is 23 to 25 hours long, and a reset time that a
//! clock change skips happens at the end of the gap. The base is the equity (or wallet balance) when the period began;
//! if the guard could not see that moment, it is the last that was known before it, and the explanation says so. At
//! first start the period counts from what is there. Unknown until equity is trusted. Recovers when the loss is
//! `clear` under the threshold, or with the next period under `until_reset`. Does not cover losses before the guard's
//! first start.
//!
//! Source: POLICIES.md b.3.

use super::{Amount, Assessment, Measured, Memory, Scope, View};
use crate::book::{Book, Missing};
use crate::model::{Money, Ratio, Span, Timestamp};
use jiff::civil::{Date, Time, Weekday};
use jiff::{ToSpan, tz::TimeZone};

/// An equity seen this long after the reset still counts as the equity at the reset.
const ON_TIME: Span = Span::from_secs(60);

/// Loss since the period began.
#[derive(Clone, Debug, PartialEq)]
pub struct PeriodLoss {
    /// How long a period is.
    pub period: Period,
    /// When a period begins, on the zone's clock.
    pub reset: Time,
    /// The zone.
    pub timezone: TimeZone,
    /// What a loss is measured from, and what percentages refer to.
    pub base: Base,
    /// The capital at the start, with `base = "initial"`.
    pub initial: Option<Money>,
}

/// How long a period is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// From one reset to the next day's.
    Day,
    /// From Monday's reset.
    Week,
    /// From the first day's reset.
    Month,
}

/// What a loss is measured from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Equity when the period began.
    Equity,
    /// Wallet balance when the period began; an open loss counts again.
    Balance,
    /// The higher of the two.
    Max,
    /// Equity when the period began, but percentages refer to `initial`.
    Initial,
}

impl PeriodLoss {
    pub(super) fn observe(&self, memory: &mut Memory, book: &Book) {
        if let Some(flow) = book.flow() {
            memory.flows += flow;
            memory.last = memory.last.map(|last| last + flow);
        }
        let ended = memory.until.is_none_or(|until| book.now() >= until);
        if ended && let Some((began, ends)) = self.period_at(book.now()) {
            if memory.since.is_some_and(|since| since < began) {
                // Leave the base open until an equity is known; what was last seen stands in if that is late.
                memory.mark = None;
                memory.flows = Money::ZERO;
            }
            memory.since = Some(began);
            memory.until = Some(ends);
        }
        let Ok(equity) = book.trusted_equity() else { return };
        if memory.mark.is_none()
            && let Some(base) = self.base_now(equity, book)
        {
            let began = memory.since.unwrap_or(book.now());
            let late = book.now().since(began) > ON_TIME;
            memory.mark = Some(match memory.last.filter(|_| late) {
                Some(last) => {
                    memory.note = Some("the base is the last equity known before the reset".into());
                    // The last equity has the flows since the reset in it, and they count on their own.
                    last - memory.flows
                }
                None => {
                    memory.note = late.then(|| "the base is the first equity seen in this period".into());
                    base
                }
            });
        }
        memory.saw(equity, book);
    }

    fn base_now(&self, equity: Money, book: &Book) -> Option<Money> {
        match self.base {
            Base::Equity | Base::Initial => Some(equity),
            Base::Balance => book.wallets().ok(),
            Base::Max => book.wallets().ok().map(|wallets| wallets.max(equity)),
        }
    }

    /// The period that a moment lies in: its beginning and its end. `None` outside the calendar.
    pub fn period_at(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let moment = jiff::Timestamp::from_millisecond(now.ms()).ok()?;
        let here = moment.to_zoned(self.timezone.clone());
        // The civil date decides; near a clock change the comparison of instants corrects it by a period.
        let mut first = self.first_day(here.date())?;
        let mut began = self.reset_on(first)?;
        if began > now {
            first = self.first_day(first.checked_sub(1.day()).ok()?)?;
            began = self.reset_on(first)?;
        }
        let ends = self.reset_on(self.next(first)?)?;
        Some((began, ends))
    }

    fn first_day(&self, date: Date) -> Option<Date> {
        match self.period {
            Period::Day => Some(date),
            Period::Week => {
                let back = date.weekday().since(Weekday::Monday);
                date.checked_sub(i64::from(back).days()).ok()
            }
            Period::Month => Some(date.first_of_month()),
        }
    }

    fn next(&self, first: Date) -> Option<Date> {
        let step = match self.period {
            Period::Day => 1.day(),
            Period::Week => 1.week(),
            Period::Month => 1.month(),
        };
        first.checked_add(step).ok()
    }

    fn reset_on(&self, date: Date) -> Option<Timestamp> {
        let zoned = date
            .to_datetime(self.reset)
            .to_zoned(self.timezone.clone())
            .ok()?;
        Some(Timestamp::from_ms(zoned.timestamp().as_millisecond()))
    }

    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        let measured = match (view.book.trusted_equity(), view.memory.mark) {
            (Err(why), _) => Measured::Unknown(why),
            (Ok(_), None) => Measured::Unknown(Missing::NoEquity),
            (Ok(equity), Some(base)) => {
                let loss = base + view.memory.flows - equity;
                if view.spec.is_in_money() {
                    Measured::Value(Amount::Money(loss))
                } else {
                    match loss.ratio_of(self.initial.unwrap_or(base)) {
                        Some(share) => Measured::Value(Amount::Ratio(share)),
                        None => Measured::Unknown(Missing::NoEquity),
                    }
                }
            }
        };
        out.push(Assessment {
            scope: Scope::Account,
            measured,
        });
    }

    pub(super) fn explain(&self, view: View<'_>) -> String {
        match (view.book.trusted_equity(), view.memory.mark) {
            (Err(why), _) => why.to_string(),
            (Ok(_), None) => Missing::NoEquity.to_string(),
            (Ok(equity), Some(base)) => {
                let flows = view.memory.flows;
                let loss = base + flows - equity;
                let share = loss
                    .ratio_of(self.initial.unwrap_or(base))
                    .map_or("unknown".into(), Ratio::percent);
                let m = Amount::Money;
                let note = view
                    .memory
                    .note
                    .as_ref()
                    .map_or(String::new(), |note| format!(" ({note})"));
                format!(
                    "base {} + flows {} − equity {} = {}, which is {share}{note}",
                    m(base),
                    m(flows),
                    m(equity),
                    m(loss)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(period: Period, reset: &str, zone: &str) -> PeriodLoss {
        PeriodLoss {
            period,
            reset: reset.parse().unwrap(),
            timezone: TimeZone::get(zone).unwrap(),
            base: Base::Equity,
            initial: None,
        }
    }

    #[test]
    fn b2_b3_periods_follow_the_zone_and_its_clock_changes() {
        for (period, reset, zone, now, began, hours) in [
            (
                Period::Day,
                "00:00",
                "UTC",
                "2026-11-25T12:00:00Z",
                "2026-11-25T00:00:00Z",
                24,
            ),
            (
                Period::Day,
                "00:30",
                "UTC",
                "2026-11-25T00:10:00Z",
                "2026-11-24T00:30:00Z",
                24,
            ),
            (
                Period::Day,
                "17:00",
                "America/New_York",
                "2026-11-25T12:00:00Z",
                "2026-11-24T22:00:00Z",
                24,
            ),
            // The spring day in Prague is 23 hours long, the autumn day 25.
            (
                Period::Day,
                "00:00",
                "Europe/Prague",
                "2026-03-29T12:00:00Z",
                "2026-03-28T23:00:00Z",
                23,
            ),
            (
                Period::Day,
                "00:00",
                "Europe/Prague",
                "2026-10-25T12:00:00Z",
                "2026-10-24T22:00:00Z",
                25,
            ),
            // A reset inside the gap happens at the end of it.
            (
                Period::Day,
                "02:30",
                "Europe/Prague",
                "2026-03-29T12:00:00Z",
                "2026-03-29T01:30:00Z",
                23,
            ),
            (
                Period::Week,
                "00:00",
                "UTC",
                "2026-11-25T12:00:00Z",
                "2026-11-23T00:00:00Z",
                168,
            ),
            (
                Period::Month,
                "00:00",
                "UTC",
                "2026-11-25T12:00:00Z",
                "2026-11-01T00:00:00Z",
                720,
            ),
            (
                Period::Month,
                "06:00",
                "UTC",
                "2026-11-01T05:00:00Z",
                "2026-10-01T06:00:00Z",
                744,
            ),
        ] {
            let at =
                |text: &str| Timestamp::from_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
            let (start, end) = policy(period, reset, zone).period_at(at(now)).unwrap();
            assert_eq!(start.to_string(), at(began).to_string(), "{reset} {zone} {now}");
            assert_eq!(end.since(start).ms() / 3_600_000, hours, "{reset} {zone} {now}");
        }
    }

    #[test]
    fn b3_every_moment_of_a_year_lies_in_exactly_one_day() {
        let policy = policy(Period::Day, "02:30", "Europe/Prague");
        let mut at = Timestamp::from_ms(1_767_225_600_000);
        let (mut began, mut ends) = policy.period_at(at).unwrap();
        let mut resets = 0;
        for _ in 0..365 * 48 {
            at = at.after(Span::from_secs(1800));
            let next = policy.period_at(at).unwrap();
            assert!(next.0 <= at && at < next.1, "{at}");
            if next.0 != began {
                assert_eq!(next.0, ends, "no gap and no overlap at {at}");
                resets += 1;
                (began, ends) = next;
            }
        }
        assert_eq!(resets, 365);
    }
}
