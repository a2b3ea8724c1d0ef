//! `GET /v1/evidence/{receipt}`: that something was recorded under a receipt, also of persons who were erased.

use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Gateway};
use kernel::authz::InspectSubjects;

use crate::http::authenticate::Allowed;
use crate::http::listing;
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::http::v1::receipts::download;

/// Shows that something was recorded.
#[utoipa::path(
    get,
    path = "/v1/evidence/{receipt}",
    operation_id = "show_closed_evidence",
    tag = "officers",
    description = "A file that proves offline that something was recorded under a receipt, not what: the published entry, the proof that it is in the ledger, \
        the checkpoint and the key. It can be had of persons who were erased. What was recorded is in `/v1/subjects/{id}/receipts/{receipt}?format=evidence`, \
        as long as the person is held.",
    params(("receipt" = String, Path, description = "The receipt", pattern = "^[0-9a-f]{32}$", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0")),
    responses((status = 200, description = "The file, as a download", body = Object, headers(
        ("Content-Disposition" = String),
        ("Vary" = String),
    ))),
)]
pub async fn handler(
    by: Allowed<InspectSubjects>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    Query::of(&request, &[])?;
    let receipt = listing::named(&request, "receipt", Code::ReceiptNotFound)?;
    Ok(download(&gateway.closed_evidence(&by.0, receipt).await?))
}
