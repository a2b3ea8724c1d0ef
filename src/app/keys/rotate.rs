//! Changing the keys: another one for a use, another root key, and the end of an old one. Nothing stops meanwhile.

use std::sync::Arc;

use kernel::authz::{Authorized, ManageKeys};
use kernel::seal::{KeyError, KeyFacts, KeySet, KeyUse, RootProvider};
use kernel::time::Timestamp;
use store::StoreError;
use store::change::{KeepKeySet, Kept, KeyAct};
use store::query::{KeySetRow, KeyWork};
use thiserror::Error;

use super::open::{open_set, seal_set};
use super::{KEY_OVERLAP_MS, KNOWN_AFTER_MS, RootKey, RootKeyError};
use crate::error::AppError;
use crate::gateway::Gateway;

/// How much longer than its last token an old token key counts: clocks differ.
const TOKEN_GRACE_MS: i64 = 3_600_000;
/// How often a change that was overtaken is tried.
const TRIES: u32 = 8;

/// Why keys were not changed.
#[derive(Debug, Error)]
pub enum KeyChangeError {
    /// The keys lie in a plain file.
    #[error("the keys of this store lie plain in their file: run `consentry keys migrate` first")]
    Plain,
    /// They do not.
    #[error("the keys of this store are sealed already: there is nothing to migrate")]
    Sealed,
    /// Not these.
    #[error("keys for `{0}` are not retired: they are dropped by themselves, or looked for as long as the store")]
    Fixed(&'static str),
    /// The last rotation of the same use goes on.
    #[error("the rotation to key {0} is not finished yet: see `consentry keys status`")]
    Unfinished(u32),
    /// Something is wrapped by the key.
    #[error("{wrapped} are still under key {id}: wait until the rotation is finished")]
    InUse {
        /// The key.
        id: u32,
        /// How many.
        wrapped: u64,
    },
    /// The newer key is not used yet, or not everywhere.
    #[error("until {0} some gateway may still need the key before the newest")]
    TooEarly(Timestamp),
    /// The set has no such key, or it cannot go.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The root key.
    #[error(transparent)]
    Root(#[from] RootKeyError),
    /// Others changed the keys at the same time, again and again.
    #[error("somebody else is changing the keys: try again")]
    Overtaken,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Anything else.
    #[error("the keys in use could not be brought up to date")]
    Refresh,
}

impl From<AppError> for KeyChangeError {
    fn from(_: AppError) -> Self {
        Self::Refresh
    }
}

/// A rotation that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// What the key is for.
    pub key_use: KeyUse,
    /// The new key.
    pub id: u32,
    /// From when on it is used.
    pub from: Timestamp,
}

/// What may be told of the keys.
#[derive(Debug, Clone)]
pub struct KeyOverview {
    /// How often the set was changed; `None`: it lies plain in a file.
    pub version: Option<u64>,
    /// Who keeps the root key, and its name.
    pub root: Option<(RootProvider, String)>,
    /// The keys.
    pub keys: Vec<KeyFacts>,
    /// The rotations.
    pub works: Vec<KeyWork>,
    /// How many data keys each key-encryption key wraps.
    pub wrapped: Vec<(u32, u64)>,
}

impl Gateway {
    /// What may be told of the keys.
    ///
    /// # Errors
    /// When the store does not answer or the root key does not open the set.
    pub async fn key_overview(&self, _by: &Authorized<ManageKeys>) -> Result<KeyOverview, KeyChangeError> {
        let row = self.inner.store.key_set().await?;
        let keys = match (&row, &self.inner.keys.root) {
            (Some(row), Some(root)) => open_set(&**root, row).await?.facts(),
            _ => Vec::new(),
        };
        Ok(KeyOverview {
            version: row.as_ref().map(|row| row.version),
            root: row.map(|row| (row.provider, row.root)),
            keys,
            works: self.inner.store.key_works().await?,
            wrapped: self.wrapped_by().await?,
        })
    }

    /// Adds the next key of a use. It is used after `after_ms`, and never before every gateway can know it.
    ///
    /// # Errors
    /// When its last rotation goes on, or the root key or the store does not answer.
    pub async fn rotate_key(
        &self,
        _by: &Authorized<ManageKeys>,
        key_use: KeyUse,
        after_ms: i64,
    ) -> Result<Rotation, KeyChangeError> {
        let works = self.inner.store.key_works().await?;
        if let Some(work) = works.iter().find(|work| work.key_use == key_use && work.finished_at.is_none()) {
            return Err(KeyChangeError::Unfinished(work.key_id));
        }
        let token_ms = i64::from(self.settings().token_seconds) * 1000;
        let entropy = &*self.inner.entropy;
        self.change_keys(|keys, now| {
            let from = now.plus_ms(after_ms.max(KNOWN_AFTER_MS));
            let id = if key_use == KeyUse::Token {
                keys.rotate_tokens(entropy, now, from, from.plus_ms(token_ms + TOKEN_GRACE_MS));
                newest(keys, key_use)
            } else {
                keys.add(key_use, entropy, from)
            };
            Ok((KeyAct::Rotated { key_use, id, from }, Rotation { key_use, id, from }))
        })
        .await
    }

    /// Takes a key out of use that a newer one has replaced. Of keys that sign the public half stays known. What bearers hold
    /// that was made under a key of capabilities opens no more: see [`Self::ending_capabilities`].
    ///
    /// # Errors
    /// When it is the newest, the newer one is not used yet, something is still under it, or the store does not answer.
    pub async fn retire_key(
        &self,
        _by: &Authorized<ManageKeys>,
        key_use: KeyUse,
        id: u32,
    ) -> Result<(), KeyChangeError> {
        if matches!(key_use, KeyUse::Suppression | KeyUse::Token) {
            return Err(KeyChangeError::Fixed(key_use.as_str()));
        }
        if matches!(key_use, KeyUse::Data | KeyUse::Fingerprint | KeyUse::Capability) {
            let works = self.inner.store.key_works().await?;
            if let Some(work) = works.iter().find(|work| work.key_use == key_use && work.finished_at.is_none()) {
                return Err(KeyChangeError::Unfinished(work.key_id));
            }
        }
        // Gateways whose clocks are behind must be past the beginning of the newest, too, before they lose what they use.
        let settled_ms = match key_use {
            KeyUse::Ledger | KeyUse::Receipt | KeyUse::Capability => KEY_OVERLAP_MS,
            _ => 0,
        };
        if key_use == KeyUse::Capability {
            self.take_over_stragglers().await?;
        }
        self.change_keys(|keys, now| {
            let newest = keys.facts().into_iter().filter(|key| key.key_use == key_use).max_by_key(|key| key.id);
            if let Some(from) = newest.and_then(|key| key.from).filter(|from| from.plus_ms(settled_ms) > now) {
                return Err(KeyChangeError::TooEarly(from.plus_ms(settled_ms)));
            }
            keys.retire(key_use, id, now)?;
            Ok((KeyAct::Retired { key_use, id }, ()))
        })
        .await
    }

    /// Seals the keys under another root key: a newer one of the same keeper, or that of another one.
    ///
    /// # Errors
    /// When one of the root keys cannot be used, or the store does not answer: the keys stay as they are.
    pub async fn rotate_root(
        &self,
        _by: &Authorized<ManageKeys>,
        to: Option<Arc<dyn RootKey>>,
    ) -> Result<(RootProvider, String), KeyChangeError> {
        let from = self.inner.keys.root.clone().ok_or(KeyChangeError::Plain)?;
        let root = match to {
            Some(root) => root,
            None => {
                from.renew().await?;
                Arc::clone(&from)
            }
        };
        for _ in 0..TRIES {
            let row = self.inner.store.key_set().await?.ok_or(KeyChangeError::Plain)?;
            let mut keys = open_set(&*from, &row).await?;
            keys.shed(self.now());
            let set = seal_set(&*root, &keys, row.version + 1, self.now(), &*self.inner.entropy).await?;
            let named = (set.provider, set.root.clone());
            let act = KeyAct::Sealed { provider: set.provider, made: false };
            if self.inner.store.perform(&KeepKeySet { set, act }).await?.0 == Kept::Kept {
                return Ok(named);
            }
        }
        Err(KeyChangeError::Overtaken)
    }

    /// Seals the keys of a plain file in the store, under the root key beside them.
    ///
    /// # Errors
    /// When they are sealed already, there is no plain file, or the store does not answer.
    pub async fn migrate_keys(
        &self,
        _by: &Authorized<ManageKeys>,
    ) -> Result<(RootProvider, String), KeyChangeError> {
        let root = self.inner.keys.root.clone().ok_or(KeyChangeError::Sealed)?;
        if self.inner.store.key_set_version().await? > 0 {
            return Err(KeyChangeError::Sealed);
        }
        let mut keys = root.plain()?.ok_or(KeyChangeError::Sealed)?;
        keys.settle_receipts();
        let set = seal_set(&*root, &keys, 1, self.now(), &*self.inner.entropy).await?;
        let named = (set.provider, set.root.clone());
        let act = KeyAct::Sealed { provider: set.provider, made: false };
        match self.inner.store.perform(&KeepKeySet { set, act }).await?.0 {
            Kept::Kept => Ok(named),
            Kept::Overtaken | Kept::InUse(_) => Err(KeyChangeError::Sealed),
        }
    }

    /// Opens the set, changes it, keeps it; anew when somebody else was faster.
    async fn change_keys<T>(
        &self,
        mut change: impl FnMut(&mut KeySet, Timestamp) -> Result<(KeyAct, T), KeyChangeError>,
    ) -> Result<T, KeyChangeError> {
        let root = self.inner.keys.root.clone().ok_or(KeyChangeError::Plain)?;
        for _ in 0..TRIES {
            let row: KeySetRow = self.inner.store.key_set().await?.ok_or(KeyChangeError::Plain)?;
            let mut keys = open_set(&*root, &row).await?;
            let now = self.now();
            let (act, told) = change(&mut keys, now)?;
            keys.shed(now);
            let set = seal_set(&*root, &keys, row.version + 1, now, &*self.inner.entropy).await?;
            let version = set.version;
            match self.inner.store.perform(&KeepKeySet { set, act }).await?.0 {
                Kept::Kept => {
                    self.take_set(version, keys)?;
                    return Ok(told);
                }
                Kept::Overtaken => {}
                Kept::InUse(wrapped) => {
                    let id = if let KeyAct::Retired { id, .. } = act { id } else { 0 };
                    return Err(KeyChangeError::InUse { id, wrapped });
                }
            }
        }
        Err(KeyChangeError::Overtaken)
    }
}

fn newest(keys: &KeySet, key_use: KeyUse) -> u32 {
    keys.facts().iter().filter(|key| key.key_use == key_use).map(|key| key.id).max().unwrap_or_default()
}
