//! OAuth 2.0 for programs.

pub mod token;
