//! The guard's side of the connection: when it connects, what it reads, which frames it lets through. Pure.
//!
//! It does what the live session does: events are held back until the first snapshot, readings go on whether or not the
//! stream does, and what is lost is read again.

use crate::model::{Span, Symbol, Timestamp};
use crate::response::Needs;
use crate::venue::binance::client::SessionConfig;
use crate::venue::binance::client::reads::{Kind, Reads};
use std::collections::BTreeSet;

/// Pause before another try to connect.
const AGAIN: Span = Span::from_secs(1);
/// Transfers are read again from this long before a gap.
const TRANSFERS_SLACK_MS: i64 = 120_000;
/// Frames held back for a snapshot; more than a script can make in that time.
const HELD_MAX: usize = 16_384;

/// One connection and the schedule of readings.
#[derive(Debug)]
pub(super) struct Line {
    config: SessionConfig,
    pub(super) reads: Reads,
    state: State,
    /// Grows with each connection: answers from before it prove nothing.
    pub(super) epoch: u64,
    pub(super) transfers_since: Timestamp,
    pub(super) watched: BTreeSet<Symbol>,
}

#[derive(Debug)]
enum State {
    Closed {
        open_at: Timestamp,
    },
    Opening,
    Open {
        key: String,
        held: Option<(Vec<String>, Timestamp)>,
        keep_at: Timestamp,
    },
}

/// What the line wants to ask the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// The stream's key, to connect.
    Key,
    /// The stream's key, to keep it alive.
    Keep,
    /// A reading.
    Read(Kind),
}

impl Line {
    pub(super) fn new(now: Timestamp, transfers_since: Option<Timestamp>) -> Line {
        let config = SessionConfig::new("");
        Line {
            reads: Reads::new(config.digest_interval, now),
            config,
            state: State::Closed { open_at: now },
            epoch: 0,
            transfers_since: transfers_since.unwrap_or(gap_start(now)),
            watched: BTreeSet::new(),
        }
    }

    /// When [`Line::start`] has something to do.
    pub(super) fn wake(&self) -> Option<Timestamp> {
        let own = match &self.state {
            State::Closed { open_at } => Some(*open_at),
            State::Opening => None,
            State::Open { held, keep_at, .. } => Some(
                held.as_ref()
                    .map_or(*keep_at, |(_, until)| (*until).min(*keep_at)),
            ),
        };
        self.reads.wake().into_iter().chain(own).min()
    }

    /// What is to be asked now.
    pub(super) fn start(&mut self, now: Timestamp) -> Vec<Errand> {
        let mut errands: Vec<Errand> = self.reads.start(now).into_iter().map(Errand::Read).collect();
        match &mut self.state {
            State::Closed { open_at } if *open_at <= now => {
                self.state = State::Opening;
                errands.push(Errand::Key);
            }
            State::Open { keep_at, .. } if *keep_at <= now => {
                *keep_at = now.after(self.config.keepalive);
                errands.push(Errand::Keep);
            }
            _ => {}
        }
        errands
    }

    /// The stream is open.
    pub(super) fn opened(&mut self, now: Timestamp, key: String) {
        self.epoch = self.epoch.saturating_add(1);
        self.reads.snapshot(now);
        self.state = State::Open {
            key,
            held: Some((Vec::new(), now.after(self.config.hold_max))),
            keep_at: now.after(self.config.keepalive),
        };
    }

    /// The stream is gone or could not be opened; gives what was held back, which is true.
    pub(super) fn lost(&mut self, now: Timestamp) -> Vec<String> {
        self.transfers_since = self.transfers_since.min(gap_start(now));
        let before = std::mem::replace(
            &mut self.state,
            State::Closed {
                open_at: now.after(AGAIN),
            },
        );
        match before {
            State::Open {
                held: Some((held, _)),
                ..
            } => held,
            _ => Vec::new(),
        }
    }

    /// Whether a stream with this key is open.
    pub(super) fn hears(&self, key: &str) -> bool {
        matches!(&self.state, State::Open { key: own, .. } if own == key)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// A private frame: it passes, or is held back.
    pub(super) fn frame(&mut self, text: String) -> Option<String> {
        match &mut self.state {
            State::Open {
                held: Some((held, _)),
                ..
            } if held.len() < HELD_MAX => {
                held.push(text);
                None
            }
            _ => Some(text),
        }
    }

    /// Frames that need not be held any longer: the snapshot is there, or it is late.
    pub(super) fn release(&mut self, now: Timestamp, is_read: bool) -> Vec<String> {
        let State::Open { held, .. } = &mut self.state else {
            return Vec::new();
        };
        if is_read || held.as_ref().is_some_and(|(_, until)| *until <= now) {
            held.take().map_or_else(Vec::new, |(held, _)| held)
        } else {
            Vec::new()
        }
    }

    /// A reading ended.
    pub(super) fn ended(&mut self, kind: Kind, well: bool, now: Timestamp) {
        self.reads.ended(kind, well, None, now);
        if kind == Kind::Transfers && well {
            self.transfers_since = gap_start(now);
        }
    }

    /// What the guard wants read.
    pub(super) fn need(&mut self, needs: Needs, now: Timestamp) {
        for (wanted, kind) in [
            (needs.holdings, Kind::Holdings),
            (needs.orders, Kind::Orders),
            (needs.settings, Kind::Settings),
            (needs.rules, Kind::Rules),
            (needs.transfers, Kind::Transfers),
        ] {
            if wanted {
                self.reads.ask(kind, now);
            }
        }
    }
}

fn gap_start(now: Timestamp) -> Timestamp {
    Timestamp::from_ms(now.ms().saturating_sub(TRANSFERS_SLACK_MS))
}
