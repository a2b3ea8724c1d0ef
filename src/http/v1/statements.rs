//! What sources state of persons: bases, authorisations, acts.

pub mod record;
