//! The only IO of this venue: HTTP, sockets, and the task that keeps an account's stream alive and proven.
//!
//! Rules: nothing is sent twice by this layer; every queue and wait has a limit; no text that leaves here carries the
//! API key, a signature or the listenKey. What is received goes to the core as [`Received`](crate::venue::Received),
//! in order, and is understood elsewhere.

mod answers;
mod budget;
mod http;
mod market;
mod pause;
mod permissions;
mod reads;
mod session;
mod socket;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod url;

pub(crate) use answers::clock_is_off;
pub use budget::{Importance, WEIGHT_MAX};
pub use http::{Answer, Http, HttpConfig, NoAnswer, NoKey, RECV_WINDOW_MS};
pub use permissions::{Permissions, permissions};
pub use session::{SessionConfig, Want, run};
pub use url::check_urls;
