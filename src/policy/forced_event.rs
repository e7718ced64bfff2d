//! The venue traded on the account by itself: a liquidation, auto-deleveraging or settlement fill.
//!
//! Fires for the whole account when such an order of a contract that `symbols` covers has filled, in part or in full,
//! and for an hour from the newest of them; each fill counts once, however often it is told. So a rung with the usual
//! `until_clear` stays in force for that hour, and `for 4h` for longer. A restart shortens nothing. Quiet before the
//! first of them, which needs no data. Recovers when the hour is over, or when an operator rebases. Does not cover
//! what nobody was told: a forced trade during a gap of the stream is seen as a changed position, not as forced.
//!
//! Source: POLICIES.md b.2 (`until:1h`); binance-usdm.md 4.2.

use super::{Assessment, Measured, Memory, PolicySpec, Scope, View};
use crate::book::Book;
use crate::model::{Span, Timestamp};

/// How long a forced fill counts.
const LASTS: Span = Span::from_secs(3_600);

/// The venue traded on the account by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForcedEvent;

impl ForcedEvent {
    pub(super) fn observe(&self, memory: &mut Memory, spec: &PolicySpec, book: &Book) {
        let Some((leg, what)) = book.forced_fill() else {
            return;
        };
        if spec.acts_on(&leg.symbol) {
            memory.since = Some(book.now());
            memory.note = Some(format!("{what} of {leg}"));
        }
    }

    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        let filled = view.memory.since;
        let counts = filled.filter(|at| view.book.now() < at.after(LASTS));
        out.push(Assessment {
            scope: Scope::Account,
            measured: counts.map_or(Measured::Quiet, Measured::Fired),
        });
    }

    pub(super) fn explain(&self, view: View<'_>) -> String {
        match (view.memory.since, &view.memory.note) {
            (Some(at), Some(what)) => format!("{what} at {at}; it counts for {LASTS}"),
            (Some(at), None) => format!("forced by the venue at {at}; it counts for {LASTS}"),
            (None, _) => "nothing was forced by the venue".into(),
        }
    }

    pub(super) fn next_change(&self, view: View<'_>) -> Option<Timestamp> {
        view.memory.since.map(|at| at.after(LASTS))
    }
}
