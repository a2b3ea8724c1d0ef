//! Files that are imported: what was read and waits, sealed, and whose data came by which file.

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
                // `wrapped_key` goes when the import ends: what is left of its rows does not open again.
                "CREATE TABLE import ( \
                   id {blob} NOT NULL PRIMARY KEY CHECK (length(id) = 16), \
                   source text NOT NULL, \
                   client text, \
                   status text NOT NULL, \
                   policy {blob} NOT NULL CHECK (length(policy) = 32), \
                   informed {small} NOT NULL, \
                   created_at {big} NOT NULL, \
                   touched_at {big} NOT NULL, \
                   expires_at {big} NOT NULL, \
                   ended_at {big}, \
                   wrapped_key {blob}, \
                   row_count {big} NOT NULL, \
                   last_line {big} NOT NULL, \
                   preview text NOT NULL, \
                   applied text NOT NULL \
                 ) {end}",
                "CREATE INDEX import_open ON import (status, touched_at)",
                "CREATE TABLE import_row ( \
                   import_id {blob} NOT NULL, \
                   line {big} NOT NULL, \
                   email {blob}, \
                   customer_id {blob}, \
                   sealed {blob} NOT NULL, \
                   PRIMARY KEY (import_id, line) \
                 ) {end_keyed}",
                // An erasure removes what waits of the person, too.
                "CREATE INDEX import_row_by_email ON import_row (email)",
                "CREATE INDEX import_row_by_customer_id ON import_row (customer_id) WHERE customer_id IS NOT NULL",
                // One row a person and source: from when the person has to be told (GDPR Art. 14).
                "CREATE TABLE import_subject ( \
                   subject_id {blob} NOT NULL, \
                   source text NOT NULL, \
                   import_id {blob} NOT NULL, \
                   received_at {big} NOT NULL, \
                   due_at {big} NOT NULL, \
                   PRIMARY KEY (subject_id, source) \
                 ) {end_keyed}",
                "CREATE INDEX import_subject_by_import ON import_subject (import_id)",
            ],
        )
        .await?;
        ddl::run_on_postgres(manager, &["ALTER TABLE import_row ALTER COLUMN sealed SET STORAGE EXTERNAL"]).await
    }
}
