//! `GET /v1/ledger/entries`: the entries in clear, in order, a page at a time.

use actix_web::http::header::LINK;
use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;
use kernel::authz::ReadLedger;

use crate::http::authenticate::Allowed;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// The most entries of one page.
const MOST: u32 = 1_000;
/// How many entries a page has unless it is asked for another number.
const USUAL: u32 = 100;

/// Lists entries of the ledger.
#[utoipa::path(
    get,
    path = "/v1/ledger/entries",
    operation_id = "list_ledger_entries",
    tag = "officers",
    description = "What happened, in order: references, codes and names, never a value. Each entry comes with its key, so that it can be compared with what \
        is published of it (`/ledger/tile/entries/…`). Every look is itself in the ledger.",
    params(
        ("start" = Option<u64>, Query, description = "The first entry", minimum = 0, example = 0),
        ("limit" = Option<u32>, Query, description = "How many", minimum = 1, maximum = 1000, example = 100),
    ),
    responses((status = 200, description = "A page", body = Object, headers(
        ("Link" = Option<String>, description = "`rel=\"next\"`, while there is more"),
    ))),
)]
pub async fn handler(
    by: Allowed<ReadLedger>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, &["start", "limit"])?;
    let (start, limit) = (query.count("start")?.unwrap_or(0), query.limit(MOST)?.unwrap_or(USUAL));
    let page = gateway.ledger_entries(&by.0, start, limit).await?;
    let mut response = HttpResponse::Ok();
    if let Some(next) = page.next {
        response.insert_header((LINK, format!("</v1/ledger/entries?start={next}&limit={limit}>; rel=\"next\"")));
    }
    Ok(response.json(page.document))
}
