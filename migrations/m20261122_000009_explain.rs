//! What explaining a past decision needs, and what respecting a person's peace needs: when each policy came into force,
//! and when forms asked.

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
                // One row each time a policy comes into force, an earlier one that returns included.
                "CREATE TABLE policy_history ( \
                   place {big} NOT NULL PRIMARY KEY, \
                   version {blob} NOT NULL REFERENCES policy_version (version), \
                   applied_at {big} NOT NULL \
                 ) {end}",
                // What is known of before: the first time of each, and the last of the one in force.
                "INSERT INTO policy_history (place, version, applied_at) \
                 SELECT row_number() OVER (ORDER BY applied_at, version), version, applied_at FROM ( \
                   SELECT version, applied_at FROM policy_version \
                   UNION SELECT version, applied_at FROM policy_current \
                 ) AS known",
                // The questions that forms put to a person. Without a receipt: whoever asked named the person.
                "CREATE TABLE prompt ( \
                   subject_id {blob} NOT NULL, \
                   purpose text NOT NULL, \
                   receipt {blob} NOT NULL, \
                   count {int} NOT NULL, \
                   last_at {big} NOT NULL, \
                   PRIMARY KEY (subject_id, purpose, receipt) \
                 ) {end}",
            ],
        )
        .await?;
        ddl::append_only(manager, "policy_history", false).await
    }
}
