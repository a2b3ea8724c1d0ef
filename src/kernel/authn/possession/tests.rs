#![expect(clippy::unwrap_used, reason = "tests")]
use base64::prelude::{BASE64_URL_SAFE_NO_PAD as B64, Engine as _};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};

use super::*;

const NOW_S: i64 = 1_795_372_200;
const URL: &str = "https://consent.example/v1/profiles";

fn now() -> Timestamp {
    Timestamp::from_millis(NOW_S * 1000)
}

fn jwk() -> Value {
    let x = B64.encode(SigningKey::from_bytes(&[9; 32]).verifying_key().to_bytes());
    json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
}

fn proof(header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
    let signature = SigningKey::from_bytes(&[9; 32]).sign(signed.as_bytes());
    format!("{signed}.{}", B64.encode(signature.to_bytes()))
}

fn header() -> Value {
    json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": jwk() })
}

fn claims() -> Value {
    let ath = B64.encode(Sha256::digest("token"));
    json!({ "jti": "one", "htm": "GET", "htu": URL, "iat": NOW_S, "ath": ath })
}

fn verify(header: &Value, claims: &Value) -> Result<Possession, JwsError> {
    let request = ProvenRequest { method: "GET", url: URL, token: Some("token") };
    Possession::verify(&proof(header, claims), request, now())
}

#[test]
fn a_proof_is_for_one_request_one_token_and_a_minute() {
    assert_eq!(verify(&header(), &claims()).unwrap().id, "one");
    for (claim, value, error) in [
        ("htm", json!("POST"), JwsError::Mismatch),
        ("htm", json!("get"), JwsError::Mismatch),
        ("htu", json!("https://consent.example/v1/records"), JwsError::Mismatch),
        ("htu", json!("http://consent.example/v1/profiles"), JwsError::Mismatch),
        ("htu", json!("https://consent.example:8443/v1/profiles"), JwsError::Mismatch),
        ("htu", json!("/v1/profiles"), JwsError::Mismatch),
        ("ath", json!("x"), JwsError::Mismatch),
        ("ath", Value::Null, JwsError::Mismatch),
        ("iat", json!(NOW_S - 61), JwsError::Time),
        ("iat", json!(NOW_S + 61), JwsError::Time),
        ("iat", json!(i64::MIN), JwsError::Time),
        ("jti", json!(""), JwsError::Malformed),
        ("jti", json!("x".repeat(257)), JwsError::Malformed),
        ("jti", Value::Null, JwsError::Malformed),
    ] {
        let mut claims = claims();
        claims[claim] = value.clone();
        assert_eq!(verify(&header(), &claims), Err(error), "{claim} {value}");
    }
    for (claim, value) in [
        ("htu", json!("HTTPS://Consent.example:443/v1/profiles?x=1#y")),
        ("iat", json!(NOW_S - 60)),
        ("iat", json!(NOW_S + 60)),
    ] {
        let mut claims = claims();
        claims[claim] = value.clone();
        assert!(verify(&header(), &claims).is_ok(), "{claim} {value}");
    }
}

#[test]
fn a_proof_names_its_own_public_key_and_nothing_else() {
    for (member, value, error) in [
        ("typ", json!("JWT"), JwsError::Type),
        ("typ", Value::Null, JwsError::Malformed),
        ("alg", json!("none"), JwsError::Algorithm),
        ("alg", json!("HS256"), JwsError::Algorithm),
        ("alg", json!("RS256"), JwsError::Algorithm),
        ("alg", json!("ES256"), JwsError::Signature),
        ("jwk", Value::Null, JwsError::Key),
        ("jwk", json!({ "kty": "oct", "k": "AAAA" }), JwsError::Key),
        ("crit", json!(["b64"]), JwsError::Malformed),
    ] {
        let mut header = header();
        header[member] = value.clone();
        assert_eq!(verify(&header, &claims()), Err(error), "{member} {value}");
    }
    let mut newer = header();
    newer["alg"] = json!("Ed25519");
    assert!(verify(&newer, &claims()).is_ok());
    let mut private = header();
    private["jwk"]["d"] = json!(B64.encode([9; 32]));
    assert_eq!(verify(&private, &claims()), Err(JwsError::Key));
    let mut other = header();
    other["jwk"]["x"] = json!(B64.encode(SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes()));
    assert_eq!(verify(&other, &claims()), Err(JwsError::Signature));
}

#[test]
fn the_key_of_a_proof_is_known_by_its_thumbprint() {
    // RFC 8037 appendix A.3.
    let key = jws::public_key(&json!({
        "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }));
    let thumbprint = jws::thumbprint(&key.unwrap()).unwrap();
    assert_eq!(thumbprint.to_string(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(thumbprint.to_string().parse(), Ok(thumbprint));
}
