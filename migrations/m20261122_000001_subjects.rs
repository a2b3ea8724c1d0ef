//! Persons: one row each with everything a disclosure needs, the fingerprints that find them, and their history.
//!
//! No foreign keys between these: erasure deletes each table by name, and a check per captured event would cost
//! more than it could find. Every table leads with the subject or the fingerprint, so it can be distributed by it.

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
        ddl::run_on_postgres(
            manager,
            &[
                "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$",
                // No cache: ordinals stay dense across connections.
                "CREATE SEQUENCE subject_ordinal AS bigint CACHE 1",
                "CREATE TABLE sequence_epoch ( \
                   system_identifier bigint PRIMARY KEY, \
                   base bigint NOT NULL \
                 )",
            ],
        )
        .await?;
        ddl::run(
            manager,
            &[
                "CREATE TABLE subject ( \
                   id {blob} NOT NULL PRIMARY KEY CHECK (length(id) = 16), \
                   ordinal {big} NOT NULL, \
                   change_sequence {big} NOT NULL, \
                   version {big} NOT NULL, \
                   created_at {big} NOT NULL, \
                   ledger_ref {blob} NOT NULL CHECK (length(ledger_ref) = 16), \
                   wrapped_key {blob} NOT NULL, \
                   standing {blob} NOT NULL, \
                   record {blob} NOT NULL \
                 ) {end}",
                // Not unique: uniqueness across subjects would tie the table to one node. The sequence gives it.
                "CREATE INDEX subject_by_ordinal ON subject (ordinal)",
                "CREATE INDEX subject_by_change ON subject (change_sequence, ordinal)",
                "CREATE TABLE subject_identifier ( \
                   fingerprint {blob} NOT NULL PRIMARY KEY CHECK (length(fingerprint) = 32), \
                   kind text NOT NULL, \
                   subject_id {blob} NOT NULL, \
                   added_at {big} NOT NULL \
                 ) {end_keyed}",
                "CREATE INDEX subject_identifier_by_subject ON subject_identifier (subject_id)",
                "CREATE TABLE consent_event ( \
                   subject_id {blob} NOT NULL, \
                   sequence {int} NOT NULL, \
                   kind {small} NOT NULL, \
                   purpose text, \
                   captured_at {big} NOT NULL, \
                   received_at {big} NOT NULL, \
                   notice {blob}, \
                   receipt {blob} NOT NULL, \
                   sealed {blob} NOT NULL, \
                   PRIMARY KEY (subject_id, sequence) \
                 ) {end}",
                "CREATE TABLE suppression ( \
                   fingerprint {blob} NOT NULL CHECK (length(fingerprint) = 32), \
                   scope text NOT NULL, \
                   reason text NOT NULL, \
                   since {big} NOT NULL, \
                   PRIMARY KEY (fingerprint, scope) \
                 ) {end_keyed}",
                "CREATE TABLE counter ( \
                   name text NOT NULL PRIMARY KEY, \
                   value {big} NOT NULL \
                 ) {end}",
                "CREATE TABLE store_meta ( \
                   key text NOT NULL PRIMARY KEY, \
                   value text NOT NULL \
                 ) {end}",
            ],
        )
        .await?;
        ddl::run_on_postgres(
            manager,
            &[
                // Room for the next version of a row on its own page keeps ranges of ordinals together.
                "ALTER TABLE subject SET (fillfactor = 70)",
                // Ciphertext does not compress; trying costs time at every write.
                "ALTER TABLE subject ALTER COLUMN record SET STORAGE EXTERNAL",
                "ALTER TABLE subject ALTER COLUMN standing SET STORAGE EXTERNAL",
                "ALTER TABLE consent_event ALTER COLUMN sealed SET STORAGE EXTERNAL",
            ],
        )
        .await?;
        ddl::run_on_sqlite(
            manager,
            &["INSERT INTO counter (name, value) VALUES ('transaction', 0), ('ordinal', 0)"],
        )
        .await?;
        // Erasure removes events; nothing rewrites them.
        ddl::append_only(manager, "consent_event", true).await
    }
}
