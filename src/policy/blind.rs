//! Time without proof of life.

/// Time without proof of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blind;
