//! Consent receipts and records, to keep.

pub mod read;
pub mod record;
pub mod show;

use actix_web::http::header::{ACCEPT, CONTENT_DISPOSITION, VARY};
use actix_web::{HttpRequest, HttpResponse};
use app::{Code, ReceiptDocument, ReceiptFormat};

use crate::http::negotiate;
use crate::http::problem::Problem;
use crate::http::query::Query;

/// JSON-LD 1.1.
const JSON_LD: &str = "application/ld+json";
/// The shape of Kantara, named by its profile.
const JSON: &str = "application/json";
/// A signed receipt (RFC 7519 §10.3.1).
const JWT: &str = "application/jwt";
/// A signed receipt of which parts can be left out (RFC 9901).
const SD_JWT: &str = "application/sd-jwt";

/// The shape that is asked for: by `format`, or else by `Accept`.
fn format(request: &HttpRequest) -> Result<ReceiptFormat, Problem> {
    match Query::of(request, &["format"])?.get("format") {
        Some("dpv") => return Ok(ReceiptFormat::Dpv),
        Some("kantara") => return Ok(ReceiptFormat::Kantara),
        Some("jws") => return Ok(ReceiptFormat::Jws),
        Some("sd-jwt") => return Ok(ReceiptFormat::SdJwt),
        Some("evidence") => return Ok(ReceiptFormat::Evidence),
        Some(_) => return Err(Problem::fault("/format", Code::InvalidField)),
        None => {}
    }
    match negotiate::media_type(request, &[JSON_LD, JSON, JWT, SD_JWT]) {
        Some(JSON_LD) => Ok(ReceiptFormat::Dpv),
        Some(JWT) => Ok(ReceiptFormat::Jws),
        Some(SD_JWT) => Ok(ReceiptFormat::SdJwt),
        Some(_) => Ok(ReceiptFormat::Kantara),
        None => Err(Problem::of(Code::NotAcceptable)),
    }
}

/// A document as a download.
pub(super) fn download(document: &ReceiptDocument) -> HttpResponse {
    let (kind, ending) = match document.format {
        ReceiptFormat::Dpv => (JSON_LD, "jsonld"),
        ReceiptFormat::Kantara | ReceiptFormat::Evidence => (JSON, "json"),
        ReceiptFormat::Jws => (JWT, "jwt"),
        ReceiptFormat::SdJwt => (SD_JWT, "sd-jwt"),
    };
    let body = document.document.as_str().map_or_else(|| document.document.to_string(), str::to_owned);
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((VARY, ACCEPT.as_str()))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{}.{ending}\"", document.name)))
        .body(body)
}
