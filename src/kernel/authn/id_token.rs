//! What an identity provider says of a member of staff (OpenID Connect Core 1.0 §3.1.3.7): signed by one of its keys, about
//! this sign-in and no other, for us alone, and just now.

use std::fmt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::Jwk;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use super::jws::{self, JwsError};
use crate::time::Timestamp;

/// The most bytes of an ID token: groups make some of them long.
const MOST_BYTES: usize = 32 * 1024;
/// The most keys of a provider that are looked at.
const MOST_KEYS: usize = 32;
/// The least bits of a provider's RSA key: what they all have (RFC 7518 §3.3).
const LEAST_RSA_BITS: usize = 2_048;
/// The most characters of a subject (OpenID Connect Core 1.0 §2).
const MOST_SUBJECT: usize = 255;
/// How far the provider's clock may be from ours.
const CLOCK_SKEW_MS: i64 = 30_000;
/// How long ago a token may have been issued: it comes on a connection that was opened for it.
const FRESH_MS: i64 = 600_000;

/// The algorithms of ID tokens. RS256 is among them because every provider must have it (OpenID Connect Core 1.0 §15.1).
const ACCEPTED: [(&str, Algorithm); 8] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
    ("Ed25519", Algorithm::EdDSA),
];

/// Why an ID token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdTokenError {
    /// Not of the form that it must have, or a claim is missing.
    #[error("the ID token is malformed")]
    Malformed,
    /// Another algorithm than those accepted: symmetric ones and `none` are not.
    #[error("the ID token's algorithm is not accepted")]
    Algorithm,
    /// A token for another use.
    #[error("the ID token is of another type")]
    Type,
    /// None of the keys that are known may have made the signature: they may be others by now.
    #[error("the ID token's key is not known")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the ID token's signature is wrong")]
    Signature,
    /// Issued by somebody else.
    #[error("the ID token is of another issuer")]
    Issuer,
    /// Meant for somebody else, or for others too.
    #[error("the ID token is for another audience")]
    Audience,
    /// Of another sign-in.
    #[error("the ID token is of another sign-in")]
    Nonce,
    /// Out of date, or not good yet.
    #[error("the ID token is out of date")]
    Time,
    /// Whoever it is about signed in with the provider too long ago, or it does not say when.
    #[error("the sign-in with the provider is too long ago, or its time is not told")]
    AuthTime,
}

impl From<JwsError> for IdTokenError {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::Algorithm => Self::Algorithm,
            JwsError::Signature | JwsError::Key => Self::Signature,
            _ => Self::Malformed,
        }
    }
}

/// The public keys of a provider (RFC 7517 §5), as far as they can have signed something.
#[derive(Clone)]
pub struct ProviderKeys(Vec<Jwk>);

impl ProviderKeys {
    /// Reads a key set. Keys that are not for signatures, too short or of a kind that is not accepted are left out.
    ///
    /// # Errors
    /// When it is none, or none of its keys is left.
    pub fn from_json(text: &str) -> Result<Self, IdTokenError> {
        let value: Value = serde_json::from_str(text).map_err(|_| IdTokenError::Malformed)?;
        let members = value.get("keys").and_then(Value::as_array).ok_or(IdTokenError::Malformed)?;
        let usable = members.iter().filter_map(|key| jws::public_key_of(key, LEAST_RSA_BITS).ok());
        let keys: Vec<_> = usable.take(MOST_KEYS).collect();
        if keys.is_empty() { Err(IdTokenError::Malformed) } else { Ok(Self(keys)) }
    }
}

impl fmt::Debug for ProviderKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderKeys").field("keys", &self.0.len()).finish()
    }
}

/// What an ID token must say to be about this sign-in.
#[derive(Clone, Copy)]
pub struct ExpectedIdToken<'a> {
    /// The provider.
    pub issuer: &'a str,
    /// What the provider calls us.
    pub client_id: &'a str,
    /// What this sign-in was given to be known by.
    pub nonce: &'a str,
    /// How long ago the person may have signed in with the provider, in milliseconds; `None`: it was not asked for.
    pub max_age_ms: Option<i64>,
}

impl fmt::Debug for ExpectedIdToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpectedIdToken").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// An ID token that is believed. Its values are personal: shown by no `Debug`.
#[derive(Clone)]
pub struct IdToken {
    subject: String,
    claims: Map<String, Value>,
}

impl fmt::Debug for IdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdToken(..)")
    }
}

impl IdToken {
    /// Checks an ID token that came from the provider's token endpoint.
    ///
    /// # Errors
    /// [`IdTokenError::UnknownKey`] when the provider may have other keys by now; else when it is not to be believed.
    pub fn verify(
        text: &str,
        keys: &ProviderKeys,
        expected: ExpectedIdToken<'_>,
        now: Timestamp,
    ) -> Result<Self, IdTokenError> {
        let header = jws::header_among(text, &ACCEPTED, MOST_BYTES)?;
        // A token of another use, of the same provider and for us, is none (RFC 8725 §3.11).
        if header.typ.as_deref().unwrap_or("jwt") != "jwt" {
            return Err(IdTokenError::Type);
        }
        let named = |key: &&Jwk| header.kid.is_none() || key.common.key_id == header.kid;
        let mut outcome = Err(IdTokenError::UnknownKey);
        for key in keys.0.iter().filter(named) {
            outcome = jws::claims::<Map<String, Value>>(text, header.algorithm, key).map_err(IdTokenError::from);
            if outcome.is_ok() {
                break;
            }
        }
        let claims = outcome?;
        let subject = word(&claims, "sub").ok_or(IdTokenError::Malformed)?;
        if subject.is_empty() || subject.len() > MOST_SUBJECT || !subject.is_ascii() {
            return Err(IdTokenError::Malformed);
        }
        if word(&claims, "iss") != Some(expected.issuer) {
            return Err(IdTokenError::Issuer);
        }
        check_audience(&claims, expected.client_id)?;
        let nonce = word(&claims, "nonce").unwrap_or_default();
        if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
            return Err(IdTokenError::Nonce);
        }
        check_times(&claims, expected.max_age_ms, now)?;
        Ok(Self { subject: subject.to_owned(), claims })
    }

    /// Whom the provider means: a name that it never gives to somebody else.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The address, if the provider says that it is theirs.
    #[must_use]
    pub fn verified_email(&self) -> Option<&str> {
        let is_verified = self.claims.get("email_verified") == Some(&Value::Bool(true));
        word(&self.claims, "email").filter(|_| is_verified)
    }

    /// What they are called with the provider; not a name to know anybody by.
    #[must_use]
    pub fn preferred_name(&self) -> Option<&str> {
        word(&self.claims, "preferred_username")
    }

    /// How strongly they signed in, as a class (`acr`).
    #[must_use]
    pub fn class(&self) -> Option<&str> {
        word(&self.claims, "acr")
    }

    /// How they signed in (`amr`, RFC 8176).
    pub fn methods(&self) -> impl Iterator<Item = &str> {
        self.claims.get("amr").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// The words of a claim: one, or a list of them.
    #[must_use]
    pub fn words(&self, claim: &str) -> Vec<&str> {
        match self.claims.get(claim) {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

/// The challenge that goes with a PKCE verifier (RFC 7636 §4.2, S256).
#[must_use]
pub fn pkce_challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

fn word<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// For us and nobody else: whoever else it is for could show it here.
fn check_audience(claims: &Map<String, Value>, client_id: &str) -> Result<(), IdTokenError> {
    let is_ours = match claims.get("aud") {
        Some(Value::String(one)) => one == client_id,
        Some(Value::Array(names)) => names.len() == 1 && names.first().and_then(Value::as_str) == Some(client_id),
        _ => false,
    };
    let is_asked_by_us = claims.get("azp").is_none_or(|party| party.as_str() == Some(client_id));
    if is_ours && is_asked_by_us { Ok(()) } else { Err(IdTokenError::Audience) }
}

fn check_times(claims: &Map<String, Value>, max_age_ms: Option<i64>, now: Timestamp) -> Result<(), IdTokenError> {
    let at = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_i64() {
            Some(seconds) => Ok(Some(Timestamp::from_millis(seconds.saturating_mul(1000)))),
            None => Err(IdTokenError::Malformed),
        },
    };
    let soon = now.plus_ms(CLOCK_SKEW_MS);
    let expires_at = at("exp")?.ok_or(IdTokenError::Malformed)?;
    let issued_at = at("iat")?.ok_or(IdTokenError::Malformed)?;
    let is_early = issued_at > soon || at("nbf")?.is_some_and(|from| from > soon);
    if now >= expires_at || is_early || now.since_ms(issued_at) > FRESH_MS {
        return Err(IdTokenError::Time);
    }
    let signed_in_at = at("auth_time")?;
    if signed_in_at.is_some_and(|at| at > soon) {
        return Err(IdTokenError::AuthTime);
    }
    match (max_age_ms, signed_in_at) {
        (None, _) => Ok(()),
        (Some(most), Some(at)) if now.since_ms(at) <= most.saturating_add(CLOCK_SKEW_MS) => Ok(()),
        (Some(_), _) => Err(IdTokenError::AuthTime),
    }
}

#[cfg(test)]
mod tests;
