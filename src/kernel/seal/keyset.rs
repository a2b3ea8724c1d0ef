//! The keys as an operator keeps them: one TOML file, readable by its owner alone, apart from the data.
//!
//! Every use has keys of its own, so that one can be rotated or lost without the others. A higher `id` is newer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

use crate::entropy::Entropy;

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
        let keys = KeyUse::ALL
            .into_iter()
            .map(|key_use| NamedKey { key_use, id: 1, secret: Zeroizing::new(entropy.bytes_32()) })
            .collect();
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
            keys.push(NamedKey { key_use: entry.key_use, id: entry.id, secret: Zeroizing::new(secret) });
            entry.secret.zeroize();
        }
        Ok(Self { keys })
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
        }
        text
    }

    pub(crate) fn all(&self, key_use: KeyUse) -> impl Iterator<Item = (u32, &[u8; 32])> {
        self.keys.iter().filter(move |key| key.key_use == key_use).map(|key| (key.id, &*key.secret))
    }

    pub(crate) fn newest(&self, key_use: KeyUse) -> Option<&[u8; 32]> {
        self.all(key_use).max_by_key(|(id, _)| *id).map(|(_, secret)| secret)
    }
}
