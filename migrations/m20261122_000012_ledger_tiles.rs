//! The ledger as it is published: what entries are blinded with, what was published of them, and the tree above.
//!
//! Checkpoints made before covered the entries in clear and were never published. The tree begins anew over the same
//! entries: nobody can hold a checkpoint that contradicts it.

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
        ddl::run(
            manager,
            &[
                "DROP TABLE ledger_checkpoint",
                // `published` holds 33 bytes an entry, those from `first_entry` up to `size`.
                "CREATE TABLE ledger_checkpoint ( \
                   size {big} NOT NULL PRIMARY KEY, \
                   first_entry {big} NOT NULL, \
                   root {blob} NOT NULL CHECK (length(root) = 32), \
                   frontier {blob} NOT NULL, \
                   last_sequence {big} NOT NULL, \
                   last_id {big} NOT NULL, \
                   created_at {big} NOT NULL, \
                   note text NOT NULL, \
                   secret {blob} NOT NULL CHECK (length(secret) = 32), \
                   published {blob} NOT NULL CHECK (length(published) = 33 * (size - first_entry)) \
                 ) {end}",
                // The roots of full tiles. `marks` are the beginnings of the receipts under one of level 1: a few
                // bytes a consent find its entry, without an index to write at every capture.
                "CREATE TABLE ledger_node ( \
                   level {small} NOT NULL, \
                   number {big} NOT NULL, \
                   hash {blob} NOT NULL CHECK (length(hash) = 32), \
                   marks {blob} NOT NULL, \
                   PRIMARY KEY (level, number) \
                 ) {end}",
                "CREATE TABLE ledger_cosignature ( \
                   size {big} NOT NULL, \
                   witness text NOT NULL, \
                   line text NOT NULL, \
                   cosigned_at {big} NOT NULL, \
                   PRIMARY KEY (size, witness) \
                 ) {end}",
            ],
        )
        .await?;
        // Random bytes do not compress; trying costs time at every write.
        ddl::run_on_postgres(
            manager,
            &[
                "ALTER TABLE ledger_checkpoint ALTER COLUMN published SET STORAGE EXTERNAL",
                "ALTER TABLE ledger_node ALTER COLUMN marks SET STORAGE EXTERNAL",
            ],
        )
        .await?;
        for table in ["ledger_checkpoint", "ledger_node", "ledger_cosignature"] {
            ddl::append_only(manager, table, false).await?;
        }
        Ok(())
    }
}
