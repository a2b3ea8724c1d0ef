//! `GET /v1/incidents/{id}`: one incident.

use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;
use kernel::authz::ReadIncidents;

use super::incident_of;
use crate::http::authenticate::Allowed;
use crate::http::problem::Problem;

/// Shows an incident.
#[utoipa::path(
    get,
    path = "/v1/incidents/{id}",
    operation_id = "show_incident",
    tag = "officers",
    params(("id" = String, Path, description = "The incident", pattern = "^[0-9a-f]{32}$", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    responses((status = 200, description = "The incident", body = Object)),
)]
pub async fn handler(
    by: Allowed<ReadIncidents>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let view = gateway.incident(&by.0, incident_of(&request)?).await?;
    Ok(HttpResponse::Ok().json(view.document))
}
