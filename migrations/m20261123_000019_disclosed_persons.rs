//! Who was disclosed in look-ups is found person by person: those that are answered together are one disclosure, and
//! their persons may be anywhere among all. Pages of pulls are found by their range, as before.

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
                "CREATE TABLE disclosed_person ( \
                   ordinal {big} NOT NULL, \
                   pull {blob} NOT NULL, \
                   page {big} NOT NULL, \
                   PRIMARY KEY (ordinal, pull, page) \
                 ) {end_keyed}",
                // Look-ups of one person from before this migration have a range of one, and stay in it.
                "DROP INDEX disclosure_by_range",
                "CREATE INDEX disclosure_by_range ON disclosure (first_ordinal, last_ordinal) \
                 WHERE first_ordinal IS NOT NULL",
            ],
        )
        .await
    }
}
