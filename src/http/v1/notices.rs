//! What persons were shown.

pub mod show;
