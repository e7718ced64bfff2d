//! Recordings and their replay: the same guard, other inputs.

pub mod apart;
pub mod drive;
pub mod lines;
pub mod play;
pub mod recording;
pub mod report;
pub mod told;
pub mod whatif;
pub mod words;
pub mod world;

pub use drive::{Drive, Fed};
