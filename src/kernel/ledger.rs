//! The ledger: what happened, in words that name nobody, in a tree that cannot be rewritten unnoticed.
//!
//! A [`LedgerEntry`] is published as a commitment ([`blind`]), which becomes a leaf of the RFC 6962 tree ([`tree`]); a
//! [`Checkpoint`] commits to all leaves so far and is published as a signed [`note`], beside the [`tile`]s. Whoever
//! keeps an older checkpoint can prove a rewrite, and [`audit`] names the entry.

pub mod audit;
pub mod blind;
pub mod checkpoint;
pub mod cosign;
pub mod entry;
pub mod event;
pub mod note;
pub mod proof;
pub mod tile;
pub mod tree;

pub use audit::{LedgerFault, Tampering};
pub use blind::{BatchSecret, EntryKey, PublishedEntry};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use entry::{EntryError, LedgerEntry};
pub use event::{
    AttemptRefusal, IncidentAct, IncidentKind, Inspection, LedgerEvent, RefusedAttempt, RequestOutcome, StaffAct,
};
