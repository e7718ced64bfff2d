//! What a policy remembers over time and restarts.

use crate::book::Book;
use crate::model::{Leg, Money, OrderId, Timestamp};
use std::collections::{BTreeMap, VecDeque};

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
    /// Since when, by our clock, these positions have had no stop that covers them.
    pub naked: BTreeMap<Leg, Timestamp>,
    /// Since when, by our clock, these open orders have had no position to close. No more than are open. Not kept over
    /// a restart: each waits out its time again.
    pub orphans: BTreeMap<OrderId, Timestamp>,
    /// The newest act of somebody else: when, by our clock, and what. Not kept over a restart: it is about a minute.
    pub foreign: Option<(Timestamp, String)>,
    /// Orders placed within the last minute and when, by our clock, oldest first. Not kept over a restart: it is about a
    /// minute.
    pub placed: VecDeque<(OrderId, Timestamp)>,
}

impl Memory {
    /// What survives a restart of it.
    pub fn kept(&self) -> Memory {
        Memory {
            mark: self.mark,
            flows: self.flows,
            since: self.since,
            until: self.until,
            last: self.last,
            last_at: self.last_at,
            note: self.note.clone(),
            naked: self.naked.clone(),
            ..Memory::default()
        }
    }

    /// Remembers the newest trusted equity.
    pub fn saw(&mut self, equity: Money, book: &Book) {
        self.last = Some(equity);
        self.last_at = Some(book.now());
    }
}
