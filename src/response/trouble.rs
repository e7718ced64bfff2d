//! Why a leg or a cancel waits after refusals, and for how long.

use super::flights::REST_MAX;
use crate::event::RejectionKind;
use crate::model::{IntentKey, Leg, Span, Timestamp};

/// First pause after a refusal; doubles up to [`PAUSE_MAX`].
const PAUSE: Span = Span::from_ms(200);
/// Longest pause between tries, for ever: 30 s after the venue is back all is closed and verified (FAILURES.md, bounds).
const PAUSE_MAX: Span = Span::from_secs(20);
/// The same refusal of the request's form so many times in a row opens a circuit: it will not get better by itself.
pub(super) const SAME_MAX: u32 = 3;
/// After so many refusals in a row for want of a counterparty every second order waits for a taker: the market, a smaller
/// order at the market and one at the band's edge found nobody (FAILURES.md OR-22).
const WAITS_AFTER: u32 = 3;
/// Between probes while a circuit is open (FAILURES.md OR-26).
pub(super) const PROBE_EVERY: Span = Span::from_secs(60);

/// Why a leg or a cancel waits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trouble {
    /// Refusals in a row.
    pub failures: u32,
    /// Refusals in a row for want of a counterparty.
    pub band: u32,
    /// Not before.
    pub not_before: Timestamp,
    /// Other closing orders hold the position, or it is gone: cancel them first, and read again.
    pub conflict: bool,
    /// When it was refused last, and how.
    pub refused: Option<(Timestamp, RejectionKind)>,
    /// The venue said that it is done, and it was not.
    pub ignored: bool,
    /// The key was refused, and no answer since shows that it would be taken.
    pub of_key: bool,
    /// The code of the last refusal, and how often it came in a row.
    pub same: (i64, u32),
    /// The last refusal, for people.
    pub last: String,
}

impl Trouble {
    /// Whether the next order is to wait for a taker.
    pub fn waits(&self) -> bool {
        self.band >= WAITS_AFTER && !self.band.is_multiple_of(2)
    }

    /// Nobody inside the band took the order of `sent`. Gives what people must be told, once.
    pub(super) fn deserted(&mut self, now: Timestamp, sent: Timestamp, leg: Option<&Leg>) -> Option<String> {
        self.band = self.band.saturating_add(1);
        // One that waited has waited already, and while one waits nothing is lost by its going out at once.
        let pause = if self.waits() { PAUSE } else { pause(self.failures) };
        self.not_before = sent.after(pause).max(now);
        let leg = leg.filter(|_| self.band == WAITS_AFTER)?;
        Some(format!(
            "nobody takes {leg} inside the price band, neither at the market nor at the band's edge: from now on an order also waits at the mark price, for {REST_MAX} at a time, until somebody does"
        ))
    }
}

/// What people must be told of a refusal: that a leg is stuck, and that a request is wrong in itself.
pub(super) fn alarm(
    key: &IntentKey,
    leg: Option<&Leg>,
    kind: RejectionKind,
    trouble: &Trouble,
) -> Option<String> {
    let what = match key {
        IntentKey::PlaceStop(leg) => format!("the stop of {leg}"),
        _ => leg.map_or_else(|| format!("a cancel in {}", key.about()), Leg::to_string),
    };
    match (kind, trouble.same.1) {
        (RejectionKind::Stuck, 1) => Some(format!(
            "{what} is stuck: {}; it is tried again and again",
            trouble.last
        )),
        (RejectionKind::Structural, SAME_MAX) => Some(format!(
            "{what} is stuck: refused {SAME_MAX} times for the same reason, {}; from now on it is tried once a minute",
            trouble.last
        )),
        _ => None,
    }
}

/// 200, 400, 800 ms, … up to [`PAUSE_MAX`] (FAILURES.md OR-02).
pub(super) fn pause(failures: u32) -> Span {
    let doublings = failures.saturating_sub(1).min(10);
    Span::from_ms(PAUSE.ms() << doublings).min(PAUSE_MAX)
}
