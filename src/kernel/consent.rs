//! What a person allowed and forbade: append-only [`event`]s, and their fold, the [`Standing`].

mod event;
mod evidence;
mod lifecycle;
mod repetition;
mod restriction;
mod signalled;
mod standing;
mod steps;

pub use event::{Assurance, Basis, ConsentEvent, Contact, EventKind, Grant, ImportedProof, ParentMethod};
pub use evidence::{Action, Evidence, EvidenceFault, MailboxProof, Presentation};
pub use lifecycle::{ConsentState, Indication, lifecycle, takes_back};
pub use restriction::RestrictionGround;
pub use signalled::Arrival;
pub use standing::{GrantStanding, PurposeStanding, Standing};
pub use steps::Steps;

#[cfg(test)]
mod tests;
