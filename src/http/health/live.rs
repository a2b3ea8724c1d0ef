//! `GET /health/live`: the process answers.

use actix_web::HttpResponse;

use super::HealthBody;

/// Says that the process answers.
#[utoipa::path(
    get,
    path = "/health/live",
    operation_id = "health_live",
    tag = "operations",
    responses((status = 200, description = "The process answers", body = HealthBody)),
)]
pub async fn handler() -> HttpResponse {
    HttpResponse::Ok().json(HealthBody { status: "live", mail: None })
}
