//! Backstop: an independent risk guard for crypto-futures accounts.

pub mod cli;
pub mod config;
pub mod event;
pub mod model;
pub mod policy;
