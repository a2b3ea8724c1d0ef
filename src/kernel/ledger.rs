//! The ledger: what happened, in words that name nobody, in a tree that cannot be rewritten unnoticed.
//!
//! An [`LedgerEntry`] becomes a leaf of the RFC 6962 tree ([`tree`]); a [`Checkpoint`] commits to all leaves so
//! far and is published as a signed [`note`]. Whoever keeps an older checkpoint can prove a rewrite.

pub mod checkpoint;
pub mod entry;
pub mod event;
pub mod note;
pub mod tree;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use entry::{EntryError, LedgerEntry};
pub use event::{AttemptRefusal, Inspection, LedgerEvent, RefusedAttempt, RequestOutcome, StaffAct};
