//! Gives an import up: its key is destroyed at once, its rows are swept away after that.

use kernel::id::ImportId;
use kernel::import::ImportStatus;
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::error::StoreError;
use crate::statement::sql;
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// Gives up an import of which nothing was applied.
#[derive(Debug)]
pub struct DiscardImport {
    /// Which.
    pub import: ImportId,
    /// Whether because its time is over.
    pub expired: bool,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for DiscardImport {}

impl Change for DiscardImport {
    /// Whether it was there to be given up.
    type Output = bool;
    const NAME: &'static str = "discard_import";
    const DESTROYS: bool = true;

    async fn apply(&self, conn: &Conn<'_>) -> Result<bool, StoreError> {
        let status = if self.expired { ImportStatus::Expired } else { ImportStatus::Discarded };
        let ended = sql("UPDATE import SET status = $2, wrapped_key = NULL, touched_at = $3, ended_at = $3 \
             WHERE id = $1 AND status IN ('receiving', 'previewed')")
        .with_bytes(self.import.as_bytes())
        .with(status.as_str())
        .with(self.at.as_millis())
        .execute(conn.raw())
        .await?;
        Ok(ended == 1)
    }

    fn entries(&self, ended: &bool) -> Entries {
        if !ended {
            return Entries::unchanged(Unchanged::AlreadyDone);
        }
        let event = LedgerEvent::ImportDiscarded { import: self.import, expired: self.expired };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}

/// Removes some rows that are left of imports that are over.
#[derive(Debug, Clone, Copy)]
pub struct SweepImport {
    /// Which.
    pub import: ImportId,
    /// How many at the most.
    pub most: u32,
}

impl sealed::Sealed for SweepImport {}

impl Change for SweepImport {
    /// How many were removed.
    type Output = u64;
    const NAME: &'static str = "sweep_import";
    const DESTROYS: bool = true;

    async fn apply(&self, conn: &Conn<'_>) -> Result<u64, StoreError> {
        sql("DELETE FROM import_row WHERE import_id = $1 AND line <= coalesce( \
                 (SELECT line FROM import_row WHERE import_id = $1 ORDER BY line LIMIT 1 OFFSET $2), \
                 9223372036854775807)")
        .with_bytes(self.import.as_bytes())
        .with(i64::from(self.most))
        .execute(conn.raw())
        .await
    }

    fn entries(&self, _: &u64) -> Entries {
        Entries::unchanged(Unchanged::Housekeeping)
    }
}
