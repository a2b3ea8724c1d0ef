//! Mail: what waits to be sent, what waits to be confirmed, what was said, and how often an address was written to.
//!
//! Letters are sealed under their person's key, tokens are kept as keyed digests, and the quotas name nobody: their
//! keys are keyed digests too, and they are swept up as soon as they no longer count.

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
                "CREATE TABLE outbox ( \
                   subject_id {blob} NOT NULL, \
                   id {blob} NOT NULL CHECK (length(id) = 16), \
                   sealed {blob} NOT NULL, \
                   created_at {big} NOT NULL, \
                   expires_at {big} NOT NULL, \
                   next_attempt_at {big} NOT NULL, \
                   attempts {int} NOT NULL, \
                   last_code {int}, \
                   failed_at {big}, \
                   PRIMARY KEY (subject_id, id) \
                 ) {end}",
                // What is sent is gone: these are as short as the queue.
                "CREATE INDEX outbox_due ON outbox (next_attempt_at) WHERE failed_at IS NULL",
                "CREATE INDEX outbox_oldest ON outbox (created_at) WHERE failed_at IS NULL",
                "CREATE INDEX outbox_failed ON outbox (failed_at) WHERE failed_at IS NOT NULL",
                "CREATE TABLE confirmation ( \
                   token {blob} NOT NULL PRIMARY KEY CHECK (length(token) = 32), \
                   subject_id {blob} NOT NULL, \
                   receipt {blob} NOT NULL, \
                   locale text NOT NULL, \
                   requested_at {big} NOT NULL, \
                   expires_at {big} NOT NULL, \
                   letter {blob}, \
                   wording {blob} NOT NULL, \
                   sent_at {big}, \
                   confirmed_at {big} \
                 ) {end_keyed}",
                "CREATE INDEX confirmation_by_subject ON confirmation (subject_id)",
                "CREATE INDEX confirmation_by_age ON confirmation (requested_at)",
                "CREATE TABLE wording ( \
                   digest {blob} NOT NULL PRIMARY KEY CHECK (length(digest) = 32), \
                   locale text NOT NULL, \
                   text text NOT NULL, \
                   first_used_at {big} NOT NULL \
                 ) {end}",
                "CREATE TABLE mail_quota ( \
                   key {blob} NOT NULL PRIMARY KEY CHECK (length(key) = 32), \
                   times {blob} NOT NULL, \
                   until {big} NOT NULL \
                 ) {end_keyed}",
                "CREATE INDEX mail_quota_by_end ON mail_quota (until)",
            ],
        )
        .await
    }
}
