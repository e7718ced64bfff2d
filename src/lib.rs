//! Backstop: an independent risk guard for crypto-futures accounts.

pub mod clock;
pub mod event;
pub mod exec;
pub mod model;
pub mod policy;
pub mod venue;
