//! The hours in which the account may trade, by the wall clock of a zone.
//!
//! Fires outside all of the allowed hours, for as long as that lasts, and is quiet inside. What the clock on the wall
//! reads decides: of hours that a clock change skips nothing is left, hours that it repeats count twice, and a limit
//! inside a gap takes effect at the end of the gap. Needs no data: it is judged before the account was read, too.
//! Recovers when the next allowed hours begin. Does not cover holidays, nor orders that were placed inside the hours and
//! fill outside, unless a rung cancels or closes.
//!
//! Source: POLICIES.md b.6.

use super::{Assessment, Measured, Memory, Scope, View};
use crate::book::Book;
use crate::model::{Span, Timestamp};
use jiff::civil::{DateTime, Weekday};
use jiff::{ToSpan, tz::TimeZone};
use std::fmt;

/// Minutes of a day and of a week.
const DAY: i64 = 1_440;
const WEEK: i64 = 7 * DAY;

/// The hours in which the account may trade.
#[derive(Clone, Debug, PartialEq)]
pub struct TradingWindow {
    /// All of them; never empty.
    pub allow: Vec<Hours>,
    /// The zone.
    pub timezone: TimeZone,
}

/// The same hours on some days of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    /// The days on which they begin, from Monday.
    pub days: [bool; 7],
    /// The first minute, of the day.
    pub from: u16,
    /// The first minute after them; not after `from`, it is one of the next day.
    pub until: u16,
}

impl Hours {
    /// How many minutes they last.
    fn length(&self) -> i64 {
        let length = i64::from(self.until) - i64::from(self.from);
        if length > 0 { length } else { length + DAY }
    }

    /// The minutes of the week at which they begin.
    fn begins(&self) -> impl Iterator<Item = i64> {
        let days = (0i64..).zip(self.days).filter(|(_, is_meant)| *is_meant);
        days.map(|(day, _)| day * DAY + i64::from(self.from))
    }
}

impl TradingWindow {
    pub(super) fn observe(&self, memory: &mut Memory, book: &Book) {
        memory.since = match self.allows(book.now()) {
            true => None,
            false => memory.since.or(Some(book.now())),
        };
    }

    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        out.push(Assessment {
            scope: Scope::Account,
            measured: view.memory.since.map_or(Measured::Quiet, Measured::Fired),
        });
    }

    /// What the clock on the wall reads. `None` outside the calendar.
    fn wall(&self, now: Timestamp) -> Option<DateTime> {
        let moment = jiff::Timestamp::from_millisecond(now.ms()).ok()?;
        Some(moment.to_zoned(self.timezone.clone()).datetime())
    }

    /// Whether the account may trade now. A moment of no calendar is in no hours.
    fn allows(&self, now: Timestamp) -> bool {
        let Some(minute) = self.wall(now).map(minute_of_week) else {
            return false;
        };
        self.allow.iter().any(|hours| {
            hours
                .begins()
                .any(|begin| (minute - begin).rem_euclid(WEEK) < hours.length())
        })
    }

    pub(super) fn explain(&self, view: View<'_>) -> String {
        let now = view.book.now();
        let wall = self
            .wall(now)
            .map_or("unknown".into(), |wall| wall.strftime("%a %H:%M").to_string());
        let zone = self.timezone.iana_name().unwrap_or("the zone's clock");
        let side = if self.allows(now) { "inside" } else { "outside" };
        format!("{wall} {zone} is {side} {}", self.hours())
    }

    /// The hours as they are written.
    pub fn hours(&self) -> String {
        let all: Vec<String> = self.allow.iter().map(ToString::to_string).collect();
        all.join(", ")
    }

    /// The next moment at which it may fire or be quiet: a limit by the wall clock, or a change of the clock.
    pub(super) fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let wall = self.wall(now)?;
        let minute = minute_of_week(wall);
        let limits = self
            .allow
            .iter()
            .flat_map(|hours| hours.begins().flat_map(|begin| [begin, begin + hours.length()]));
        let full = wall.with().second(0).subsec_nanosecond(0).build().ok()?;
        let moments = limits.flat_map(|limit| {
            // A limit of this very minute comes again in a week, and, when the clock is put back, in an hour.
            let ahead = (limit - minute).rem_euclid(WEEK);
            let at = full.checked_add(ahead.minutes()).ok();
            let both = at.map(|at| self.timezone.to_ambiguous_zoned(at));
            let both = both.map(|both| [both.clone().earlier().ok(), both.later().ok()]);
            both.into_iter()
                .flatten()
                .flatten()
                .map(|zoned| zoned.timestamp())
        });
        let moment = jiff::Timestamp::from_millisecond(now.ms()).ok()?;
        let clock = self
            .timezone
            .following(moment)
            .next()
            .map(|change| change.timestamp());
        let ms = moments
            .chain(clock)
            .map(|at| Timestamp::from_ms(at.as_millisecond()));
        let week = now.after(Span::from_ms(WEEK * 60_000));
        ms.filter(|at| *at > now).chain([week]).min()
    }
}

/// Minutes since Monday 00:00.
fn minute_of_week(wall: DateTime) -> i64 {
    let day = i64::from(wall.date().weekday().since(Weekday::Monday));
    day * DAY + i64::from(wall.hour()) * 60 + i64::from(wall.minute())
}

/// Days as they are written in policy files.
pub const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<&str> = DAYS
            .iter()
            .zip(self.days)
            .filter(|(_, meant)| *meant)
            .map(|(day, _)| *day)
            .collect();
        if days.len() < DAYS.len() {
            write!(f, "{} ", days.join(","))?;
        }
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        write!(f, "{}-{}", clock(self.from), clock(self.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(zone: &str, days: &[usize], from: u16, until: u16) -> TradingWindow {
        let mut meant = [false; 7];
        for day in days {
            meant[*day] = true;
        }
        TradingWindow {
            allow: vec![Hours {
                days: meant,
                from,
                until,
            }],
            timezone: TimeZone::get(zone).unwrap(),
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_ms(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn b2_b3_the_clock_on_the_wall_decides() {
        const WEEKDAYS: &[usize] = &[0, 1, 2, 3, 4];
        const SUNDAY: &[usize] = &[6];
        for (zone, days, from, until, moment, allowed) in [
            // 2026-11-25 is a Wednesday.
            ("UTC", WEEKDAYS, 480, 1200, "2026-11-25T08:00:00Z", true),
            ("UTC", WEEKDAYS, 480, 1200, "2026-11-25T07:59:59.999Z", false),
            ("UTC", WEEKDAYS, 480, 1200, "2026-11-25T20:00:00Z", false),
            ("UTC", WEEKDAYS, 480, 1200, "2026-11-28T12:00:00Z", false),
            ("Europe/Prague", WEEKDAYS, 480, 1200, "2026-11-25T07:00:00Z", true),
            ("Europe/Prague", WEEKDAYS, 480, 1200, "2026-07-01T06:00:00Z", true),
            // Over night from Sunday into Monday, and not from Monday into Tuesday.
            ("UTC", SUNDAY, 1320, 360, "2026-11-30T05:59:00Z", true),
            ("UTC", SUNDAY, 1320, 360, "2026-11-30T06:00:00Z", false),
            ("UTC", SUNDAY, 1320, 360, "2026-12-01T05:00:00Z", false),
            ("UTC", SUNDAY, 0, 1440, "2026-11-29T23:59:59Z", true),
            ("UTC", SUNDAY, 0, 1440, "2026-11-30T00:00:00Z", false),
            // In the spring the clock goes from 02:00 to 03:00 at 01:00Z: 02:30 is at the end of the gap.
            ("Europe/Prague", SUNDAY, 150, 300, "2026-03-29T00:59:59Z", false),
            ("Europe/Prague", SUNDAY, 150, 300, "2026-03-29T01:00:00Z", true),
            // In the autumn it goes from 03:00 back to 02:00 at 01:00Z: 02:00 to 02:30 comes twice.
            ("Europe/Prague", SUNDAY, 120, 150, "2026-10-25T00:29:00Z", true),
            ("Europe/Prague", SUNDAY, 120, 150, "2026-10-25T00:31:00Z", false),
            ("Europe/Prague", SUNDAY, 120, 150, "2026-10-25T01:29:00Z", true),
            ("Europe/Prague", SUNDAY, 120, 150, "2026-10-25T01:31:00Z", false),
        ] {
            let window = window(zone, days, from, until);
            assert_eq!(
                window.allows(at(moment)),
                allowed,
                "{} {zone} {moment}",
                window.hours()
            );
        }
    }

    #[test]
    fn b3_no_change_comes_before_the_moment_that_is_named() {
        for (zone, from, until) in [
            ("Europe/Prague", 150u16, 1_200u16),
            ("Europe/Prague", 1_320, 150),
            ("America/New_York", 90, 100),
        ] {
            let window = window(zone, &[0, 3, 6], from, until);
            // Two weeks around each change of the clock, a minute at a time.
            for start in [
                "2026-03-01T00:00:00Z",
                "2026-03-22T00:00:00Z",
                "2026-10-18T00:00:00Z",
                "2026-10-28T00:00:00Z",
            ] {
                let mut now = at(start);
                let (mut next, mut allowed) = (window.next_change(now).unwrap(), window.allows(now));
                for _ in 0..14 * DAY {
                    now = now.after(Span::from_secs(60));
                    let is_allowed = window.allows(now);
                    assert!(is_allowed == allowed || next <= now, "{zone} {now} {next}");
                    if next <= now {
                        next = window.next_change(now).unwrap();
                    }
                    allowed = is_allowed;
                }
            }
        }
    }
}
