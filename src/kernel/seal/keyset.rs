//! The keys as an operator keeps them: one TOML file, readable by its owner alone, apart from the data.
//!
//! Every use has keys of its own, so that one can be rotated or lost without the others. A higher `id` is newer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

use crate::entropy::Entropy;
use crate::time::Timestamp;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyUse {
    /// Wraps the subjects' data keys.
    Data,
    /// Fingerprints of identifiers, to find a subject.
    Fingerprint,
    /// Fingerprints of suppressed identifiers.
    Suppression,
    /// Pseudonyms.
    Pseudonym,
    /// Withdrawal tokens, cursors and request fingerprints.
    Capability,
    /// The ledger's signatures (Ed25519 seed).
    Ledger,
    /// The access tokens' signatures (Ed25519 seed).
    Token,
    /// The receipts' signatures (Ed25519 seed).
    Receipt,
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
    /// Only the keys of tokens have times, and one must sign at any time.
    #[error("only keys for tokens have times, and the last of them has no end")]
    Times,
    /// Two keys of one use share an id.
    #[error("two keys for {0:?} share one id")]
    Repeated(KeyUse),
    /// A use has no key.
    #[error("there is no key for {0:?}")]
    Missing(KeyUse),
}

/// A set of keys. Wiped when dropped; never shown.
pub struct KeySet {
    keys: Vec<NamedKey>,
}

struct NamedKey {
    key_use: KeyUse,
    id: u32,
    secret: Zeroizing<[u8; 32]>,
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
        Self { key_use, id, secret: Zeroizing::new(entropy.bytes_32()), from: None, until: None }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    key: Vec<KeyEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    #[serde(rename = "use")]
    key_use: KeyUse,
    id: u32,
    secret: String,
    /// Tokens only: from when on it signs.
    #[serde(default)]
    from: Option<Timestamp>,
    /// Tokens only: until when what it signed counts.
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
        let mut file: KeyFile = toml::from_str(text).map_err(|_| KeyError::Malformed)?;
        let mut keys: Vec<NamedKey> = Vec::with_capacity(file.key.len());
        for entry in &mut file.key {
            let fault = || KeyError::Secret { key_use: entry.key_use, id: entry.id };
            let bytes = Zeroizing::new(STANDARD.decode(entry.secret.as_bytes()).map_err(|_| fault())?);
            let secret: [u8; 32] = bytes.as_slice().try_into().map_err(|_| fault())?;
            if keys.iter().any(|key| key.key_use == entry.key_use && key.id == entry.id) {
                return Err(KeyError::Repeated(entry.key_use));
            }
            let KeyEntry { key_use, id, from, until, .. } = *entry;
            if (from.is_some() || until.is_some()) && key_use != KeyUse::Token {
                return Err(KeyError::Times);
            }
            keys.push(NamedKey { key_use, id, secret: Zeroizing::new(secret), from, until });
            entry.secret.zeroize();
        }
        let set = Self { keys };
        let newest = set.of(KeyUse::Token).max_by_key(|key| key.id);
        if newest.is_some_and(|key| key.until.is_some()) { Err(KeyError::Times) } else { Ok(set) }
    }

    /// Adds a token key that signs from `from` on; those before it count until `until`, when the last token that they
    /// signed has ended. Keys that ended before `now` are dropped.
    pub fn rotate_tokens(&mut self, entropy: &dyn Entropy, now: Timestamp, from: Timestamp, until: Timestamp) {
        self.keys.retain(|key| key.until.is_none_or(|ended| now < ended));
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
        let mut text = Zeroizing::new(String::from(
            "# Consentry keys. Whoever has this file and the database can read everything; without it nobody can.\n\
             # Keep a copy apart from the database's backups.\n",
        ));
        for key in &self.keys {
            let secret = Zeroizing::new(STANDARD.encode(key.secret.as_slice()));
            let key_use = match key.key_use {
                KeyUse::Data => "data",
                KeyUse::Fingerprint => "fingerprint",
                KeyUse::Suppression => "suppression",
                KeyUse::Pseudonym => "pseudonym",
                KeyUse::Capability => "capability",
                KeyUse::Ledger => "ledger",
                KeyUse::Token => "token",
                KeyUse::Receipt => "receipt",
            };
            for part in ["\n[[key]]\nuse = \"", key_use, "\"\nid = ", &key.id.to_string(), "\nsecret = \""] {
                text.push_str(part);
            }
            text.push_str(&secret);
            text.push_str("\"\n");
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

    pub(crate) fn all(&self, key_use: KeyUse) -> impl Iterator<Item = (u32, &[u8; 32])> {
        self.of(key_use).map(|key| (key.id, &*key.secret))
    }

    /// The signing seeds of tokens, with their times.
    pub(crate) fn token_seeds(&self) -> Vec<TimedSeed> {
        let timed =
            |key: &NamedKey| TimedSeed { id: key.id, seed: key.secret.clone(), from: key.from, until: key.until };
        self.of(KeyUse::Token).map(timed).collect()
    }

    pub(crate) fn newest(&self, key_use: KeyUse) -> Option<&[u8; 32]> {
        self.all(key_use).max_by_key(|(id, _)| *id).map(|(_, secret)| secret)
    }
}
