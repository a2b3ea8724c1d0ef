//! One person's file, for officers.

pub mod consents;
pub mod disclosures;
pub mod explain;
pub mod lookup;

use actix_web::HttpRequest;
use app::Code;
use kernel::id::SubjectId;

use crate::http::problem::Problem;

/// The person of a path. What is no id is nobody's: the answer is the same as for an unknown one.
pub(super) fn subject_of(request: &HttpRequest) -> Result<SubjectId, Problem> {
    let id = request.match_info().get("id").unwrap_or_default();
    id.parse().map_err(|_| Problem::of(Code::SubjectNotFound))
}
