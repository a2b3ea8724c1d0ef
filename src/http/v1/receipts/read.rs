//! `POST /v1/receipts`: the receipt of a post, for whoever made it; the records of a person, for whoever has the link of a
//! mail. A POST, so that no token is in a log of addresses.

use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;
use kernel::authz::ReadReceipts;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::{download, format};
use crate::http::authenticate::Anyone;
use crate::http::json::Valid;
use crate::http::problem::Problem;

/// Which receipt.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReceiptRequest, example = json!({
    "token": "q1_5f2b8a3c9d1e4f60718293a4b5c6d7e80f1e2d3c4b5a69788796a5b4c3d2e1f0000102030405060708090a0b0c0d0e0f"
}))]
pub struct ReadBody {
    /// The `receipt_token` of a post, or the token of a mail's link to the preferences.
    #[validate(length(max = 256, code = "too_long"))]
    #[schema(max_length = 256)]
    token: String,
}

impl std::fmt::Debug for ReadBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReadBody(..)")
    }
}

/// Reads a receipt.
#[utoipa::path(
    post,
    path = "/v1/receipts",
    operation_id = "read_receipt",
    tag = "persons",
    description = "The receipt of a post: what it said and what its maker was told, and nothing else of the person. ISO/IEC TS 27560 as JSON-LD (DPV 2.3), or \
        with `Accept: application/json` the Kantara Consent Receipt 1.1; signed as JWS or SD-JWT, or with everything that proves it offline, by `format`. With the token of a mail's link all consent records of the person, as JSON-LD.",
    params(("format" = Option<String>, Query, description = "`dpv`, `kantara`, `jws`, `sd-jwt` or `evidence`, in place of `Accept`", pattern = "^(dpv|kantara|jws|sd-jwt|evidence)$")),
    request_body = ReadBody,
    responses((status = 200, description = "The receipt, as a download", content((Object = "application/ld+json"), (Object = "application/json"), (String = "application/jwt"), (String = "application/sd-jwt")), headers(
        ("Content-Disposition" = String),
        ("Vary" = String),
    ))),
)]
pub async fn handler(
    by: Anyone<ReadReceipts>,
    gateway: web::Data<Gateway>,
    request: HttpRequest,
    body: Valid<ReadBody>,
) -> Result<HttpResponse, Problem> {
    let format = format(&request)?;
    Ok(download(&gateway.receipt_of_bearer(&by.0, &body.value.token, format).await?))
}
