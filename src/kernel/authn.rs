//! Who is calling: secrets that clients hold, and the short-lived access tokens they get for them.

pub mod secret;
pub mod token;

pub use secret::{ClientSecret, HashCost, SecretError, SecretHash};
pub use token::{TokenClaims, TokenError, TokenSigner, TokenVerifier};
