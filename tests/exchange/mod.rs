//! The whole thing over real sockets: the real binary guards an account on the embedded exchange, and the exchange's own
//! account of what happened is asserted, never the guard's.

mod accounts;
mod alerts;
mod book;
mod crash;
mod doors;
mod drill;
mod keys;
mod limits;
mod modes;
mod orders;
mod plan;
mod protocol;
mod soak;
mod stage;
mod stream;
mod tls;

mod story;
