//! What others sign: which algorithms count, which keys, and what a header may say.
//!
//! A signature is checked against a key that was chosen here, under the one algorithm of its header, and only if that
//! algorithm is on the list. Symmetric algorithms and `none` are not.

use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

/// The most bytes of something signed that is looked at.
const MOST_BYTES: usize = 8 * 1024;
/// The most keys of a client.
const MOST_KEYS: usize = 8;
/// The least size of an RSA key.
const LEAST_RSA_BITS: usize = 3_072;

/// Members of a JSON Web Key that must stay with its owner (RFC 7518 §6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The algorithms that clients may sign with, by their names in metadata (RFC 8414 §2).
pub const SIGNING_ALGORITHMS: [&str; 5] = ["ES256", "Ed25519", "EdDSA", "ES384", "PS256"];

/// The same. `EdDSA` is what `Ed25519` was called before RFC 9864.
const ACCEPTED: [(&str, Algorithm); 5] = [
    ("ES256", Algorithm::ES256),
    ("Ed25519", Algorithm::EdDSA),
    ("EdDSA", Algorithm::EdDSA),
    ("ES384", Algorithm::ES384),
    ("PS256", Algorithm::PS256),
];

/// Why something signed is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JwsError {
    /// Not of the form that it must have, or a claim is missing.
    #[error("what is signed is malformed")]
    Malformed,
    /// Another algorithm than those accepted.
    #[error("the algorithm is not accepted")]
    Algorithm,
    /// Another type than is asked for here.
    #[error("what is signed is of another type")]
    Type,
    /// A key that is none, or not only public.
    #[error("the key cannot be used")]
    Key,
    /// An RSA key of less than 128 bits of strength (NIST SP 800-57).
    #[error("an RSA key must have at least 3072 bits; EC P-256, P-384 and Ed25519 keys are taken, too")]
    WeakKey,
    /// No known key made the signature.
    #[error("the signature is wrong")]
    Signature,
    /// Of somebody else, or for somebody else, or for another request.
    #[error("it is of or for somebody else")]
    Mismatch,
    /// Out of date.
    #[error("it is out of date")]
    Time,
}

/// The SHA-256 thumbprint of a public key (RFC 7638): what a token is bound to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyThumbprint([u8; 32]);

impl KeyThumbprint {
    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for KeyThumbprint {
    type Err = JwsError;

    fn from_str(text: &str) -> Result<Self, JwsError> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| JwsError::Malformed)?;
        bytes.try_into().map(Self).map_err(|_| JwsError::Malformed)
    }
}

impl fmt::Display for KeyThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for KeyThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyThumbprint({self})")
    }
}

/// The public keys of a client (RFC 7517 §5).
#[derive(Clone, PartialEq, Eq)]
pub struct ClientKeys {
    text: String,
    keys: Vec<Jwk>,
}

impl ClientKeys {
    /// Reads a key set: from one key to eight, each public, each for an accepted algorithm.
    ///
    /// # Errors
    /// When it is none, or holds a private key.
    pub fn from_json(text: &str) -> Result<Self, JwsError> {
        let value: Value = serde_json::from_str(text).map_err(|_| JwsError::Malformed)?;
        let members = value.get("keys").and_then(Value::as_array).ok_or(JwsError::Malformed)?;
        if members.is_empty() || members.len() > MOST_KEYS || text.len() > 4 * MOST_BYTES {
            return Err(JwsError::Malformed);
        }
        let keys = members.iter().map(public_key).collect::<Result<Vec<_>, _>>()?;
        let text = serde_json::to_string(&JwkSet { keys: keys.clone() }).map_err(|_| JwsError::Malformed)?;
        Ok(Self { text, keys })
    }

    /// As it is stored: what is not understood is left out.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.text
    }

    /// The keys that may have made a signature: the one that the header names, or all if it names none.
    pub(super) fn candidates<'a>(&'a self, kid: Option<&'a str>) -> impl Iterator<Item = &'a Jwk> {
        let is_named = move |key: &&Jwk| kid.is_none_or(|kid| key.common.key_id.as_deref() == Some(kid));
        self.keys.iter().filter(is_named)
    }
}

impl fmt::Debug for ClientKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKeys").field("keys", &self.keys.len()).finish()
    }
}

/// A public key of a kind that is accepted of our own clients.
///
/// # Errors
/// When it is none, or too weak, or holds a private or a shared key.
pub(super) fn public_key(value: &Value) -> Result<Jwk, JwsError> {
    public_key_of(value, LEAST_RSA_BITS)
}

/// The same, where RSA keys have at least so many bits: a provider's are not ours to choose.
///
/// # Errors
/// When it is none, or too weak, or holds a private or a shared key.
pub(super) fn public_key_of(value: &Value, least_rsa_bits: usize) -> Result<Jwk, JwsError> {
    let members = value.as_object().ok_or(JwsError::Key)?;
    if PRIVATE.iter().any(|private| members.contains_key(*private)) {
        return Err(JwsError::Key);
    }
    let key: Jwk = serde_json::from_value(value.clone()).map_err(|_| JwsError::Key)?;
    let is_asymmetric = matches!(
        key.algorithm,
        AlgorithmParameters::EllipticCurve(_) | AlgorithmParameters::RSA(_) | AlgorithmParameters::OctetKeyPair(_)
    );
    if let AlgorithmParameters::RSA(parameters) = &key.algorithm
        && rsa_bits(&parameters.n) < least_rsa_bits
    {
        return Err(JwsError::WeakKey);
    }
    let is_for_signing = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    if is_asymmetric && is_for_signing && DecodingKey::from_jwk(&key).is_ok() {
        Ok(key)
    } else {
        Err(JwsError::Key)
    }
}

/// How many bits an RSA modulus has.
fn rsa_bits(modulus: &str) -> usize {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(modulus).unwrap_or_default();
    let significant = bytes.iter().skip_while(|byte| **byte == 0);
    let leading = bytes.iter().find(|byte| **byte != 0).map_or(0, |byte| byte.leading_zeros() as usize);
    significant.count() * 8 - leading
}

/// The thumbprint of a key.
pub(super) fn thumbprint(key: &Jwk) -> Result<KeyThumbprint, JwsError> {
    key.thumbprint(ThumbprintHash::SHA256).map_err(|_| JwsError::Key)?.parse()
}

/// What a header says that matters here.
#[derive(Debug)]
pub(super) struct JwsHeader {
    pub(super) algorithm: Algorithm,
    /// In lower case, without `application/`.
    pub(super) typ: Option<String>,
    pub(super) kid: Option<String>,
    /// As it was sent: a private key in it would be lost in reading.
    pub(super) jwk: Option<Value>,
}

/// The header of something that a client signed, read before anything is believed.
pub(super) fn header(text: &str) -> Result<JwsHeader, JwsError> {
    header_among(text, &ACCEPTED, MOST_BYTES)
}

/// The header of something that may be so long and is signed under one of these algorithms.
pub(super) fn header_among(
    text: &str,
    accepted: &[(&str, Algorithm)],
    most_bytes: usize,
) -> Result<JwsHeader, JwsError> {
    if text.len() > most_bytes {
        return Err(JwsError::Malformed);
    }
    let mut sent: Value = decoded(text.split('.').next().unwrap_or_default())?;
    let named = sent.get("alg").and_then(Value::as_str).ok_or(JwsError::Malformed)?;
    let (_, algorithm) = accepted.iter().find(|(name, _)| *name == named).ok_or(JwsError::Algorithm)?;
    // RFC 7515 §4.1.11: an extension that we do not understand must be refused, and we understand none.
    if sent.get("crit").is_some() {
        return Err(JwsError::Malformed);
    }
    let word = |name: &str| match sent.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(JwsError::Malformed),
    };
    let typ = word("typ")?.map(|typ| typ.to_ascii_lowercase().trim_start_matches("application/").to_owned());
    let (algorithm, kid) = (*algorithm, word("kid")?);
    Ok(JwsHeader { algorithm, typ, kid, jwk: sent.get_mut("jwk").map(Value::take) })
}

/// The claims, if this key signed them. Nothing of them is checked yet.
pub(super) fn claims<T: DeserializeOwned>(text: &str, algorithm: Algorithm, key: &Jwk) -> Result<T, JwsError> {
    let (message, signature) = text.rsplit_once('.').ok_or(JwsError::Malformed)?;
    let (_, payload) = message.split_once('.').ok_or(JwsError::Malformed)?;
    let key = DecodingKey::from_jwk(key).map_err(|_| JwsError::Key)?;
    if key.family() != algorithm.family() {
        return Err(JwsError::Signature);
    }
    let is_right = jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, algorithm);
    if !is_right.unwrap_or(false) {
        return Err(JwsError::Signature);
    }
    decoded(payload)
}

/// What a part says, before it is known who signed it.
pub(super) fn decoded<T: DeserializeOwned>(part: &str) -> Result<T, JwsError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| JwsError::Malformed)
}

/// Whether an identifier that is used once is long enough to be one and short enough to be looked at.
pub(super) const fn is_single_use_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 256
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn rsa(bits: usize, leading_zero: bool) -> Value {
        let mut modulus = vec![0xff; bits / 8];
        modulus[0] = 0x80;
        if leading_zero {
            modulus.insert(0, 0);
        }
        json!({ "kty": "RSA", "e": "AQAB", "n": BASE64_URL_SAFE_NO_PAD.encode(modulus) })
    }

    #[test]
    fn an_rsa_key_has_at_least_3072_bits() {
        for (bits, zero) in [(3_072, false), (4_096, false), (3_072, true)] {
            assert!(public_key(&rsa(bits, zero)).is_ok(), "{bits}");
        }
        for (bits, zero) in [(2_048, false), (3_064, false), (3_064, true), (1_024, true)] {
            assert_eq!(public_key(&rsa(bits, zero)).unwrap_err(), JwsError::WeakKey, "{bits}");
        }
        let keys = json!({ "keys": [rsa(2_048, false)] }).to_string();
        let refused = ClientKeys::from_json(&keys).unwrap_err().to_string();
        assert!(refused.contains("3072 bits"), "{refused}");
    }
}
