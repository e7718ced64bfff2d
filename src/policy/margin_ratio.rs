//! Maintenance margin over margin balance, a bucket at a time.

/// Maintenance margin over margin balance, a bucket at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarginRatio;
