//! What a policy remembers over time and restarts.

use crate::book::Book;
use crate::model::{Money, Timestamp};

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
}

impl Memory {
    /// Remembers the newest trusted equity.
    pub fn saw(&mut self, equity: Money, book: &Book) {
        self.last = Some(equity);
        self.last_at = Some(book.now());
    }
}
