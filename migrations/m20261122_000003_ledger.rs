//! The ledger: entries in commit order and the checkpoints over them. Nothing in it can be changed or removed.

use sea_orm_migration::prelude::{DbErr, DeriveMigrationName, MigrationTrait, SchemaManager, async_trait};

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite numbers only a key that stands alone. On PostgreSQL the order is the key, and its one index.
        ddl::run_on_sqlite(
            manager,
            &[
                "CREATE TABLE ledger_entry ( \
                   id INTEGER PRIMARY KEY AUTOINCREMENT, \
                   sequence INTEGER NOT NULL, \
                   entry BLOB NOT NULL \
                 ) STRICT",
                "CREATE INDEX ledger_entry_in_order ON ledger_entry (sequence, id)",
            ],
        )
        .await?;
        ddl::run_on_postgres(
            manager,
            &["CREATE TABLE ledger_entry ( \
                 id bigint GENERATED ALWAYS AS IDENTITY, \
                 sequence bigint NOT NULL, \
                 entry bytea NOT NULL, \
                 PRIMARY KEY (sequence, id) \
               )"],
        )
        .await?;
        ddl::run(
            manager,
            &[
                "CREATE TABLE ledger_checkpoint ( \
                   size {big} NOT NULL PRIMARY KEY, \
                   root {blob} NOT NULL CHECK (length(root) = 32), \
                   frontier {blob} NOT NULL, \
                   last_sequence {big} NOT NULL, \
                   last_id {big} NOT NULL, \
                   note text NOT NULL, \
                   created_at {big} NOT NULL \
                 ) {end}",
                // Whoever extends the tree locks this row, so that it has one right edge.
                "INSERT INTO store_meta (key, value) VALUES ('ledger', 'v1')",
            ],
        )
        .await?;
        ddl::append_only(manager, "ledger_entry", false).await?;
        ddl::append_only(manager, "ledger_checkpoint", false).await
    }
}
