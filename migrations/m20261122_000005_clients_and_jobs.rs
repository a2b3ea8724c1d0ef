//! Who may call, which posts were already answered, and which process runs a job.

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
                "CREATE TABLE client ( \
                   id text NOT NULL PRIMARY KEY, \
                   secret_hash text NOT NULL, \
                   recipient text, \
                   source text, \
                   scopes text NOT NULL, \
                   purposes text NOT NULL, \
                   created_at {big} NOT NULL, \
                   revoked_at {big} \
                 ) {end}",
                "CREATE TABLE idempotency_key ( \
                   scope text NOT NULL, \
                   key {blob} NOT NULL CHECK (length(key) = 32), \
                   request {blob} NOT NULL CHECK (length(request) = 32), \
                   subject_id {blob}, \
                   outcome {blob} NOT NULL, \
                   created_at {big} NOT NULL, \
                   expires_at {big} NOT NULL, \
                   PRIMARY KEY (scope, key) \
                 ) {end}",
                "CREATE INDEX idempotency_key_by_subject ON idempotency_key (subject_id)",
                "CREATE INDEX idempotency_key_by_expiry ON idempotency_key (expires_at)",
                "CREATE TABLE lease ( \
                   job text NOT NULL PRIMARY KEY, \
                   holder {blob} NOT NULL CHECK (length(holder) = 16), \
                   until {big} NOT NULL \
                 ) {end}",
            ],
        )
        .await
    }
}
