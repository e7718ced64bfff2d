//! Recordings and their replay: the same guard, other inputs.

pub mod drive;
pub mod lines;
pub mod play;
pub mod recording;

pub use drive::{Drive, Fed};
