//! What a policy remembers over time and restarts.

use crate::book::Book;
use crate::model::{Money, Timestamp};
use std::collections::VecDeque;

/// A policy's memory. Each type uses what it needs and leaves the rest `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// High-water mark, or the base that a period's loss is measured from.
    pub mark: Option<Money>,
    /// Net flows since the period began.
    pub flows: Money,
    /// When the present period began.
    pub since: Option<Timestamp>,
    /// When it ends.
    pub until: Option<Timestamp>,
    /// The last trusted equity.
    pub last: Option<Money>,
    /// When that was, by our clock.
    pub last_at: Option<Timestamp>,
    /// How the mark came about, when it is not the plain way.
    pub note: Option<String>,
    /// The best profit of the present period.
    pub best: Option<Money>,
    /// Highs of a moving window, oldest and highest first.
    pub peaks: VecDeque<Peak>,
}

/// An equity that nothing later in its window has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peak {
    /// When it was last seen, or a little later.
    pub at: Timestamp,
    /// The equity, with what flowed since worked in.
    pub equity: Money,
}

impl Memory {
    /// Remembers the newest trusted equity.
    pub fn saw(&mut self, equity: Money, book: &Book) {
        self.last = Some(equity);
        self.last_at = Some(book.now());
    }

    /// A flow that is to be worked in now, and the equity after it. It waits until that is known.
    pub fn due_flow(&mut self, book: &Book) -> Option<(Money, Money)> {
        if let Some(flow) = book.flow() {
            self.flows += flow;
            self.last = self.last.map(|last| last + flow);
        }
        if self.flows.is_zero() {
            return None;
        }
        let after = book.equity().ok()?;
        Some((std::mem::take(&mut self.flows), after))
    }
}
