//! Policies: what is measured, and when it counts.

pub mod blind;
pub mod drawdown;
pub mod margin_call;
pub mod margin_ratio;
pub mod max_position;
pub mod period_loss;
pub mod spec;
