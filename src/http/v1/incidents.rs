//! The register of incidents, and whom one concerns.

pub mod add;
pub mod affected;
pub mod close;
pub mod list;
pub mod notes;
pub mod open;
pub mod show;

use actix_web::HttpRequest;
use app::Code;
use kernel::id::IncidentId;

use crate::http::problem::Problem;

/// The incident of a path.
fn incident_of(request: &HttpRequest) -> Result<IncidentId, Problem> {
    let id = request.match_info().get("id").unwrap_or_default();
    id.parse().map_err(|_| Problem::of(Code::IncidentNotFound))
}
