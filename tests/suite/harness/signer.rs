//! A key of a client's own: what it signs for itself (RFC 7523), and the proofs that it holds the key (RFC 9449).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::TestGateway;

/// What precedes a seed in a PKCS#8 document (RFC 8410 §7).
const PKCS8: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

pub(crate) struct Signer {
    key: EncodingKey,
    pub(crate) jwk: Value,
}

impl Signer {
    pub(crate) fn new(seed: u8) -> Self {
        let key = EncodingKey::from_ed_der(&[&PKCS8[..], &[seed; 32]].concat());
        let jwk = serde_json::to_value(Jwk::from_encoding_key(&key, Algorithm::EdDSA).unwrap()).unwrap();
        Self { key, jwk }
    }

    /// The public keys, as a client registers them.
    pub(crate) fn key_set(&self) -> String {
        json!({ "keys": [self.jwk] }).to_string()
    }

    /// Something signed.
    pub(crate) fn signs(&self, typ: &str, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(typ.to_owned());
        if typ == "dpop+jwt" {
            header.jwk = Some(serde_json::from_value(self.jwk.clone()).unwrap());
        }
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }

    /// Something signed under a header as it is given.
    pub(crate) fn signs_under(&self, header: &Value, claims: &Value) -> String {
        let message = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    }

    /// What a client says of itself, with some claims changed.
    pub(crate) fn assertion(&self, at: &TestGateway, client: &str, jti: &str, changed: &Value) -> String {
        let now = at.seconds();
        let mut claims = json!({
            "iss": client, "sub": client, "aud": "http://gateway.test", "jti": jti, "iat": now, "exp": now + 60,
        });
        merge(&mut claims, changed);
        self.signs("JWT", &claims)
    }

    /// That the key is held, for one request, with some claims changed.
    pub(crate) fn proof(
        &self,
        at: &TestGateway,
        (method, path): (&str, &str),
        token: Option<&str>,
        changed: &Value,
    ) -> String {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut claims = json!({
            "jti": format!("proof-{number}"), "htm": method, "htu": format!("http://gateway.test{path}"), "iat": at.seconds(),
        });
        if let Some(token) = token {
            claims["ath"] = URL_SAFE_NO_PAD.encode(Sha256::digest(token)).into();
        }
        merge(&mut claims, changed);
        self.signs("dpop+jwt", &claims)
    }
}

fn merge(claims: &mut Value, changed: &Value) {
    for (name, value) in changed.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
}
