//! Binance USD-M futures: what is sent, what comes back, and what it means.
//!
//! The venue's own names stay in `wire`; requests can only be built by [`request`] and only be signed by [`sign`].
//! [`session`] turns what is received into inputs of the core, [`outcome`] says what an answer to a mutation proves.
//! [`client`] is the only IO.
//!
//! Source: the venue's documentation pages listed in `fixtures/frames/SOURCES.md`, read 2026-11-22.

pub mod client;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod objects;
#[cfg(test)]
mod oddities;
pub mod outcome;
mod parse;
pub mod play;
pub mod request;
pub mod session;
pub mod sign;
pub mod stream;
mod wire;

pub use parse::said::{Said, SaidMargin};
