//! What recipients are told of the persons whom they know by name.

pub mod acknowledge;
pub mod fetch;
