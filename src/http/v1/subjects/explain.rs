//! `GET /v1/subjects/{id}/explain`: why a recipient may have an attribute for a purpose or not, now or at any past time.

use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, ExplainAsk, Gateway};
use kernel::authz::InspectSubjects;

use super::subject_of;
use crate::http::authenticate::Allowed;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// Explains a decision.
#[utoipa::path(
    get,
    path = "/v1/subjects/{id}/explain",
    operation_id = "explain_decision",
    tag = "officers",
    description = "The chain from the policy's rule over the basis under each regime and the event that counts to the result, and what would change it. \
        With `as_of` what was decided then: with the events received and the policy in force by that time, and nothing that came later.",
    params(
        ("id" = String, Path, description = "The person", pattern = "^[0-9a-f]{32}$", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        ("purpose" = String, Query, description = "The purpose", max_length = 64, pattern = "^[a-z][a-z0-9_-]*$", example = "email_marketing"),
        ("recipient" = Option<String>, Query, description = "Who would receive; may be left out where the purpose has one recipient", max_length = 64, pattern = "^[a-z][a-z0-9_-]*$", example = "mailer"),
        ("attribute" = Option<String>, Query, description = "One attribute; without it all of the recipient's contract", max_length = 64, pattern = "^[a-z][a-z0-9_-]*$", example = "email"),
        ("as_of" = Option<String>, Query, description = "A time in the past (RFC 3339)", format = DateTime, example = "2026-11-22T18:30:00Z"),
    ),
    responses((status = 200, description = "The explanation", body = Object)),
)]
pub async fn handler(
    by: Allowed<InspectSubjects>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request, &["purpose", "recipient", "attribute", "as_of"])?;
    let ask = ExplainAsk {
        purpose: query.parse("purpose")?.ok_or_else(|| Problem::fault("/purpose", Code::MissingField))?,
        recipient: query.parse("recipient")?,
        attribute: query.parse("attribute")?,
        as_of: query.parse("as_of")?,
    };
    let subject = subject_of(&request)?;
    Ok(HttpResponse::Ok().json(gateway.explain(&by.0, subject, &ask).await?))
}
