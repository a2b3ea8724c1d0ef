//! One person's file, for officers.

pub mod consents;
pub mod disclosures;
pub mod explain;
pub mod lookup;

use actix_web::HttpRequest;
use app::Code;
use kernel::id::SubjectId;

use crate::http::listing;
use crate::http::problem::Problem;

/// The person of a path.
pub(super) fn subject_of(request: &HttpRequest) -> Result<SubjectId, Problem> {
    listing::named(request, "id", Code::SubjectNotFound)
}
