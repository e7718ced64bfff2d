//! The drill: proves the whole chain with play money, and writes down what it saw.

pub mod relay;
pub mod report;
pub mod seen;
pub mod stand;
pub mod trader;

/// Why something could not be done or seen, in words without any secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);
