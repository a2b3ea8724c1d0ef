//! `GET /.well-known/gpc.json`: that this site abides by the Global Privacy Control (W3C GPC §4).

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use serde::Serialize;
use utoipa::ToSchema;

use super::CACHE;

/// When the statement last changed.
const LAST_UPDATE: &str = "2026-11-22";

/// What this site does about the signal.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GpcSupport)]
pub struct GpcSupportBody {
    /// Whether it abides by the signal.
    pub gpc: bool,
    /// When that last changed.
    #[serde(rename = "lastUpdate")]
    #[schema(format = Date)]
    pub last_update: &'static str,
}

/// Says that the signal is honoured.
#[utoipa::path(
    get,
    path = "/.well-known/gpc.json",
    operation_id = "gpc_support",
    tag = "persons",
    responses((status = 200, description = "This site abides by the Global Privacy Control", body = GpcSupportBody)),
)]
pub async fn handler() -> HttpResponse {
    let support = GpcSupportBody { gpc: true, last_update: LAST_UPDATE };
    HttpResponse::Ok().insert_header((CACHE_CONTROL, CACHE)).json(support)
}
