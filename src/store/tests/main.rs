//! Every change and query of the store, on SQLite files and on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::panic, reason = "tests")]

extern crate consentry_store as store;

mod capture;
mod erase;
mod harness;
mod horizon;
mod idempotency;
mod import;
mod ingest;
mod ledger;
mod read;
mod records;
mod schema;
mod unit;
