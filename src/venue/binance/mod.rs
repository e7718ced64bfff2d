//! Binance USD-M futures: what is sent, what comes back, and what it means.
//!
//! The venue's own names stay in `wire`; requests can only be built by [`request`] and only be signed by [`sign`].
//!
//! Source: the venue's documentation pages listed in `fixtures/frames/SOURCES.md`, read 2026-11-22.

pub mod request;
pub mod sign;
pub mod stream;
