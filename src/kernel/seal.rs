//! Sealing at rest: every personal value is encrypted by itself, under its person's own key, bound to its place.
//!
//! - [`keyset`]: the keys as an operator keeps them, apart from the data.
//! - [`Keyring`]: the keys in use. It wraps one data key per subject and derives fingerprints, pseudonyms and tokens.
//! - [`SubjectKey`]: one unwrapped data key. It seals anything and opens standings and events; it opens attributes
//!   only inside this crate, for a permit.
//!
//! Associated data is length-prefixed subject ‖ kind ‖ name ‖ format, so a ciphertext that is moved to another
//! person or another attribute does not open.

mod capability_key;
mod check;
mod import;
mod incident;
mod key;
pub mod keyset;
mod record;
mod root;
mod staff;

pub use capability_key::REMEMBERED_MS;
pub use import::ImportKey;
pub use key::{OpenError, SealError, SubjectKey, WrappedKey};
pub use keyset::{KeyError, KeyFacts, KeySet, KeyUse, RetiredKey, RootProvider, SealedKeySet, TimedSeed};
pub use record::{RecordEntry, SealedAttribute, SealedRecord, SealedSubject, merge_record, thin_record};
pub use root::RootSet;
pub use staff::StaffSecret;

use std::sync::Arc;

use aes_gcm::aead::{Aead as _, Generate as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use arc_swap::ArcSwap;
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use self::capability_key::CapabilityKeys;
use crate::entropy::Entropy;
use crate::subject::SubjectId;
use crate::time::Timestamp;

/// The keys in use. Shared by everything that seals and opens; exchanged whole when they are rotated. Keys that nobody
/// uses any more are wiped.
pub struct Keyring {
    ring: ArcSwap<Ring>,
}

/// How long, in milliseconds, the layer before is written beside a new one: gateways' clocks differ.
pub const INDEX_OVERLAP_MS: i64 = 10_000;

/// A key of fingerprints.
#[derive(Clone)]
pub(crate) struct IndexKey {
    pub(crate) id: u32,
    pub(crate) key: Zeroizing<[u8; 32]>,
    /// Whether new fingerprints are written in its layer.
    pub(crate) writes: bool,
    /// Whether there may be fingerprints of its layer.
    pub(crate) searched: bool,
}

fn index_keys(keys: &KeySet, now: Timestamp) -> Result<Vec<IndexKey>, KeyError> {
    let mut seeds = keys.seeds(KeyUse::Fingerprint);
    seeds.sort_by_key(|seed| seed.id);
    let begun = |seed: &TimedSeed| seed.from.is_none_or(|from| from <= now);
    let newest = seeds.iter().rposition(begun).ok_or(KeyError::Missing(KeyUse::Fingerprint))?;
    // The newest is alone when everybody has begun to write it.
    let from = seeds.get(newest).and_then(|seed| seed.from);
    let overlaps = from.is_some_and(|from| now.since_ms(from) < INDEX_OVERLAP_MS);
    let index_key = |(at, seed): (usize, TimedSeed)| IndexKey {
        id: seed.id,
        writes: at == newest || overlaps && at + 1 == newest,
        searched: seed.until.is_none(),
        key: seed.seed,
    };
    Ok(seeds.into_iter().enumerate().map(index_key).collect())
}

/// The keys that are in use at a time.
struct Ring {
    /// Key-encryption keys, the newest first: all unwrap.
    wrapping: Vec<(u32, Aes256Gcm)>,
    /// Which of them wraps.
    wraps_by: u32,
    /// The keys of fingerprints, the oldest first: each makes the next layer of the one before.
    fingerprints: Vec<IndexKey>,
    /// The newest first: that one marks, all are looked for.
    suppression: Vec<Zeroizing<[u8; 32]>>,
    /// The newest first: that one names, all resolve.
    pseudonym: Vec<Zeroizing<[u8; 32]>>,
    capability: CapabilityKeys,
    ledger: Vec<TimedSeed>,
    ledger_retired: Vec<RetiredKey>,
    tokens: Vec<TimedSeed>,
    receipt: Vec<TimedSeed>,
    receipt_retired: Vec<RetiredKey>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ring = self.ring.load();
        let ids: Vec<_> = ring.wrapping.iter().map(|(id, _)| id).collect();
        f.debug_struct("Keyring").field("wrapping_keys", &ids).finish_non_exhaustive()
    }
}

impl Ring {
    fn new(keys: &KeySet, now: Timestamp) -> Result<Self, KeyError> {
        let mut wrapping: Vec<_> =
            keys.all(KeyUse::Data).map(|(id, secret)| (id, Aes256Gcm::new(secret.into()))).collect();
        wrapping.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
        let in_use = |of| {
            let keys = keys.in_use(of, now);
            if keys.is_empty() { Err(KeyError::Missing(of)) } else { Ok(keys) }
        };
        let secrets = |of| Ok(in_use(of)?.into_iter().map(|(_, secret)| secret).collect::<Vec<_>>());
        let newest = |of| secrets(of)?.into_iter().next().ok_or(KeyError::Missing(of));
        let seeds = |of| {
            let seeds = keys.seeds(of);
            if seeds.is_empty() { Err(KeyError::Missing(of)) } else { Ok(seeds) }
        };
        let (wraps_by, _) = in_use(KeyUse::Data)?.into_iter().next().ok_or(KeyError::Missing(KeyUse::Data))?;
        let ledger = seeds(KeyUse::Ledger)?;
        // Key files are older than this use of them: they go on without being touched.
        let derived = || {
            let seed = derive(&*newest(KeyUse::Ledger)?, &[b"receipt key v1"]);
            Ok(vec![TimedSeed { id: 0, seed, from: None, until: None }])
        };
        Ok(Self {
            wrapping,
            wraps_by,
            fingerprints: index_keys(keys, now)?,
            suppression: secrets(KeyUse::Suppression)?,
            pseudonym: secrets(KeyUse::Pseudonym)?,
            capability: CapabilityKeys::new(keys, now)?,
            ledger_retired: keys.retired(KeyUse::Ledger),
            receipt_retired: keys.retired(KeyUse::Receipt),
            receipt: seeds(KeyUse::Receipt).or_else(|_: KeyError| derived())?,
            ledger,
            tokens: seeds(KeyUse::Token)?,
        })
    }
}

impl Keyring {
    /// Takes the keys of a set into use, as if the time of all of them had come.
    ///
    /// # Errors
    /// When a use has no key.
    pub fn new(keys: &KeySet) -> Result<Self, KeyError> {
        Self::at(keys, Timestamp::from_millis(i64::MAX))
    }

    /// Takes the keys of a set into use whose time has come.
    ///
    /// # Errors
    /// When a use has no key.
    pub fn at(keys: &KeySet, now: Timestamp) -> Result<Self, KeyError> {
        Ok(Self { ring: ArcSwap::from_pointee(Ring::new(keys, now)?) })
    }

    /// Takes other keys into use, at once for everything that begins from now on.
    ///
    /// # Errors
    /// When a use has no key: then the keys in use stay.
    pub fn exchange(&self, keys: &KeySet, now: Timestamp) -> Result<(), KeyError> {
        self.ring.store(Arc::new(Ring::new(keys, now)?));
        Ok(())
    }

    /// The id of the key that wraps new data keys.
    #[must_use]
    pub fn wraps_by(&self) -> u32 {
        self.ring.load().wraps_by
    }

    /// The id of the key that a data key is wrapped with.
    #[must_use]
    pub fn wrapped_by(wrapped: &[u8]) -> Option<u32> {
        WrappedKey::split(wrapped).map(|(id, ..)| id)
    }

    /// Wraps a subject's data key anew, with the key that wraps now. What it seals is not touched. `None`: it is wrapped
    /// with that key already.
    ///
    /// # Errors
    /// When it does not unwrap.
    pub fn rewrap_key(&self, subject: SubjectId, wrapped: &[u8]) -> Result<Option<WrappedKey>, OpenError> {
        self.ring.load().rewrap(|id| wrap_context(subject, id), wrapped)
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
        let wrapped = self.ring.load().wrap(|id| wrap_context(subject, id), &data_key)?;
        Ok((SubjectKey::new(subject, &data_key), wrapped))
    }

    /// Unwraps a subject's data key.
    ///
    /// # Errors
    /// When the wrapped key is of another subject, was altered, or its wrapping key is not in this ring.
    pub fn unwrap_key(&self, subject: SubjectId, wrapped: &[u8]) -> Result<SubjectKey, OpenError> {
        let key = self.ring.load().unwrap(|id| wrap_context(subject, id), wrapped)?;
        Ok(SubjectKey::new(subject, &key))
    }

    /// The seeds of the ledger's signing keys.
    #[must_use]
    pub fn ledger_seeds(&self) -> Vec<TimedSeed> {
        self.ring.load().ledger.clone()
    }

    /// What is left of the ledger's signing keys that are retired.
    #[must_use]
    pub fn ledger_retired(&self) -> Vec<RetiredKey> {
        self.ring.load().ledger_retired.clone()
    }

    /// What is left of the receipts' signing keys that are retired.
    #[must_use]
    pub fn receipt_retired(&self) -> Vec<RetiredKey> {
        self.ring.load().receipt_retired.clone()
    }

    /// The seeds of the access tokens' signing keys.
    #[must_use]
    pub fn token_seeds(&self) -> Vec<TimedSeed> {
        self.ring.load().tokens.clone()
    }

    /// The seeds of the receipts' signing keys.
    #[must_use]
    pub fn receipt_seeds(&self) -> Vec<TimedSeed> {
        self.ring.load().receipt.clone()
    }

    /// The oldest first; there is always one.
    pub(crate) fn index_keys(&self) -> Vec<IndexKey> {
        self.ring.load().fingerprints.clone()
    }

    /// The newest first; there is always one.
    pub(crate) fn suppression_keys(&self) -> Vec<Zeroizing<[u8; 32]>> {
        self.ring.load().suppression.clone()
    }

    /// The newest first; there is always one.
    pub(crate) fn pseudonym_keys(&self) -> Vec<Zeroizing<[u8; 32]>> {
        self.ring.load().pseudonym.clone()
    }

    /// A keyed digest of a disclosure's bitmap: the ledger keeps it, and it tells nobody without the key who is in.
    #[must_use]
    pub fn bitmap_digest(&self, bitmap: &[u8]) -> [u8; 32] {
        self.request_fingerprint(&[b"bitmap v1", bitmap])
    }
}

impl Ring {
    fn wrap<C: AsRef<[u8]>>(&self, context: impl Fn(u32) -> C, key: &[u8; 32]) -> Result<WrappedKey, SealError> {
        let id = self.wraps_by;
        let (_, cipher) = self.wrapping.iter().find(|(known, _)| *known == id).ok_or(SealError)?;
        let nonce = Nonce::generate();
        let aad = context(id);
        let payload = Payload { msg: key.as_slice(), aad: aad.as_ref() };
        let sealed = cipher.encrypt(&nonce, payload).map_err(|_| SealError)?;
        WrappedKey::join(id, nonce.as_slice(), &sealed).ok_or(SealError)
    }

    fn unwrap<C: AsRef<[u8]>>(
        &self,
        context: impl Fn(u32) -> C,
        wrapped: &[u8],
    ) -> Result<Zeroizing<[u8; 32]>, OpenError> {
        let (id, nonce, sealed) = WrappedKey::split(wrapped).ok_or(OpenError)?;
        let (_, cipher) = self.wrapping.iter().find(|(known, _)| *known == id).ok_or(OpenError)?;
        let aad = context(id);
        let payload = Payload { msg: sealed, aad: aad.as_ref() };
        let plain = cipher.decrypt(nonce.into(), payload).map(Zeroizing::new).map_err(|_| OpenError)?;
        plain.as_slice().try_into().map(Zeroizing::new).map_err(|_| OpenError)
    }

    fn rewrap<C: AsRef<[u8]>>(
        &self,
        context: impl Fn(u32) -> C,
        wrapped: &[u8],
    ) -> Result<Option<WrappedKey>, OpenError> {
        if Keyring::wrapped_by(wrapped) == Some(self.wraps_by) {
            return Ok(None);
        }
        let key = self.unwrap(&context, wrapped)?;
        self.wrap(context, &key).map(Some).map_err(|_| OpenError)
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
