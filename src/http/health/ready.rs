//! `GET /health/ready`: the database answers too, so requests can be served.

use actix_web::{HttpResponse, web};
use app::Gateway;

use super::HealthBody;
use crate::http::problem::Problem;

/// Says whether requests can be served.
#[utoipa::path(
    get,
    path = "/health/ready",
    operation_id = "health_ready",
    tag = "operations",
    responses((status = 200, description = "Requests can be served", body = HealthBody)),
)]
pub async fn handler(gateway: web::Data<Gateway>) -> Result<HttpResponse, Problem> {
    gateway.ready().await?;
    let mail = (!gateway.forms_without_mail().is_empty()).then_some("not_configured");
    Ok(HttpResponse::Ok().json(HealthBody { status: "ready", mail }))
}
