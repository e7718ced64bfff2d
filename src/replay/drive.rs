//! The one way in which inputs reach a guard, live and in replay.
//!
//! Time never runs backwards, and a deadline that has passed is stepped before the input that comes after it, so that
//! the steps depend on what arrived and when, and not on how soon a timer fired.

use crate::event::{Command, Input, Outcome};
use crate::guard::{Decision, Guard};
use crate::model::{IntentKey, Timestamp};
use crate::venue::Received;
use crate::venue::binance::session::Session;

/// Ticks that one input may be preceded by: after a long sleep the guard looks at the present, not at every moment
/// that it missed (LI-06).
pub(super) const TICKS_MAX: usize = 64;

/// A guard and the session that translates for it.
pub struct Drive {
    guard: Guard,
    session: Session,
    last: Timestamp,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Fed<'a> {
    /// Something was received.
    Received(&'a Received),
    /// What became of a request.
    Outcome(IntentKey, Outcome),
    /// The operator wants something.
    Command(Command),
    /// A timer fired.
    Wake,
}

impl Drive {
    /// Drives a guard.
    pub fn new(guard: Guard) -> Drive {
        Drive {
            guard,
            session: Session::new(),
            last: Timestamp::default(),
        }
    }

    /// The guard.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The time that the next input counts as when it arrived at `at`.
    pub fn time_of(&self, at: Timestamp) -> Timestamp {
        self.last.max(at)
    }

    /// Feeds one thing that happened at `at`; every decision of it goes to `each`, in order.
    pub fn feed(&mut self, at: Timestamp, fed: Fed<'_>, mut each: impl FnMut(&Guard, Decision)) {
        let at = self.time_of(at);
        for _ in 0..TICKS_MAX {
            let Some(decision) = self.overdue(at) else { break };
            each(&self.guard, decision);
        }
        for input in self.inputs(at, fed) {
            let decision = self.step(at, &input);
            each(&self.guard, decision);
        }
    }

    /// Steps the next deadline that has passed at `at`; `None` when none has.
    pub fn overdue(&mut self, at: Timestamp) -> Option<Decision> {
        if self.guard.book().now() == Timestamp::default() {
            return None;
        }
        let deadline = self.guard.deadline().filter(|deadline| *deadline <= at)?;
        Some(self.guard.step(deadline, &Input::Tick))
    }

    /// What something means to the guard.
    pub fn inputs(&mut self, at: Timestamp, fed: Fed<'_>) -> Vec<Input> {
        self.last = self.time_of(at);
        match fed {
            Fed::Received(received) => self.session.take(received),
            Fed::Outcome(key, outcome) => vec![Input::Outcome(key, outcome)],
            Fed::Command(command) => vec![Input::Command(command)],
            Fed::Wake => Vec::new(),
        }
    }

    /// Steps one input.
    pub fn step(&mut self, at: Timestamp, input: &Input) -> Decision {
        self.guard.step(at, input)
    }
}
