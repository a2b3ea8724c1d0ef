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

/// The shape that is asked for: by `format`, or else by `Accept`.
fn format(request: &HttpRequest) -> Result<ReceiptFormat, Problem> {
    match Query::of(request, &["format"])?.get("format") {
        Some("dpv") => return Ok(ReceiptFormat::Dpv),
        Some("kantara") => return Ok(ReceiptFormat::Kantara),
        Some(_) => return Err(Problem::fault("/format", Code::InvalidField)),
        None => {}
    }
    match negotiate::media_type(request, &[JSON_LD, JSON]) {
        Some(JSON_LD) => Ok(ReceiptFormat::Dpv),
        Some(_) => Ok(ReceiptFormat::Kantara),
        None => Err(Problem::of(Code::NotAcceptable)),
    }
}

/// A document as a download.
fn download(document: &ReceiptDocument) -> HttpResponse {
    let (kind, ending) = match document.format {
        ReceiptFormat::Dpv => (JSON_LD, "jsonld"),
        ReceiptFormat::Kantara => (JSON, "json"),
    };
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((VARY, ACCEPT.as_str()))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{}.{ending}\"", document.name)))
        .body(document.document.to_string())
}
