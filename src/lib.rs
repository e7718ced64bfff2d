//! Backstop: an independent risk guard for crypto-futures accounts.

pub mod book;
pub mod cli;
pub mod clock;
pub mod config;
pub mod event;
pub mod exec;
pub mod guard;
pub mod journal;
pub mod model;
pub mod policy;
pub mod replay;
pub mod response;
pub mod run;
pub mod serve;
pub mod sim;
pub mod venue;
