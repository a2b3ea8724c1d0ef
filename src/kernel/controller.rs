//! Who decides why and how data is processed.

use crate::slug::slug;

pub use crate::slug::SlugError;

slug! {
    /// A controller or business (GDPR Art. 4(7), Cal. Civ. Code 1798.140(d)).
    ControllerId
}
