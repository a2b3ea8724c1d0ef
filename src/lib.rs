//! Consentry's edges: HTTP, the command line, configuration, and the formats in which data leaves.
//!
//! Everything here calls [`app::Gateway`]; nothing here speaks SQL or opens what is sealed.

pub mod assets;
pub mod cli;
pub mod config;
pub mod core_dump;
pub mod demo;
pub mod encode;
pub mod http;
pub mod keys;
pub mod outgoing;
pub mod provider;
pub mod server;
pub mod smtp;
pub mod telemetry;
pub mod witness;
