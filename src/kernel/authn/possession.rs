//! Proof of possession (RFC 9449, DPoP): whoever presents a token shows, for this one request, that they hold the key it
//! is bound to. A stolen token alone is worth nothing.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

use super::jws::{self, JwsError, KeyThumbprint};
use crate::time::Timestamp;

/// How far the time of a proof may be from ours, to either side.
pub const PROOF_WINDOW_MS: i64 = 60_000;

/// What a proof must be about.
#[derive(Debug, Clone, Copy)]
pub struct ProvenRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The address, as the world calls it. Query and fragment do not count.
    pub url: &'a str,
    /// The access token that comes with it, at a resource.
    pub token: Option<&'a str>,
}

/// A proof whose signature, request and time are right. Whether it is its first use, and whether its nonce is ours, is for
/// the caller to find out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Possession {
    /// The key that is held.
    pub key: KeyThumbprint,
    /// Its identifier, to be used once.
    pub id: String,
    /// Until when it would be good.
    pub expires_at: Timestamp,
    /// The nonce it names.
    pub nonce: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: i64,
    #[serde(default)]
    ath: Option<String>,
    #[serde(default)]
    nonce: Option<String>,
}

impl Possession {
    /// Checks a proof (RFC 9449 §4.3).
    ///
    /// # Errors
    /// When it is not one for this request and this time.
    pub fn verify(text: &str, request: ProvenRequest<'_>, now: Timestamp) -> Result<Self, JwsError> {
        let header = jws::header(text)?;
        if header.typ.as_deref() != Some("dpop+jwt") {
            return Err(JwsError::Type);
        }
        let key = jws::public_key(&header.jwk.ok_or(JwsError::Key)?)?;
        let claims: Claims = jws::claims(text, header.algorithm, &key)?;
        if !jws::is_single_use_id(&claims.jti) {
            return Err(JwsError::Malformed);
        }
        if claims.htm != request.method || !is_same_address(&claims.htu, request.url) {
            return Err(JwsError::Mismatch);
        }
        if let Some(token) = request.token {
            let hash = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(token));
            let claimed = claims.ath.as_deref().unwrap_or_default();
            if !bool::from(claimed.as_bytes().ct_eq(hash.as_bytes())) {
                return Err(JwsError::Mismatch);
            }
        }
        let issued_at = Timestamp::from_millis(claims.iat.saturating_mul(1000));
        // Its time is cut to the second.
        if !(-PROOF_WINDOW_MS..PROOF_WINDOW_MS + 1000).contains(&now.since_ms(issued_at)) {
            return Err(JwsError::Time);
        }
        let expires_at = issued_at.plus_ms(PROOF_WINDOW_MS + 1000);
        Ok(Self { key: jws::thumbprint(&key)?, id: claims.jti, expires_at, nonce: claims.nonce })
    }
}

/// Whether two addresses are the same but for query and fragment, by the rules of RFC 3986 §6.2.2 and §6.2.3.
fn is_same_address(one: &str, other: &str) -> bool {
    let plain = |text: &str| {
        let mut url = Url::parse(text).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        (url.username().is_empty() && url.password().is_none()).then_some(url)
    };
    matches!((plain(one), plain(other)), (Some(one), Some(other)) if one == other)
}

#[cfg(test)]
mod tests;
