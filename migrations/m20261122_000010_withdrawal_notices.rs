//! Whom to tell that a consent was taken back (C-129/21), and whether they acknowledged it.

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
                "CREATE TABLE recipient_notice ( \
                   subject_id {blob} NOT NULL, \
                   receipt {blob} NOT NULL, \
                   purpose text NOT NULL, \
                   party text NOT NULL CHECK (party IN ('recipient', 'source')), \
                   name text NOT NULL, \
                   created_at {big} NOT NULL, \
                   sent_at {big}, \
                   acknowledged_at {big}, \
                   PRIMARY KEY (subject_id, receipt, purpose, party, name) \
                 ) {end_keyed}",
                // What is still to be sent is found without reading what was.
                "CREATE INDEX recipient_notice_unsent ON recipient_notice (created_at) WHERE sent_at IS NULL",
            ],
        )
        .await
    }
}
