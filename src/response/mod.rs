//! From verdicts to intents: who demands what ([`demand`]), what is in the air ([`flights`]), how much to cut
//! ([`cut`], of which bucket in `bucket`, beside what else in [`weigh`]), what is still missing ([`plan`]: which orders go is in `sweep`, when it is done in `verify`).

mod bucket;
pub mod cut;
pub mod demand;
mod effect;
pub mod flights;
mod offend;
pub mod plan;
mod protect;
mod stops;
mod sweep;
pub mod trouble;
mod verify;
pub mod weigh;

pub use demand::{Demand, Driver, Kill};
pub use flights::{Flight, Flights, Phase};
pub use plan::{Planned, Planner};
pub use stops::{Stop, Stops};

/// What the shell is asked to read at once, instead of at the next digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Balances and positions.
    pub holdings: bool,
    /// Open orders of both stores.
    pub orders: bool,
    /// Position mode.
    pub settings: bool,
    /// Contract rules and tiers.
    pub rules: bool,
    /// Transfers in and out.
    pub transfers: bool,
    /// A new stream: this one is deaf.
    pub reconnect: bool,
}

impl Needs {
    /// Adds what another asks for.
    pub fn add(&mut self, other: Needs) {
        self.holdings |= other.holdings;
        self.orders |= other.orders;
        self.settings |= other.settings;
        self.rules |= other.rules;
        self.transfers |= other.transfers;
        self.reconnect |= other.reconnect;
    }

    /// Whether nothing is asked for.
    pub fn is_none(&self) -> bool {
        *self == Needs::default()
    }
}
