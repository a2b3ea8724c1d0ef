//! Where data comes from.

use crate::slug::slug;

pub use crate::slug::SlugError;

slug! {
    /// The name of a source of data (GDPR Art. 15(1)(g)): a form, a shop, a CRM, a partner.
    SourceId
}
