//! What survives: the state of an account, kept durably and put back after a crash.

pub mod state;
