//! Sealing at rest: every personal value is encrypted by itself, under its person's own key, bound to its place.
//!
//! - [`keyset`]: the keys as an operator keeps them, apart from the data.
//! - [`Keyring`]: the keys in use. It wraps one data key per subject and derives fingerprints, pseudonyms and tokens.
//! - [`SubjectKey`]: one unwrapped data key. It seals anything and opens standings and events; it opens attributes
//!   only inside this crate, for a permit.
//!
//! Associated data is length-prefixed subject ‖ kind ‖ name ‖ format, so a ciphertext that is moved to another
//! person or another attribute does not open.

mod check;
mod import;
mod incident;
mod key;
pub mod keyset;
mod record;

pub use import::ImportKey;
pub use key::{OpenError, SealError, SubjectKey, WrappedKey};
pub use keyset::{KeyError, KeySet, KeyUse, TimedSeed};
pub use record::{RecordEntry, SealedAttribute, SealedRecord, SealedSubject, merge_record, thin_record};

use aes_gcm::aead::{Aead as _, Generate as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::id::StaffId;
use crate::subject::SubjectId;

/// The keys in use. Shared, immutable; its keys are wiped when it is dropped.
pub struct Keyring {
    /// Key-encryption keys, the newest first: that one wraps, all unwrap.
    wrapping: Vec<(u32, Aes256Gcm)>,
    fingerprint: Zeroizing<[u8; 32]>,
    suppression: Zeroizing<[u8; 32]>,
    pseudonym: Zeroizing<[u8; 32]>,
    capability: Zeroizing<[u8; 32]>,
    request: Zeroizing<[u8; 32]>,
    staff: Zeroizing<[u8; 32]>,
    ledger: Zeroizing<[u8; 32]>,
    tokens: Vec<TimedSeed>,
    receipt: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<_> = self.wrapping.iter().map(|(id, _)| id).collect();
        f.debug_struct("Keyring").field("wrapping_keys", &ids).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Takes the keys of a set into use.
    ///
    /// # Errors
    /// When a use has no key.
    pub fn new(keys: &KeySet) -> Result<Self, KeyError> {
        let mut wrapping: Vec<_> =
            keys.all(KeyUse::Data).map(|(id, secret)| (id, Aes256Gcm::new(secret.into()))).collect();
        if wrapping.is_empty() {
            return Err(KeyError::Missing(KeyUse::Data));
        }
        wrapping.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
        let newest = |of| keys.newest(of).map(|secret| Zeroizing::new(*secret)).ok_or(KeyError::Missing(of));
        let capability = newest(KeyUse::Capability)?;
        Ok(Self {
            wrapping,
            fingerprint: newest(KeyUse::Fingerprint)?,
            suppression: newest(KeyUse::Suppression)?,
            pseudonym: newest(KeyUse::Pseudonym)?,
            request: derive(&capability, &[b"request fingerprint v1"]),
            staff: derive(&capability, &[b"staff secrets v1"]),
            capability,
            receipt: match keys.newest(KeyUse::Receipt) {
                Some(seed) => Zeroizing::new(*seed),
                // Key files are older than this use of them: they go on without being touched.
                None => derive(&*newest(KeyUse::Ledger)?, &[b"receipt key v1"]),
            },
            ledger: newest(KeyUse::Ledger)?,
            tokens: Some(keys.token_seeds())
                .filter(|seeds| !seeds.is_empty())
                .ok_or(KeyError::Missing(KeyUse::Token))?,
        })
    }

    /// Draws a data key for a new subject and wraps it.
    ///
    /// # Errors
    /// When the cipher fails.
    pub fn create_key(
        &self,
        subject: SubjectId,
        entropy: &dyn Entropy,
    ) -> Result<(SubjectKey, WrappedKey), SealError> {
        let data_key = Zeroizing::new(entropy.bytes_32());
        let (id, cipher) = self.wrapping.first().ok_or(SealError)?;
        let nonce = Nonce::generate();
        let aad = wrap_context(subject, *id);
        let sealed =
            cipher.encrypt(&nonce, Payload { msg: data_key.as_slice(), aad: &aad }).map_err(|_| SealError)?;
        let wrapped = WrappedKey::join(*id, nonce.as_slice(), &sealed).ok_or(SealError)?;
        Ok((SubjectKey::new(subject, &data_key), wrapped))
    }

    /// Unwraps a subject's data key.
    ///
    /// # Errors
    /// When the wrapped key is of another subject, was altered, or its wrapping key is not in this ring.
    pub fn unwrap_key(&self, subject: SubjectId, wrapped: &[u8]) -> Result<SubjectKey, OpenError> {
        let (id, nonce, sealed) = WrappedKey::split(wrapped).ok_or(OpenError)?;
        let (_, cipher) = self.wrapping.iter().find(|(known, _)| *known == id).ok_or(OpenError)?;
        let aad = wrap_context(subject, id);
        let plain = cipher.decrypt(nonce.into(), Payload { msg: sealed, aad: &aad }).map_err(|_| OpenError)?;
        let plain = Zeroizing::new(plain);
        let key: &[u8; 32] = plain.as_slice().try_into().map_err(|_| OpenError)?;
        Ok(SubjectKey::new(subject, key))
    }

    /// Seals a secret of a member of staff, bound to them.
    ///
    /// # Errors
    /// When the cipher fails.
    pub fn seal_staff_secret(&self, staff: StaffId, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let cipher = Aes256Gcm::new((&*self.staff).into());
        let nonce = Nonce::generate();
        let sealed =
            cipher.encrypt(&nonce, Payload { msg: secret, aad: staff.as_bytes() }).map_err(|_| SealError)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens a secret of a member of staff.
    ///
    /// # Errors
    /// When it is somebody else's, was altered, or sealed under another key.
    pub fn open_staff_secret(&self, staff: StaffId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (nonce, sealed) = sealed.split_first_chunk::<12>().ok_or(OpenError)?;
        let cipher = Aes256Gcm::new((&*self.staff).into());
        let payload = Payload { msg: sealed, aad: staff.as_bytes() };
        cipher.decrypt(nonce.into(), payload).map(Zeroizing::new).map_err(|_| OpenError)
    }

    /// The seed of the ledger's signing key.
    #[must_use]
    pub fn ledger_seed(&self) -> &[u8; 32] {
        &self.ledger
    }

    /// The seeds of the access tokens' signing keys.
    #[must_use]
    pub fn token_seeds(&self) -> &[TimedSeed] {
        &self.tokens
    }

    /// The seed of the receipts' signing key.
    #[must_use]
    pub fn receipt_seed(&self) -> &[u8; 32] {
        &self.receipt
    }

    pub(crate) fn fingerprint_key(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    pub(crate) fn suppression_key(&self) -> &[u8; 32] {
        &self.suppression
    }

    pub(crate) fn pseudonym_key(&self) -> &[u8; 32] {
        &self.pseudonym
    }

    pub(crate) fn capability_key(&self) -> &[u8; 32] {
        &self.capability
    }

    /// A keyed digest of a request, to recognise its repetition without keeping what it said.
    #[must_use]
    pub fn request_fingerprint(&self, parts: &[&[u8]]) -> [u8; 32] {
        keyed_digest(&self.request, parts)
    }

    /// A keyed digest of a disclosure's bitmap: the ledger keeps it, and it tells nobody without the key who is in.
    #[must_use]
    pub fn bitmap_digest(&self, bitmap: &[u8]) -> [u8; 32] {
        keyed_digest(&self.request, &[b"bitmap v1", bitmap])
    }
}

/// HMAC-SHA-256 over length-prefixed parts.
pub(crate) fn keyed_digest(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    use hmac::KeyInit as _;
    // INVARIANT: HMAC takes a key of any length; an empty digest could match nothing but itself.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HKDF-SHA-256 of a key, bound to length-prefixed parts.
pub(crate) fn derive(key: &[u8; 32], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut info = Vec::new();
    for part in parts {
        info.extend_from_slice(&(part.len() as u64).to_be_bytes());
        info.extend_from_slice(part);
    }
    let mut derived = Zeroizing::new([0; 32]);
    // INVARIANT: 32 bytes are one block of HKDF-SHA-256, which expands up to 255.
    if Hkdf::<Sha256>::new(Some(b"consentry"), key).expand(&info, derived.as_mut_slice()).is_err() {
        derived.fill(0);
    }
    derived
}

fn wrap_context(subject: SubjectId, key_id: u32) -> [u8; 38] {
    let mut aad = [0; 38];
    let parts: [&[u8]; 3] = [b"consentry data key", subject.as_bytes(), &key_id.to_be_bytes()];
    for (to, from) in aad.iter_mut().zip(parts.concat()) {
        *to = from;
    }
    aad
}

#[cfg(test)]
pub(crate) mod tests;
