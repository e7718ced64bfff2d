//! The whole thing over real sockets: the real binary guards an account on the embedded exchange, and the exchange's own
//! account of what happened is asserted, never the guard's.

mod crash;
mod doors;
mod keys;
mod modes;
mod protocol;
mod stage;
mod story;
