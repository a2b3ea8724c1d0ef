//! `GET /ledger/tile/{tile}`: 256 hashes of the tree, or 256 published entries, or as many as there are.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Gateway};
use kernel::ledger::tile::TilePath;

use super::{FOR_A_WHILE, FOR_EVER};
use crate::http::problem::Problem;
use crate::http::query::Query;

/// Shows a tile.
#[utoipa::path(
    get,
    path = "/ledger/tile/{tile}",
    operation_id = "ledger_tile",
    tag = "ledger",
    description = "A tile (c2sp.org/tlog-tiles). `0/x001/x234/067`: the level and the number, three digits a segment; `.p/W` behind it: its first W hashes. \
        `entries/…`: the entries, each behind its length in two bytes. An entry is 33 bytes: a version and a commitment that tells nothing of what happened.",
    params(("tile" = String, Path, description = "The address of the tile; it holds slashes", pattern = "^([0-7]|entries)(/x[0-9]{3})*/[0-9]{3}(\\.p/[0-9]{1,3})?$",
        example = "0/000")),
    responses((status = 200, description = "The tile", body = Vec<u8>, content_type = "application/octet-stream", headers(
        ("Cache-Control" = String, description = "Full tiles are immutable"),
    ))),
)]
pub async fn handler(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    Query::of(&request, &[])?;
    let not_found = || Problem::of(Code::NotFound);
    let path: TilePath = request.match_info().get("tile").unwrap_or_default().parse().map_err(|_| not_found())?;
    let bytes = gateway.ledger_tile(&path).await?.ok_or_else(not_found)?;
    let cache = if path.is_full() { FOR_EVER } else { FOR_A_WHILE };
    Ok(HttpResponse::Ok()
        .content_type("application/octet-stream")
        .insert_header((CACHE_CONTROL, cache))
        .body(bytes))
}
