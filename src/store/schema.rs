//! The schema's version: brought up to date on demand, and a newer one is never touched.

use std::collections::BTreeSet;

use migrations::{Migrator, MigratorTrait as _};
use sea_orm::{SqliteTransactionMode, TransactionOptions, TransactionTrait as _};

use crate::error::{StoreError, from_db};
use crate::statement::sql;
use crate::{Backend, Store};

impl Store {
    /// The names of the migrations that were not applied yet, oldest first. Needs no right to change the schema.
    ///
    /// # Errors
    /// [`StoreError::UnknownSchema`] when a newer version migrated the database; or those of the database.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        let applied: BTreeSet<String> = match self.has_migrations().await? {
            false => BTreeSet::new(),
            true => {
                let rows = sql("SELECT version FROM seaql_migrations").rows(self.db()).await?;
                rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?
            }
        };
        let known: Vec<String> = Migrator::migrations().iter().map(|one| one.name().to_owned()).collect();
        if applied.iter().any(|name| !known.contains(name)) {
            return Err(StoreError::UnknownSchema);
        }
        Ok(known.into_iter().filter(|name| !applied.contains(name)).collect())
    }

    /// Applies what is pending, all or nothing, and tells what it applied. Several processes may call it at once.
    ///
    /// # Errors
    /// [`StoreError::UnknownSchema`] when a newer version migrated the database; or those of the database.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        self.pending_migrations().await?;
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let transaction = self.db().begin_with_options(options).await.map_err(from_db)?;
        if self.backend() == Backend::Postgres {
            // One migrates, the others wait and find nothing to do. The number is `consentry` on a telephone.
            sql("SELECT pg_advisory_xact_lock(266736879)::text").rows(&transaction).await?;
        }
        let pending = Migrator::get_pending_migrations(&transaction).await.map_err(from_db)?;
        let names: Vec<String> = pending.iter().map(|one| one.name().to_owned()).collect();
        if !names.is_empty() {
            Migrator::up(&transaction, None).await.map_err(from_db)?;
        }
        transaction.commit().await.map_err(from_db)?;
        Ok(names)
    }

    async fn has_migrations(&self) -> Result<bool, StoreError> {
        let found = match self.backend() {
            Backend::Sqlite => {
                sql("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'seaql_migrations'")
            }
            Backend::Postgres => sql("SELECT count(to_regclass('seaql_migrations'))"),
        };
        Ok(found.only_row(self.db()).await?.get::<i64>(0)? > 0)
    }
}
