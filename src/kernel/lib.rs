//! What the law and the policy say, the cryptography that enforces it, and the proofs that it was done.
//!
//! The kernel is pure: it has no I/O, no clock and no logging; time and randomness are parameters (only AEAD
//! nonces come from the operating system). It makes four guarantees that the rest of the system leans on:
//!
//! 1. Plaintext of an attribute exists only inside [`disclosure::PermittedBatch`], which only
//!    [`disclosure::Disclosure::release`] makes, after the disclosure was recorded.
//! 2. Opening a sealed attribute consumes a [`decision::Permit`], which only [`decision::decide`] makes.
//! 3. A use case runs only with an [`authz::Authorized`] of its own action.
//! 4. Anything unknown, unreadable or contradictory is a [`decision::Refusal`].

pub mod attribute;
pub mod authn;
pub mod authz;
pub mod campaign;
pub mod capability;
pub mod client;
pub mod clock;
pub mod confirmation;
pub mod consent;
pub mod controller;
pub mod decision;
pub mod disclosure;
pub mod entropy;
pub mod evidence;
pub mod form;
pub mod id;
pub mod identifier;
pub mod import;
pub mod incident;
pub mod ledger;
pub mod letter;
pub mod notice;
pub mod policy;
pub mod pseudonym;
pub mod purpose;
pub mod receipt;
pub mod recipient;
pub mod regime;
pub mod seal;
pub mod signal;
mod slug;
pub mod source;
pub mod staff;
pub mod subject;
pub mod time;
pub mod title;
