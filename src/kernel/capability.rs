//! What a bearer may do without a login: withdraw with the token of a receipt, follow the links of a mail, go on with a
//! cursor.
//!
//! All are made from keys alone, so there is no table of them to leak, and all are opaque: they hold no personal
//! data in the clear. They are made under the newest version of the key and open under each that is not retired: what
//! stands in a mail stays good when the key is rotated.

mod link;
mod receipt;

pub use link::{PREFERENCE_DAYS, Stop};

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead as _, Generate as _, KeyInit as _, Payload};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::pseudonym::Pseudonymiser;
use crate::seal::{Keyring, derive, keyed_digest};
use crate::subject::SubjectId;

/// A token that was not made here, or was altered. The answer is the same for every cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a valid token")]
pub struct CapabilityError;

const WITHDRAWAL: &str = "w1_";
const CURSOR: &str = "c1_";

impl Keyring {
    /// The token with which a person takes consent back without logging in (GDPR Art. 7(3)).
    ///
    /// It only ever takes back: whoever finds it can neither read nor give anything.
    #[must_use]
    pub fn withdrawal_token(&self, subject: SubjectId) -> String {
        let key = self.capability_key();
        let masked = withdrawal_mask(&key).of(subject).to_string();
        let mac = keyed_digest(&key, &[b"withdrawal v1", masked.as_bytes()]);
        let hidden = masked.split_once('-').map_or("", |(_, digits)| digits);
        let mac = mac.get(..16).unwrap_or_default();
        format!("{WITHDRAWAL}{hidden}{}", crate::id::hex(mac))
    }

    /// Whose consent a withdrawal token concerns.
    ///
    /// # Errors
    /// When the token was not made by these keys.
    pub fn open_withdrawal_token(&self, token: &str) -> Result<SubjectId, CapabilityError> {
        let body = token.strip_prefix(WITHDRAWAL).filter(|body| body.is_ascii()).ok_or(CapabilityError)?;
        let (hidden, mac) = body.split_at_checked(32).ok_or(CapabilityError)?;
        let masked = format!("p1-{hidden}");
        let presented: [u8; 16] = crate::id::unhex(mac).map_err(|_| CapabilityError)?;
        let name = masked.parse().map_err(|_| CapabilityError)?;
        let opened = self.capability_keys().iter().find_map(|key| {
            let expected = keyed_digest(key, &[b"withdrawal v1", masked.as_bytes()]);
            let genuine = expected.get(..16).is_some_and(|expected| bool::from(expected.ct_eq(&presented)));
            withdrawal_mask(key).resolve(name).filter(|_| genuine)
        });
        opened.ok_or(CapabilityError)
    }

    /// Seals the state of a paged read into an opaque cursor, bound to the caller.
    ///
    /// # Errors
    /// When the cipher fails.
    pub fn seal_cursor(&self, caller: &str, state: &[u8]) -> Result<String, CapabilityError> {
        let nonce = aes_gcm::Nonce::generate();
        let sealed = cursor_cipher(&self.capability_key())
            .encrypt(&nonce, Payload { msg: state, aad: caller.as_bytes() })
            .map_err(|_| CapabilityError)?;
        Ok(format!("{CURSOR}{}", URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat())))
    }

    /// Opens a cursor for the caller it was made for.
    ///
    /// # Errors
    /// When it was altered, or made for somebody else.
    pub fn open_cursor(&self, caller: &str, cursor: &str) -> Result<Vec<u8>, CapabilityError> {
        let body = cursor.strip_prefix(CURSOR).ok_or(CapabilityError)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| CapabilityError)?;
        let (nonce, sealed) = bytes.split_first_chunk::<12>().ok_or(CapabilityError)?;
        let open = |key: &Zeroizing<[u8; 32]>| {
            cursor_cipher(key).decrypt(nonce.into(), Payload { msg: sealed, aad: caller.as_bytes() }).ok()
        };
        self.capability_keys().iter().find_map(open).ok_or(CapabilityError)
    }
}

fn withdrawal_mask(key: &[u8; 32]) -> Pseudonymiser {
    Pseudonymiser::with_key(1, &derive(key, &[b"withdrawal mask v1"]))
}

fn cursor_cipher(key: &[u8; 32]) -> Aes256Gcm {
    let key = derive(key, &[b"cursor v1"]);
    let key: &[u8; 32] = &key;
    Aes256Gcm::new(key.into())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::seal::tests::keyring;

    #[test]
    fn a_withdrawal_token_names_its_subject_and_nobody_elses() {
        let keys = keyring(1);
        let subject = SubjectId::from_bytes([9; 16]);
        let token = keys.withdrawal_token(subject);
        assert_eq!(keys.open_withdrawal_token(&token).unwrap(), subject);
        assert!(!token.contains(&subject.to_string()));
        assert_eq!(keyring(2).open_withdrawal_token(&token), Err(CapabilityError));
        for at in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[at] ^= 1;
            if let Ok(forged) = String::from_utf8(forged) {
                assert_eq!(keys.open_withdrawal_token(&forged), Err(CapabilityError), "{at}");
            }
        }
        for bad in ["", "w1_", "w1_zz", "w1_ü"] {
            assert_eq!(keys.open_withdrawal_token(bad), Err(CapabilityError));
        }
    }

    #[test]
    fn a_cursor_opens_only_for_its_caller() {
        let keys = keyring(1);
        let cursor = keys.seal_cursor("segmentation", b"state").unwrap();
        assert_eq!(keys.open_cursor("segmentation", &cursor).unwrap(), b"state");
        assert_eq!(keys.open_cursor("adnetwork", &cursor), Err(CapabilityError));
        assert_eq!(keys.open_cursor("segmentation", "c1_AAAA"), Err(CapabilityError));
    }
}
