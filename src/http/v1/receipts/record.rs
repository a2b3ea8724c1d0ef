//! `GET /v1/subjects/{id}/record`: all consent records of a person, for officers.

use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;
use kernel::authz::InspectSubjects;

use super::download;
use crate::http::authenticate::Allowed;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::v1::subjects::subject_of;

/// Shows the consent records of a person.
#[utoipa::path(
    get,
    path = "/v1/subjects/{id}/record",
    operation_id = "show_consent_records",
    tag = "officers",
    description = "One consent record a purpose, from the first question to what holds now: ISO/IEC TS 27560 as JSON-LD (DPV 2.3).",
    params(("id" = String, Path, description = "The person", pattern = "^[0-9a-f]{32}$", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    responses((status = 200, description = "The records, as a download", content((Object = "application/ld+json")), headers(
        ("Content-Disposition" = String),
        ("Vary" = String),
    ))),
)]
pub async fn handler(
    by: Allowed<InspectSubjects>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Query::of(&request, &[])?;
    Ok(download(&gateway.subject_records(&by.0, subject_of(&request)?).await?))
}
