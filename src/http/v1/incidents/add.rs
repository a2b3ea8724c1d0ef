//! `POST /v1/incidents/{id}/notes`: an officer adds to what is on record of an incident.

use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;
use kernel::authz::HandleIncidents;

use super::incident_of;
use super::notes::NotesBody;
use crate::http::authenticate::Allowed;
use crate::http::json::Valid;
use crate::http::problem::Problem;

/// Adds notes.
#[utoipa::path(
    post,
    path = "/v1/incidents/{id}/notes",
    operation_id = "add_to_incident",
    tag = "officers",
    description = "Adds to what is on record of an incident: effects, measures, the risk, and when whom was told. What was told late needs its `late_reason`.",
    params(("id" = String, Path, description = "The incident", pattern = "^[0-9a-f]{32}$", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    request_body = NotesBody,
    responses((status = 200, description = "The incident", body = Object)),
)]
pub async fn handler(
    by: Allowed<HandleIncidents>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    body: Valid<NotesBody>,
) -> Result<HttpResponse, Problem> {
    let id = incident_of(&request)?;
    let view = gateway.add_to_incident(&by.0, id, body.value.into_notes()?).await?;
    Ok(HttpResponse::Ok().json(view.document))
}
