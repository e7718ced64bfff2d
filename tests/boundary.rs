//! The boundary: one binary, a module for each side that the outside can touch.

mod scenarios;
mod tidy;
