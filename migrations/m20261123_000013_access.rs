//! Callers: clients with keys of their own, tokens that were taken back, what may be used once, and staff with their
//! sessions. `access_revision` counts everything that takes a right away: who remembers something reads it first.

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
                "CREATE TABLE access_revision ( \
                   id {small} NOT NULL PRIMARY KEY CHECK (id = 1), \
                   revision {big} NOT NULL \
                 ) {end}",
                "INSERT INTO access_revision (id, revision) VALUES (1, 1)",
                // A client has a secret, of which the hash is kept, or keys, and then no hash: an empty one fits nothing.
                "ALTER TABLE client ADD COLUMN jwks text",
                "ALTER TABLE client ADD COLUMN generation {int} NOT NULL DEFAULT 1",
                "ALTER TABLE client ADD COLUMN bound_tokens {small} NOT NULL DEFAULT 0",
                "CREATE TABLE revoked_token ( \
                   token_id {blob} NOT NULL PRIMARY KEY CHECK (length(token_id) = 16), \
                   client text NOT NULL, \
                   expires_at {big} NOT NULL \
                 ) {end_keyed}",
                "CREATE INDEX revoked_token_by_expiry ON revoked_token (expires_at)",
                // Keyed digests of what may be used once: it says nothing of what that was.
                "CREATE TABLE used_once ( \
                   digest {blob} NOT NULL PRIMARY KEY CHECK (length(digest) = 32), \
                   expires_at {big} NOT NULL \
                 ) {end_keyed}",
                "CREATE INDEX used_once_by_expiry ON used_once (expires_at)",
            ],
        )
        .await?;
        ddl::run(
            manager,
            &[
                "CREATE TABLE staff ( \
                   id {blob} NOT NULL PRIMARY KEY CHECK (length(id) = 16), \
                   name text NOT NULL UNIQUE, \
                   role text NOT NULL, \
                   password_hash text, \
                   authenticator {blob}, \
                   authenticator_step {big} NOT NULL DEFAULT 0, \
                   created_at {big} NOT NULL, \
                   joined_at {big}, \
                   ended_at {big} \
                 ) {end}",
                // A one-time link. Without a staff member it is the one of the first administrator.
                "CREATE TABLE staff_invitation ( \
                   token_hash {blob} NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32), \
                   staff_id {blob}, \
                   expires_at {big} NOT NULL \
                 ) {end}",
                "CREATE INDEX staff_invitation_by_staff ON staff_invitation (staff_id)",
                "CREATE TABLE staff_recovery_code ( \
                   staff_id {blob} NOT NULL, \
                   code_hash {blob} NOT NULL CHECK (length(code_hash) = 32), \
                   PRIMARY KEY (staff_id, code_hash) \
                 ) {end_keyed}",
                "CREATE TABLE staff_session ( \
                   token_hash {blob} NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32), \
                   id {blob} NOT NULL UNIQUE CHECK (length(id) = 16), \
                   staff_id {blob} NOT NULL, \
                   stage text NOT NULL CHECK (stage IN ('password', 'enrolling', 'full')), \
                   pending {blob}, \
                   machine text NOT NULL, \
                   created_at {big} NOT NULL, \
                   seen_at {big} NOT NULL, \
                   expires_at {big} NOT NULL \
                 ) {end}",
                "CREATE INDEX staff_session_by_staff ON staff_session (staff_id)",
                "CREATE INDEX staff_session_by_expiry ON staff_session (expires_at)",
                // Failed sign-ins by account and machine, both as a keyed digest.
                "CREATE TABLE sign_in_failure ( \
                   bucket {blob} NOT NULL PRIMARY KEY CHECK (length(bucket) = 32), \
                   failures {int} NOT NULL, \
                   last_at {big} NOT NULL, \
                   expires_at {big} NOT NULL \
                 ) {end_keyed}",
                "CREATE INDEX sign_in_failure_by_expiry ON sign_in_failure (expires_at)",
            ],
        )
        .await
    }
}
