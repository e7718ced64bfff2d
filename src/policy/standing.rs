//! Where a policy stands, and a change of it.

use super::{Amount, Scope};
use crate::book::Missing;

/// The state of a policy, in the words of SPEC.md and POLICIES.md.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyState {
    /// Within all thresholds.
    Ok,
    /// Breached, holding time not over.
    Pending,
    /// A rung is in force.
    Tripped,
    /// A rung is in force until an operator re-arms, or until its latch lets go.
    Latched,
    /// It cannot be measured.
    Unknown(Missing),
    /// Switched off.
    Disabled,
}

/// A change worth a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// Of what.
    pub scope: Scope,
    /// Which rung; `None` for a change to or from unknown.
    pub rung: Option<usize>,
    /// What it is now.
    pub state: PolicyState,
    /// The measurement behind it.
    pub value: Option<Amount>,
}

impl PolicyState {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            PolicyState::Ok => "ok",
            PolicyState::Pending => "pending",
            PolicyState::Tripped => "tripped",
            PolicyState::Latched => "latched",
            PolicyState::Unknown(_) => "unknown",
            PolicyState::Disabled => "disabled",
        }
    }
}
