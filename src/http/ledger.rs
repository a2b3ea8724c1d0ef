//! The public ledger (c2sp.org/tlog-tiles): what everybody may read, without a login, for ever.

pub mod checkpoint;
pub mod consistency;
pub mod inclusion;
pub mod tile;
pub mod vkey;

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;

/// Text, as the specifications want it.
const TEXT: &str = "text/plain; charset=utf-8";
/// The latest checkpoint is soon not the latest.
const BRIEFLY: &str = "public, max-age=5";
/// What may have a successor, but stays true.
const FOR_A_WHILE: &str = "public, max-age=60";
/// What never changes (RFC 8246).
const FOR_EVER: &str = "public, max-age=31536000, immutable";

fn text(cache: &'static str, body: String) -> HttpResponse {
    HttpResponse::Ok().content_type(TEXT).insert_header((CACHE_CONTROL, cache)).body(body)
}
