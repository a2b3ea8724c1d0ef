//! `OPTIONS /v1/prompts/ask`: what a browser asks before a page of another origin may ask (Fetch §4.8).

use actix_web::{HttpRequest, HttpResponse, web};
use app::Gateway;

use crate::http::origin;
use crate::http::problem::Problem;

/// Says whether a page may ask.
#[utoipa::path(
    options,
    path = "/v1/prompts/ask",
    operation_id = "preflight_prompts",
    tag = "persons",
    description = "The CORS preflight: whether a page of this origin may ask. No credentials are ever allowed.",
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
