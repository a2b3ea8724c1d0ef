//! The ledger as others see it: published in tiles, proven, witnessed, and verified whole.

mod publish;
mod verify;
mod witness;

pub use verify::{LedgerReport, verify_database};
pub(crate) use witness::Witnessing;
pub use witness::{Witness, WitnessAnswer, Witnessed};
