//! `GET /v1/rights-requests`: the requests, newest first, a page at a time.

use actix_web::http::header::LINK;
use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;
use kernel::authz::ReadRights;
use kernel::id::RightsRequestId;
use kernel::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::RightsRequestBody;
use crate::http::authenticate::Allowed;
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
    let (after, limit) = (query.after(place)?, query.limit(MOST)?.unwrap_or(USUAL));
    // One more than asked for tells whether there is a next page.
    let mut views = gateway.rights_requests(&by.0, after, limit.saturating_add(1)).await?;
    let is_last = views.len() <= usize::try_from(limit).unwrap_or(usize::MAX);
    views.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut response = HttpResponse::Ok();
    if let Some(last) = views.last().filter(|_| !is_last) {
        let after = format!("{}-{}", last.received_at.as_millis(), last.id);
        response.insert_header((LINK, format!("</v1/rights-requests?after={after}&limit={limit}>; rel=\"next\"")));
    }
    let requests = views.into_iter().map(RightsRequestBody::from).collect();
    Ok(response.json(RightsRequestListBody { requests }))
}

/// The place of a request in the list: when it was received, and its name.
fn place(text: &str) -> Option<(Timestamp, RightsRequestId)> {
    let (millis, id) = text.split_once('-')?;
    Some((Timestamp::from_millis(millis.parse().ok()?), id.parse().ok()?))
}
