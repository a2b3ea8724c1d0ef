//! `GET /v1/rights-requests`: the requests, newest first, a page at a time.

use actix_web::http::header::LINK;
use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;
use kernel::authz::ReadRights;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::RightsRequestBody;
use crate::http::authenticate::Allowed;
use crate::http::listing;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// The most requests of one page.
const MOST: u32 = 500;
/// How many requests a page has unless it is asked for another number.
const USUAL: u32 = 50;

/// A page of requests.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RightsRequestList)]
pub struct RightsRequestListBody {
    /// The requests.
    requests: Vec<RightsRequestBody>,
}

/// Lists requests.
#[utoipa::path(
    get,
    path = "/v1/rights-requests",
    operation_id = "list_rights_requests",
    tag = "officers",
    params(
        ("after" = Option<String>, Query, description = "Where the page before ended: taken from its `Link`", pattern = "^[0-9]{1,15}-[0-9a-f]{32}$"),
        ("limit" = Option<u32>, Query, description = "How many", minimum = 1, maximum = 500, example = 50),
    ),
    responses((status = 200, description = "A page", body = RightsRequestListBody, headers(
        ("Link" = Option<String>, description = "`rel=\"next\"`, while there is more"),
    ))),
)]
pub async fn handler(
    by: Allowed<ReadRights>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, &["after", "limit"])?;
    let (after, limit) = (query.after(listing::place)?, query.limit(MOST)?.unwrap_or(USUAL));
    let mut views = gateway.rights_requests(&by.0, after, limit.saturating_add(1)).await?;
    let mut response = HttpResponse::Ok();
    if let Some(next) = listing::cut(&mut views, limit, "/v1/rights-requests", |view| (view.received_at, view.id))
    {
        response.insert_header((LINK, next));
    }
    let requests = views.into_iter().map(RightsRequestBody::from).collect();
    Ok(response.json(RightsRequestListBody { requests }))
}
