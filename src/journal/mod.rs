//! What survives: the state of an account, kept durably and put back after a crash.

pub mod killfile;
mod lock;
mod marker;
mod rows;
pub mod state;
pub mod store;
