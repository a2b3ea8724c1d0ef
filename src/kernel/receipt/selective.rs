//! Receipts of which the person shows as much as they want (RFC 9901): the signature covers salted digests, and what
//! stands behind a digest travels beside it or is left out. So a consent can be shown without the address.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::{ReceiptError, ReceiptSigner, ReceiptVerifier, SELECTIVE_TYPE};
use crate::entropy::Entropy;

/// More parts than any receipt has.
const MAX_DISCLOSURES: usize = 256;

/// What a selective receipt says.
#[derive(Clone, Default)]
pub struct SelectiveClaims {
    /// Always shown.
    pub open: Map<String, Json>,
    /// Members that can be left out.
    pub members: Vec<(String, Json)>,
    /// Lists whose items can each be left out.
    pub lists: Vec<(String, Vec<Json>)>,
}

impl std::fmt::Debug for SelectiveClaims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SelectiveClaims(..)")
    }
}

impl ReceiptSigner {
    /// The token with every disclosure: `<signed>~<disclosure>~…~`.
    ///
    /// # Errors
    /// When the claims have no text.
    pub fn sign_selective(&self, claims: SelectiveClaims, entropy: &dyn Entropy) -> Result<String, ReceiptError> {
        let mut disclosures = Vec::new();
        let mut disclose = |mut parts: Vec<Json>| {
            // RFC 9901 §9.3: 128 bits that nobody can guess.
            parts.insert(0, BASE64_URL_SAFE_NO_PAD.encode(entropy.bytes_16()).into());
            let disclosure = BASE64_URL_SAFE_NO_PAD.encode(Json::from(parts).to_string());
            let digest = digest(&disclosure);
            disclosures.push(disclosure);
            digest
        };
        let mut signed = claims.open;
        let mut digests: Vec<_> =
            claims.members.into_iter().map(|(name, value)| disclose(vec![name.into(), value])).collect();
        // In an order that tells nothing of theirs.
        digests.sort_unstable();
        signed.insert("_sd".to_owned(), digests.into());
        signed.insert("_sd_alg".to_owned(), "sha-256".into());
        for (name, items) in claims.lists {
            let items: Vec<_> = items.into_iter().map(|item| json!({ "...": disclose(vec![item]) })).collect();
            signed.insert(name, items.into());
        }
        let token = self.sign_as(SELECTIVE_TYPE, &Json::Object(signed))?;
        Ok(std::iter::once(token).chain(disclosures).map(|part| part + "~").collect())
    }
}

impl ReceiptVerifier {
    /// What a selective receipt says of what was not left out.
    ///
    /// # Errors
    /// When it is not signed by a known key, or a disclosure belongs to nothing in it.
    pub fn verify_selective(&self, token: &str) -> Result<Json, ReceiptError> {
        // Without a key binding it ends with `~`; ours have none.
        let parts = token.strip_suffix('~').ok_or(ReceiptError::Malformed)?;
        let mut parts = parts.split('~');
        let claims = self.verify_as(SELECTIVE_TYPE, parts.next().unwrap_or_default())?;
        if claims["_sd_alg"] != "sha-256" {
            return Err(ReceiptError::Malformed);
        }
        let mut disclosed = BTreeMap::new();
        for part in parts {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| ReceiptError::Malformed)?;
            let parts: Vec<Json> = serde_json::from_slice(&bytes).map_err(|_| ReceiptError::Malformed)?;
            if disclosed.insert(digest(part), parts).is_some() || disclosed.len() > MAX_DISCLOSURES {
                return Err(ReceiptError::Disclosure);
            }
        }
        let opened = open(claims, &mut disclosed, 0)?;
        // RFC 9901 §7.1: every disclosure must be referred to, once.
        if disclosed.is_empty() { Ok(opened) } else { Err(ReceiptError::Disclosure) }
    }
}

fn digest(disclosure: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(disclosure))
}

/// Puts what was disclosed in the place of its digests, and takes the other digests out.
fn open(value: Json, disclosed: &mut BTreeMap<String, Vec<Json>>, depth: u8) -> Result<Json, ReceiptError> {
    if depth > 16 {
        return Err(ReceiptError::Malformed);
    }
    match value {
        Json::Object(members) => {
            let mut opened = Map::new();
            let mut hidden = Vec::new();
            for (name, value) in members {
                match (name.as_str(), value) {
                    ("_sd", Json::Array(digests)) => hidden = digests,
                    ("_sd_alg", _) if depth == 0 => {}
                    ("_sd" | "...", _) => return Err(ReceiptError::Malformed),
                    (_, value) => {
                        opened.insert(name, open(value, disclosed, depth + 1)?);
                    }
                }
            }
            for digest in hidden {
                let digest = digest.as_str().ok_or(ReceiptError::Malformed)?;
                let Some(parts) = disclosed.remove(digest) else { continue };
                let Ok([_, Json::String(name), value]) = <[Json; 3]>::try_from(parts) else {
                    return Err(ReceiptError::Disclosure);
                };
                if name == "_sd" || name == "..." || opened.contains_key(&name) {
                    return Err(ReceiptError::Disclosure);
                }
                opened.insert(name, open(value, disclosed, depth + 1)?);
            }
            Ok(Json::Object(opened))
        }
        Json::Array(items) => {
            let mut opened = Vec::new();
            for item in items {
                let digest = item.as_object().filter(|item| item.len() == 1).and_then(|item| item.get("..."));
                match digest.map(|digest| digest.as_str().ok_or(ReceiptError::Malformed)).transpose()? {
                    None => opened.push(open(item, disclosed, depth + 1)?),
                    Some(digest) => {
                        let Some(parts) = disclosed.remove(digest) else { continue };
                        let Ok([_, value]) = <[Json; 2]>::try_from(parts) else {
                            return Err(ReceiptError::Disclosure);
                        };
                        opened.push(open(value, disclosed, depth + 1)?);
                    }
                }
            }
            Ok(Json::Array(opened))
        }
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    struct Counting(std::sync::atomic::AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        }
    }

    fn token() -> (ReceiptSigner, String) {
        let signer = ReceiptSigner::from_seed([4; 32]).unwrap();
        let open = Map::from_iter([("iss".to_owned(), Json::from("https://consent.example"))]);
        let claims = SelectiveClaims {
            open,
            members: vec![("email".to_owned(), "anna@example.org".into()), ("locale".to_owned(), "en".into())],
            lists: vec![("records".to_owned(), vec![json!({ "purpose": "a" }), json!({ "purpose": "b" })])],
        };
        let token = signer.sign_selective(claims, &Counting(0.into())).unwrap();
        (signer, token)
    }

    #[test]
    fn a_digest_is_that_of_the_specification() {
        let disclosure = "WyJfMjZiYzRMVC1hYzZxMktJNmNCVzVlcyIsICJmYW1pbHlfbmFtZSIsICJNw7ZiaXVzIl0";
        assert_eq!(digest(disclosure), "X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0");
    }

    #[test]
    fn what_is_left_out_is_not_there_and_the_rest_holds() {
        let (signer, token) = token();
        let verify = |token: &str| signer.verifier().verify_selective(token);
        let whole = json!({ "iss": "https://consent.example", "email": "anna@example.org", "locale": "en",
            "records": [{ "purpose": "a" }, { "purpose": "b" }] });
        assert_eq!(verify(&token), Ok(whole));
        let parts: Vec<&str> = token.trim_end_matches('~').split('~').collect();
        assert_eq!(parts.len(), 5);
        // Without the address and without one record.
        let shown = format!("{}~{}~{}~", parts[0], parts[2], parts[4]);
        assert_eq!(
            verify(&shown),
            Ok(json!({ "iss": "https://consent.example", "locale": "en", "records": [{ "purpose": "b" }] }))
        );
        let payload = BASE64_URL_SAFE_NO_PAD.decode(parts[0].split('.').nth(1).unwrap()).unwrap();
        assert!(!String::from_utf8(payload).unwrap().contains("anna"));
    }

    #[test]
    fn a_disclosure_that_belongs_to_nothing_is_refused() {
        let (signer, token) = token();
        let verify = |token: &str| signer.verifier().verify_selective(token);
        let other = BASE64_URL_SAFE_NO_PAD.encode(r#"["salt","email","berta@example.org"]"#);
        assert_eq!(verify(&format!("{token}{other}~")), Err(ReceiptError::Disclosure));
        let parts: Vec<&str> = token.trim_end_matches('~').split('~').collect();
        assert_eq!(verify(&format!("{token}{}~", parts[1])), Err(ReceiptError::Disclosure));
        assert_eq!(verify(token.trim_end_matches('~')), Err(ReceiptError::Malformed));
        assert_eq!(verify(&format!("{token}x")), Err(ReceiptError::Malformed));
        assert_eq!(verify(""), Err(ReceiptError::Malformed));
    }
}
