//! The key of capabilities is rotated: of which version's layer a recovery code's digest is. Whatever else hangs on the key says
//! so itself, or ends within days.

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
        ddl::run(manager, &["ALTER TABLE staff_recovery_code ADD COLUMN key_id {big} NOT NULL DEFAULT 1"]).await
    }
}
