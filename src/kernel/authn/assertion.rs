//! A client proves itself with a signature instead of a secret (RFC 7523, `private_key_jwt`): for us alone, for minutes,
//! and once.

use serde::Deserialize;
use serde_json::Value;

use super::jws::{self, ClientKeys, JwsError};
use crate::client::ClientId;
use crate::time::Timestamp;

/// The longest life of an assertion: so long its identifier is remembered.
const LONGEST_MS: i64 = 600_000;
/// How far the client's clock may be ahead of ours.
const CLOCK_SKEW_MS: i64 = 30_000;

/// An assertion whose signature, client, audience and times are right. Whether it is its first use is for the caller to
/// find out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// The client.
    pub client: ClientId,
    /// Its identifier, to be used once.
    pub id: String,
    /// Until when it would be good.
    pub expires_at: Timestamp,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Value,
    exp: i64,
    jti: String,
    #[serde(default)]
    iat: Option<i64>,
    #[serde(default)]
    nbf: Option<i64>,
}

impl Assertion {
    /// The client that an assertion claims to be of, before anything of it is believed: it says which keys to look at.
    #[must_use]
    pub fn claimed_client(text: &str) -> Option<ClientId> {
        #[derive(Deserialize)]
        struct Claimed {
            sub: String,
        }
        jws::header(text).ok()?;
        let claimed: Claimed = jws::decoded(text.split('.').nth(1)?).ok()?;
        claimed.sub.parse().ok()
    }

    /// Checks an assertion: signed by one of the client's keys, by and about the client, for exactly one of our own names
    /// and no other, and within its time.
    ///
    /// # Errors
    /// When it is not.
    pub fn verify(
        text: &str,
        client: &ClientId,
        keys: &ClientKeys,
        audiences: &[&str],
        now: Timestamp,
    ) -> Result<Self, JwsError> {
        let header = jws::header(text)?;
        // A token of another purpose is not an assertion (RFC 8725 §3.11).
        if !["jwt", "client-authentication+jwt"].contains(&header.typ.as_deref().unwrap_or("jwt")) {
            return Err(JwsError::Type);
        }
        let mut outcome = Err(JwsError::Signature);
        for key in keys.candidates(header.kid.as_deref()) {
            outcome = jws::claims::<Claims>(text, header.algorithm, key);
            if outcome.is_ok() {
                break;
            }
        }
        let claims = outcome?;
        // An audience among several could be replayed to the others.
        let audience = match &claims.aud {
            Value::String(one) => Some(one.as_str()),
            Value::Array(names) if names.len() == 1 => names.first().and_then(Value::as_str),
            _ => None,
        };
        let is_ours = audience.is_some_and(|audience| audiences.contains(&audience));
        if claims.iss != client.as_str() || claims.sub != client.as_str() || !is_ours {
            return Err(JwsError::Mismatch);
        }
        if !jws::is_single_use_id(&claims.jti) {
            return Err(JwsError::Malformed);
        }
        let instant = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
        let (expires_at, soon) = (instant(claims.exp), now.plus_ms(CLOCK_SKEW_MS));
        let is_early = [claims.iat, claims.nbf].into_iter().flatten().any(|at| instant(at) > soon);
        if now >= expires_at || expires_at > soon.plus_ms(LONGEST_MS) || is_early {
            return Err(JwsError::Time);
        }
        Ok(Self { client: client.clone(), id: claims.jti, expires_at })
    }
}
