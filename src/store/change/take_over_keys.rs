//! Wraps data keys anew, batch by batch: what they seal is not touched, and the next batch begins where the last one
//! that was committed ended, whoever does it.

use kernel::id::ImportId;
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::seal::{KeyUse, WrappedKey};
use kernel::subject::SubjectId;
use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::Backend;
use crate::error::StoreError;
use crate::statement::{signed, sql};
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// One batch.
pub struct TakeOverKeys {
    /// The key that takes over.
    pub key_id: u32,
    /// Persons: the wrapped key that was read, and the one that takes its place.
    pub subjects: Vec<(SubjectId, Vec<u8>, WrappedKey)>,
    /// Imports.
    pub imports: Vec<(ImportId, Vec<u8>, WrappedKey)>,
    /// Up to which ordinal everybody is taken over then.
    pub reached: u64,
}

impl std::fmt::Debug for TakeOverKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TakeOverKeys").field("subjects", &self.subjects.len()).finish_non_exhaustive()
    }
}

impl sealed::Sealed for TakeOverKeys {}

impl Change for TakeOverKeys {
    /// How many were taken over. Who was erased meanwhile is not among them.
    type Output = u64;
    const NAME: &'static str = "take_over_keys";

    async fn apply(&self, conn: &Conn<'_>) -> Result<u64, StoreError> {
        let mut done = match conn.backend() {
            Backend::Postgres => self.in_one(conn).await?,
            Backend::Sqlite => {
                let mut done = 0;
                for (subject, old, fresh) in &self.subjects {
                    done += sql("UPDATE subject SET wrapped_key = $3 WHERE id = $1 AND wrapped_key = $2")
                        .with_bytes(subject.as_bytes())
                        .with_bytes(old)
                        .with_bytes(fresh.as_bytes())
                        .execute(conn.raw())
                        .await?;
                }
                done
            }
        };
        for (import, old, fresh) in &self.imports {
            done += sql("UPDATE import SET wrapped_key = $3 WHERE id = $1 AND wrapped_key = $2")
                .with_bytes(import.as_bytes())
                .with_bytes(old)
                .with_bytes(fresh.as_bytes())
                .execute(conn.raw())
                .await?;
        }
        sql("UPDATE key_work SET reached = $3, done = done + $4 WHERE key_use = $1 AND key_id = $2")
            .with(KeyUse::Data.as_str())
            .with(i64::from(self.key_id))
            .with(signed(self.reached)?)
            .with(signed(done)?)
            .execute(conn.raw())
            .await?;
        Ok(done)
    }

    fn entries(&self, _done: &u64) -> Entries {
        Entries::unchanged(Unchanged::Housekeeping)
    }
}

impl TakeOverKeys {
    async fn in_one(&self, conn: &Conn<'_>) -> Result<u64, StoreError> {
        if self.subjects.is_empty() {
            return Ok(0);
        }
        let (mut ids, mut old, mut fresh) = (Vec::new(), Vec::new(), Vec::new());
        for (subject, before, after) in &self.subjects {
            ids.push(subject.as_bytes().to_vec());
            old.push(before.clone());
            fresh.push(after.as_bytes().to_vec());
        }
        // In the order in which everybody locks persons.
        sql("SELECT 1 FROM subject WHERE id = ANY($1::bytea[]) ORDER BY id FOR UPDATE")
            .with(ids.clone())
            .rows(conn.raw())
            .await?;
        sql("UPDATE subject AS s SET wrapped_key = t.fresh \
             FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS t (id, old, fresh) \
             WHERE s.id = t.id AND s.wrapped_key = t.old")
        .with(ids)
        .with(old)
        .with(fresh)
        .execute(conn.raw())
        .await
    }
}

/// The end of the work: nothing is under an older key any more.
#[derive(Debug)]
pub struct FinishKeyWork {
    /// What the key is for.
    pub key_use: KeyUse,
    /// The key that took over.
    pub key_id: u32,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for FinishKeyWork {}

impl Change for FinishKeyWork {
    /// How much was taken over; `None`: it was finished before.
    type Output = Option<u64>;
    const NAME: &'static str = "finish_key_work";

    async fn apply(&self, conn: &Conn<'_>) -> Result<Option<u64>, StoreError> {
        let row = sql("UPDATE key_work SET finished_at = $3 \
             WHERE key_use = $1 AND key_id = $2 AND finished_at IS NULL RETURNING done")
        .with(self.key_use.as_str())
        .with(i64::from(self.key_id))
        .with(self.at.as_millis())
        .row(conn.raw())
        .await?;
        row.map(|row| row.unsigned(0)).transpose()
    }

    fn entries(&self, done: &Option<u64>) -> Entries {
        match *done {
            Some(count) => {
                let event = LedgerEvent::KeyTakenOver { key_use: self.key_use, id: self.key_id, count };
                Entries::one(LedgerEntry { at: self.at, event })
            }
            None => Entries::unchanged(Unchanged::AlreadyDone),
        }
    }
}
