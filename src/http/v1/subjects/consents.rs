//! `GET /v1/subjects/{id}/consents`: the history of a person's consents.

use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;
use kernel::authz::InspectSubjects;

use super::subject_of;
use crate::http::authenticate::Allowed;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// Shows a person's consents.
#[utoipa::path(
    get,
    path = "/v1/subjects/{id}/consents",
    operation_id = "show_subject_consents",
    tag = "officers",
    description = "Every event of a person in order, with its evidence and the wording of the notice that was shown, and an `EXPIRED` line where a consent \
        ran out; besides what holds now for each purpose.",
    params(("id" = String, Path, description = "The person", pattern = "^[0-9a-f]{32}$", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    responses((status = 200, description = "The history", body = Object)),
)]
pub async fn handler(
    by: Allowed<InspectSubjects>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Query::of(&request, &[])?;
    let view = gateway.subject_consents(&by.0, subject_of(&request)?).await?;
    Ok(HttpResponse::Ok().json(view.document))
}
