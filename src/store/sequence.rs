//! The commit horizon: what is read in order is never joined later by something that belongs before it.
//!
//! A row that will be read in order carries the `sequence` of its transaction. On PostgreSQL that is a base plus
//! the transaction's own number, and readers stop below the oldest transaction that still runs: whatever is below
//! will never change, and whatever commits late is at or above. On SQLite there is one writer at a time, so a
//! counter does, and there is no horizon. `docs/adr/0011-commit-horizon.md` tells why not a plain sequence.

use sea_orm::{DatabaseConnection, TransactionTrait as _};

use crate::error::{StoreError, from_db};
use crate::statement::sql;
use crate::{Backend, Store};

impl Store {
    /// What is added to this cluster's transaction numbers; 0 on SQLite.
    pub(crate) async fn sequence_base(&self) -> Result<i64, StoreError> {
        match self.backend() {
            Backend::Sqlite => Ok(0),
            Backend::Postgres => self.base_cell().get_or_try_init(|| find_base(self.db())).await.copied(),
        }
    }
}

/// The base of this cluster, the greatest sequence stored, and the number after every finished transaction: of one
/// snapshot, so that they can be compared.
const STATE: &str = "SELECT \
     (SELECT base FROM sequence_epoch WHERE system_identifier = (SELECT system_identifier FROM pg_control_system())), \
     greatest(0, \
         (SELECT sequence FROM ledger_entry ORDER BY sequence DESC LIMIT 1), \
         (SELECT change_sequence FROM subject ORDER BY change_sequence DESC LIMIT 1)), \
     pg_snapshot_xmax(pg_current_snapshot())::text::bigint";

async fn find_base(db: &DatabaseConnection) -> Result<i64, StoreError> {
    let row = sql(STATE).only_row(db).await?;
    let (base, greatest, next): (Option<i64>, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    match base.filter(|base| base.saturating_add(next) > greatest) {
        Some(base) => Ok(base),
        None => continue_above(db).await,
    }
}

/// Another cluster (the database was restored into it), or one whose numbers went back: they go on above what is
/// stored.
async fn continue_above(db: &DatabaseConnection) -> Result<i64, StoreError> {
    let transaction = db.begin().await.map_err(from_db)?;
    sql("LOCK TABLE sequence_epoch IN EXCLUSIVE MODE").execute(&transaction).await?;
    // Asked again under the lock: another process may have settled it.
    let row = sql(STATE).only_row(&transaction).await?;
    let (base, greatest, next): (Option<i64>, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    if let Some(base) = base.filter(|base| base.saturating_add(next) > greatest) {
        return Ok(base);
    }
    let row = sql("INSERT INTO sequence_epoch (system_identifier, base) \
         SELECT system_identifier, $1::bigint + 1 - pg_current_xact_id()::text::bigint FROM pg_control_system() \
         ON CONFLICT (system_identifier) DO UPDATE SET base = excluded.base RETURNING base")
    .with(greatest)
    .only_row(&transaction)
    .await?;
    let base = row.get(0)?;
    transaction.commit().await.map_err(from_db)?;
    Ok(base)
}
