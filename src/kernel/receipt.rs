//! Signed receipts: a consent receipt as a JSON Web Signature (RFC 7515), and as a selectively disclosable token
//! ([`selective`], RFC 9901), with a key of their own. Each says its type, so that neither passes for the other or for
//! an access token.

pub mod selective;

use std::fmt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Value as Json, json};
use thiserror::Error;
use zeroize::Zeroizing;

/// The type of a receipt that is shown whole.
pub const RECEIPT_TYPE: &str = "consent-receipt+jwt";
/// The type of a receipt of which parts can be left out.
pub const SELECTIVE_TYPE: &str = "consent-receipt+sd-jwt";

/// Why a receipt is not signed or not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReceiptError {
    /// The key cannot be used.
    #[error("the receipt key cannot be used")]
    Key,
    /// Not a receipt of this form.
    #[error("not a signed receipt")]
    Malformed,
    /// Of another type, or signed by another algorithm than EdDSA.
    #[error("not a receipt of this type")]
    Type,
    /// Signed by a key that is not known.
    #[error("the receipt's key is not known")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the receipt's signature is wrong")]
    Signature,
    /// A disclosure belongs to nothing, or to several things.
    #[error("a disclosure does not belong to the receipt")]
    Disclosure,
}

/// Signs receipts.
pub struct ReceiptSigner {
    key: SigningKey,
    verifier: ReceiptVerifier,
}

impl ReceiptSigner {
    /// A signer from an Ed25519 seed.
    ///
    /// # Errors
    /// When no key can be made of it.
    pub fn from_seed(seed: [u8; 32]) -> Result<Self, ReceiptError> {
        let key = SigningKey::from_bytes(&Zeroizing::new(seed));
        let verifier = ReceiptVerifier::from_public(&key.verifying_key().to_bytes())?;
        Ok(Self { key, verifier })
    }

    /// Lets other public keys be known beside this one: what they signed still holds.
    #[must_use]
    pub fn beside(mut self, others: &[ReceiptVerifier]) -> Self {
        self.verifier.keys.extend(others.iter().flat_map(|other| other.keys.iter().cloned()));
        self
    }

    /// What checks this signer's receipts.
    #[must_use]
    pub const fn verifier(&self) -> &ReceiptVerifier {
        &self.verifier
    }

    /// The token that says `claims`.
    ///
    /// # Errors
    /// When the claims have no text.
    pub fn sign(&self, claims: &Json) -> Result<String, ReceiptError> {
        self.sign_as(RECEIPT_TYPE, claims)
    }

    pub(crate) fn sign_as(&self, kind: &str, claims: &Json) -> Result<String, ReceiptError> {
        let kid = self.verifier.keys.first().map(|key| key.kid.as_str()).ok_or(ReceiptError::Key)?;
        let header = json!({ "alg": "EdDSA", "typ": kind, "kid": kid });
        let encode = |part: &Json| {
            serde_json::to_vec(part)
                .map(|text| BASE64_URL_SAFE_NO_PAD.encode(text))
                .map_err(|_| ReceiptError::Malformed)
        };
        let signed = format!("{}.{}", encode(&header)?, encode(claims)?);
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()).to_bytes());
        Ok(format!("{signed}.{signature}"))
    }
}

impl fmt::Debug for ReceiptSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiptSigner").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

/// Checks receipts against known keys, and no others: what a header says of keys is not followed.
#[derive(Clone)]
pub struct ReceiptVerifier {
    keys: Vec<ReceiptKey>,
}

#[derive(Clone)]
struct ReceiptKey {
    kid: String,
    key: VerifyingKey,
    jwk: Json,
}

impl ReceiptVerifier {
    /// One public key (Ed25519).
    ///
    /// # Errors
    /// When it is none.
    pub fn from_public(public: &[u8; 32]) -> Result<Self, ReceiptError> {
        let decoding = DecodingKey::from_ed_der(public);
        let mut jwk = Jwk::from_decoding_key(&decoding, Some(Algorithm::EdDSA)).map_err(|_| ReceiptError::Key)?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| ReceiptError::Key)?;
        jwk.common.key_id = Some(kid);
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let jwk = serde_json::to_value(jwk).map_err(|_| ReceiptError::Key)?;
        Self::from_jwks(&json!({ "keys": [jwk] }))
    }

    /// The Ed25519 keys of a JSON Web Key Set (RFC 7517, RFC 8037).
    ///
    /// # Errors
    /// When it has none.
    pub fn from_jwks(jwks: &Json) -> Result<Self, ReceiptError> {
        let one = |jwk: &Json| {
            if jwk["kty"] != "OKP" || jwk["crv"] != "Ed25519" {
                return None;
            }
            let bytes: [u8; 32] = BASE64_URL_SAFE_NO_PAD.decode(jwk["x"].as_str()?).ok()?.try_into().ok()?;
            let key = VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak())?;
            Some(ReceiptKey { kid: jwk["kid"].as_str()?.to_owned(), key, jwk: jwk.clone() })
        };
        let keys: Vec<_> = jwks["keys"].as_array().into_iter().flatten().filter_map(one).collect();
        if keys.is_empty() { Err(ReceiptError::Key) } else { Ok(Self { keys }) }
    }

    /// The keys as a JSON Web Key Set.
    #[must_use]
    pub fn jwks(&self) -> Json {
        json!({ "keys": self.keys.iter().map(|key| key.jwk.clone()).collect::<Vec<_>>() })
    }

    /// What a receipt says, if it is signed by a known key.
    ///
    /// # Errors
    /// When it is not.
    pub fn verify(&self, token: &str) -> Result<Json, ReceiptError> {
        self.verify_as(RECEIPT_TYPE, token)
    }

    pub(crate) fn verify_as(&self, kind: &str, token: &str) -> Result<Json, ReceiptError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(ReceiptError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(ReceiptError::Malformed)?;
        let bytes = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| ReceiptError::Malformed);
        let read = |part: &str| serde_json::from_slice::<Json>(&bytes(part)?).map_err(|_| ReceiptError::Malformed);
        let head = read(header)?;
        // RFC 7515 §4.1.11: an extension that we do not understand must be refused, and we understand none.
        if head["alg"] != "EdDSA" || head["typ"] != kind || !head["crit"].is_null() {
            return Err(ReceiptError::Type);
        }
        let kid = head["kid"].as_str().ok_or(ReceiptError::UnknownKey)?;
        let known = self.keys.iter().find(|known| known.kid == kid).ok_or(ReceiptError::UnknownKey)?;
        let signature = Signature::from_slice(&bytes(signature)?).map_err(|_| ReceiptError::Signature)?;
        known.key.verify_strict(signed.as_bytes(), &signature).map_err(|_| ReceiptError::Signature)?;
        read(claims)
    }
}

impl fmt::Debug for ReceiptVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.kid)).finish()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_receipt_says_what_it_is_and_holds_under_its_key_alone() {
        let signer = ReceiptSigner::from_seed([4; 32]).unwrap();
        let claims = json!({ "iss": "https://consent.example", "receipt": { "a": [1, 2] } });
        let token = signer.sign(&claims).unwrap();
        let known = ReceiptVerifier::from_jwks(&signer.verifier().jwks()).unwrap();
        assert_eq!(known.verify(&token), Ok(claims.clone()));
        assert_eq!(known.verify_as(SELECTIVE_TYPE, &token), Err(ReceiptError::Type));
        let other = ReceiptSigner::from_seed([5; 32]).unwrap();
        assert_eq!(other.verifier().verify(&token), Err(ReceiptError::UnknownKey));
        for at in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            assert!(known.verify(&String::from_utf8(altered).unwrap()).is_err(), "{at}");
        }
        let header = BASE64_URL_SAFE_NO_PAD.encode(json!({ "alg": "none", "typ": RECEIPT_TYPE }).to_string());
        let (_, rest) = token.split_once('.').unwrap();
        assert_eq!(known.verify(&format!("{header}.{rest}")), Err(ReceiptError::Type));
        assert_eq!(format!("{signer:?}"), format!("ReceiptSigner {{ verifier: {known:?}, .. }}"));
    }
}
