//! Moments and spans of time, in whole milliseconds as the venues count them.

use std::fmt;

/// A moment: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(i64);

/// A length of time in milliseconds, never negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span(i64);

impl Timestamp {
    /// A moment from Unix milliseconds.
    pub const fn from_ms(ms: i64) -> Timestamp {
        Timestamp(ms)
    }

    /// Unix milliseconds.
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// The time that has passed since `earlier`; zero when `earlier` is in the future.
    pub fn since(self, earlier: Timestamp) -> Span {
        Span(self.0.saturating_sub(earlier.0).max(0))
    }

    /// This moment and `span` later.
    pub fn after(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_add(span.0))
    }
}

impl Span {
    /// No time.
    pub const ZERO: Span = Span(0);

    /// A span of milliseconds; negative counts as none.
    pub const fn from_ms(ms: i64) -> Span {
        Span(if ms < 0 { 0 } else { ms })
    }

    /// A span of seconds.
    pub const fn from_secs(secs: u32) -> Span {
        Span(secs as i64 * 1000)
    }

    /// Milliseconds.
    pub const fn ms(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds; the raw number when no calendar has the moment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => write!(f, "{moment:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Display for Span {
    /// As people and the configuration write it: `250ms`, `15s`, `20m`, `1h`, `1m30s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (h, m, s, ms) = (
            self.0 / 3_600_000,
            self.0 / 60_000 % 60,
            self.0 / 1000 % 60,
            self.0 % 1000,
        );
        if self.0 == 0 {
            return f.write_str("0s");
        }
        for (value, unit) in [(h, "h"), (m, "m"), (s, "s"), (ms, "ms")] {
            if value > 0 {
                write!(f, "{value}{unit}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_they_are_written() {
        for (ms, text) in [
            (0, "0s"),
            (250, "250ms"),
            (15_000, "15s"),
            (90_000, "1m30s"),
            (3_600_000, "1h"),
        ] {
            assert_eq!(Span::from_ms(ms).to_string(), text);
        }
    }

    #[test]
    fn time_does_not_run_backwards_in_a_span() {
        let (a, b) = (Timestamp::from_ms(5), Timestamp::from_ms(9));
        assert_eq!(b.since(a).ms(), 4);
        assert_eq!(a.since(b), Span::ZERO);
    }
}
