//! Access tokens (RFC 9068): issued here, checked here, with one algorithm, our keys and the caller's clock.
//!
//! A token says who calls and which recipient and purposes the call may use; whether data may flow is decided
//! elsewhere, at the read.

use std::collections::BTreeMap;
use std::fmt;

use ed25519_dalek::SigningKey;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::jws::KeyThumbprint;
use crate::client::ClientId;
use crate::id::TokenId;
use crate::purpose::Purpose;
use crate::recipient::RecipientId;
use crate::time::Timestamp;

/// How far another replica's clock may be ahead of ours. A token is never good for longer because of it.
const CLOCK_SKEW_MS: i64 = 30_000;

/// What precedes an Ed25519 seed in a PKCS#8 v1 document (RFC 8410 §7): `SEQUENCE { 0, { id-Ed25519 }, OCTET STRING {
/// OCTET STRING (32 bytes) } }`.
const PKCS8_PREFIX: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// Why a token was not issued or is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// The key cannot be used.
    #[error("the signing key cannot be used")]
    Key,
    /// Not a token, or one whose claims are missing or contradict each other.
    #[error("the token is malformed")]
    Malformed,
    /// Signed by another algorithm than EdDSA.
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// Not an access token.
    #[error("the token is not an access token")]
    Type,
    /// Signed by a key that is not ours.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// Issued by somebody else.
    #[error("the token is of another issuer")]
    Issuer,
    /// Meant for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// Out of date.
    #[error("the token has expired")]
    Expired,
    /// Issued in the future, or not to be used yet.
    #[error("the token is not valid yet")]
    NotYetValid,
}

/// What an access token says. Its times are whole seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenClaims {
    /// Who issued it.
    pub issuer: String,
    /// For whom it is meant.
    pub audience: String,
    /// The client that it was issued to, which is also its subject.
    pub client: ClientId,
    /// Its own identifier.
    pub id: TokenId,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// From when on it is worthless.
    pub expires_at: Timestamp,
    /// The scopes, parted by spaces (RFC 6749 §3.3).
    pub scope: String,
    /// The recipient on whose behalf the client calls.
    pub recipient: Option<RecipientId>,
    /// The purposes that the client may name.
    pub purposes: Vec<Purpose>,
    /// Which of the client's credentials it was issued for: those before the present ones count no more.
    pub generation: u32,
    /// The key that whoever presents it must hold (RFC 9449 §6.1); `None`: a bearer token.
    pub key: Option<KeyThumbprint>,
}

impl TokenClaims {
    /// Whether `scope` was granted.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scope.split(' ').any(|granted| granted == scope)
    }
}

/// The claims on the wire.
#[derive(Serialize, Deserialize)]
struct WireClaims {
    iss: String,
    exp: i64,
    aud: String,
    sub: ClientId,
    client_id: ClientId,
    iat: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    jti: TokenId,
    scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recipient: Option<RecipientId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    purposes: Vec<Purpose>,
    #[serde(rename = "gen")]
    generation: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cnf: Option<WireConfirmation>,
}

/// What a token is bound to (RFC 7800).
#[derive(Serialize, Deserialize)]
struct WireConfirmation {
    jkt: String,
}

/// Issues access tokens.
pub struct TokenSigner {
    header: Header,
    key: EncodingKey,
    verifier: TokenVerifier,
}

impl TokenSigner {
    /// A signer from an Ed25519 seed.
    ///
    /// # Errors
    /// When no key can be made of it.
    pub fn from_seed(seed: [u8; 32]) -> Result<Self, TokenError> {
        let seed = Zeroizing::new(seed);
        let public_key = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        let document = Zeroizing::new([&PKCS8_PREFIX[..], seed.as_slice()].concat());
        let verifier = TokenVerifier::from_public_key(&public_key)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some("at+jwt".to_owned());
        header.kid = verifier.keys.keys().next().cloned();
        Ok(Self { header, key: EncodingKey::from_ed_der(&document), verifier })
    }

    /// The token that says `claims`. Times are cut to whole seconds.
    ///
    /// # Errors
    /// When signing fails.
    pub fn sign(&self, claims: &TokenClaims) -> Result<String, TokenError> {
        let claims = WireClaims {
            iss: claims.issuer.clone(),
            exp: claims.expires_at.as_millis().div_euclid(1000),
            aud: claims.audience.clone(),
            sub: claims.client.clone(),
            client_id: claims.client.clone(),
            iat: claims.issued_at.as_millis().div_euclid(1000),
            nbf: None,
            jti: claims.id,
            scope: claims.scope.clone(),
            recipient: claims.recipient.clone(),
            purposes: claims.purposes.clone(),
            generation: claims.generation,
            cnf: claims.key.map(|key| WireConfirmation { jkt: key.to_string() }),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.key).map_err(|_| TokenError::Key)
    }

    /// What checks this signer's tokens.
    #[must_use]
    pub const fn verifier(&self) -> &TokenVerifier {
        &self.verifier
    }

    /// The public key as a JSON Web Key Set (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> serde_json::Value {
        self.verifier.jwks()
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

/// Checks access tokens against our keys, and no others: what a token's header says of keys is not followed.
#[derive(Clone)]
pub struct TokenVerifier {
    keys: BTreeMap<String, (DecodingKey, Jwk)>,
}

impl TokenVerifier {
    /// A verifier for tokens by this Ed25519 public key.
    ///
    /// # Errors
    /// When it is no key.
    pub fn from_public_key(public_key: &[u8; 32]) -> Result<Self, TokenError> {
        let key = DecodingKey::from_ed_der(public_key);
        let mut jwk = Jwk::from_decoding_key(&key, Some(Algorithm::EdDSA)).map_err(|_| TokenError::Key)?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| TokenError::Key)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { keys: BTreeMap::from([(kid, (key, jwk))]) })
    }

    /// Accepts the keys of `other` too: the next key before its first use, the last one until its last token expired.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.keys.extend(other.keys.clone());
        self
    }

    /// The public keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Jwk> {
        self.keys.values().map(|(_, jwk)| jwk)
    }

    /// The public keys as a JSON Web Key Set (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> serde_json::Value {
        let keys = self.keys.values().map(|(_, jwk)| jwk.clone()).collect();
        serde_json::to_value(JwkSet { keys }).unwrap_or_else(|_| serde_json::json!({"keys": []}))
    }

    /// What the token says, if it is one of ours, by `issuer`, for `audience` and good at `now`.
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
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Malformed)?;
        if header.alg != Algorithm::EdDSA {
            return Err(TokenError::Algorithm);
        }
        // RFC 7515 §4.1.11: an extension that we do not understand must be refused, and we understand none.
        if header.crit.is_some() {
            return Err(TokenError::Malformed);
        }
        let typ = header.typ.unwrap_or_default().to_ascii_lowercase();
        if typ != "at+jwt" && typ != "application/at+jwt" {
            return Err(TokenError::Type);
        }
        let kid = header.kid.ok_or(TokenError::UnknownKey)?;
        let (key, _) = self.keys.get(&kid).ok_or(TokenError::UnknownKey)?;
        let claims = jsonwebtoken::decode(token, key, &validation(issuer, audience))
            .map_err(|error| refusal(error.kind()))?
            .claims;
        checked(claims, now)
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenVerifier").field(&self.keys.keys()).finish()
    }
}

fn validation(issuer: &str, audience: &str) -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    // The library would read the system's clock; times are checked in `checked`, against the caller's.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation
}

fn refusal(kind: &ErrorKind) -> TokenError {
    match kind {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidAlgorithm => TokenError::Algorithm,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::InvalidAudience => TokenError::Audience,
        _ => TokenError::Malformed,
    }
}

fn checked(claims: WireClaims, now: Timestamp) -> Result<TokenClaims, TokenError> {
    let instant = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
    let (issued_at, expires_at) = (instant(claims.iat), instant(claims.exp));
    if now >= expires_at {
        return Err(TokenError::Expired);
    }
    let latest_start = Timestamp::from_millis(now.as_millis().saturating_add(CLOCK_SKEW_MS));
    if issued_at > latest_start || claims.nbf.is_some_and(|nbf| instant(nbf) > latest_start) {
        return Err(TokenError::NotYetValid);
    }
    // RFC 9068 §2.2: a client that acts for itself is the subject of its token.
    if claims.sub != claims.client_id {
        return Err(TokenError::Malformed);
    }
    // A binding that cannot be read is not no binding.
    let key = claims.cnf.map(|cnf| cnf.jkt.parse().map_err(|_| TokenError::Malformed)).transpose()?;
    Ok(TokenClaims {
        issuer: claims.iss,
        audience: claims.aud,
        client: claims.client_id,
        id: claims.jti,
        issued_at,
        expires_at,
        scope: claims.scope,
        recipient: claims.recipient,
        purposes: claims.purposes,
        generation: claims.generation,
        key,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
    use ed25519_dalek::Signer as _;
    use serde_json::{Value, json};

    use super::*;

    const SEED: [u8; 32] = [42; 32];
    const ISSUER: &str = "https://consent.example";
    const AUDIENCE: &str = "https://consent.example/v1";
    const NOW_S: i64 = 1_795_372_200;

    fn now() -> Timestamp {
        Timestamp::from_millis(NOW_S * 1000)
    }

    fn signer() -> TokenSigner {
        TokenSigner::from_seed(SEED).unwrap()
    }

    fn verify(token: &str) -> Result<TokenClaims, TokenError> {
        signer().verifier().verify(token, now(), ISSUER, AUDIENCE)
    }

    fn claims() -> TokenClaims {
        TokenClaims {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            client: "segments".parse().unwrap(),
            id: TokenId::from_bytes([3; 16]),
            issued_at: now(),
            expires_at: Timestamp::from_millis((NOW_S + 600) * 1000),
            scope: "segments:read audit:read".to_owned(),
            recipient: Some("engine".parse().unwrap()),
            purposes: vec!["newsletter".parse().unwrap()],
            generation: 1,
            key: None,
        }
    }

    /// The parts of a good token, to be spoiled.
    fn parts() -> (Value, Value) {
        let token = signer().sign(&claims()).unwrap();
        let mut parts = token
            .split('.')
            .map(|part| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap_or_default()).ok());
        (parts.next().flatten().unwrap(), parts.next().flatten().unwrap())
    }

    fn signed(header: &Value, claims: &Value, seed: [u8; 32]) -> String {
        let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = SigningKey::from_bytes(&seed).sign(message.as_bytes()).to_bytes();
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token under our key with one member of its header (`h.`) or claims replaced; null removes it.
    fn with(member: &str, value: Value) -> String {
        let (mut header, mut claims) = parts();
        let (object, name) = match member.strip_prefix("h.") {
            Some(name) => (header.as_object_mut().unwrap(), name),
            None => (claims.as_object_mut().unwrap(), member),
        };
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.to_owned(), value);
        }
        signed(&header, &claims, SEED)
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let token = signer().sign(&claims()).unwrap();
        let read = verify(&token).unwrap();
        assert_eq!(read, claims());
        assert!(read.has_scope("audit:read"));
        assert!(!read.has_scope("audit"));
        let (header, body) = parts();
        let kid = &signer().jwks()["keys"][0]["kid"];
        assert_eq!(header, json!({"typ": "at+jwt", "alg": "EdDSA", "kid": kid}));
        let expected = json!({
            "iss": ISSUER, "exp": NOW_S + 600, "aud": AUDIENCE, "sub": "segments", "client_id": "segments",
            "iat": NOW_S, "jti": "03".repeat(16), "scope": "segments:read audit:read",
            "recipient": "engine", "purposes": ["newsletter"], "gen": 1,
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn the_key_set_is_that_of_rfc_8037() {
        let seed = BASE64_URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
        let signer = TokenSigner::from_seed(seed.unwrap().try_into().unwrap()).unwrap();
        let key = json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "use": "sig", "alg": "EdDSA", "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        });
        assert_eq!(signer.jwks(), json!({ "keys": [key] }));
    }

    #[test]
    fn only_eddsa_is_accepted() {
        let (mut header, body) = parts();
        for alg in ["none", "None", "", "HS256", "RS256", "ES256"] {
            header["alg"] = json!(alg);
            let token = signed(&header, &body, SEED);
            assert!(verify(&token).is_err(), "{alg}");
            assert!(verify(&token[..=token.rfind('.').unwrap()]).is_err(), "{alg}, unsigned");
        }
        // The public key, which everybody has, used as a shared secret.
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some("at+jwt".to_owned());
        header.kid = signer().header.kid;
        let public_key = SigningKey::from_bytes(&SEED).verifying_key().to_bytes();
        let token = jsonwebtoken::encode(&header, &body, &EncodingKey::from_secret(&public_key));
        assert_eq!(verify(&token.unwrap()), Err(TokenError::Algorithm));
    }

    #[test]
    fn only_an_access_token_is_accepted() {
        for typ in ["AT+JWT", "application/at+jwt", "Application/AT+jwt"] {
            assert!(verify(&with("h.typ", json!(typ))).is_ok(), "{typ}");
        }
        for typ in [json!("JWT"), json!("dpop+jwt"), json!(""), Value::Null] {
            assert_eq!(verify(&with("h.typ", typ)), Err(TokenError::Type));
        }
    }

    #[test]
    fn only_our_keys_count_whatever_the_header_says() {
        let theirs = TokenSigner::from_seed([1; 32]).unwrap();
        assert_eq!(verify(&theirs.sign(&claims()).unwrap()), Err(TokenError::UnknownKey));
        assert_eq!(verify(&with("h.kid", Value::Null)), Err(TokenError::UnknownKey));
        let (mut header, body) = parts();
        header["jwk"] = theirs.jwks()["keys"][0].clone();
        header["jku"] = json!("https://attacker.example/jwks.json");
        header["x5u"] = json!("https://attacker.example/chain.pem");
        assert_eq!(verify(&signed(&header, &body, [1; 32])), Err(TokenError::Signature));
        assert!(verify(&signed(&header, &body, SEED)).is_ok());
        assert_eq!(verify(&with("h.crit", json!(["exp"]))), Err(TokenError::Malformed));
        // Both keys count while one takes over from the other.
        let both = theirs.verifier().clone().and(signer().verifier());
        for signer in [&theirs, &signer()] {
            let token = signer.sign(&claims()).unwrap();
            assert!(both.verify(&token, now(), ISSUER, AUDIENCE).is_ok());
        }
        assert_eq!(both.jwks()["keys"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_token_is_good_from_its_issue_to_its_expiry_by_the_callers_clock() {
        let token = signer().sign(&claims()).unwrap();
        for (offset_ms, expected) in [
            (0, Ok(())),
            (599_999, Ok(())),
            (600_000, Err(TokenError::Expired)),
            (i64::MAX - NOW_S * 1000, Err(TokenError::Expired)),
            (-30_000, Ok(())),
            (-30_001, Err(TokenError::NotYetValid)),
        ] {
            let at = Timestamp::from_millis(NOW_S * 1000 + offset_ms);
            let read = signer().verifier().verify(&token, at, ISSUER, AUDIENCE).map(drop);
            assert_eq!(read, expected, "{offset_ms}");
        }
        assert!(verify(&with("nbf", json!(NOW_S + 30))).is_ok());
        assert_eq!(verify(&with("nbf", json!(NOW_S + 31))), Err(TokenError::NotYetValid));
        assert_eq!(verify(&with("exp", json!(i64::MIN))), Err(TokenError::Malformed));
    }

    #[test]
    fn every_claim_is_required_and_must_fit() {
        for claim in ["iss", "exp", "aud", "sub", "client_id", "iat", "jti", "scope"] {
            assert_eq!(verify(&with(claim, Value::Null)), Err(TokenError::Malformed), "{claim}");
        }
        assert_eq!(verify(&with("iss", json!("https://other.example"))), Err(TokenError::Issuer));
        assert_eq!(verify(&with("aud", json!(ISSUER))), Err(TokenError::Audience));
        for (claim, value) in [
            ("sub", json!("another")),
            ("exp", json!("2026-11-22T18:30:00Z")),
            ("exp", json!(1e300)),
            ("iat", json!([])),
            ("aud", json!([])),
            ("jti", json!("short")),
            ("purposes", json!(["Not A Name"])),
            ("gen", Value::Null),
            ("cnf", json!({})),
            ("cnf", json!({ "jkt": "short" })),
        ] {
            assert_eq!(verify(&with(claim, value)), Err(TokenError::Malformed), "{claim}");
        }
    }

    #[test]
    fn a_tampered_token_is_refused() {
        let token = signer().sign(&claims()).unwrap();
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(bytes).unwrap();
            assert!(verify(&tampered).is_err(), "byte {at}");
        }
        for bad in ["", ".", "..", "...", "a.b.c", &token[..token.len() - 1], &format!("{token}.")] {
            assert!(verify(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_signer_does_not_show_its_key() {
        let shown = format!("{:?}", signer());
        assert!(shown.starts_with("TokenSigner { verifier: TokenVerifier([\""), "{shown}");
        assert!(!shown.contains("42"), "{shown}");
    }
}
