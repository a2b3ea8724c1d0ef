//! `GET /v1/imports/{id}`: one import.

use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Gateway};
use kernel::authz::ImportRecords;
use kernel::id::ImportId;

use super::view::ImportBody;
use crate::http::authenticate::Allowed;
use crate::http::listing;
use crate::http::problem::Problem;

/// Shows an import.
#[utoipa::path(
    get,
    path = "/v1/imports/{id}",
    operation_id = "show_import",
    tag = "sources",
    params(("id" = String, Path, description = "The import", pattern = "^[0-9a-f]{32}$", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    responses((status = 200, description = "The import", body = ImportBody)),
)]
pub async fn handler(
    by: Allowed<ImportRecords>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let view = gateway.import(&by.0, id_of(&request)?).await?;
    Ok(HttpResponse::Ok().json(ImportBody::from(view)))
}

/// The import that a path names.
pub(super) fn id_of(request: &HttpRequest) -> Result<ImportId, Problem> {
    listing::named(request, "id", Code::ImportNotFound)
}
