//! `GET /v1/incidents`: the register, the latest first, a page at a time.

use actix_web::http::header::LINK;
use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;
use kernel::authz::ReadIncidents;
use serde_json::json;

use crate::http::authenticate::Allowed;
use crate::http::listing;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// The most incidents of one page.
const MOST: u32 = 500;
/// How many incidents a page has unless it is asked for another number.
const USUAL: u32 = 50;

/// Lists incidents.
#[utoipa::path(
    get,
    path = "/v1/incidents",
    operation_id = "list_incidents",
    tag = "officers",
    params(
        ("after" = Option<String>, Query, description = "Where the page before ended: taken from its `Link`", pattern = "^[0-9]{1,15}-[0-9a-f]{32}$"),
        ("limit" = Option<u32>, Query, description = "How many", minimum = 1, maximum = 500, example = 50),
    ),
    responses((status = 200, description = "A page", body = Object, headers(
        ("Link" = Option<String>, description = "`rel=\"next\"`, while there is more"),
    ))),
)]
pub async fn handler(
    by: Allowed<ReadIncidents>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, &["after", "limit"])?;
    let (after, limit) = (query.after(listing::place)?, query.limit(MOST)?.unwrap_or(USUAL));
    let mut views = gateway.incidents(&by.0, after, limit.saturating_add(1)).await?;
    let mut response = HttpResponse::Ok();
    if let Some(next) = listing::cut(&mut views, limit, "/v1/incidents", |view| (view.opened_at, view.id)) {
        response.insert_header((LINK, next));
    }
    let incidents: Vec<_> = views.into_iter().map(|view| view.document).collect();
    Ok(response.json(json!({ "incidents": incidents })))
}
