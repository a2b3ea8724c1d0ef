//! `GET /ledger/inclusion`: the proof that an entry is in the ledger.

use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Gateway};

use super::{BRIEFLY, FOR_A_WHILE, text};
use crate::http::problem::Problem;
use crate::http::query::Query;

/// Proves that an entry is in the ledger.
#[utoipa::path(
    get,
    path = "/ledger/inclusion",
    operation_id = "ledger_inclusion",
    tag = "ledger",
    description = "The proof (c2sp.org/tlog-proof) that the entry with this index is under the latest checkpoint, or under the one of `size` entries.",
    params(
        ("index" = u64, Query, description = "The entry, from 0", minimum = 0, example = 0),
        ("size" = Option<u64>, Query, description = "The size of a checkpoint that was made", minimum = 0),
    ),
    responses((status = 200, description = "The proof", body = String, content_type = "text/plain", headers(("Cache-Control" = String)))),
)]
pub async fn handler(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, &["index", "size"])?;
    let index = query.count("index")?.ok_or_else(|| Problem::fault("/index", Code::MissingField))?;
    let size = query.count("size")?;
    let proof = gateway.ledger_inclusion(index, size).await?.ok_or_else(|| Problem::of(Code::NotFound))?;
    Ok(text(if size.is_some() { FOR_A_WHILE } else { BRIEFLY }, proof.to_text()))
}
