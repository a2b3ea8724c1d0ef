//! `OPTIONS /v1/prompts/ask`: what a browser asks before a page of another origin may ask (Fetch §4.8).

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, ALLOW,
};
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
    origin::admit(&request, &gateway, None)?;
    let mut response = HttpResponse::build(StatusCode::NO_CONTENT);
    response.insert_header((ALLOW, "POST, OPTIONS"));
    if origin::origin(&request)?.is_some() {
        response
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, "POST"))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, "content-type"))
            .insert_header((ACCESS_CONTROL_MAX_AGE, "600"));
    }
    Ok(response.finish())
}
