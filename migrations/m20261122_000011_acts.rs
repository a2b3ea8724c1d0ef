//! The events of one post become one row: sealed together, once with their evidence. What a person said about which
//! purpose no longer stands in the clear beside the sealed form. Rows that are there keep their one event.

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
                "ALTER TABLE consent_event ADD COLUMN events {int} NOT NULL DEFAULT 1",
                "ALTER TABLE consent_event DROP COLUMN kind",
                "ALTER TABLE consent_event DROP COLUMN purpose",
                "ALTER TABLE consent_event DROP COLUMN captured_at",
                "ALTER TABLE consent_event DROP COLUMN notice",
            ],
        )
        .await
    }
}
