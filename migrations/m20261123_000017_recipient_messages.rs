//! What recipients are told of persons who are not here any more: by the names that they know them by, and nothing else
//! (GDPR Art. 19).

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
                "CREATE TABLE recipient_message ( \
                   id {blob} NOT NULL PRIMARY KEY CHECK (length(id) = 16), \
                   recipient text NOT NULL, \
                   purpose text NOT NULL, \
                   names text NOT NULL, \
                   created_at {big} NOT NULL, \
                   sent_at {big} \
                 ) {end}",
                "CREATE INDEX recipient_message_by_recipient ON recipient_message (recipient, created_at, id)",
                "CREATE INDEX recipient_notice_by_party ON recipient_notice (party, name, created_at) \
                 WHERE acknowledged_at IS NULL",
            ],
        )
        .await
    }
}
