//! The API suite: the whole gateway behind a real listener, on SQLite and on PostgreSQL.
//!
//! Clock and entropy are injected, so nothing sleeps and nothing measures time. Tests are named after the rows of the law
//! they prove (`cap_16_…`) or after the sentence they prove.

#![expect(clippy::unwrap_used, reason = "tests")]
#![expect(clippy::panic, reason = "tests")]

#[macro_use]
mod harness;

mod accounting;
mod aftermath;
mod anonymity;
mod authorisation;
mod bad_input;
mod bases;
mod canary;
mod capability_key;
mod capture;
mod command_line;
mod concurrency;
mod crash;
mod deliveries;
mod disclosure;
mod double_opt_in;
mod email;
mod erasure;
mod evidence;
mod explain;
mod feedback;
mod formats;
mod forms;
mod headers;
mod idempotency;
mod import_files;
mod imports;
mod incidents;
mod key_providers;
mod keys;
mod ledger;
mod ledger_http;
mod limits;
mod mail_queue;
mod notices;
mod oauth;
mod openapi;
mod operation;
mod preferences;
mod prompts;
mod pseudonymity;
mod receipts;
mod regimes;
mod restriction;
mod rights;
mod routes;
mod security;
mod self_test;
mod signals;
mod single_sign_on;
mod staff;
mod standing;
mod transport;
mod unsubscribe;
mod vectors;
