//! What was in force and what was shown: policies by their digest, notices by theirs.

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
                "CREATE TABLE notice ( \
                   digest {blob} NOT NULL PRIMARY KEY CHECK (length(digest) = 32), \
                   notice_id text NOT NULL, \
                   version {int} NOT NULL, \
                   locale text NOT NULL, \
                   text text NOT NULL, \
                   first_used_at {big} NOT NULL \
                 ) {end}",
                "CREATE TABLE policy_version ( \
                   version {blob} NOT NULL PRIMARY KEY CHECK (length(version) = 32), \
                   applied_at {big} NOT NULL, \
                   documents {blob} NOT NULL \
                 ) {end}",
                // One row: an earlier version may come into force again.
                "CREATE TABLE policy_current ( \
                   slot {small} NOT NULL PRIMARY KEY CHECK (slot = 1), \
                   version {blob} NOT NULL REFERENCES policy_version (version), \
                   applied_at {big} NOT NULL \
                 ) {end}",
            ],
        )
        .await
    }
}
