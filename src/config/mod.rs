//! Configuration: layers, secrets, validation, and the findings about them.

mod diagnostic;
mod fields;
mod nearest;
mod node;
pub mod policy;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
