//! `POST /v1/incidents/{id}/close`: an officer closes an incident, with the reason.

use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;
use kernel::authz::HandleIncidents;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::incident_of;
use crate::http::authenticate::Allowed;
use crate::http::json::Valid;
use crate::http::problem::Problem;

/// Why an incident is closed.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = IncidentClosure, example = json!({ "reason": "Harm is unlikely: the export was encrypted and its key is safe." }))]
pub struct CloseBody {
    /// What was decided and on what grounds: whom it was right to tell, or not to. Without it nothing is closed.
    #[validate(length(max = 4000, code = "too_long"))]
    #[schema(max_length = 4000)]
    reason: Option<String>,
}

impl std::fmt::Debug for CloseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CloseBody(..)")
    }
}

/// Closes an incident.
#[utoipa::path(
    post,
    path = "/v1/incidents/{id}/close",
    operation_id = "close_incident",
    tag = "officers",
    description = "Closes an incident (GDPR Art. 33(5)). Its effects and what was done about them must be on record, and closing needs its reason.",
    params(("id" = String, Path, description = "The incident", pattern = "^[0-9a-f]{32}$", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    request_body = CloseBody,
    responses((status = 200, description = "The incident", body = Object)),
)]
pub async fn handler(
    by: Allowed<HandleIncidents>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    body: Valid<CloseBody>,
) -> Result<HttpResponse, Problem> {
    let view = gateway.close_incident(&by.0, incident_of(&request)?, body.value.reason).await?;
    Ok(HttpResponse::Ok().json(view.document))
}
