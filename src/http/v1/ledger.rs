//! The ledger in clear, for auditors.

pub mod entries;
