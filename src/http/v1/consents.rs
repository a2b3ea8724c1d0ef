//! What persons allow and forbid.

pub mod capture;
pub mod preflight;
