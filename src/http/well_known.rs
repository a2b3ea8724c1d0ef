//! What clients find without being told (RFC 8615).

pub mod authorization_server;
pub mod gpc;
pub mod jwks;
pub mod protected_resource;

/// How long these answers may be kept: a new key is published before its first use.
const CACHE: &str = "public, max-age=300";
