//! The schema: forward only, the same tables on SQLite and PostgreSQL, each step in one transaction.
//!
//! See `README.md` for the rules. A released migration is never edited.

mod ddl;
mod m20261122_000001_subjects;
mod m20261122_000002_policies;
mod m20261122_000003_ledger;
mod m20261122_000004_disclosures_and_rights;
mod m20261122_000005_clients_and_jobs;
mod m20261122_000006_mail;
mod m20261122_000008_imports;
mod m20261122_000009_explain;
mod m20261122_000010_withdrawal_notices;
mod m20261122_000011_acts;
mod m20261122_000012_ledger_tiles;
mod m20261123_000013_access;
mod m20261123_000014_keys;
mod m20261123_000016_incidents;
mod m20261123_000017_recipient_messages;
mod m20261123_000018_staff_binding;
mod m20261123_000019_disclosed_persons;
mod m20261123_000024_capability_layers;

pub use sea_orm_migration::prelude::MigratorTrait;

use sea_orm_migration::prelude::{MigrationTrait, async_trait};

/// Every migration, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_subjects::Migration),
            Box::new(m20261122_000002_policies::Migration),
            Box::new(m20261122_000003_ledger::Migration),
            Box::new(m20261122_000004_disclosures_and_rights::Migration),
            Box::new(m20261122_000005_clients_and_jobs::Migration),
            Box::new(m20261122_000006_mail::Migration),
            Box::new(m20261122_000008_imports::Migration),
            Box::new(m20261122_000009_explain::Migration),
            Box::new(m20261122_000010_withdrawal_notices::Migration),
            Box::new(m20261122_000011_acts::Migration),
            Box::new(m20261122_000012_ledger_tiles::Migration),
            Box::new(m20261123_000013_access::Migration),
            Box::new(m20261123_000014_keys::Migration),
            Box::new(m20261123_000016_incidents::Migration),
            Box::new(m20261123_000017_recipient_messages::Migration),
            Box::new(m20261123_000018_staff_binding::Migration),
            Box::new(m20261123_000019_disclosed_persons::Migration),
            Box::new(m20261123_000024_capability_layers::Migration),
        ]
    }
}
