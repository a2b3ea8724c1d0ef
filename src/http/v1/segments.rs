//! Segments as numbers.

pub mod count;
