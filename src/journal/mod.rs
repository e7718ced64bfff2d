//! What survives: the state of an account, kept durably and put back after a crash.

pub mod identity;
pub mod killfile;
mod marker;
pub mod peek;
mod rounds;
pub mod state;
pub mod store;
mod table;
