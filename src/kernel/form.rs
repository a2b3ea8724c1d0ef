//! Where consent is asked for.

use crate::slug::slug;

pub use crate::slug::SlugError;

slug! {
    /// The name of a form, a key of the policy's registry.
    FormId
}
