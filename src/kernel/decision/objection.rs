//! Objections (GDPR Art. 21): to all direct marketing, absolutely; to one purpose, until grounds were weighed.

use super::Refusal;
use crate::consent::{Assurance, Standing};
use crate::policy::PurposeRule;
use crate::time::Timestamp;

/// That nobody objected, or that the person's own later, specific consent to this purpose reopened it.
pub(super) fn not_objected(standing: &Standing, rule: &PurposeRule) -> Result<(), Refusal> {
    let reopened = |objected: Timestamp| {
        standing
            .effective(&rule.id)
            .is_some_and(|grant| grant.captured_at > objected && grant.assurance() != Assurance::Imported)
    };
    match standing.objected_to(&rule.id, rule.direct_marketing) {
        Some(objected) if !reopened(objected) => {
            // While the grounds are weighed, and after they were found wanting, processing is restricted
            // (Art. 18(1)(d)); of marketing nothing is weighed.
            Err(if rule.direct_marketing { Refusal::Objected } else { Refusal::Restricted })
        }
        _ => Ok(()),
    }
}
