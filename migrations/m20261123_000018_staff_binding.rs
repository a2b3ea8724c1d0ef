//! What lets staff in is bound to whom it lets in: `seal` and `binding` are keyed digests over a row's clear columns, so that
//! a row that was edited or moved in the database lets nobody in. And accounts with an identity provider.
//!
//! Sessions and links from before have no binding and end. Passwords from before are not sealed and count no more:
//! `consentry staff role` and `consentry staff reset` let such a member in again.

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
                "DELETE FROM staff_session",
                "DELETE FROM staff_invitation",
                "ALTER TABLE staff ADD COLUMN seal {blob}",
                "ALTER TABLE staff_session ADD COLUMN binding {blob}",
                "ALTER TABLE staff_session ADD COLUMN by_provider {small} NOT NULL DEFAULT 0",
                "ALTER TABLE staff_invitation ADD COLUMN binding {blob}",
                // Which account with the provider is whose: issuer and subject as a keyed digest.
                "CREATE TABLE staff_identity ( \
                   identity_hash {blob} NOT NULL PRIMARY KEY CHECK (length(identity_hash) = 32), \
                   staff_id {blob} NOT NULL UNIQUE, \
                   binding {blob} NOT NULL CHECK (length(binding) = 32), \
                   linked_at {big} NOT NULL \
                 ) {end_keyed}",
            ],
        )
        .await
    }
}
