//! What programs report of persons' reactions.

pub mod report;
