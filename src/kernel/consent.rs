//! What a person allowed and forbade: append-only [`event`]s, and their fold, the [`Standing`].

mod event;
mod evidence;
mod repetition;
mod restriction;
mod standing;

pub use event::{Assurance, Basis, ConsentEvent, EventKind, Grant, ImportedProof};
pub use evidence::{Action, Evidence, EvidenceFault, MailboxProof, Presentation};
pub use restriction::RestrictionGround;
pub use standing::{GrantStanding, PurposeStanding, Standing};

#[cfg(test)]
mod tests;
