//! Backstop: an independent risk guard for crypto-futures accounts.

pub mod event;
pub mod model;
pub mod policy;
pub mod venue;
