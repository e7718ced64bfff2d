//! Time that a position stands without a stop that covers it, each leg alone.
//!
//! A stop counts when it can only reduce, is on the closing side of the right leg, in either of the venue's stores, and
//! its trigger lies on the adverse side of the mark price, no further from it than `max_stop_distance`. A position whose
//! stops together close less than `min_coverage` of it is unprotected, from the moment when that was first seen: when it
//! opened, or when a stop went away, however it went. Trips when that has lasted as long as a threshold. Before the
//! account was read, and while holdings are too old to judge by, it is unknown; so is a position that only a missing mark
//! price could call protected, and its time goes on. Recovers when it is covered again, or closed. The time survives a
//! restart. Does not cover stops outside the venue, a stop that the venue will fail to execute, and a rest too small for
//! any order. A trailing stop whose trigger the venue does not tell is believed, unless `max_stop_distance` is asked for.
//!
//! Source: POLICIES.md b.5.

use super::{Amount, Assessment, Measured, Memory, PolicySpec, Scope, View};
use crate::book::{Book, Cover, Missing, cover};
use crate::model::{Leg, Position, Qty, Ratio, Span, Timestamp};

/// Time without a stop that covers a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnprotectedPosition {
    /// The least share of a position that its stops must close.
    pub min_coverage: Ratio,
    /// The furthest that a trigger may lie from the mark price, as a share of it; `None`: as far as it likes.
    pub max_stop_distance: Option<Ratio>,
}

/// What is known of a position's protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Stops cover it.
    Covered,
    /// They do not.
    Naked,
    /// It cannot be told.
    Unknown(Missing),
}

impl UnprotectedPosition {
    pub(super) fn observe(&self, memory: &mut Memory, spec: &PolicySpec, book: &Book) {
        if !book.is_ready() || !book.is_fresh() {
            return;
        }
        let mut naked = std::mem::take(&mut memory.naked);
        naked.retain(|leg, _| !book.amount(leg).is_zero());
        for (leg, position) in judged(book, spec) {
            match self.protection(book, leg, position) {
                Protection::Covered => {
                    naked.remove(leg);
                }
                Protection::Naked => {
                    naked.entry(leg.clone()).or_insert(book.now());
                }
                Protection::Unknown(_) => {}
            }
        }
        memory.naked = naked;
    }

    /// What stands between a position and its liquidation.
    pub fn protection(&self, book: &Book, leg: &Leg, position: &Position) -> Protection {
        let counted = |cover: Cover| cover.share >= self.min_coverage;
        match (book.mark_price(&leg.symbol), self.max_stop_distance) {
            (Ok(mark), furthest) if counted(cover(book, leg, position, Some(mark), furthest)) => {
                Protection::Covered
            }
            (Ok(_), _) => Protection::Naked,
            // Not even with every trigger on the right side would it be covered.
            (Err(_), _) if !counted(cover(book, leg, position, None, None)) => Protection::Naked,
            (Err(why), _) => Protection::Unknown(why),
        }
    }

    pub(super) fn assess(&self, view: View<'_>, out: &mut Vec<Assessment>) {
        let book = view.book;
        let account = |why: Missing| Assessment {
            scope: Scope::Account,
            measured: Measured::Unknown(why),
        };
        if !book.is_ready() {
            return out.push(account(Missing::Snapshot));
        }
        if !book.is_fresh() {
            return out.push(account(Missing::StaleHoldings));
        }
        for (leg, position) in judged(book, view.spec) {
            let age = view
                .memory
                .naked
                .get(leg)
                .map_or(Span::ZERO, |since| book.now().since(*since));
            let measured = match self.protection(book, leg, position) {
                Protection::Unknown(why) => Measured::Unknown(why),
                Protection::Covered | Protection::Naked => Measured::Value(Amount::Time(age)),
            };
            out.push(Assessment {
                scope: Scope::Leg(leg.clone()),
                measured,
            });
        }
    }

    pub(super) fn explain(&self, view: View<'_>, scope: &Scope) -> String {
        let Scope::Leg(leg) = scope else {
            return "no position".into();
        };
        let book = view.book;
        let Some(position) = book.position(leg).filter(|held| !held.amount.is_zero()) else {
            return format!("{leg}: no position");
        };
        let mark = match book.mark_price(&leg.symbol) {
            Ok(mark) => mark,
            Err(why) => return format!("{leg}: {why}"),
        };
        let found = cover(book, leg, position, Some(mark), self.max_stop_distance);
        let (share, least) = (found.share.percent(), self.min_coverage.percent());
        let mut told = format!(
            "{leg}: position {}, stops cover {share} of it, at least {least} wanted",
            position.amount
        );
        if found.passed_over > 0 {
            told.push_str(&format!("; {} more do not count", found.passed_over));
        }
        if let Some(since) = view.memory.naked.get(leg) {
            told.push_str(&format!("; unprotected for {}", book.now().since(*since)));
        }
        told
    }

    pub(super) fn next_change(&self, view: View<'_>) -> Option<Timestamp> {
        view.next_threshold(view.memory.naked.values().copied())
    }
}

/// Positions that an order could close.
fn judged<'a>(book: &'a Book, spec: &'a PolicySpec) -> impl Iterator<Item = (&'a Leg, &'a Position)> {
    book.positions()
        .filter(|(leg, _)| spec.symbols.covers(&leg.symbol))
        .filter(|(leg, position)| {
            let step = book
                .instrument(&leg.symbol)
                .map_or(Qty::ZERO, |found| found.market_lot.step);
            !position.amount.abs().floor_to(step).is_zero()
        })
}
