//! What a step decides, and the words for it.

use super::saved::Saved;
use crate::model::{ClientOrderId, Intent, Symbol, Timestamp};
use crate::policy::{Amount, Mode};
use crate::response::Needs;
use std::fmt;

/// The state of an account, in the words of SPEC.md section 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The account is not completely read yet.
    Starting,
    /// Watching, nothing in force.
    Armed,
    /// Increasing orders are cancelled on sight.
    Blocked,
    /// A position is being cut.
    Reducing,
    /// Positions are being closed.
    Flattening,
    /// Held until an operator re-arms.
    Latched,
    /// No proof of life for too long.
    Blind,
    /// The venue refuses the key.
    Powerless,
}

/// What one step decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// The time given to the step.
    pub at: Timestamp,
    /// What happened to policies and what is asked of the venue, a record for each cause.
    pub records: Vec<Record>,
    /// What is asked of the venue, in this order.
    pub intents: Vec<Intent>,
    /// What people should know, beyond the records.
    pub notes: Vec<Note>,
    /// What to read at once.
    pub needs: Needs,
    /// Orders whose outcome must be found out.
    pub asks: Vec<(Symbol, ClientOrderId)>,
    /// What must survive, when it changed.
    pub save: Option<Save>,
    /// The answer to a command: `Err` is a refusal.
    pub answer: Option<Result<String, String>>,
}

/// State to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Save {
    /// The state.
    pub saved: Saved,
    /// It must be durable before a reduction of this decision goes out.
    pub is_urgent: bool,
}

/// One cause and what it led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The policy, or `kill`.
    pub policy: String,
    /// Scope of the measurement.
    pub scope: String,
    /// The rung's action.
    pub rung: Option<&'static str>,
    /// The policy's state.
    pub state: &'static str,
    /// The mode in which the rung runs.
    pub mode: Mode,
    /// The measurement.
    pub value: Option<Amount>,
    /// The rung's threshold.
    pub threshold: Option<Amount>,
    /// What was asked of the venue because of it.
    pub orders: Vec<Intent>,
    /// The arithmetic, in words.
    pub why: String,
}

/// Something for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How bad.
    pub severity: Severity,
    /// What.
    pub text: String,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Look at it.
    Warning,
    /// Get up.
    Critical,
}

impl Record {
    pub(super) fn empty(rung: &'static str) -> Record {
        Record {
            policy: "unknown".into(),
            scope: String::new(),
            rung: Some(rung),
            state: "tripped",
            mode: Mode::Enforce,
            value: None,
            threshold: None,
            orders: Vec::new(),
            why: String::new(),
        }
    }
}

impl Decision {
    pub(super) fn note(&mut self, severity: Severity, text: String) {
        self.notes.push(Note { severity, text });
    }
}

impl State {
    /// The graver of two states that demands lead to.
    pub(super) fn graver(self, other: State) -> State {
        let rank = |state: State| match state {
            State::Flattening => 4,
            State::Reducing => 3,
            State::Latched => 2,
            State::Blocked => 1,
            _ => 0,
        };
        if rank(other) > rank(self) { other } else { self }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Armed => "armed",
            State::Blocked => "blocked",
            State::Reducing => "reducing",
            State::Flattening => "flattening",
            State::Latched => "latched",
            State::Blind => "blind",
            State::Powerless => "powerless",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
