//! Takes in a file without applying it: an import is opened, its rows are stored sealed, its preview is finished.

use std::fmt;
use std::sync::Arc;

use kernel::client::ClientId;
use kernel::id::ImportId;
use kernel::identifier::{Fingerprint, IndexPrint};
use kernel::import::{ImportStatus, Tally};
use kernel::ledger::{LedgerEntry, LedgerEvent};
use kernel::policy::PolicyVersion;
use kernel::seal::{Keyring, WrappedKey};
use kernel::source::SourceId;
use kernel::time::Timestamp;

use super::{Change, sealed};
use crate::Backend;
use crate::error::StoreError;
use crate::statement::{signed, sql};
use crate::unit_of_work::{Conn, Entries, Unchanged};

/// Opens an import.
pub struct OpenImport {
    /// Which.
    pub import: ImportId,
    /// Who delivers.
    pub source: SourceId,
    /// The program that sends it.
    pub client: Option<ClientId>,
    /// The policy that its rows are checked against.
    pub policy: PolicyVersion,
    /// Whether the persons were informed already (GDPR Art. 14(5)(a)).
    pub informed: bool,
    /// The key that seals its rows.
    pub wrapped_key: WrappedKey,
    /// Until when it may be applied.
    pub expires_at: Timestamp,
    /// Now.
    pub at: Timestamp,
}

impl fmt::Debug for OpenImport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenImport").field("import", &self.import).finish_non_exhaustive()
    }
}

impl sealed::Sealed for OpenImport {}

impl Change for OpenImport {
    type Output = ();
    const NAME: &'static str = "open_import";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        let nothing = Tally::default().to_text();
        sql("INSERT INTO import (id, source, client, status, policy, informed, created_at, touched_at, expires_at, \
                 wrapped_key, row_count, last_line, preview, applied) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, 0, 0, $10, $10)")
        .with_bytes(self.import.as_bytes())
        .with(self.source.as_str())
        .with(self.client.as_ref().map(|client| client.as_str().to_owned()))
        .with(ImportStatus::Receiving.as_str())
        .with_bytes(self.policy.as_bytes())
        .with(i16::from(self.informed))
        .with(self.at.as_millis())
        .with(self.expires_at.as_millis())
        .with_bytes(self.wrapped_key.as_bytes())
        .with(nothing)
        .execute(conn.raw())
        .await?;
        Ok(())
    }

    fn entries(&self, (): &()) -> Entries {
        Entries::unchanged(Unchanged::Prepared)
    }
}

/// A row, sealed, with the fingerprints under which an erasure finds it.
#[derive(Clone)]
pub struct SealedRow {
    /// Its line in the file.
    pub line: u64,
    /// The fingerprint of the address.
    pub email: Option<Fingerprint>,
    /// The fingerprint of the customer number.
    pub customer_id: Option<Fingerprint>,
    /// The row.
    pub sealed: Vec<u8>,
}

impl fmt::Debug for SealedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedRow").field("line", &self.line).finish_non_exhaustive()
    }
}

/// Stores some rows of an import that is being received. [`StoreError::Conflict`]: it is not received any more.
#[derive(Debug)]
pub struct StageRows {
    /// The keys in use: an erasure finds the rows under what the index holds.
    pub keyring: Arc<Keyring>,
    /// Of which import.
    pub import: ImportId,
    /// The rows, each line once.
    pub rows: Vec<SealedRow>,
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for StageRows {}

impl Change for StageRows {
    type Output = ();
    const NAME: &'static str = "stage_rows";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        let touched = sql("UPDATE import SET touched_at = $2 WHERE id = $1 AND status = 'receiving'")
            .with_bytes(self.import.as_bytes())
            .with(self.at.as_millis())
            .execute(conn.raw())
            .await?;
        if touched != 1 {
            return Err(StoreError::Conflict);
        }
        if self.rows.is_empty() {
            return Ok(());
        }
        match conn.backend() {
            Backend::Postgres => self.insert_at_once(conn).await,
            Backend::Sqlite => self.insert_one_by_one(conn).await,
        }
    }

    fn entries(&self, (): &()) -> Entries {
        Entries::unchanged(Unchanged::Prepared)
    }
}

impl StageRows {
    /// What the index holds of a fingerprint from now on, and the key of that layer.
    fn indexed(&self, print: Option<Fingerprint>) -> (Option<IndexPrint>, i64) {
        let newest = print.and_then(|print| self.keyring.index_rows(&print).pop());
        newest.map_or((None, 1), |(key_id, print)| (Some(print), i64::from(key_id)))
    }

    fn key_of(&self, row: &SealedRow) -> i64 {
        self.indexed(row.email.or(row.customer_id)).1
    }

    async fn insert_at_once(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        // Arrays travel without nulls: what is absent is empty until it arrives.
        let bytes = |print: &Option<Fingerprint>| {
            self.indexed(*print).0.map_or_else(Vec::new, |print| print.as_bytes().to_vec())
        };
        let lines: Vec<i64> = self.rows.iter().map(|row| signed(row.line)).collect::<Result<_, _>>()?;
        sql("INSERT INTO import_row (import_id, line, email, customer_id, sealed, key_id) \
             SELECT $1, line, nullif(email, ''), nullif(customer_id, ''), sealed, key_id \
             FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bigint[]) \
                 AS t (line, email, customer_id, sealed, key_id)")
        .with_bytes(self.import.as_bytes())
        .with(lines)
        .with(self.rows.iter().map(|row| bytes(&row.email)).collect::<Vec<_>>())
        .with(self.rows.iter().map(|row| bytes(&row.customer_id)).collect::<Vec<_>>())
        .with(self.rows.iter().map(|row| row.sealed.clone()).collect::<Vec<_>>())
        .with(self.rows.iter().map(|row| self.key_of(row)).collect::<Vec<_>>())
        .execute(conn.raw())
        .await?;
        Ok(())
    }

    async fn insert_one_by_one(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        let bytes = |print: &Option<Fingerprint>| self.indexed(*print).0.map(|print| print.as_bytes().to_vec());
        for row in &self.rows {
            sql("INSERT INTO import_row (import_id, line, email, customer_id, sealed, key_id) \
                 VALUES ($1, $2, $3, $4, $5, $6)")
            .with_bytes(self.import.as_bytes())
            .with(signed(row.line)?)
            .with(bytes(&row.email))
            .with(bytes(&row.customer_id))
            .with(row.sealed.clone())
            .with(self.key_of(row))
            .execute(conn.raw())
            .await?;
        }
        Ok(())
    }
}

/// Finishes the preview of an import. [`StoreError::Conflict`]: it is not received any more.
#[derive(Debug)]
pub struct FinishPreview {
    /// Of which import.
    pub import: ImportId,
    /// Who delivered it.
    pub source: SourceId,
    /// How many rows the file has.
    pub rows: u64,
    /// What they would do.
    pub preview: Tally,
    /// Keyed digest of the file.
    pub digest: [u8; 32],
    /// Now.
    pub at: Timestamp,
}

impl sealed::Sealed for FinishPreview {}

impl Change for FinishPreview {
    type Output = ();
    const NAME: &'static str = "finish_preview";

    async fn apply(&self, conn: &Conn<'_>) -> Result<(), StoreError> {
        let finished =
            sql("UPDATE import SET status = 'previewed', touched_at = $2, row_count = $3, preview = $4 \
             WHERE id = $1 AND status = 'receiving'")
            .with_bytes(self.import.as_bytes())
            .with(self.at.as_millis())
            .with(signed(self.rows)?)
            .with(self.preview.to_text())
            .execute(conn.raw())
            .await?;
        if finished == 1 { Ok(()) } else { Err(StoreError::Conflict) }
    }

    fn entries(&self, (): &()) -> Entries {
        let event = LedgerEvent::ImportPreviewed {
            import: self.import,
            source: self.source.clone(),
            rows: self.rows,
            ready: self.preview.ready(),
            digest: self.digest,
        };
        Entries::one(LedgerEntry { at: self.at, event })
    }
}
