//! The venue's margin call.
//!
//! Fires for the bucket that the event names, for a minute from the newest call; a repeated call
//! prolongs it, and cuts again where the ratio is above the aim. A reduction aims at a margin ratio. Silence is no evidence of health: the venue promises no call, so
//! `margin_ratio` belongs beside this. Does not cover accounts whose calls name positions that we cannot place.
//!
//! Source: POLICIES.md b.2; binance-usdm.md 4.4 (threshold and repetition undocumented).

use super::{Assessment, Measured, Scope, View};
use crate::model::{Span, Timestamp};

/// How long a call counts.
const LASTS: Span = Span::from_secs(60);

/// The venue's margin call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarginCall;

impl MarginCall {
    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        for (bucket, called) in view.book.calls() {
            let counts = view.book.now().since(*called) < LASTS;
            let measured = if counts {
                Measured::Fired(*called)
            } else {
                Measured::Quiet
            };
            out.push(Assessment {
                scope: Scope::Bucket(bucket.clone()),
                measured,
            });
        }
    }

    pub(super) fn next_change(&self, view: View<'_>) -> Option<Timestamp> {
        let now = view.book.now();
        view.book
            .calls()
            .values()
            .map(|called| called.after(LASTS))
            .filter(|at| *at > now)
            .min()
    }
}
