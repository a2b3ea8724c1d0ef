//! `GET /v1/disclosures`: exactly whose data a recipient received in some time, for whoever has to tell them.

use actix_web::http::header::LINK;
use actix_web::{HttpRequest, HttpResponse, web};
use app::{AffectedAsk, Code, Gateway};
use kernel::authz::InspectSubjects;
use kernel::time::Timestamp;

use crate::http::authenticate::Allowed;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// The most persons of one page.
const MOST: u32 = 1_000;
/// How many persons a page has unless it is asked for another number.
const USUAL: u32 = 100;

/// Lists the persons whose data a recipient received.
#[utoipa::path(
    get,
    path = "/v1/disclosures",
    operation_id = "list_recipient_disclosures",
    tag = "officers",
    description = "Exactly whose data a recipient received from an instant on and before another, with the attributes of each (GDPR Art. 34): the attributes are \
        those that left for anybody in the same page of a pull. `encrypted` and `pseudonymous` say in what form. Every look is recorded in the ledger.",
    params(
        ("recipient" = String, Query, description = "Who received", max_length = 64, example = "segmentation"),
        ("from" = String, Query, description = "From when on (RFC 3339)", example = "2026-11-01T00:00:00Z"),
        ("until" = String, Query, description = "Before when (RFC 3339)", example = "2026-11-23T00:00:00Z"),
        ("after" = Option<u64>, Query, description = "Where the page before ended: taken from its `Link`", minimum = 0),
        ("limit" = Option<u32>, Query, description = "How many", minimum = 1, maximum = 1000, example = 100),
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
    let query = Query::of(&request, &["recipient", "from", "until", "after", "limit"])?;
    let missing = |name: &str| Problem::fault(format!("/{name}"), Code::MissingField);
    let recipient = query.get("recipient").ok_or_else(|| missing("recipient"))?;
    let ask = AffectedAsk {
        recipient: recipient.parse().map_err(|_| Problem::fault("/recipient", Code::UnknownRecipient))?,
        from: query.parse::<Timestamp>("from")?.ok_or_else(|| missing("from"))?,
        until: query.parse::<Timestamp>("until")?.ok_or_else(|| missing("until"))?,
    };
    let (after, limit) = (query.count("after")?, query.limit(MOST)?.unwrap_or(USUAL));
    let page = gateway.affected(&by.0, &ask, after, limit).await?;
    let mut response = HttpResponse::Ok();
    if let Some(next) = page.next {
        let AffectedAsk { recipient, from, until } = &ask;
        let link = format!(
            "</v1/disclosures?recipient={recipient}&from={from}&until={until}&after={next}&limit={limit}>; rel=\"next\""
        );
        response.insert_header((LINK, link));
    }
    Ok(response.json(page.document))
}
