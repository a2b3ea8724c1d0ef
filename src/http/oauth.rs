//! OAuth 2.0 for programs.

pub mod credentials;
mod denial;
pub mod introspect;
pub mod revoke;
pub mod token;

pub(super) use denial::DPOP_NONCE;

/// The most bytes of a form at these paths.
const MOST_BYTES: usize = 64 * 1024;
