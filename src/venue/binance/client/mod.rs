//! The only IO of this venue: HTTP, sockets, and the task that keeps an account's stream alive and proven.
//!
//! Rules: nothing is sent twice by this layer; every queue and wait has a limit; no text that leaves here carries the
//! API key, a signature or the listenKey. What is received goes to the core as [`Received`](crate::venue::Received),
//! in order, and is understood elsewhere.

mod answer;
mod budget;
mod config;
mod connect;
pub mod http;
mod market;
mod names;
mod pause;
pub mod permissions;
pub mod reads;
mod round;
pub mod session;
pub mod snapshot;
mod socket;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod url;
mod wants;

pub use answer::{Answer, NoAnswer, NoKey};
pub use budget::{Importance, WEIGHT_MAX};
pub(crate) use http::FIREWALL_PAUSE;
pub use http::{Http, HttpConfig, RECV_WINDOW_MS};
pub use permissions::Permissions;
pub(crate) use round::clock_is_off;
pub use session::{SessionConfig, run};
pub use url::check_urls;
pub use wants::{Want, Wanted, Wants, wants};
