//! `POST /v1/imports/{id}/apply`: applies what was previewed. Again: the same answer, done once.

use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;
use kernel::authz::ImportRecords;

use super::show::id_of;
use super::view::{ImportBody, is_done};
use crate::http::authenticate::Allowed;
use crate::http::problem::Problem;

/// Applies an import.
#[utoipa::path(
    post,
    path = "/v1/imports/{id}/apply",
    operation_id = "apply_import",
    tag = "sources",
    description = "Applies exactly the rows that the preview counted as new or changed. Each is judged again: what a person said since the preview wins. \
        The request has no body and may be repeated: every row is applied once. A large import may not be done when the answer comes (202); it goes on, and \
        `GET /v1/imports/{id}` tells how far it is.",
    params(("id" = String, Path, description = "The import", pattern = "^[0-9a-f]{32}$", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    responses(
        (status = 200, description = "It is applied", body = ImportBody),
        (status = 202, description = "It is being applied", body = ImportBody),
    ),
)]
pub async fn handler(
    by: Allowed<ImportRecords>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let view = gateway.apply_import(&by.0, id_of(&request)?).await?;
    let mut response = if is_done(&view) { HttpResponse::Ok() } else { HttpResponse::Accepted() };
    Ok(response.json(ImportBody::from(view)))
}
