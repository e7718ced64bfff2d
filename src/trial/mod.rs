//! Invented accounts in virtual time: the guard against the embedded exchange, with no socket, clock or file between.
//!
//! Four parts, each usable without the next. [`world`] is guard, exchange, the way between them and the time; it knows no
//! test. [`stage`] turns a test's script into a world's beginning and the things that happen in it. [`mod@play`] plays one test
//! and judges it ([`verdict`]); [`suite`] plays many. [`mutate`] asks whether a suite would notice a change.
//!
//! All but [`suite`], which has threads, is pure. What a world tells the guard are the exchange's own texts, through the same session, parser and drive as live.

mod desk;
mod line;
pub mod mutate;
pub mod play;
pub mod stage;
pub mod suite;
pub mod trace;
pub mod verdict;
pub mod world;

pub use play::{How, Played, play};
