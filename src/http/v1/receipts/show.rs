//! `GET /v1/subjects/{id}/receipts/{receipt}`: the receipt of a post, for officers.

use actix_web::{HttpRequest, HttpResponse, web};
use app::{Code, Gateway};
use kernel::authz::InspectSubjects;

use super::{download, format};
use crate::http::authenticate::Allowed;
use crate::http::listing;
use crate::http::problem::Problem;
use crate::http::v1::subjects::subject_of;

/// Shows a receipt.
#[utoipa::path(
    get,
    path = "/v1/subjects/{id}/receipts/{receipt}",
    operation_id = "show_receipt",
    tag = "officers",
    description = "The receipt of one post as its maker may read it: ISO/IEC TS 27560 as JSON-LD (DPV 2.3), or with `Accept: application/json` the Kantara \
        Consent Receipt 1.1.",
    params(
        ("id" = String, Path, description = "The person", pattern = "^[0-9a-f]{32}$", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        ("receipt" = String, Path, description = "The receipt", pattern = "^[0-9a-f]{32}$", example = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        ("format" = Option<String>, Query, description = "`dpv`, `kantara`, `jws`, `sd-jwt` or `evidence`, in place of `Accept`", pattern = "^(dpv|kantara|jws|sd-jwt|evidence)$"),
    ),
    responses((status = 200, description = "The receipt, as a download", content((Object = "application/ld+json"), (Object = "application/json"), (String = "application/jwt"), (String = "application/sd-jwt")), headers(
        ("Content-Disposition" = String),
        ("Vary" = String),
    ))),
)]
pub async fn handler(
    by: Allowed<InspectSubjects>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let format = format(&request)?;
    let subject = subject_of(&request)?;
    let receipt = listing::named(&request, "receipt", Code::ReceiptNotFound)?;
    Ok(download(&gateway.subject_receipt(&by.0, subject, receipt, format).await?))
}
