//! Moves fingerprints to the layer of a new key, batch by batch. A person's are moved together, under the lock that an
//! erasure takes first: none of them comes back after it.

use std::sync::Arc;

use kernel::identifier::IndexPrint;
use kernel::seal::{KeyUse, Keyring};
use kernel::subject::SubjectId;

use super::crowd::rows_by_keys;
use super::{Change, sealed};
use crate::Backend;
use crate::error::StoreError;
use crate::statement::{Row, signed, sql};
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// How many rows of imports one batch moves.
const IMPORT_ROWS: i64 = 1_000;

/// One batch.
#[derive(Debug)]
pub struct TakeOverIndex {
    /// The keys in use.
    pub keyring: Arc<Keyring>,
    /// The key that takes over.
    pub key_id: u32,
    /// Whose fingerprints; nobody: those of rows of imports that wait.
    pub subjects: Vec<SubjectId>,
    /// Up to which ordinal everybody is taken over then.
    pub reached: u64,
}

impl sealed::Sealed for TakeOverIndex {}

impl Change for TakeOverIndex {
    /// How many were taken over.
    type Output = u64;
    const NAME: &'static str = "take_over_index";

    async fn apply(&self, conn: &Conn<'_>) -> Result<u64, StoreError> {
        let done =
            if self.subjects.is_empty() { self.import_rows(conn).await? } else { self.persons(conn).await? };
        sql("UPDATE key_work SET reached = $3, done = done + $4 WHERE key_use = $1 AND key_id = $2")
            .with(KeyUse::Fingerprint.as_str())
            .with(i64::from(self.key_id))
            .with(signed(self.reached)?)
            .with(signed(if self.subjects.is_empty() { 0 } else { done })?)
            .execute(conn.raw())
            .await?;
        Ok(done)
    }

    fn entries(&self, _done: &u64) -> Entries {
        Entries::unchanged(Unchanged::Housekeeping)
    }
}

impl TakeOverIndex {
    async fn persons(&self, conn: &Conn<'_>) -> Result<u64, StoreError> {
        let mut subjects = self.subjects.clone();
        subjects.sort_unstable();
        let ids: Vec<_> = subjects.iter().map(|subject| subject.as_bytes().to_vec()).collect();
        let locked = rows_by_keys(
            conn,
            "SELECT id FROM subject WHERE id = ANY($1::bytea[]) ORDER BY id FOR UPDATE",
            "SELECT id FROM subject WHERE id = $1",
            ids,
        )
        .await?;
        let held = locked.iter().map(|row| row.get(0)).collect::<Result<Vec<Vec<u8>>, _>>()?;
        let rows = rows_by_keys(
            conn,
            "SELECT fingerprint, key_id, kind, subject_id, added_at FROM subject_identifier \
             WHERE subject_id = ANY($1::bytea[]) ORDER BY fingerprint",
            "SELECT fingerprint, key_id, kind, subject_id, added_at FROM subject_identifier WHERE subject_id = $1",
            held,
        )
        .await?;
        let (mut old, mut fresh, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        let (mut owners, mut times) = (Vec::new(), Vec::new());
        for row in &rows {
            if let Some(print) = self.moved(row.bytes(0)?, row.get(1)?)? {
                old.push(row.get::<Vec<u8>>(0)?);
                fresh.push(print.as_bytes().to_vec());
                kinds.push(row.get::<String>(2)?);
                owners.push(row.get::<Vec<u8>>(3)?);
                times.push(row.get::<i64>(4)?);
            }
        }
        let done = old.len() as u64;
        if conn.backend() == Backend::Postgres {
            sql("INSERT INTO subject_identifier (fingerprint, kind, subject_id, added_at, key_id) \
                 SELECT fingerprint, kind, subject_id, added_at, $5::bigint \
                 FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::bigint[]) \
                     AS t (fingerprint, kind, subject_id, added_at) \
                 ON CONFLICT (fingerprint) DO NOTHING")
            .with(fresh)
            .with(kinds)
            .with(owners)
            .with(times)
            .with(i64::from(self.key_id))
            .execute(conn.raw())
            .await?;
            let delete = sql("DELETE FROM subject_identifier WHERE fingerprint = ANY($1::bytea[])");
            delete.with(old).execute(conn.raw()).await?;
            return Ok(done);
        }
        for ((((old, fresh), kind), owner), at) in old.into_iter().zip(fresh).zip(kinds).zip(owners).zip(times) {
            sql("INSERT INTO subject_identifier (fingerprint, kind, subject_id, added_at, key_id) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (fingerprint) DO NOTHING")
            .with(fresh)
            .with(kind)
            .with(owner)
            .with(at)
            .with(i64::from(self.key_id))
            .execute(conn.raw())
            .await?;
            sql("DELETE FROM subject_identifier WHERE fingerprint = $1").with(old).execute(conn.raw()).await?;
        }
        Ok(done)
    }

    async fn import_rows(&self, conn: &Conn<'_>) -> Result<u64, StoreError> {
        let rows: Vec<Row> = sql("SELECT import_id, line, email, customer_id, key_id FROM import_row \
             WHERE key_id < $1 ORDER BY import_id, line LIMIT $2")
        .with(i64::from(self.key_id))
        .with(IMPORT_ROWS)
        .rows(conn.raw())
        .await?;
        let mut done = 0;
        for row in &rows {
            let moved = |at| -> Result<Option<Vec<u8>>, StoreError> {
                let Some(stored) = row.get::<Option<Vec<u8>>>(at)? else { return Ok(None) };
                let stored = stored.try_into().map_err(|_| StoreError::Tampered)?;
                Ok(self.moved(stored, row.get(4)?)?.map(|print| print.as_bytes().to_vec()))
            };
            done += sql("UPDATE import_row SET email = $3, customer_id = $4, key_id = $5 \
                 WHERE import_id = $1 AND line = $2")
            .with(row.get::<Vec<u8>>(0)?)
            .with(row.get::<i64>(1)?)
            .with(moved(2)?)
            .with(moved(3)?)
            .with(i64::from(self.key_id))
            .execute(conn.raw())
            .await?;
        }
        Ok(done)
    }

    /// What a stored fingerprint is in the new layer; `None`: it is there already.
    fn moved(&self, stored: [u8; 32], key_id: i64) -> Result<Option<IndexPrint>, StoreError> {
        let key_id = u32::try_from(key_id).map_err(|_| StoreError::Tampered)?;
        if key_id >= self.key_id {
            return Ok(None);
        }
        let layers = self.keyring.index_from(&IndexPrint::from_bytes(stored), key_id);
        let moved = layers.into_iter().find(|(id, _)| *id == self.key_id);
        moved.map(|(_, print)| Some(print)).ok_or(StoreError::defect("a key of fingerprints is not here"))
    }
}
