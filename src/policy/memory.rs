//! What a policy remembers over time and restarts.

use crate::book::Book;
use crate::model::{Leg, Money, OrderId, Side, Timestamp};
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
    /// The best profit of the present period.
    pub best: Option<Money>,
    /// Highs of a moving window, oldest and highest first.
    pub peaks: VecDeque<Peak>,
    /// Losses of a streak, oldest first, each negative.
    pub losses: VecDeque<Peak>,
    /// Round trips that are not over.
    pub rounds: BTreeMap<Leg, Round>,
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

/// A round trip that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// The side that opened it.
    pub opened_by: Side,
    /// What it has made so far, fees taken out; `None` once a part of it is not known.
    pub result: Option<Money>,
    /// Whether an order of the guard closed a part of it.
    pub is_ours: bool,
    /// Whether the newest fill closed something and was the last of its order.
    pub is_closed: bool,
    /// Since when nothing is held of it.
    pub flat_since: Option<Timestamp>,
}

impl Round {
    /// One that begins.
    pub fn new(opened_by: Side) -> Round {
        Round {
            opened_by,
            result: Some(Money::ZERO),
            is_ours: false,
            is_closed: false,
            flat_since: None,
        }
    }
}

/// An amount and its moment: an equity that nothing later in its window has reached, or a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peak {
    /// When it was; a high may be dated a little later.
    pub at: Timestamp,
    /// How much; in a high, what flowed since is worked in.
    pub equity: Money,
}

impl Memory {
    /// What survives a restart of it.
    pub fn kept(&self) -> Memory {
        Memory {
            orphans: BTreeMap::new(),
            foreign: None,
            placed: VecDeque::new(),
            ..self.clone()
        }
    }

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
