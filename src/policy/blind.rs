//! Time without proof of life.
//!
//! Proof is an event of the account, or a digest that agrees with the book; pings, keepalives and market data prove
//! nothing. Measured from the newest proof, or from the first attempt to connect. Trips by time alone; recovers with
//! the next proof. Does not cover a venue that answers with wrong numbers.
//!
//! Source: FAILURES.md, "Proof"; POLICIES.md d.6.

use super::{Amount, Assessment, Measured, Scope, View};
use crate::model::{Span, Timestamp};

/// Time without proof of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blind;

impl Blind {
    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        let age = view.book.link().proof_age().unwrap_or(Span::ZERO);
        out.push(Assessment {
            scope: Scope::Account,
            measured: Measured::Value(Amount::Time(age)),
        });
    }

    pub(super) fn explain(&self, view: View<'_>) -> String {
        let link = view.book.link();
        let age = link.proof_age().unwrap_or(Span::ZERO);
        match (link.is_up(), link.why_down()) {
            (true, _) => format!("connected, and no proof of life for {age}"),
            (false, "") => format!("not connected for {age}"),
            (false, why) => format!("not connected ({why}), no proof of life for {age}"),
        }
    }

    pub(super) fn next_change(&self, view: View<'_>) -> Option<Timestamp> {
        let (from, now) = (view.book.link().counted_from()?, view.book.now());
        let thresholds = view.spec.ladder.iter().filter_map(|rung| match rung.at {
            Some(Amount::Time(span)) => Some(from.after(span)),
            _ => None,
        });
        thresholds.filter(|at| *at > now).min()
    }
}
