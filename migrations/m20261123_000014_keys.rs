//! The working keys, sealed under a root key that is kept elsewhere, and how far their rotations are.

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
                // `wrapped_key` is what the root key `root` of `provider` wraps: the key under which `sealed` opens.
                "CREATE TABLE key_set ( \
                   id {small} NOT NULL PRIMARY KEY CHECK (id = 1), \
                   version {big} NOT NULL, \
                   provider text NOT NULL, \
                   root text NOT NULL, \
                   wrapped_key {blob} NOT NULL, \
                   sealed {blob} NOT NULL, \
                   changed_at {big} NOT NULL \
                 ) {end}",
                // What has to be taken over by a new key, how much of it is, and where the next step goes on.
                "CREATE TABLE key_work ( \
                   key_use text NOT NULL, \
                   key_id {big} NOT NULL, \
                   reached {big} NOT NULL, \
                   total {big} NOT NULL, \
                   done {big} NOT NULL, \
                   started_at {big} NOT NULL, \
                   finished_at {big}, \
                   PRIMARY KEY (key_use, key_id) \
                 ) {end_keyed}",
                // The key of the layer that a fingerprint is of.
                "ALTER TABLE subject_identifier ADD COLUMN key_id {big} NOT NULL DEFAULT 1",
                "ALTER TABLE import_row ADD COLUMN key_id {big} NOT NULL DEFAULT 1",
            ],
        )
        .await
    }
}
