//! `GET /ledger/vkey`: the keys that check the checkpoints.

use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;

use super::{FOR_A_WHILE, text};
use crate::http::problem::Problem;
use crate::http::query::Query;

/// Shows the verifier keys.
#[utoipa::path(
    get,
    path = "/ledger/vkey",
    operation_id = "ledger_vkey",
    tag = "ledger",
    description = "The verifier key of the checkpoints (c2sp.org/signed-note), one a line: the one that signs now first, then those of older checkpoints and the next one. Keep them: a key that comes with what it checks proves little.",
    responses((status = 200, description = "The keys: `name+id+key`, one a line", body = String, content_type = "text/plain", headers(("Cache-Control" = String)))),
)]
pub async fn handler(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    Query::of(&request, &[])?;
    let lines: String = gateway.ledger_vkeys().iter().map(|key| format!("{key}\n")).collect();
    Ok(text(FOR_A_WHILE, lines))
}
