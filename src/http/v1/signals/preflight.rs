//! `OPTIONS /v1/signals`: what a browser asks before a page of another origin may signal (Fetch §4.8).

use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;

use crate::http::origin;
use crate::http::problem::Problem;

/// Says whether a page may post.
#[utoipa::path(
    options,
    path = "/v1/signals",
    operation_id = "preflight_signals",
    tag = "persons",
    description = "The CORS preflight: whether a page of this origin may post. No credentials are ever allowed.",
    params(("Origin" = Option<String>, Header, description = "The page's origin", example = "https://shop.example")),
    responses((status = 204, description = "It may", headers(
        ("Access-Control-Allow-Origin" = String),
        ("Access-Control-Allow-Methods" = String),
        ("Access-Control-Allow-Headers" = String),
    ))),
)]
pub async fn handler(gateway: web::Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    origin::preflight(&request, &gateway, "content-type")
}
