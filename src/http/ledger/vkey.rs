//! `GET /ledger/vkey`: the key that checks the checkpoints.

use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;

use super::{FOR_A_WHILE, text};
use crate::http::problem::Problem;
use crate::http::query::Query;

/// Shows the verifier key.
#[utoipa::path(
    get,
    path = "/ledger/vkey",
    operation_id = "ledger_vkey",
    tag = "ledger",
    description = "The verifier key of the checkpoints (c2sp.org/signed-note), one line. Keep it: a key that comes with what it checks proves little.",
    responses((status = 200, description = "The key: `name+id+key`", body = String, content_type = "text/plain", headers(("Cache-Control" = String)))),
)]
pub async fn handler(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    Query::of(&request, &[])?;
    Ok(text(FOR_A_WHILE, format!("{}\n", gateway.ledger_vkey())))
}
