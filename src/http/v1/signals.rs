//! What browsers and consent platforms signal: no login, no question, from any page of the site.

pub mod preflight;
pub mod receive;
