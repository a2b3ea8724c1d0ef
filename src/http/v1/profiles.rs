//! What recipients may read.

pub mod lookup;
pub mod pull;
