//! `GET /v1/subjects/{id}/disclosures`: who received what of a person, newest first, a page at a time.

use actix_web::http::header::LINK;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{DisclosurePlace, Gateway};
use kernel::authz::InspectSubjects;
use kernel::time::Timestamp;

use super::subject_of;
use crate::http::authenticate::Allowed;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// The most disclosures of one page.
const MOST: u32 = 500;
/// How many disclosures a page has unless it is asked for another number.
const USUAL: u32 = 50;

/// Lists a person's disclosures.
#[utoipa::path(
    get,
    path = "/v1/subjects/{id}/disclosures",
    operation_id = "list_subject_disclosures",
    tag = "officers",
    description = "Who received something of a person, what and for what, newest first: with the pseudonym it was given, under which policy and under which consent. \
        The attributes are those that left for anybody in the same page of a pull. No one who works for the controller is named.",
    params(
        ("id" = String, Path, description = "The person", pattern = "^[0-9a-f]{32}$", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        ("after" = Option<String>, Query, description = "Where the page before ended: taken from its `Link`", pattern = "^[0-9]{1,15}-[0-9a-f]{32}-[0-9]{1,10}$"),
        ("limit" = Option<u32>, Query, description = "How many", minimum = 1, maximum = 500, example = 50),
    ),
    responses((status = 200, description = "A page", body = Object, headers(
        ("Link" = Option<String>, description = "`rel=\"next\"`, while there is more"),
    ))),
)]
pub async fn handler(
    by: Allowed<InspectSubjects>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, &["after", "limit"])?;
    let (after, limit) = (query.after(place)?, query.limit(MOST)?.unwrap_or(USUAL));
    let subject = subject_of(&request)?;
    let view = gateway.subject_disclosures(&by.0, subject, after, limit).await?;
    let mut response = HttpResponse::Ok();
    if let Some(next) = view.next {
        let after = format!("{}-{}-{}", next.at.as_millis(), next.pull, next.page);
        let link = format!("</v1/subjects/{subject}/disclosures?after={after}&limit={limit}>; rel=\"next\"");
        response.insert_header((LINK, link));
    }
    Ok(response.json(view.document))
}

/// The place of a disclosure in the list: its time, its pull and its page.
fn place(text: &str) -> Option<DisclosurePlace> {
    let mut parts = text.split('-');
    let (at, pull, page) = (parts.next()?, parts.next()?, parts.next()?);
    let at = Timestamp::from_millis(at.parse().ok()?);
    let place = DisclosurePlace { at, pull: pull.parse().ok()?, page: page.parse().ok()? };
    parts.next().is_none().then_some(place)
}
