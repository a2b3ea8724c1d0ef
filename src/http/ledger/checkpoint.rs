//! `GET /ledger/checkpoint`: the ledger's size and root, signed.

use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;

use super::{BRIEFLY, text};
use crate::http::problem::Problem;
use crate::http::query::Query;

/// Shows the latest checkpoint.
#[utoipa::path(
    get,
    path = "/ledger/checkpoint",
    operation_id = "ledger_checkpoint",
    tag = "ledger",
    description = "The latest checkpoint (c2sp.org/tlog-checkpoint) as a signed note with Ed25519, with the cosignatures of witnesses where there are any. \
        No two checkpoints ever contradict each other.",
    responses((status = 200, description = "The checkpoint", body = String, content_type = "text/plain", headers(("Cache-Control" = String)))),
)]
pub async fn handler(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    Query::of(&request, &[])?;
    Ok(text(BRIEFLY, gateway.ledger_checkpoint().await?))
}
