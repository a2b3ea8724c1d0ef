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

use crate::http::listing;
use crate::http::problem::Problem;

/// The incident of a path.
fn incident_of(request: &HttpRequest) -> Result<IncidentId, Problem> {
    listing::named(request, "id", Code::IncidentNotFound)
}
