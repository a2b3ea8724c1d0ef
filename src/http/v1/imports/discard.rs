//! `DELETE /v1/imports/{id}`: gives an import up that was not begun to be applied.

use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;
use kernel::authz::ImportRecords;

use super::show::id_of;
use crate::http::authenticate::Allowed;
use crate::http::problem::Problem;

/// Discards an import.
#[utoipa::path(
    delete,
    path = "/v1/imports/{id}",
    operation_id = "discard_import",
    tag = "sources",
    description = "Gives an import up: its key is destroyed and its rows go. Again: the same answer. One that was begun to be applied is not given up.",
    params(("id" = String, Path, description = "The import", pattern = "^[0-9a-f]{32}$", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    responses((status = 204, description = "It is given up")),
)]
pub async fn handler(
    by: Allowed<ImportRecords>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    gateway.discard_import(&by.0, id_of(&request)?).await?;
    Ok(HttpResponse::NoContent().finish())
}
