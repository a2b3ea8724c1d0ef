//! The sealed key set, the work of its rotations, and what is wrapped by which key.

use kernel::id::ImportId;
use kernel::seal::{KeyUse, RootProvider, SealedKeySet};
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use crate::Store;
use crate::error::StoreError;
use crate::statement::{Row, name, sql, unsigned};

/// The working keys as they are stored.
#[derive(Debug, Clone)]
pub struct KeySetRow {
    /// Counts the changes; the first set is 1.
    pub version: u64,
    /// Who keeps the root key.
    pub provider: RootProvider,
    /// The name of the root key, which is no secret.
    pub root: String,
    /// The key of the set, as the root key wrapped it.
    pub wrapped_key: Vec<u8>,
    /// The set.
    pub sealed: SealedKeySet,
    /// When it was changed last.
    pub changed_at: Timestamp,
}

/// How far a new key has taken over what an older one held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyWork {
    /// What the key is for.
    pub key_use: KeyUse,
    /// The new key.
    pub key_id: u32,
    /// Up to which ordinal it is done.
    pub reached: u64,
    /// How much there was to do when it began.
    pub total: u64,
    /// How much is done.
    pub done: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None`: it goes on.
    pub finished_at: Option<Timestamp>,
}

/// A wrapped data key of a person.
#[derive(Debug, Clone)]
pub struct WrappedRow {
    /// Whose.
    pub subject: SubjectId,
    /// The person's place.
    pub ordinal: u64,
    /// The key.
    pub wrapped_key: Vec<u8>,
}

impl Store {
    /// The version of the stored key set; 0: there is none.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn key_set_version(&self) -> Result<u64, StoreError> {
        let row = sql("SELECT version FROM key_set WHERE id = 1").row(self.db()).await?;
        row.map_or(Ok(0), |row| row.unsigned(0))
    }

    /// The stored key set.
    ///
    /// # Errors
    /// Those of the database, or when the row does not read.
    pub async fn key_set(&self) -> Result<Option<KeySetRow>, StoreError> {
        let row = sql("SELECT version, provider, root, wrapped_key, sealed, changed_at FROM key_set WHERE id = 1")
            .row(self.db())
            .await?;
        let read = |row: Row| {
            Ok(KeySetRow {
                version: row.unsigned(0)?,
                provider: name(&row.get::<String>(1)?)?,
                root: row.get(2)?,
                wrapped_key: row.get(3)?,
                sealed: SealedKeySet::from_bytes(row.get(4)?),
                changed_at: Timestamp::from_millis(row.get(5)?),
            })
        };
        row.map(read).transpose()
    }

    /// Whether anything was ever written here: the first thing that happens to a store is a ledger entry.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn is_pristine(&self) -> Result<bool, StoreError> {
        Ok(sql("SELECT 1 FROM ledger_entry LIMIT 1").row(self.db()).await?.is_none())
    }

    /// The work of rotations, the unfinished and the finished.
    ///
    /// # Errors
    /// Those of the database, or when a row does not read.
    pub async fn key_works(&self) -> Result<Vec<KeyWork>, StoreError> {
        let rows = sql("SELECT key_use, key_id, reached, total, done, started_at, finished_at FROM key_work \
             ORDER BY started_at, key_use, key_id")
        .rows(self.db())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(KeyWork {
                    key_use: name(&row.get::<String>(0)?)?,
                    key_id: u32::try_from(row.get::<i64>(1)?).map_err(|_| StoreError::Tampered)?,
                    reached: row.unsigned(2)?,
                    total: row.unsigned(3)?,
                    done: row.unsigned(4)?,
                    started_at: Timestamp::from_millis(row.get(5)?),
                    finished_at: row.get::<Option<i64>>(6)?.map(Timestamp::from_millis),
                })
            })
            .collect()
    }

    /// The wrapped keys of the persons after an ordinal, in order.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn wrapped_keys(&self, after: u64, limit: u32) -> Result<Vec<WrappedRow>, StoreError> {
        let rows =
            sql("SELECT id, ordinal, wrapped_key FROM subject WHERE ordinal > $1 ORDER BY ordinal LIMIT $2")
                .with(crate::statement::signed(after)?)
                .with(i64::from(limit))
                .rows(self.db())
                .await?;
        rows.iter()
            .map(|row| {
                Ok(WrappedRow {
                    subject: SubjectId::from_bytes(row.bytes(0)?),
                    ordinal: row.unsigned(1)?,
                    wrapped_key: row.get(2)?,
                })
            })
            .collect()
    }

    /// The wrapped keys of the imports that are not over.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn wrapped_import_keys(&self) -> Result<Vec<(ImportId, Vec<u8>)>, StoreError> {
        let rows = sql("SELECT id, wrapped_key FROM import WHERE wrapped_key IS NOT NULL").rows(self.db()).await?;
        rows.iter().map(|row| Ok((ImportId::from_bytes(row.bytes(0)?), row.get(1)?))).collect()
    }

    /// How many keys each key-encryption key wraps.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn wrapped_by(&self) -> Result<Vec<(u32, u64)>, StoreError> {
        let rows = sql("SELECT key, count(*) FROM ( \
               SELECT substr(wrapped_key, 1, 4) AS key FROM subject \
               UNION ALL SELECT substr(wrapped_key, 1, 4) FROM import WHERE wrapped_key IS NOT NULL \
             ) AS wrapped GROUP BY key ORDER BY key")
        .rows(self.db())
        .await?;
        rows.iter().map(|row| Ok((u32::from_be_bytes(row.bytes(0)?), unsigned(row.get(1)?)?))).collect()
    }

    /// Whether a row of an import has fingerprints of an older layer than a key's.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn has_older_import_rows(&self, key_id: u32) -> Result<bool, StoreError> {
        let row = sql("SELECT 1 FROM import_row WHERE key_id < $1 LIMIT 1").with(i64::from(key_id)).row(self.db());
        Ok(row.await?.is_some())
    }

    /// Whether a person has a fingerprint of an older layer than a key's.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn has_older_fingerprints(&self, key_id: u32) -> Result<bool, StoreError> {
        let row = sql("SELECT 1 FROM subject_identifier WHERE key_id < $1 LIMIT 1")
            .with(i64::from(key_id))
            .row(self.db());
        Ok(row.await?.is_some())
    }
}
