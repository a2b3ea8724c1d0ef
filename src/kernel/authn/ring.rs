//! The keys that sign our tokens, one after the other: the next one is published before it signs, and the last one counts
//! until its last token has ended.

use std::fmt;

use jsonwebtoken::jwk::JwkSet;

use super::token::{TokenClaims, TokenError, TokenSigner};
use crate::seal::TimedSeed;
use crate::time::Timestamp;

/// The signing keys of access tokens.
#[derive(Debug)]
pub struct TokenRing {
    /// The newest first.
    keys: Vec<RingKey>,
}

struct RingKey {
    id: u32,
    signer: TokenSigner,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl fmt::Debug for RingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingKey")
            .field("id", &self.id)
            .field("signer", &self.signer)
            .field("from", &self.from)
            .field("until", &self.until)
            .finish()
    }
}

impl RingKey {
    fn counts(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    fn signs(&self, now: Timestamp) -> bool {
        self.counts(now) && self.from.is_none_or(|from| now >= from)
    }
}

impl TokenRing {
    /// A ring of these seeds.
    ///
    /// # Errors
    /// When no key can be made of one.
    pub fn new(seeds: &[TimedSeed]) -> Result<Self, TokenError> {
        let mut keys = Vec::with_capacity(seeds.len());
        for seed in seeds {
            let signer = TokenSigner::from_seed(*seed.seed)?;
            keys.push(RingKey { id: seed.id, signer, from: seed.from, until: seed.until });
        }
        keys.sort_by_key(|key| std::cmp::Reverse(key.id));
        Ok(Self { keys })
    }

    /// The token that says `claims`, by the newest key whose time has come.
    ///
    /// # Errors
    /// When no key may sign now.
    pub fn sign(&self, claims: &TokenClaims) -> Result<String, TokenError> {
        let now = claims.issued_at;
        self.keys.iter().find(|key| key.signs(now)).ok_or(TokenError::Key)?.signer.sign(claims)
    }

    /// What the token says, if one of our keys that count now signed it, by `issuer`, for `audience` and good at `now`.
    ///
    /// # Errors
    /// When it is not.
    pub fn verify(
        &self,
        token: &str,
        now: Timestamp,
        issuer: &str,
        audience: &str,
    ) -> Result<TokenClaims, TokenError> {
        let mut outcome = Err(TokenError::UnknownKey);
        for key in self.keys.iter().filter(|key| key.counts(now)) {
            outcome = key.signer.verifier().verify(token, now, issuer, audience);
            if outcome != Err(TokenError::UnknownKey) {
                break;
            }
        }
        outcome
    }

    /// The public keys that count now, the coming one too, as a JSON Web Key Set (RFC 7517).
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> serde_json::Value {
        let live = self.keys.iter().filter(|key| key.counts(now));
        let keys = live.flat_map(|key| key.signer.verifier().keys().cloned()).collect();
        serde_json::to_value(JwkSet { keys }).unwrap_or_else(|_| serde_json::json!({"keys": []}))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use zeroize::Zeroizing;

    use super::*;
    use crate::id::TokenId;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn seed(id: u32, from: Option<i64>, until: Option<i64>) -> TimedSeed {
        let byte = u8::try_from(id).unwrap();
        TimedSeed { id, seed: Zeroizing::new([byte; 32]), from: from.map(at), until: until.map(at) }
    }

    fn issued(ring: &TokenRing, seconds: i64) -> String {
        let claims = TokenClaims {
            issuer: "i".to_owned(),
            audience: "a".to_owned(),
            client: "shop".parse().unwrap(),
            id: TokenId::from_bytes([1; 16]),
            issued_at: at(seconds),
            expires_at: at(seconds + 900),
            scope: String::new(),
            recipient: None,
            purposes: Vec::new(),
            generation: 1,
            key: None,
        };
        ring.sign(&claims).unwrap()
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_until_its_last_token_has_ended() {
        let ring = TokenRing::new(&[seed(1, None, Some(3_000)), seed(2, Some(2_000), None)]).unwrap();
        let keys = |seconds| ring.jwks(at(seconds))["keys"].as_array().unwrap().len();
        assert_eq!([keys(0), keys(2_000), keys(2_999), keys(3_000)], [2, 2, 2, 1]);
        let (old, new) = (issued(&ring, 1_999), issued(&ring, 2_000));
        let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
        assert_ne!(kid(&old), kid(&new));
        for (token, seconds, good) in
            [(&old, 2_800, true), (&new, 2_800, true), (&old, 2_899, false), (&new, 2_899, true)]
        {
            assert_eq!(ring.verify(token, at(seconds), "i", "a").is_ok(), good, "{seconds}");
        }
        // An ended key counts for nothing, even for a token that is within its own time.
        let late = TokenRing::new(&[seed(1, None, None)]).unwrap();
        assert_eq!(ring.verify(&issued(&late, 2_990), at(3_000), "i", "a"), Err(TokenError::UnknownKey));
    }
}
