//! What data is used for.

use crate::slug::slug;

pub use crate::slug::SlugError;

slug! {
    /// A purpose of processing (GDPR Art. 5(1)(b)), a key of the policy's closed registry.
    Purpose
}

slug! {
    /// A family of a controller's own products: what a soft opt-in is good for (Directive 2002/58 Art. 13(2)).
    ProductFamily
}
