//! The working keys: one set, kept sealed under a root key ([`SealedKeySet`]), or plain in a file of its owner.
//!
//! Every use has keys of its own, so that one can be rotated or lost without the others. A higher `id` is newer. A new
//! key counts from a time on, so that every gateway knows it before the first one uses it.

use aes_gcm::aead::{Aead as _, Generate as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

mod retire;

pub use retire::RetiredKey;

use self::retire::Material;
use super::derive;
use crate::entropy::Entropy;
use crate::time::Timestamp;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum KeyUse {
    /// Wraps the subjects' data keys.
    #[n(1)]
    Data,
    /// Fingerprints of identifiers, to find a subject.
    #[n(2)]
    Fingerprint,
    /// Fingerprints of suppressed identifiers.
    #[n(3)]
    Suppression,
    /// Pseudonyms.
    #[n(4)]
    Pseudonym,
    /// Tokens of withdrawals and receipts, links of mails, cursors, what lets staff in, request fingerprints.
    #[n(5)]
    Capability,
    /// The ledger's signatures (Ed25519 seed).
    #[n(6)]
    Ledger,
    /// The access tokens' signatures (Ed25519 seed).
    #[n(7)]
    Token,
    /// The receipts' signatures (Ed25519 seed).
    #[n(8)]
    Receipt,
}

/// Who keeps the root key, under which the key set is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum RootProvider {
    /// A file that only its owner reads.
    #[n(1)]
    File,
    /// An environment variable.
    #[n(2)]
    Env,
    /// A hardware security module.
    #[n(3)]
    Pkcs11,
    /// AWS Key Management Service.
    #[n(4)]
    AwsKms,
}

impl RootProvider {
    const ALL: [Self; 4] = [Self::File, Self::Env, Self::Pkcs11, Self::AwsKms];

    /// The word in settings and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Env => "env",
            Self::Pkcs11 => "pkcs11",
            Self::AwsKms => "aws-kms",
        }
    }
}

impl std::str::FromStr for RootProvider {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == text).ok_or(KeyError::Malformed)
    }
}

impl KeyUse {
    /// Every use.
    pub const ALL: [Self; 8] = [
        Self::Data,
        Self::Fingerprint,
        Self::Suppression,
        Self::Pseudonym,
        Self::Capability,
        Self::Ledger,
        Self::Token,
        Self::Receipt,
    ];

    /// The word in key files, in the store and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Fingerprint => "fingerprint",
            Self::Suppression => "suppression",
            Self::Pseudonym => "pseudonym",
            Self::Capability => "capability",
            Self::Ledger => "ledger",
            Self::Token => "token",
            Self::Receipt => "receipt",
        }
    }

    /// Whether something of its older keys is still needed when they are retired: to check what they signed, or because
    /// newer fingerprints and digests are made of the older ones.
    #[must_use]
    pub const fn is_kept(self) -> bool {
        self.signs_for_good() || matches!(self, Self::Fingerprint | Self::Capability)
    }

    /// Whether its signatures are checked long after it is retired.
    const fn signs_for_good(self) -> bool {
        matches!(self, Self::Ledger | Self::Receipt)
    }

    const fn may_end(self) -> bool {
        self.is_kept() || matches!(self, Self::Token)
    }
}

impl std::str::FromStr for KeyUse {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::ALL.into_iter().find(|key_use| key_use.as_str() == text).ok_or(KeyError::Malformed)
    }
}

/// Why keys cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file is not a key set.
    #[error("the key file is not readable as a key set")]
    Malformed,
    /// A secret has the wrong length or form.
    #[error("key {id} for {key_use:?} is not 32 bytes in base64")]
    Secret {
        /// The key's use.
        key_use: KeyUse,
        /// The key's id.
        id: u32,
    },
    /// A key ends whose use knows no end, or no key is left that signs.
    #[error("the last key of a use has no end, and only a key that signed and ended has no secret")]
    Times,
    /// Two keys of one use share an id.
    #[error("two keys for {0:?} share one id")]
    Repeated(KeyUse),
    /// A use has no key.
    #[error("there is no key for {0:?}")]
    Missing(KeyUse),
    /// The set does not open: another root key, or altered.
    #[error("the key set does not open with this root key")]
    Sealed,
    /// There is no key of that number.
    #[error("there is no key {id} for {key_use:?}")]
    NoSuchKey {
        /// The key's use.
        key_use: KeyUse,
        /// The key's id.
        id: u32,
    },
    /// The newest key of a use cannot go.
    #[error("key {id} for {key_use:?} is the newest: rotate first")]
    Newest {
        /// The key's use.
        key_use: KeyUse,
        /// The key's id.
        id: u32,
    },
}

/// A key set as the store keeps it: sealed under a key of its own, which the root key wraps.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedKeySet(Vec<u8>);

impl std::fmt::Debug for SealedKeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedKeySet(..)")
    }
}

impl SealedKeySet {
    /// From stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What is told of a key: never its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFacts {
    /// What it is for.
    pub key_use: KeyUse,
    /// Its id; a higher one is newer.
    pub id: u32,
    /// From when on it is used; `None`: from the beginning.
    pub from: Option<Timestamp>,
    /// Until when it is used, or what it signed counts; `None`: for good.
    pub until: Option<Timestamp>,
}

/// A set of keys. Wiped when dropped; never shown.
pub struct KeySet {
    keys: Vec<NamedKey>,
}

struct NamedKey {
    key_use: KeyUse,
    id: u32,
    material: Material,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// A signing seed with the times between which it may be used.
#[derive(Clone)]
pub struct TimedSeed {
    /// Its id; a higher one is newer.
    pub id: u32,
    /// The seed.
    pub seed: Zeroizing<[u8; 32]>,
    /// From when on it signs; `None`: always.
    pub from: Option<Timestamp>,
    /// Until when it counts; `None`: for good.
    pub until: Option<Timestamp>,
}

impl std::fmt::Debug for TimedSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TimedSeed").field("id", &self.id).finish_non_exhaustive()
    }
}

impl NamedKey {
    fn fresh(key_use: KeyUse, id: u32, entropy: &dyn Entropy) -> Self {
        Self {
            key_use,
            id,
            material: Material::Secret(Zeroizing::new(entropy.bytes_32())),
            from: None,
            until: None,
        }
    }

    const fn secret(&self) -> Option<&Zeroizing<[u8; 32]>> {
        match &self.material {
            Material::Secret(secret) => Some(secret),
            Material::Public(_) => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyFile {
    pub(super) key: Vec<KeyEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyEntry {
    #[serde(rename = "use")]
    key_use: KeyUse,
    id: u32,
    secret: Option<String>,
    /// Of a key that signed and is retired, in place of the secret: what its signatures are checked with.
    #[serde(default)]
    public: Option<String>,
    /// From when on it is used.
    #[serde(default)]
    from: Option<Timestamp>,
    /// Of keys that sign: until when they do, or what they signed counts.
    #[serde(default)]
    until: Option<Timestamp>,
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySet").field("keys", &self.keys.len()).finish()
    }
}

impl KeySet {
    /// A fresh set: one key for each use.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let keys = KeyUse::ALL.into_iter().map(|key_use| NamedKey::fresh(key_use, 1, entropy)).collect();
        Self { keys }
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// When it is malformed, a secret has the wrong length, or an id repeats. The text is never part of the error.
    pub fn from_toml(text: &str) -> Result<Self, KeyError> {
        let file: KeyFile = toml::from_str(text).map_err(|_| KeyError::Malformed)?;
        Self::from_file(file)
    }

    pub(super) fn from_file(mut file: KeyFile) -> Result<Self, KeyError> {
        let mut keys: Vec<NamedKey> = Vec::with_capacity(file.key.len());
        for entry in &mut file.key {
            let fault = || KeyError::Secret { key_use: entry.key_use, id: entry.id };
            let (text, is_secret) = match (&entry.secret, &entry.public) {
                (Some(secret), None) => (secret, true),
                (None, Some(public)) => (public, false),
                _ => return Err(fault()),
            };
            let bytes = Zeroizing::new(STANDARD.decode(text.as_bytes()).map_err(|_| fault())?);
            let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| fault())?;
            let bytes = Zeroizing::new(bytes);
            if keys.iter().any(|key| key.key_use == entry.key_use && key.id == entry.id) {
                return Err(KeyError::Repeated(entry.key_use));
            }
            let KeyEntry { key_use, id, from, until, .. } = *entry;
            let has_ended = until.is_some();
            let is_allowed =
                if is_secret { key_use.may_end() || !has_ended } else { key_use.signs_for_good() && has_ended };
            if !is_allowed {
                return Err(KeyError::Times);
            }
            let material = if is_secret { Material::Secret(bytes) } else { Material::Public(*bytes) };
            keys.push(NamedKey { key_use, id, material, from, until });
            entry.secret.zeroize();
        }
        let set = Self { keys };
        let ended = |key_use: &KeyUse| set.last(*key_use).is_some_and(|key| key.until.is_some());
        if KeyUse::ALL.iter().any(ended) { Err(KeyError::Times) } else { Ok(set) }
    }

    /// Seals the set under a key, bound to the set's version: an older one does not pass for it.
    ///
    /// # Errors
    /// When the cipher fails.
    pub fn seal(&self, key: &[u8; 32], version: u64) -> Result<SealedKeySet, KeyError> {
        let nonce = Nonce::generate();
        let plain = self.to_toml();
        let payload = Payload { msg: plain.as_bytes(), aad: &seal_context(version) };
        let sealed = Aes256Gcm::new(key.into()).encrypt(&nonce, payload).map_err(|_| KeyError::Sealed)?;
        Ok(SealedKeySet([nonce.as_slice(), &sealed].concat()))
    }

    /// Opens a sealed set.
    ///
    /// # Errors
    /// When it is under another key, of another version or altered.
    pub fn open(sealed: &SealedKeySet, key: &[u8; 32], version: u64) -> Result<Self, KeyError> {
        let (nonce, body) = sealed.0.split_first_chunk::<12>().ok_or(KeyError::Sealed)?;
        let payload = Payload { msg: body, aad: &seal_context(version) };
        let plain = Aes256Gcm::new(key.into()).decrypt(nonce.into(), payload).map_err(|_| KeyError::Sealed)?;
        let plain = Zeroizing::new(plain);
        Self::from_toml(std::str::from_utf8(&plain).map_err(|_| KeyError::Malformed)?)
    }

    /// Adds a key that is used from `from` on, and says its id.
    pub fn add(&mut self, key_use: KeyUse, entropy: &dyn Entropy, from: Timestamp) -> u32 {
        let id = self.last(key_use).map_or(0, |key| key.id).saturating_add(1);
        self.keys.push(NamedKey { from: Some(from), ..NamedKey::fresh(key_use, id, entropy) });
        id
    }

    /// Adds the key of receipts that older sets derive from the key of the ledger, so that the ledger's can be rotated
    /// without it.
    pub fn settle_receipts(&mut self) {
        if self.last(KeyUse::Receipt).is_some() {
            return;
        }
        let oldest = self.all(KeyUse::Ledger).min_by_key(|(id, _)| *id);
        if let Some((_, ledger)) = oldest {
            let material = Material::Secret(derive(ledger, &[b"receipt key v1"]));
            self.keys.push(NamedKey { key_use: KeyUse::Receipt, id: 1, material, from: None, until: None });
        }
    }

    /// What may be told of the keys, by use and age.
    #[must_use]
    pub fn facts(&self) -> Vec<KeyFacts> {
        let mut facts: Vec<_> = self
            .keys
            .iter()
            .map(|key| KeyFacts { key_use: key.key_use, id: key.id, from: key.from, until: key.until })
            .collect();
        facts.sort_by_key(|key| (key.key_use, key.id));
        facts
    }

    /// Adds a token key that signs from `from` on; those before it count until `until`, when the last token that they
    /// signed has ended. Keys that ended before `now` are dropped.
    pub fn rotate_tokens(&mut self, entropy: &dyn Entropy, now: Timestamp, from: Timestamp, until: Timestamp) {
        self.keys.retain(|key| key.key_use != KeyUse::Token || key.until.is_none_or(|ended| now < ended));
        let mut newest = 0;
        for key in self.keys.iter_mut().filter(|key| key.key_use == KeyUse::Token) {
            newest = newest.max(key.id);
            key.until = Some(key.until.map_or(until, |known| known.min(until)));
        }
        let key = NamedKey::fresh(KeyUse::Token, newest.saturating_add(1), entropy);
        self.keys.push(NamedKey { from: Some(from), ..key });
    }

    /// Writes the key file.
    #[must_use]
    pub fn to_toml(&self) -> Zeroizing<String> {
        // Room for all of it: a text that grows leaves what it was behind.
        let mut text = Zeroizing::new(String::with_capacity(256 + self.keys.len() * 256));
        text.push_str(
            "# The working keys of a store. Whoever has them and the database can read everything; without them nobody can.\n",
        );
        for key in &self.keys {
            for part in ["\n[[key]]\nuse = \"", key.key_use.as_str(), "\"\nid = ", &key.id.to_string(), "\n"] {
                text.push_str(part);
            }
            let (name, bytes) = match &key.material {
                Material::Secret(secret) => ("secret", &**secret),
                Material::Public(public) => ("public", public),
            };
            let encoded = Zeroizing::new(STANDARD.encode(bytes));
            for part in [name, " = \"", &encoded, "\"\n"] {
                text.push_str(part);
            }
            for (name, at) in [("from", key.from), ("until", key.until)] {
                if let Some(at) = at {
                    text.push_str(&format!("{name} = \"{at}\"\n"));
                }
            }
        }
        text
    }

    fn of(&self, key_use: KeyUse) -> impl Iterator<Item = &NamedKey> {
        self.keys.iter().filter(move |key| key.key_use == key_use)
    }

    fn last(&self, key_use: KeyUse) -> Option<&NamedKey> {
        self.of(key_use).max_by_key(|key| key.id)
    }

    pub(crate) fn all(&self, key_use: KeyUse) -> impl Iterator<Item = (u32, &[u8; 32])> {
        self.of(key_use).filter_map(|key| Some((key.id, &**key.secret()?)))
    }

    /// The keys of a use whose time has come, the newest first: that one is used, the others still count.
    pub(crate) fn in_use(&self, key_use: KeyUse, now: Timestamp) -> Vec<(u32, Zeroizing<[u8; 32]>)> {
        let begun = self.of(key_use).filter(|key| key.from.is_none_or(|from| from <= now));
        let mut keys: Vec<_> = begun.filter_map(|key| Some((key.id, key.secret()?.clone()))).collect();
        keys.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
        keys
    }

    /// The secrets of a use, with their times.
    pub(crate) fn seeds(&self, key_use: KeyUse) -> Vec<TimedSeed> {
        let timed = |key: &NamedKey| {
            let seed = key.secret()?.clone();
            Some(TimedSeed { id: key.id, seed, from: key.from, until: key.until })
        };
        self.of(key_use).filter_map(timed).collect()
    }
}

fn seal_context(version: u64) -> [u8; 28] {
    let mut context = [0; 28];
    let parts = b"consentry key set v1".iter().copied().chain(version.to_be_bytes());
    for (to, from) in context.iter_mut().zip(parts) {
        *to = from;
    }
    context
}
