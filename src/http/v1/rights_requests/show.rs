//! `GET /v1/rights-requests/{id}`: one request.

use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Gateway};
use kernel::authz::ReadRights;

use super::view::RightsRequestBody;
use crate::http::authenticate::Allowed;
use crate::http::listing;
use crate::http::problem::Problem;

/// Shows a request.
#[utoipa::path(
    get,
    path = "/v1/rights-requests/{id}",
    operation_id = "show_rights_request",
    tag = "officers",
    params(("id" = String, Path, description = "The request", pattern = "^[0-9a-f]{32}$", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    responses((status = 200, description = "The request", body = RightsRequestBody)),
)]
pub async fn handler(
    by: Allowed<ReadRights>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let id = listing::named(&request, "id", Code::RequestNotFound)?;
    let view = gateway.rights_request(&by.0, id).await?;
    Ok(HttpResponse::Ok().json(RightsRequestBody::from(view)))
}
