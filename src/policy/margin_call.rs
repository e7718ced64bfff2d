//! The venue's margin call.

/// The venue's margin call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarginCall;
