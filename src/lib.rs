//! Backstop: an independent risk guard for crypto-futures accounts.

pub mod book;
pub mod config;
pub mod event;
pub mod guard;
pub mod model;
pub mod policy;
pub mod response;
pub mod venue;
