//! Who received what of whom, and what persons asked for.

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
                "CREATE TABLE disclosure ( \
                   pull {blob} NOT NULL, \
                   page {big} NOT NULL, \
                   recipient text NOT NULL, \
                   purpose text NOT NULL, \
                   attributes text NOT NULL, \
                   policy {blob} NOT NULL, \
                   at {big} NOT NULL, \
                   first_ordinal {big}, \
                   last_ordinal {big}, \
                   subjects {big} NOT NULL, \
                   bitmap {blob} NOT NULL, \
                   PRIMARY KEY (pull, page) \
                 ) {end}",
                // Look-ups of one person are found by equality; only the few wide pages are searched by range.
                "CREATE INDEX disclosure_by_range ON disclosure (first_ordinal, last_ordinal)",
                "CREATE INDEX disclosure_wide ON disclosure (first_ordinal, last_ordinal) \
                 WHERE last_ordinal > first_ordinal",
                "CREATE TABLE rights_request ( \
                   id {blob} NOT NULL PRIMARY KEY CHECK (length(id) = 16), \
                   kind {small} NOT NULL, \
                   subject_id {blob}, \
                   received_at {big} NOT NULL, \
                   completed_at {big}, \
                   outcome text, \
                   client text \
                 ) {end}",
                "CREATE INDEX rights_request_by_time ON rights_request (received_at, id)",
                "CREATE INDEX rights_request_by_subject ON rights_request (subject_id)",
                "CREATE TABLE rights_event ( \
                   request {blob} NOT NULL REFERENCES rights_request (id), \
                   sequence {int} NOT NULL, \
                   at {big} NOT NULL, \
                   event text NOT NULL, \
                   PRIMARY KEY (request, sequence) \
                 ) {end_keyed}",
            ],
        )
        .await
    }
}
