//! Who receives data, and in what role.

use serde::{Deserialize, Serialize};

use crate::slug::slug;

pub use crate::slug::SlugError;

slug! {
    /// The name of a recipient (GDPR Art. 4(9)), a key of the policy's registry.
    RecipientId
}

/// What a recipient is to the controller, which bounds what it may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientRole {
    /// The controller's own segmentation or personalization: derived attributes under pseudonyms.
    Own,
    /// Sends messages for the controller: may also be given contact attributes of permitted persons.
    Sender,
    /// A processor or service provider (GDPR Art. 28): derived attributes under pseudonyms.
    Processor,
    /// Somebody else's purposes: a sale, sharing, or disclosure to another controller.
    ThirdParty,
}

/// What a contract makes of a recipient (GDPR Art. 28(3); CCPA 1798.140(j), (ag), (ai)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContractKind {
    /// Works for the controller: a processor.
    ServiceProvider,
    /// Is given data for a purpose of the controller's.
    Contractor,
    /// Receives for its own purposes.
    ThirdParty,
}
