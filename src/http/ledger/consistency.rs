//! `GET /ledger/consistency`: the proof that the ledger only grew.

use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Gateway};

use super::{BRIEFLY, FOR_A_WHILE, text};
use crate::http::problem::Problem;
use crate::http::query::Query;

/// Proves that the ledger only grew.
#[utoipa::path(
    get,
    path = "/ledger/consistency",
    operation_id = "ledger_consistency",
    tag = "ledger",
    description = "The proof (RFC 6962 §2.1.2) that the latest checkpoint, or the one of `size` entries, begins with the ledger of `old` entries: the line \
        `old`, the hashes, an empty line, the checkpoint, as a witness takes it (c2sp.org/tlog-witness).",
    params(
        ("old" = u64, Query, description = "The size of an older checkpoint", minimum = 0, example = 1),
        ("size" = Option<u64>, Query, description = "The size of a checkpoint that was made", minimum = 0),
    ),
    responses((status = 200, description = "The proof", body = String, content_type = "text/plain", headers(("Cache-Control" = String)))),
)]
pub async fn handler(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, &["old", "size"])?;
    let old = query.count("old")?.ok_or_else(|| Problem::fault("/old", Code::MissingField))?;
    let size = query.count("size")?;
    let proof = gateway.ledger_consistency(old, size).await?.ok_or_else(|| Problem::of(Code::NotFound))?;
    Ok(text(if size.is_some() { FOR_A_WHILE } else { BRIEFLY }, proof.to_text()))
}
