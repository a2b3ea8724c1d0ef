//! The programs that may call.

use crate::slug::slug;

pub use crate::slug::SlugError;

slug! {
    /// The public name of a calling program (OAuth 2.0 `client_id`).
    ClientId
}
