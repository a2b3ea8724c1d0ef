#![expect(clippy::unwrap_used, reason = "tests")]
use base64::prelude::BASE64_URL_SAFE_NO_PAD as B64;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use super::*;

const NOW_S: i64 = 1_795_372_200;

fn public() -> [u8; 32] {
    SigningKey::from_bytes(&[9; 32]).verifying_key().to_bytes()
}

fn keys() -> ProviderKeys {
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": B64.encode(public()), "kid": "one", "use": "sig" });
    ProviderKeys::from_json(&json!({ "keys": [key] }).to_string()).unwrap()
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "kid": "one", "typ": "JWT" })
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example", "sub": "248289761001", "aud": "consentry", "nonce": "n", "iat": NOW_S,
        "exp": NOW_S + 300, "auth_time": NOW_S - 60, "email": "anna@example.org", "email_verified": true,
        "acr": "gold", "amr": ["pwd", "otp"], "groups": ["staff", "officers"],
    })
}

fn signed(header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", B64.encode(header.to_string()), B64.encode(claims.to_string()));
    let signature = SigningKey::from_bytes(&[9; 32]).sign(message.as_bytes());
    format!("{message}.{}", B64.encode(signature.to_bytes()))
}

fn verify(text: &str) -> Result<IdToken, IdTokenError> {
    let expected = ExpectedIdToken {
        issuer: "https://id.example",
        client_id: "consentry",
        nonce: "n",
        max_age_ms: Some(3_600_000),
    };
    IdToken::verify(text, &keys(), expected, Timestamp::from_millis(NOW_S * 1000))
}

#[test]
fn a_challenge_is_that_of_rfc_7636() {
    let challenge = pkce_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

#[test]
fn a_token_of_this_sign_in_is_believed() {
    let token = verify(&signed(&header(), &claims())).unwrap();
    assert_eq!((token.subject(), token.class()), ("248289761001", Some("gold")));
    assert_eq!(token.verified_email(), Some("anna@example.org"));
    assert_eq!(token.methods().collect::<Vec<_>>(), ["pwd", "otp"]);
    assert_eq!(token.words("groups"), ["staff", "officers"]);
    assert!(!format!("{token:?}").contains("anna"));
    let mut one = claims();
    one["aud"] = json!(["consentry"]);
    one["azp"] = json!("consentry");
    one["email_verified"] = json!("true");
    // A word is not the truth.
    assert_eq!(verify(&signed(&header(), &one)).unwrap().verified_email(), None);
}

#[test]
fn each_claim_must_fit() {
    for (claim, value, error) in [
        ("iss", json!("https://id.example/"), IdTokenError::Issuer),
        ("iss", json!("https://evil.example"), IdTokenError::Issuer),
        ("iss", Value::Null, IdTokenError::Issuer),
        ("aud", json!("another"), IdTokenError::Audience),
        ("aud", json!(["consentry", "another"]), IdTokenError::Audience),
        ("aud", json!([]), IdTokenError::Audience),
        ("aud", Value::Null, IdTokenError::Audience),
        ("azp", json!("another"), IdTokenError::Audience),
        ("azp", Value::Null, IdTokenError::Audience),
        ("nonce", json!("m"), IdTokenError::Nonce),
        ("nonce", json!(""), IdTokenError::Nonce),
        ("nonce", Value::Null, IdTokenError::Nonce),
        ("exp", json!(NOW_S), IdTokenError::Time),
        ("exp", json!("later"), IdTokenError::Malformed),
        ("iat", json!(NOW_S + 31), IdTokenError::Time),
        ("iat", json!(NOW_S - 601), IdTokenError::Time),
        ("nbf", json!(NOW_S + 31), IdTokenError::Time),
        ("auth_time", json!(NOW_S - 3_631), IdTokenError::AuthTime),
        ("auth_time", json!(NOW_S + 31), IdTokenError::AuthTime),
        ("auth_time", Value::Null, IdTokenError::Malformed),
        ("sub", json!(""), IdTokenError::Malformed),
        ("sub", json!("x".repeat(256)), IdTokenError::Malformed),
        ("sub", json!("\u{e4}"), IdTokenError::Malformed),
        ("sub", json!(7), IdTokenError::Malformed),
    ] {
        let mut claims = claims();
        claims[claim] = value.clone();
        assert_eq!(verify(&signed(&header(), &claims)).unwrap_err(), error, "{claim} {value}");
    }
    for (claim, error) in
        [("exp", IdTokenError::Malformed), ("iat", IdTokenError::Malformed), ("auth_time", IdTokenError::AuthTime)]
    {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(claim);
        assert_eq!(verify(&signed(&header(), &claims)).unwrap_err(), error, "{claim}");
    }
}

#[test]
fn only_a_key_of_the_provider_counts_and_under_its_own_algorithm() {
    let unsigned = |alg: &str| {
        let header = json!({ "alg": alg, "kid": "one" });
        format!("{}.{}.", B64.encode(header.to_string()), B64.encode(claims().to_string()))
    };
    for alg in ["none", "None", "NONE", ""] {
        assert_eq!(verify(&unsigned(alg)).unwrap_err(), IdTokenError::Algorithm, "{alg}");
    }
    // The public key as a shared secret (RFC 8725 §2.1).
    let message = unsigned("HS256").trim_end_matches('.').to_owned();
    let mut mac = Hmac::<Sha256>::new_from_slice(&public()).unwrap();
    mac.update(message.as_bytes());
    let forged = format!("{message}.{}", B64.encode(mac.finalize().into_bytes()));
    assert_eq!(verify(&forged).unwrap_err(), IdTokenError::Algorithm);
    // Another family than the key's.
    let good = signed(&header(), &claims());
    let signature = good.rsplit_once('.').unwrap().1;
    for alg in ["RS256", "ES256", "PS256"] {
        assert_eq!(
            verify(&format!("{}{signature}", unsigned(alg))).unwrap_err(),
            IdTokenError::Signature,
            "{alg}"
        );
    }
    assert_eq!(verify(&good[..good.len() - 4]).unwrap_err(), IdTokenError::Signature);
    for (name, value, error) in [
        ("kid", json!("two"), IdTokenError::UnknownKey),
        ("typ", json!("at+jwt"), IdTokenError::Type),
        ("typ", json!("logout+jwt"), IdTokenError::Type),
        ("crit", json!(["b64"]), IdTokenError::Malformed),
    ] {
        let mut header = header();
        header[name] = value;
        assert_eq!(verify(&signed(&header, &claims())).unwrap_err(), error, "{name}");
    }
    // What the header brings along is not followed.
    let mut own = header();
    own["jwk"] = json!({ "kty": "OKP", "crv": "Ed25519", "x": B64.encode([7; 32]) });
    own["jku"] = json!("https://evil.example/keys");
    assert!(verify(&signed(&own, &claims())).is_ok());
    for none in ["", ".", "..", "a.b.c", &"x".repeat(40_000)] {
        assert_eq!(verify(none).unwrap_err(), IdTokenError::Malformed, "{}", none.len());
    }
}

#[test]
fn keys_that_cannot_have_signed_are_left_out() {
    let x = B64.encode(public());
    let set = |keys: Value| ProviderKeys::from_json(&json!({ "keys": keys }).to_string());
    for none in [
        json!([]),
        json!([{ "kty": "oct", "k": "AAAA" }]),
        json!([{ "kty": "OKP", "crv": "Ed25519", "x": x, "use": "enc" }]),
        json!([{ "kty": "OKP", "crv": "Ed25519", "x": x, "d": x }]),
        // 1024 bits.
        json!([{ "kty": "RSA", "e": "AQAB", "n": B64.encode([0xc3; 128]) }]),
    ] {
        assert_eq!(set(none.clone()).unwrap_err(), IdTokenError::Malformed, "{none}");
    }
    let mixed =
        json!([{ "kty": "oct", "k": "AAAA" }, { "kty": "RSA", "e": "AQAB", "n": B64.encode([0xc3; 256]) }]);
    assert_eq!(format!("{:?}", set(mixed).unwrap()), "ProviderKeys { keys: 1 }");
    for none in ["", "[]", "{}", "{\"keys\": 1}"] {
        assert_eq!(ProviderKeys::from_json(none).unwrap_err(), IdTokenError::Malformed);
    }
}
