//! The boundary: one binary, a module for each side that the outside can touch.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test ends where something is not as it must be; clippy knows only functions marked #[test]; tests wait by the clock, and assert nothing fast by it"
)]

mod alerts;
mod exchange;
mod recordings;
mod scenarios;
mod tidy;
mod trial;
