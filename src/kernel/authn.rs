//! Who is calling: secrets and keys that clients hold, the short-lived access tokens they get for them, and how staff
//! prove themselves.

pub mod assertion;
pub mod authenticator;
pub mod id_token;
pub mod jws;
pub mod possession;
pub mod ring;
pub mod secret;
pub mod token;

pub use assertion::Assertion;
pub use authenticator::{Authenticator, RecoveryCode};
pub use id_token::{ExpectedIdToken, IdToken, IdTokenError, ProviderKeys};
pub use jws::{ClientKeys, JwsError, KeyThumbprint, SIGNING_ALGORITHMS};
pub use possession::{PROOF_WINDOW_MS, Possession, ProvenRequest};
pub use ring::TokenRing;
pub use secret::{ClientSecret, HashCost, SecretError, SecretHash};
pub use token::{TokenClaims, TokenError, TokenSigner, TokenVerifier};
