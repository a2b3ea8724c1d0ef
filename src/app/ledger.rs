//! The ledger as others see it: published in tiles, proven, witnessed, and verified whole.

mod entries;
mod publish;
mod verify;
mod witness;

pub use entries::LedgerPage;
pub(crate) use verify::verify_store;
pub use verify::{LedgerReport, verify_database};
pub(crate) use witness::Witnessing;
pub use witness::{Witness, WitnessAnswer, Witnessed};
