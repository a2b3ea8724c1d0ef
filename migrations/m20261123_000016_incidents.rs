//! The register of incidents (GDPR Art. 33(5)). What is written about one is sealed; its times are not.

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
                "CREATE TABLE incident ( \
                   id {blob} NOT NULL PRIMARY KEY CHECK (length(id) = 16), \
                   kind {small} NOT NULL, \
                   opened_at {big} NOT NULL, \
                   closed_at {big}, \
                   version {big} NOT NULL, \
                   caller text, \
                   sealed {blob} NOT NULL \
                 ) {end}",
                "CREATE INDEX incident_by_time ON incident (opened_at, id)",
                // What one caller tries again and again is one incident until it is closed.
                "CREATE UNIQUE INDEX incident_of_caller ON incident (caller, kind) \
                 WHERE caller IS NOT NULL AND closed_at IS NULL",
            ],
        )
        .await
    }
}
